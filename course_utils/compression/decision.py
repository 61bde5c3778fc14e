"""The table that a deployment is decided by, as a page for people and as JSON for programs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from course_utils.comparison import Interval
from course_utils.errors import CourseError
from course_utils.whole_files import write_whole


@dataclass(frozen=True)
class Candidate:
    """One form of the model, measured on the machine that will run it.

    loss_rise: nats per token more than the model as loaded, on the same texts. rouge1: of its
    summaries. reading, writing: tokens a second. seconds: for one summary by itself. cost: of a
    thousand of them, one after another.
    """

    name: str
    megabytes: float
    loss_rise: Interval
    rouge1: Interval
    reading: float
    writing: float
    seconds: float
    cost: float


@dataclass(frozen=True)
class DeploymentTable:
    """The candidates, the rule written before they were measured, and what it chose.

    n: dialogues behind the means. machine: where the speeds hold.
    Raises ValueError if `shipped` is none of the candidates.
    """

    candidates: list[Candidate]
    n: int
    machine: str
    rule: str
    shipped: str
    reason: str

    def __post_init__(self) -> None:
        names = [candidate.name for candidate in self.candidates]
        if self.shipped not in names:
            raise ValueError(f"{self.shipped!r} was not measured: ship one of {', '.join(names)}.")

    def to_markdown(self) -> str:
        """Give the table as a page, the shipped candidate in bold."""
        rows = [_row(candidate, candidate.name == self.shipped) for candidate in self.candidates]
        return "\n".join(
            [
                "# What to deploy\n",
                f"Means and 95% intervals over {self.n} dialogues; speeds on {self.machine}.\n",
                "| form | MB | loss, nats more | ROUGE-1 | reads, tokens/s | writes, tokens/s "
                "| seconds a summary | cost of 1000 |",
                "| --- |" + " ---: |" * 7,
                *rows,
                f"\n**Rule, written beforehand.** {self.rule}\n",
                f"**Ship: {self.shipped}.** {self.reason}\n",
            ]
        )

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def write(self, folder: str | Path) -> tuple[Path, Path]:
        """Write deployment.md and deployment.json, each whole or not at all; return both paths.

        Raises CourseError where the folder cannot be written.
        """
        page, data = (Path(folder) / f"deployment.{kind}" for kind in ("md", "json"))
        content = asdict(self)
        for candidate, plain in zip(self.candidates, content["candidates"], strict=True):
            plain["loss_rise"] = candidate.loss_rise._asdict()
            plain["rouge1"] = candidate.rouge1._asdict()
        try:
            write_whole(page, self.to_markdown())
            write_whole(data, json.dumps(content, indent=2, allow_nan=False) + "\n")
        except OSError as error:
            raise CourseError(
                f"The table cannot be written into {folder} ({error.strerror or error}): give a "
                "folder that you may write to."
            ) from error
        return page, data


def _row(candidate: Candidate, shipped: bool) -> str:
    rise = candidate.loss_rise
    cells = [
        f"**{candidate.name}**" if shipped else candidate.name,
        f"{candidate.megabytes:.0f}",
        f"{rise.mean:+.3f} [{rise.low:+.3f}, {rise.high:+.3f}]",
        str(candidate.rouge1),
        f"{candidate.reading:.0f}",
        f"{candidate.writing:.1f}",
        f"{candidate.seconds:.2f}",
        f"{candidate.cost:.3f}",
    ]
    return f"| {' | '.join(cells)} |"
