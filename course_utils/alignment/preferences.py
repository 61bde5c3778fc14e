"""Pairs of a better and a worse summary, made from the corpus without inventing a rater.

Nobody was asked which summary they prefer. Each pair is built so that the answer is known by
construction, and its `kind` says how; what the pairs do not cover, nothing here can teach.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PreferencePair:
    """Two summaries of one dialogue, of which `chosen` is the better one.

    kind: how the rejected one was made, such as "cut short".
    Raises ValueError if a summary is empty or both are the same: there is nothing to prefer.
    """

    dialogue: str
    chosen: str
    rejected: str
    kind: str

    def __post_init__(self) -> None:
        for name in ("chosen", "rejected"):
            if not getattr(self, name).strip():
                raise ValueError(f"The {name} summary is empty: a pair needs two texts.")
        if self.chosen.strip() == self.rejected.strip():
            raise ValueError(
                f"Chosen and rejected are the same text ({self.chosen[:40]!r}): a pair must say "
                "which of two different summaries is better. Leave such rows out."
            )


def preference_pairs(
    rows: Sequence[Mapping], kinds: Sequence[str] | None = None, seed: int = 0
) -> list[PreferencePair]:
    """Make one pair of each kind for every row of `load_dialogues`.

    kinds: of `KINDS` (all of them if None):
        "other dialogue": a person's summary against a person's summary of another of the rows;
        "cut short": the summary against the first half of its words;
        "false fact": two facts of the dialogue against one of them and a distractor, a
            plausible statement that is wrong (only the course's corpus has these);
        "padded": the summary against itself followed by the dialogue's first two turns.
    seed: of which other dialogue, fact and distractor are taken.
    Raises ValueError for no rows, an unknown kind, or a kind that the rows cannot give.
    """
    rows, kinds = list(rows), list(KINDS if kinds is None else kinds)
    if not rows or not kinds:
        raise ValueError("Pairs need at least one dialogue and one kind: give rows of a split.")
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"No kind of pair is called {unknown[0]!r}: give some of {sorted(KINDS)}.")
    pairs = []
    for kind in kinds:
        draw = random.Random(
            f"{seed} {kind}"
        )  # so that adding a kind leaves the others as they are
        for number, row in enumerate(rows):
            chosen, rejected = KINDS[kind](rows, number, draw)
            pairs.append(PreferencePair(row["dialogue"], chosen, rejected, kind))
    return pairs


def own_output_pairs(rows: Sequence[Mapping], completions: Sequence[str]) -> list[PreferencePair]:
    """Prefer the person's summary to what the model itself wrote of the same dialogue.

    completions: the model's summaries, one for each row. A row whose completion is empty or
    equals the reference gives no pair.
    Raises ValueError if there is not one completion for each row, or no pair is left.
    """
    if len(rows) != len(completions):
        raise ValueError(
            f"{len(rows)} dialogues but {len(completions)} completions: give one for each."
        )
    pairs = [
        PreferencePair(row["dialogue"], row["references"][0], text.strip(), "own output")
        for row, text in zip(rows, completions, strict=True)
        if text.strip() not in ("", row["references"][0].strip())
    ]
    if not pairs:
        raise ValueError(
            "No completion differs from its reference, so there is nothing to prefer: "
            "give completions of a model that still makes mistakes."
        )
    return pairs


def _other_dialogue(rows: list[Mapping], number: int, draw: random.Random) -> tuple[str, str]:
    reference = rows[number]["references"][0]
    others = [row["references"][0] for row in rows if row["references"][0] != reference]
    if not others:
        raise ValueError(
            "A pair of kind 'other dialogue' needs two dialogues at least: give more rows."
        )
    return reference, draw.choice(others)


def _cut_short(rows: list[Mapping], number: int, draw: random.Random) -> tuple[str, str]:
    reference = rows[number]["references"][0]
    words = reference.split()
    return reference, " ".join(words[: max(1, len(words) // 2)])


def _false_fact(rows: list[Mapping], number: int, draw: random.Random) -> tuple[str, str]:
    row = rows[number]
    if len(row.get("facts") or ()) < 2 or not row.get("distractors"):
        raise ValueError(
            f"{row.get('id', 'A row')} has no facts and distractors, which pairs of kind "
            "'false fact' are made of: use the course's corpus, or other kinds."
        )
    facts = draw.sample(list(row["facts"]), 2)
    wrong = list(facts)
    wrong[draw.randrange(2)] = draw.choice(list(row["distractors"]))
    return " ".join(facts), " ".join(wrong)


def _padded(rows: list[Mapping], number: int, draw: random.Random) -> tuple[str, str]:
    reference = rows[number]["references"][0]
    return reference, " ".join([reference, *rows[number]["dialogue"].splitlines()[:2]])


KINDS: dict[str, Callable[[list[Mapping], int, random.Random], tuple[str, str]]] = {
    "other dialogue": _other_dialogue,
    "cut short": _cut_short,
    "false fact": _false_fact,
    "padded": _padded,
}
