"""What overlap cannot tell: support, power, likelihoods, judges, contamination, and the card.

`course_utils.metrics`, `comparison` and `baselines` give scores, intervals, floor and ceiling;
this package asks the questions that stand around them. `support` looks for what a summary says
in its dialogue, `power` says how many dialogues a claim needs, `multiple_choice` and `judges`
let a model compare texts, `contamination` asks what it has seen before, and `card` writes down
what was measured. Names load on first use, so that importing this costs nothing.
"""

from course_utils.lazy_names import lazy_names

_HOME = {
    "support": (
        "Mention",
        "coverage_per_example",
        "invention_free",
        "mentions",
        "support_per_example",
    ),
    "power": ("detectable_gain", "detection_rate", "dialogues_needed"),
    "multiple_choice": ("fact_options", "score_options", "win_rates"),
    "judges": ("JUDGE_QUESTION", "PairwiseVerdicts", "judge_pairs"),
    "contamination": ("min_k_probability", "seen_runs"),
    "card": ("EvaluationCard", "data_hash"),
    "measure": ("measure_summaries",),
}
__getattr__, __all__ = lazy_names(__name__, _HOME)
