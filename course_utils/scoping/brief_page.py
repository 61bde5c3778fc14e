"""A decided brief as a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from course_utils.comparison import Interval

if TYPE_CHECKING:
    from course_utils.scoping.brief import Decision


def render(decision: Decision) -> str:
    """Return the page: request, goal, rule, measurements, decision, risks, licences, questions."""
    brief = decision.brief
    chosen = f": {decision.chosen}" if decision.chosen else ""
    sections = [
        f"# {brief.product}: {decision.outcome}{chosen}",
        f"> {brief.request}",
        f"**Goal.** {brief.goal}",
        f"**Measured on.** {brief.sample}",
        "## The rule, set before anything was measured",
        _table(
            ("criterion", "threshold", "why"),
            [
                (one.name, f"{one.direction} {one.threshold:g} {one.unit}".strip(), one.why)
                for one in brief.criteria
            ],
        ),
        f"All must be met. Of several that meet all, the best by {brief.tie_break} is taken. "
        f"Fingerprint of the rule: `{brief.fingerprint}`.",
        "## What was measured",
        _measurements(decision),
        _list("## Risks", brief.risks),
        _list("## Licences", [f"{what}: {terms}" for what, terms in brief.licences.items()]),
        _list("## Open questions", brief.open_questions),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _measurements(decision: Decision) -> str:
    names = [one.name for one in decision.brief.criteria]
    rows = [
        (
            candidate,
            *(f"{_number(values[name])} ({verdicts[name]})" for name in names),
            decision.outcomes[candidate],
        )
        for (candidate, values), verdicts in zip(
            decision.measured.items(), decision.verdicts.values(), strict=True
        )
    ]
    header = [
        f"{one.name}, {one.unit}" if one.unit else one.name for one in decision.brief.criteria
    ]
    return _table(("candidate", *header, "outcome"), rows)


def _number(value: float | Interval) -> str:
    return str(value) if isinstance(value, Interval) else f"{value:.3g}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )


def _list(heading: str, items: Sequence[str]) -> str:
    return heading + "\n\n" + "\n".join(f"- {item}" for item in items) if items else ""
