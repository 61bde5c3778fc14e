"""The corpus as a whole: how long, how varied, and within which ranges it must stay."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from course_utils.corpus_words import speakers_in

Row = dict[str, Any]

CHALLENGES = (
    *("none", "numbers", "negation", "change_of_mind", "sarcasm", "indirect_answer"),
    *("several_speakers", "overlapping_plans", "mishearing", "correction"),
    *("unresolved", "conditional"),
)
# What all of them together must keep to.
CORPUS_RANGES = {
    "median words": (105, 130),
    "5th percentile of words": (38, 58),
    "95th percentile of words": (210, 265),
    "median turns": (8, 10),
    "median summary words": (17, 23),
    "percent with three speakers or more": (8, 14),
    "domains": (20, 30),
    "dialogues of the smallest domain": (5, 15),
    "dialogues of the largest domain": (5, 15),
    "dialogues of the rarest challenge": (8, 40),
    "dialogues of the commonest challenge": (8, 40),
}


def answers(row: Row) -> list[str]:
    """Give the row's references, or its one summary as a list."""
    return row["references"] if "references" in row else [row["summary"]]


def corpus_shape(rows: list[Row]) -> dict[str, float]:
    """Measure what `CORPUS_RANGES` bounds."""
    words = [len(row["dialogue"].split()) for row in rows]
    domains = Counter(row["domain"] for row in rows).values()
    challenges = [sum(row["challenge"] == name for row in rows) for name in CHALLENGES]
    return {
        "median words": float(np.median(words)),
        "5th percentile of words": float(np.percentile(words, 5)),
        "95th percentile of words": float(np.percentile(words, 95)),
        "median turns": float(np.median([len(row["dialogue"].split("\n")) for row in rows])),
        "median summary words": float(
            np.median([len(text.split()) for row in rows for text in answers(row)])
        ),
        "percent with three speakers or more": 100
        * float(np.mean([len(speakers_in(row["dialogue"])) >= 3 for row in rows])),
        "domains": len(domains),
        "dialogues of the smallest domain": min(domains),
        "dialogues of the largest domain": max(domains),
        "dialogues of the rarest challenge": min(challenges),
        "dialogues of the commonest challenge": max(challenges),
    }
