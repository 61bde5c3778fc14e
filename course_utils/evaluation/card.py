"""The evaluation card: what was measured, on what, how sure it is, and what it decides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from course_utils.comparison import Interval
from course_utils.errors import CourseError
from course_utils.whole_files import write_whole

Measured = dict[str, float]
"""A mean, its interval and its size: {"mean": 31.6, "low": 29.7, "high": 33.6, "n": 60}."""


@dataclass(frozen=True)
class EvaluationCard:
    """One evaluation of one system, complete enough to repeat it and to decide by it.

    metrics: name to `Measured`, for the system itself.
    rivals: the floor and the ceiling: name to metrics, measured on the same examples.
    gains: rival to the paired difference system minus rival, in each metric that both have.
    settings: whatever else it takes to get the same outputs: prompt, max_new_tokens, model file.
    decision_rule: written before the numbers were seen; decision: what it says about them.
    """

    name: str
    data: str
    data_sha256: str
    n: int
    seed: int
    metrics: dict[str, Measured]
    rivals: dict[str, dict[str, Measured]] = field(default_factory=dict)
    gains: dict[str, dict[str, Measured]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    limits: list[str] = field(default_factory=list)
    decision_rule: str = ""
    decision: str = ""

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ValueError("A card without a metric says nothing: give one at least.")
        for name, measured in self.metrics.items():
            lacking = {"mean", "low", "high"} - set(measured)
            if lacking:
                raise ValueError(
                    f"Metric {name!r} lacks {', '.join(sorted(lacking))}: "
                    "an evaluation gives an interval with every mean."
                )

    def to_json(self) -> str:
        """Give the card as JSON, for programs: the fields of this class, plain."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        """Give the card as a page of Markdown, for people."""
        return "\n".join(_page(self))

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def write(self, folder: str | Path) -> tuple[Path, Path]:
        """Write card.md and card.json into a folder, each whole or not at all; return both paths.

        Raises CourseError where the folder cannot be written.
        """
        files = Path(folder) / "card.md", Path(folder) / "card.json"
        contents = self.to_markdown(), self.to_json()
        try:
            for file, content in zip(files, contents, strict=True):
                write_whole(file, content)
        except OSError as error:
            raise CourseError(
                f"The card cannot be written into {folder}: {error.strerror or error}. "
                "Give a folder that you may write to."
            ) from error
        return files

    @classmethod
    def read(cls, file: str | Path) -> EvaluationCard:
        """Read a card.json, or the card.json in a folder.

        Raises CourseError for a file that is not there or not a card.
        """
        path = Path(file) / "card.json" if Path(file).is_dir() else Path(file)
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise CourseError(
                f"{path} is not an evaluation card ({error}): give the card.json that "
                "EvaluationCard.write wrote."
            ) from error


def data_hash(rows: Iterable[Mapping[str, Any]]) -> str:
    """Give the sha256 of what was evaluated on: dialogues and references, in order.

    Two cards with the same hash were measured on the same examples, so they may be compared.
    """
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row["dialogue"], row["references"]]).encode())
    return digest.hexdigest()


def measured(interval: Interval, n: int) -> Measured:
    """Give an interval of n examples the plain form that a card keeps."""
    return {**{key: round(value, 3) for key, value in interval._asdict().items()}, "n": n}


def _page(card: EvaluationCard) -> Iterable[str]:
    yield f"# Evaluation card: {card.name}\n"
    yield f"Measured on **{card.n} dialogues** of {card.data}, with seed {card.seed}."
    yield f"Data sha256 `{card.data_sha256}`.\n"
    yield "## Scores\n"
    yield "Mean and 95% bootstrap interval over dialogues, in percent.\n"
    columns = {card.name: card.metrics, **card.rivals}
    yield from _table(list(card.metrics), columns, str)
    if card.gains:
        shared = [name for name in card.metrics if any(name in g for g in card.gains.values())]
        yield "## Gains\n"
        yield "The system minus each rival on the same dialogues; * where the interval excludes 0.\n"
        yield from _table(shared, card.gains, _starred)
    if card.settings:
        yield "## Settings\n"
        yield from (f"- {name}: `{value}`" for name, value in card.settings.items())
        yield ""
    if card.limits:
        yield "## Known limits\n"
        yield from (f"- {limit}" for limit in card.limits)
        yield ""
    if card.decision_rule:
        yield f"## Decision\n\n**Rule, written beforehand.** {card.decision_rule}\n"
        yield f"**Outcome.** {card.decision or 'not decided'}\n"


def _table(metrics: list[str], columns: Mapping[str, Mapping[str, Measured]], write) -> Iterable:
    yield f"| metric | {' | '.join(columns)} |"
    yield f"| --- |{' ---: |' * len(columns)}"
    for metric in metrics:
        cells = [_cell(column.get(metric), write) for column in columns.values()]
        yield f"| {metric} | {' | '.join(cells)} |"
    yield ""


def _cell(value: Measured | None, write) -> str:
    if value is None:
        return "–"
    return write(Interval(value["mean"], value["low"], value["high"]))


def _starred(interval: Interval) -> str:
    return f"{interval}{' *' if interval.excludes_zero else ''}"
