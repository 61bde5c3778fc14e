"""Check a corpus of dialogues: form, copies, support, variety and spelling.

`validate_corpus(read_corpus())` gives the faults of the course's own 240 dialogues, none when
all is well. The ranges here and in `corpus_shape` are the specification of the corpus that
`docs/datasheet.md` explains.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain, combinations
from pathlib import Path
from typing import NamedTuple

from course_utils.corpus_shape import CHALLENGES, CORPUS_RANGES, Row, answers, corpus_shape
from course_utils.corpus_words import (
    five_word_runs,
    misspelt,
    names_in,
    numbers_in,
    speakers_in,
    words_in,
)
from course_utils.dialogues import COURSE_FOLDER
from course_utils.metrics import rouge_per_example

SPLIT_SIZES = {"train": 140, "validation": 40, "test": 60}
FIELDS = ("id", "topic", "domain", "challenge", "dialogue", "facts", "distractors")

# What each dialogue must keep to: the smallest and the largest allowed.
ROW_RANGES = {
    "words": (35, 300),
    "turns": (3, 20),
    "speakers": (2, 5),
    "facts": (3, 6),
    "distractors": (2, 2),
    "summary words": (6, 42),
    "topic words": (1, 4),
}
LARGEST_SHARED_PART = 0.03  # of the shorter dialogue's five-word runs
LARGEST_AGREEMENT = 85.0  # ROUGE-1 of two references of one dialogue


class Fault(NamedTuple):
    """One thing that is wrong, and the id (or "corpus") where it is."""

    where: str
    kind: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}: {self.message}"


def read_corpus(folder: Path = COURSE_FOLDER) -> list[Row]:
    """Read the rows of train.jsonl, validation.jsonl and test.jsonl, each with its `split`."""
    return [
        {"split": split, **json.loads(line)}
        for split in SPLIT_SIZES
        for line in (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    ]


def validate_corpus(rows: list[Row], *, whole: bool = True) -> list[Fault]:
    """Give every fault of the rows, which must have a `split` each; an empty list is a pass.

    whole: also check what only the whole corpus can have, its sizes and its variety.
    A row whose form is wrong is reported for that alone.
    """
    malformed = [list(_form_faults(row)) for row in rows]
    sound = [row for row, faults in zip(rows, malformed, strict=True) if not faults]
    faults = [
        *chain.from_iterable(malformed),
        *_repeated_ids(rows),
        *_shared_text(sound),
        *chain.from_iterable(_row_faults(row) for row in sound),
    ]
    if whole:
        faults += _composition_faults(sound)
    return faults


def _form_faults(row: Row) -> Iterator[Fault]:
    where = str(row.get("id", "a row without id"))
    answer = "references" if row.get("split") == "test" else "summary"
    for field in (*FIELDS, answer):
        wanted = list if field in ("facts", "distractors", "references") else str
        value = row.get(field)
        if not value:
            yield Fault(where, "form", f"the field {field!r} is missing or empty")
        elif not isinstance(value, wanted) or (
            wanted is list and not all(isinstance(text, str) and text for text in value)
        ):
            yield Fault(where, "form", f"{field!r} must be a {wanted.__name__} of plain text")
    if row.get("split") not in SPLIT_SIZES:
        yield Fault(where, "form", f"{row.get('split')!r} is not a split")
    if row.get("challenge") not in CHALLENGES:
        yield Fault(where, "form", f"{row.get('challenge')!r} is not a known challenge")
    if answer == "references" and len(row.get(answer) or []) != 3:
        yield Fault(where, "form", f"needs three references, has {len(row.get(answer) or [])}")
    if isinstance(dialogue := row.get("dialogue"), str):
        for turn in dialogue.split("\n"):
            if not re.match(r"#Person[1-9]#: \S", turn):
                yield Fault(where, "form", f"a turn must begin '#Person1#: ', found {turn[:40]!r}")
        order = list(dict.fromkeys(re.findall(r"^#Person(\d)#", dialogue, flags=re.M)))
        if order != [str(number) for number in range(1, len(order) + 1)]:
            yield Fault(where, "form", "speakers must be numbered in the order of first speech")


def _row_faults(row: Row) -> Iterator[Fault]:
    for check in (_out_of_range, _unsupported, _repeated_claims, _near_copies, _spelling):
        yield from (Fault(row["id"], *found) for found in check(row))


def _out_of_range(row: Row) -> Iterator[tuple[str, str]]:
    measured = [
        ("words", len(row["dialogue"].split())),
        ("turns", len(row["dialogue"].split("\n"))),
        ("speakers", len(speakers_in(row["dialogue"]))),
        ("facts", len(row["facts"])),
        ("distractors", len(row["distractors"])),
        ("topic words", len(row["topic"].split())),
        *(("summary words", len(text.split())) for text in answers(row)),
    ]
    for name, value in measured:
        low, high = ROW_RANGES[name]
        if not low <= value <= high:
            yield "range", f"{value} {name}, expected {low} to {high}"


def _unsupported(row: Row) -> Iterator[tuple[str, str]]:
    """Find names, numbers and speakers that the dialogue does not have."""
    dialogue = row["dialogue"]
    said, amounts = set(words_in(dialogue)), numbers_in(dialogue)
    for text in [*row["facts"], *answers(row)]:
        for name in names_in(text) - said:
            yield "support", f"the name {name!r} is not in the dialogue: {text}"
        for number in numbers_in(text) - amounts:
            yield "support", f"the number {number!r} is not in the dialogue: {text}"
        for speaker in speakers_in(text) - speakers_in(dialogue):
            yield "support", f"{speaker} does not speak in the dialogue: {text}"


def _repeated_claims(row: Row) -> Iterator[tuple[str, str]]:
    def plain(text: str) -> str:
        return " ".join(re.findall(r"\w+", text.lower()))

    for text in row["distractors"]:
        if plain(text) in map(plain, row["facts"]):
            yield "distractor", f"is also a fact: {text}"
        if f" {plain(text)} " in f" {plain(row['dialogue'])} ":
            yield "distractor", f"is literally in the dialogue: {text}"


def _near_copies(row: Row) -> Iterator[tuple[str, str]]:
    for a, b in combinations(answers(row), 2):
        agreement = rouge_per_example([a], [b])["rouge1"][0]
        if agreement > LARGEST_AGREEMENT:
            yield (
                "references",
                f"two are nearly the same (ROUGE-1 {agreement:.0f}): {a!r} and {b!r}",
            )


def _spelling(row: Row) -> Iterator[tuple[str, str]]:
    texts = [row["dialogue"], *row["facts"], *row["distractors"], *answers(row), row["topic"]]
    for word in misspelt(texts):
        yield "spelling", f"{word!r} is not a known word (if it is right, allow it)"


def _repeated_ids(rows: list[Row]) -> Iterator[Fault]:
    for name, times in Counter(row.get("id") for row in rows).items():
        if name and times > 1:
            yield Fault(str(name), "form", f"the id is used {times} times")


def _shared_text(rows: list[Row]) -> Iterator[Fault]:
    """Find pairs that share more of their five-word runs than chance and idiom explain.

    MinHash with one-row bands proposes the pairs (it misses one that shares 3% with a chance
    of one in two thousand); the exact share decides.
    """
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=256, params=(256, 1))
    runs = [five_word_runs(row["dialogue"]) for row in rows]
    for number, own in enumerate(runs):
        sketch = MinHash(num_perm=256, seed=1)
        sketch.update_batch([run.encode() for run in own])
        for other in sorted(index.query(sketch)):
            shared = own & runs[other]
            part = len(shared) / max(1, min(len(own), len(runs[other])))
            if part > LARGEST_SHARED_PART:
                here, there = rows[number], rows[other]
                leak = " across splits" if here["split"] != there["split"] else ""
                yield Fault(
                    here["id"],
                    "copy",
                    f"shares {100 * part:.0f}% of its five-word runs with {there['id']}{leak}, "
                    f"such as {min(shared)!r}",
                )
        index.insert(number, sketch)


def _composition_faults(rows: list[Row]) -> Iterator[Fault]:
    sizes = Counter(row["split"] for row in rows)
    for split, size in SPLIT_SIZES.items():
        if sizes[split] != size:
            yield Fault("corpus", "range", f"{sizes[split]} sound {split} rows, expected {size}")
    if rows:
        for name, value in corpus_shape(rows).items():
            low, high = CORPUS_RANGES[name]
            if not low <= value <= high:
                yield Fault("corpus", "range", f"{name} {value:g}, expected {low} to {high}")
