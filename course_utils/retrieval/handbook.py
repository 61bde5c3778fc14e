"""A small corpus to search: the handbook of an invented public house, with questions.

"Harbour Street" is a library and a workshop under one roof. Nothing like it was in any model's
training text, so an answer can only come from the passages or from a guess. Many passages are
near misses of one another (four error codes, eight bays, three late fees). Passages and questions
were written for this course, by a language model; CC BY 4.0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from course_utils.errors import CourseError

HANDBOOK_FOLDER = Path(__file__).parents[1] / "data" / "handbook"
KINDS = ("same words", "other words", "numbers and codes", "two passages", "no answer")


@dataclass(frozen=True)
class Passage:
    """A few sentences of the handbook that stand by themselves."""

    id: str
    section: str
    text: str


@dataclass(frozen=True)
class Question:
    """A question and what the handbook says to it.

    kind: one of KINDS: how the question's words relate to the passage that answers it.
    answers: texts of which one must occur in a right answer; none where the handbook is silent.
    passages: ids of the passages that are needed, all of them.
    absent: for a question without an answer, words that an answering passage would contain.
    """

    id: str
    kind: str
    text: str
    answers: list[str]
    passages: list[str]
    absent: list[str]


class Handbook(NamedTuple):
    """The passages in the handbook's order, and the questions."""

    passages: list[Passage]
    questions: list[Question]


def load_handbook(folder: str | Path = HANDBOOK_FOLDER) -> Handbook:
    """Load passages.jsonl and questions.jsonl: the course's, or a folder of yours.

    Raises CourseError for a missing file, a line that cannot be read, an id that occurs twice,
    or a question that names a passage that is not there.
    """
    passages = _read(Path(folder) / "passages.jsonl", Passage)
    questions = _read(Path(folder) / "questions.jsonl", Question)
    ids = {passage.id for passage in passages}
    for question in questions:
        missing = sorted(set(question.passages) - ids)
        if missing:
            raise CourseError(
                f"Question {question.id} is answered by passage {missing[0]!r}, which "
                "passages.jsonl does not have: correct the id or add the passage."
            )
    return Handbook(passages, questions)


def contains_answer(text: str, answers: Sequence[str]) -> bool:
    """Whether one of the answers occurs in the text, as whole words in any case.

    Punctuation and currency signs are left out on both sides, so "£46." contains "46".
    """
    said = f" {_plain(text)} "
    return any(f" {_plain(answer)} " in said for answer in answers)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _read(file: Path, kind: type) -> list:
    if not file.is_file():
        raise CourseError(
            f"There is no {file.name} in {file.parent}: a handbook is a folder with passages.jsonl "
            "and questions.jsonl."
        )
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            rows.append(kind(**json.loads(line)))
        except (json.JSONDecodeError, TypeError) as error:
            raise CourseError(
                f"{file.name}, line {number} is not a {kind.__name__.lower()} "
                f"({str(error).removeprefix(kind.__name__ + '.__init__() ')}): give one JSON "
                f"object a line with the fields {', '.join(kind.__dataclass_fields__)}."
            ) from error
    ids = [row.id for row in rows]
    if len(set(ids)) < len(ids):
        twice = next(row_id for row_id in ids if ids.count(row_id) > 1)
        raise CourseError(f"{file.name} has the id {twice!r} twice: give each line its own.")
    return rows
