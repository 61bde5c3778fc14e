"""Every measure of a summarizer in one call, as an evaluation card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from course_utils.baselines import BASELINES, human_ceiling
from course_utils.comparison import bootstrap_interval, paired_difference
from course_utils.evaluation.card import EvaluationCard, Measured, data_hash, measured
from course_utils.evaluation.support import (
    INVENTIBLE,
    coverage_per_example,
    invention_free,
    support_per_example,
)
from course_utils.metrics import rouge_per_example, similarity_per_example

METRICS = ("rouge1", "rouge2", "rougeL", "similarity", "speakers_supported", "names_supported",
           "numbers_supported", "invention_free", "facts_covered")  # fmt: skip
FLOORS = ("lead-3", "constant")
HUMAN = "human"

Scores = dict[str, np.ndarray]


def measure_summaries(
    name: str,
    summaries: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    *,
    data: str,
    seed: int = 0,
    metrics: Sequence[str] = METRICS,
    settings: Mapping[str, Any] | None = None,
    limits: Sequence[str] = (),
    decision_rule: str = "",
) -> EvaluationCard:
    """Measure a system's summaries beside the floor and the ceiling, with intervals.

    name: of the system; summaries: one for each row of `load_dialogues`, in order.
    data: what the rows are, in words ("course, test split"); their hash is added.
    metrics: some of `METRICS`. A measure that the rows do not allow is left out and named among
        the limits: facts where there are none (DialogSum), names where nearly no summary has any.
    The floor is `lead-3` and `constant`; the ceiling, where every dialogue has several references,
    is `human`: by ROUGE the mean of each person against the others, by all else the first
    reference.
    Raises ValueError for fewer than two rows, lists that differ in length, an unknown metric, or
    a rival's name.
    """
    rows = list(rows)
    if name in (*FLOORS, HUMAN):
        raise ValueError(f"name={name!r} is the name of a rival: give the system one of its own.")
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown or not metrics:
        raise ValueError(f"Unknown metrics {unknown}: give some of {', '.join(METRICS)}.")
    if len(summaries) != len(rows):
        raise ValueError(
            f"{len(summaries)} summaries but {len(rows)} dialogues: summarize every row, in order."
        )
    if len(rows) < 2:
        raise ValueError(f"{len(rows)} dialogues: an evaluation with intervals needs two at least.")
    systems = {name: _scores(summaries, rows, metrics)}
    for floor in FLOORS:
        floor_summaries = [BASELINES[floor](row["dialogue"]) for row in rows]
        systems[floor] = _scores(floor_summaries, rows, metrics)
    if all(len(row["references"]) > 1 for row in rows):
        systems[HUMAN] = _human_scores(rows, metrics)
    tables = {system: _measured_each(scores, seed) for system, scores in systems.items()}
    own = tables.pop(name)
    left_out = [metric for metric in metrics if metric not in own]
    notes = [f"not measured, too few cases: {', '.join(left_out)}"] if left_out else []
    return EvaluationCard(
        name=name,
        data=data,
        data_sha256=data_hash(rows),
        n=len(rows),
        seed=seed,
        metrics=own,
        rivals=tables,
        gains={rival: _gains(systems[name], systems[rival], seed) for rival in tables},
        settings=dict(settings or {}),
        limits=[*notes, *limits],
        decision_rule=decision_rule,
    )


def _scores(
    summaries: Sequence[str], rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]
) -> Scores:
    """Score every summary by every metric: (n,) each, nan where it does not apply."""
    dialogues = [row["dialogue"] for row in rows]
    references = [row["references"] for row in rows]
    scores: Scores = dict(rouge_per_example(summaries, references))
    support = support_per_example(summaries, dialogues)
    scores |= {f"{kind}s_supported": support[kind] for kind in INVENTIBLE}
    scores["invention_free"] = invention_free(summaries, dialogues)
    if "similarity" in metrics:
        scores["similarity"] = similarity_per_example(summaries, references)
    if all(row.get("facts") for row in rows):
        scores["facts_covered"] = coverage_per_example(summaries, [row["facts"] for row in rows])
    return {metric: scores[metric] for metric in metrics if metric in scores}


def _human_scores(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Scores:
    """Score people: each against the others by ROUGE, the first of them by everything else."""
    references = [row["references"] for row in rows]
    others = [{**row, "references": row["references"][1:]} for row in rows]
    first = _scores([texts[0] for texts in references], others, metrics)
    ceiling = human_ceiling(references)
    return {metric: ceiling.get(metric, first[metric]) for metric in first}


def _measured_each(scores: Scores, seed: int) -> dict[str, Measured]:
    """Give each metric its interval over the examples that it applies to, two at least."""
    kept = {metric: values[~np.isnan(values)] for metric, values in scores.items()}
    return {
        metric: measured(bootstrap_interval(values, seed), len(values))
        for metric, values in kept.items()
        if len(values) > 1
    }


def _gains(system: Scores, rival: Scores, seed: int) -> dict[str, Measured]:
    """Give the paired differences over the examples that a metric applies to for both."""
    gains = {}
    for metric in system:
        both = ~np.isnan(system[metric]) & ~np.isnan(rival[metric])
        if both.sum() > 1:
            difference = paired_difference(system[metric][both], rival[metric][both], seed)
            gains[metric] = measured(difference, int(both.sum()))
    return gains
