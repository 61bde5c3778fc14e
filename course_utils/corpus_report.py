"""Set the course's dialogues beside DialogSum: lengths, wording, agreement and scores.

`write_corpus_report` leaves a page, its pictures and `corpus_report.json` in a folder.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from course_utils.baselines import BASELINES, human_ceiling
from course_utils.comparison import Interval, bootstrap_interval
from course_utils.dialogues import load_dialogues
from course_utils.errors import CourseError
from course_utils.metrics import rouge_per_example
from course_utils.whole_files import write_whole

if TYPE_CHECKING:
    from datasets import DatasetDict

TEMPLATE_FILE = Path(__file__).parent / "data" / "corpus_report.html"
NAMES = {"course": "the course's dialogues", "dialogsum": "DialogSum"}

Row = dict[str, Any]


def write_corpus_report(
    out: Path, *, score_model: bool = True, limit: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """Write index.html, corpus_report.json and the pictures into `out`; returns the numbers.

    score_model: also score the default model's zero-shot summaries (minutes on a CPU).
    limit: how many test dialogues of each set the model summarizes; all if None.
    seed: of the bootstrap intervals.
    DialogSum is left out, with the reason on the page, where it cannot be had.
    Raises CourseError if `limit` is below two (an interval needs two scores).
    """
    from jinja2 import Environment, StrictUndefined

    from course_utils.corpus_figures import draw_figures

    if limit is not None and limit < 2:
        raise CourseError(f"A limit of {limit} dialogues gives no interval: use 2 or more.")
    sources, missing = {"course": load_dialogues("course")}, None
    try:
        sources["dialogsum"] = load_dialogues("dialogsum")
    except CourseError as error:
        missing = str(error)
    summarize = _default_model_summaries if score_model else None
    report = {
        "seed": seed,
        "model_limit": limit,
        "missing": missing,
        "sets": {
            name: describe(splits, summarize=summarize, limit=limit, seed=seed)
            for name, splits in sources.items()
        },
        "challenges": _count(sources["course"], "challenge"),
        "domains": _count(sources["course"], "domain"),
    }
    figures = draw_figures(report)
    for figure in figures:
        write_whole(out / figure.file, figure.png)
    write_whole(out / "corpus_report.json", json.dumps(_plain(report), indent=2) + "\n")
    jinja = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = jinja.from_string(TEMPLATE_FILE.read_text(encoding="utf-8"))
    write_whole(out / "index.html", page.render(report=report, figures=figures, names=NAMES))
    return report


def describe(
    splits: DatasetDict,
    *,
    summarize: Callable[[list[str]], list[str]] | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure a set of dialogues: lengths over all splits, the rest on `test`.

    summarize: a system to score beside the baselines, on the first `limit` dialogues.
    Returns counts, lengths per dialogue, and an `Interval` for everything with a mean.
    """
    everything = [row for rows in splits.values() for row in rows]
    test = list(splits["test"])
    references = [row["references"] for row in test]
    scores: dict[str, dict[str, Any]] = {}

    def score(system: str, found: dict[str, np.ndarray]) -> None:
        intervals = {kind: bootstrap_interval(values, seed) for kind, values in found.items()}
        scores[system] = {"dialogues": len(found["rouge1"]), **intervals}

    score("references", human_ceiling(references))
    for name, baseline in BASELINES.items():
        score(name, rouge_per_example([baseline(row["dialogue"]) for row in test], references))
    if summarize is not None:
        chosen = test[:limit]
        answers = summarize([row["dialogue"] for row in chosen])
        score("zero-shot", rouge_per_example(answers, references[:limit]))
    return {
        "splits": {name: len(rows) for name, rows in splits.items()},
        "words": [len(row["dialogue"].split()) for row in everything],
        "turns": [len(row["dialogue"].splitlines()) for row in everything],
        "summary words": [len(text.split()) for row in everything for text in row["references"]],
        "several speakers": bootstrap_interval(
            [
                100.0 * (len(set(re.findall(r"^#Person\d#", row["dialogue"], re.M))) > 2)
                for row in everything
            ],
            seed,
        ),
        "compression": bootstrap_interval([_compression(row) for row in test], seed),
        "novel": {
            n: bootstrap_interval([_novel(row, n) for row in test], seed) for n in (1, 2, 3, 4)
        },
        "scores": scores,
    }


def _count(splits: DatasetDict, column: str) -> dict[str, int]:
    return dict(Counter(row[column] for rows in splits.values() for row in rows))


def _compression(row: Row) -> float:
    """Give the references' mean length in percent of the dialogue's."""
    lengths = [len(text.split()) for text in row["references"]]
    return 100 * float(np.mean(lengths)) / len(row["dialogue"].split())


def _novel(row: Row, n: int) -> float:
    """Give the percent of the references' runs of n words that the dialogue does not have."""
    known = _runs(row["dialogue"], n)
    runs = [run for text in row["references"] for run in _runs(text, n)]
    return 100 * float(np.mean([run not in known for run in runs])) if runs else 0.0


def _runs(text: str, n: int) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def _default_model_summaries(dialogues: Sequence[str]) -> list[str]:
    """Summarize zero-shot and greedily with the default model."""
    from transformers import GenerationConfig

    from course_utils.model_store import load_model
    from course_utils.prompts import TEMPLATES

    prompts = [TEMPLATES["summarize"].chat(dialogue) for dialogue in dialogues]
    config = GenerationConfig(max_new_tokens=60, do_sample=False)
    return [completion.text.strip() for completion in load_model().complete(prompts, config)]


def _plain(value: Any) -> Any:
    """Turn intervals into {"mean", "low", "high"}, rounded, for JSON."""
    if isinstance(value, Interval):
        return {key: round(number, 2) for key, number in value._asdict().items()}
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return value
