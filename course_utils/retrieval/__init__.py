"""Find the passages that answer a question, and know when none does.

`search` has the indexes, `recall` measures them before anything is generated, `handbook` is a
small corpus to search, `chunks` cuts longer texts, `abstaining` says when to be silent. Names
load on first use, so that importing this costs nothing.
"""

from importlib import import_module
from typing import Any

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
_MODULE = {name: module for module, names in _HOME.items() for name in names}
__all__ = sorted(_MODULE)


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)
