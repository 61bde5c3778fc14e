"""Find the passages that answer a question, and know when none does.

`search` has the indexes, `recall` measures them before anything is generated, `handbook` is a
small corpus to search, `chunks` cuts longer texts, `abstaining` says when to be silent. Names
load on first use, so that importing this costs nothing.
"""

from course_utils.lazy_names import lazy_names

_HOME = {
    "search": (
        "DenseIndex",
        "Hit",
        "HybridIndex",
        "LexicalIndex",
        "reciprocal_rank_fusion",
        "stemmed_words",
    ),
    "recall": ("recall_at_k", "reciprocal_rank"),
    "handbook": ("Handbook", "Passage", "Question", "contains_answer", "load_handbook"),
    "chunks": ("Chunk", "chunk"),
    "abstaining": ("RiskCoverage", "choose_threshold", "risk_coverage"),
}
__getattr__, __all__ = lazy_names(__name__, _HOME)
