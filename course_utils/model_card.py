"""Model cards: what a model is for, how it was measured, and where it fails.

Mitchell et al. 2019, "Model Cards for Model Reporting", section 4.
"""

from __future__ import annotations

from collections.abc import Mapping

SECTIONS = (
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Training data",
    "Quantitative analyses",
    "Ethical considerations",
    "Caveats and recommendations",
)


def model_card(name: str, sections: Mapping[str, str | Mapping[str, object]]) -> str:
    """Return the card as Markdown, its sections in the paper's order.

    sections: text, or a table as a mapping from what was measured to its value, such as a
    `course_utils.comparison.Interval`.
    Raises ValueError for a section that is missing, empty or unknown: a card with a gap says
    nothing about the gap.
    """
    for title in sections:
        if title not in SECTIONS:
            raise ValueError(f"A model card has no section {title!r}: it has {_list(SECTIONS)}.")
    missing = [title for title in SECTIONS if not sections.get(title)]
    if missing:
        raise ValueError(f"The card lacks {_list(missing)}: write 'unknown' where that is so.")
    parts = [f"# Model card: {name}"]
    for title in SECTIONS:
        content = sections[title]
        parts += [f"## {title}", content if isinstance(content, str) else _table(content)]
    return "\n\n".join(parts) + "\n"


def _table(rows: Mapping[str, object]) -> str:
    cells = [("measured", "value"), ("---", "---"), *rows.items()]
    return "\n".join(f"| {_cell(name)} | {_cell(value)} |" for name, value in cells)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _list(titles) -> str:
    return ", ".join(repr(title) for title in titles)
