"""The floor and the ceiling: what every summarizer must beat, and what it cannot hope to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from course_utils.metrics import ROUGE_TYPES, rouge_per_example

CONSTANT_SUMMARY = "#Person1# tells #Person2# that #Person2# is going to the"


def lead_turns(dialogue: str, turns: int = 3) -> str:
    """Copy the first turns, speakers included, into one line."""
    return " ".join(dialogue.splitlines()[:turns])


def constant_summary(dialogue: str) -> str:
    """Give the same unfinished sentence whatever the dialogue says."""
    return CONSTANT_SUMMARY


def copy_dialogue(dialogue: str) -> str:
    """Give back the whole dialogue."""
    return dialogue


def frequent_words(dialogue: str, count: int = 3) -> str:
    """Give the most frequent words of five letters or more, the earlier first among equals."""
    spoken = re.sub(r"^#\w+#:", "", dialogue.lower(), flags=re.MULTILINE)
    return " ".join(
        word for word, _ in Counter(re.findall(r"[a-z]{5,}", spoken)).most_common(count)
    )


BASELINES: dict[str, Callable[[str], str]] = {
    "lead-3": lead_turns,
    "constant": constant_summary,
    "copy": copy_dialogue,
}


def human_ceiling(references: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
    """Score each human summary against the other humans' of the same dialogue with ROUGE.

    references: for each of n dialogues, two or more human summaries.
    Returns {"rouge1": (n,), "rouge2": (n,), "rougeL": (n,)}: per dialogue, the mean over its
    humans, from 0 to 100. No system scored in the same way can be expected to do better.
    Raises ValueError for a dialogue with fewer than two references.
    """
    for index, texts in enumerate(references):
        if isinstance(texts, str) or len(texts) < 2:
            raise ValueError(
                f"Dialogue {index} has a single reference: agreement between people needs "
                "two references at least (use a test split)."
            )
    held_out = [
        (row, text, [*texts[:i], *texts[i + 1 :]])
        for row, texts in enumerate(references)
        for i, text in enumerate(texts)
    ]
    rows = np.array([row for row, _, _ in held_out], dtype=int)
    scores = rouge_per_example([text for _, text, _ in held_out], [rest for _, _, rest in held_out])
    counts = np.bincount(rows, minlength=len(references))
    return {
        kind: np.bincount(rows, weights=scores[kind], minlength=len(references)) / counts
        for kind in ROUGE_TYPES
    }
