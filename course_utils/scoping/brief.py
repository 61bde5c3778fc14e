"""The go/no-go brief: a goal with thresholds set beforehand, then held against what was measured."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from course_utils.comparison import Interval
from course_utils.whole_files import write_whole

Verdict = Literal["met", "missed", "not settled"]
Outcome = Literal["go", "measure more", "no-go"]


@dataclass(frozen=True)
class Criterion:
    """One threshold: what is measured, in which unit, and how much of it is enough.

    why: where the threshold comes from, so that nobody moves it lightly.
    """

    name: str
    unit: str
    direction: Literal["at least", "at most"]
    threshold: float
    why: str

    def verdict(self, measured: float | Interval) -> Verdict:
        """Compare with the threshold; an interval that lies on both sides of it is not settled.

        Raises ValueError for a value that is not a finite number.
        """
        low, high = measured[1:] if isinstance(measured, tuple) else (measured, measured)
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(
                f"{self.name}: {measured} is not a finite number: measure again, or take the "
                "candidate out of the comparison and say so."
            )
        if self.direction == "at most":
            low, high, bound = -high, -low, -self.threshold
        else:
            bound = self.threshold
        if low >= bound:
            return "met"
        return "missed" if high < bound else "not settled"

    def __str__(self) -> str:
        return f"{self.name}: {self.direction} {self.threshold:g} {self.unit}".strip()


@dataclass(frozen=True)
class Brief:
    """What is wanted, how it is measured, and which numbers decide; written before measuring.

    request: the stakeholder's own sentence. goal: the same as something that can be measured.
    sample: which examples, and how many. criteria: all of them must be met.
    tie_break: the criterion by which one of several candidates that meet all is taken.
    """

    product: str
    request: str
    goal: str
    sample: str
    criteria: tuple[Criterion, ...]
    tie_break: str
    risks: tuple[str, ...] = ()
    licences: Mapping[str, str] = field(default_factory=dict)
    open_questions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [criterion.name for criterion in self.criteria]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"criteria {names}: give one at least, and each a name of its own.")
        if self.tie_break not in names:
            raise ValueError(f"tie_break={self.tie_break!r} is none of the criteria {names}.")

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change with every threshold: note them before you measure."""
        rule = {"criteria": [asdict(one) for one in self.criteria], "tie_break": self.tie_break}
        return hashlib.sha256(json.dumps(rule, sort_keys=True).encode()).hexdigest()[:12]

    def decide(self, measured: Mapping[str, Mapping[str, float | Interval]]) -> Decision:
        """Hold each candidate against every criterion.

        measured: candidate to criterion's name to a number, or to an interval of it.
        Raises ValueError without a candidate, and when a measurement lacks or belongs to no
        criterion.
        """
        if not measured:
            raise ValueError("There is no candidate: measure one at least.")
        names = {criterion.name for criterion in self.criteria}
        for candidate, values in measured.items():
            if values.keys() != names:
                raise ValueError(
                    f"{candidate!r} needs exactly one measurement for each of {sorted(names)}; "
                    f"it has {sorted(values)}."
                )
        return Decision(self, {name: dict(values) for name, values in measured.items()})


@dataclass(frozen=True)
class Decision:
    """A brief and what was measured; the verdicts follow."""

    brief: Brief
    measured: dict[str, dict[str, float | Interval]]

    @property
    def verdicts(self) -> dict[str, dict[str, Verdict]]:
        """For each candidate: criterion to verdict."""
        return {
            name: {one.name: one.verdict(values[one.name]) for one in self.brief.criteria}
            for name, values in self.measured.items()
        }

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """For each candidate: go if all is met, no-go if anything is missed, else measure more."""
        found = {name: set(verdicts.values()) for name, verdicts in self.verdicts.items()}
        return {
            name: "go" if kinds == {"met"} else "no-go" if "missed" in kinds else "measure more"
            for name, kinds in found.items()
        }

    @property
    def outcome(self) -> Outcome:
        """The best outcome that any candidate has."""
        order: tuple[Outcome, ...] = ("go", "measure more", "no-go")
        return min(self.outcomes.values(), key=order.index)

    @property
    def chosen(self) -> str | None:
        """The candidate that goes on, by the tie-break; None without a "go"."""
        ready = [name for name, outcome in self.outcomes.items() if outcome == "go"]
        if not ready:
            return None
        rule = next(one for one in self.brief.criteria if one.name == self.brief.tie_break)

        def cost(name: str) -> float:
            value = self.measured[name][rule.name]
            mean = value[0] if isinstance(value, tuple) else value
            return mean if rule.direction == "at most" else -mean

        return min(ready, key=cost)

    def as_dict(self) -> dict:
        """Everything, ready for JSON."""
        return {
            **asdict(self.brief),
            "fingerprint": self.brief.fingerprint,
            "measured": {
                name: {
                    key: value._asdict() if isinstance(value, Interval) else value
                    for key, value in values.items()
                }
                for name, values in self.measured.items()
            },
            "verdicts": self.verdicts,
            "outcomes": self.outcomes,
            "outcome": self.outcome,
            "chosen": self.chosen,
        }

    def to_markdown(self) -> str:
        """Write the brief as a page to hand on."""
        from course_utils.scoping.brief_page import render

        return render(self)

    def write(self, folder: Path | str) -> list[Path]:
        """Write brief.md and brief.json, each whole or not at all; return their paths.

        Raises OSError when the folder cannot be written.
        """
        folder = Path(folder).expanduser()
        pages = {
            "brief.md": self.to_markdown(),
            "brief.json": json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n",
        }
        for name, content in pages.items():
            write_whole(folder / name, content)
        return [folder / name for name in pages]
