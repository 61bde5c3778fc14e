"""What an adapter is taught: a prompt, the answer that each dialogue has, and the floor to beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from course_utils.baselines import BASELINES, frequent_words
from course_utils.prompts import TEMPLATES, PromptTemplate


@dataclass(frozen=True)
class Task:
    """Something to do with a dialogue, of which the course's corpus has the answers.

    answers: the right answers of a row of `load_dialogues`, one or several.
    longest: tokens that an answer may take.
    floor: methods without a model, which any model should beat.
    model: the catalogue's name of the model with the shipped adapter.
    title, about, limits: the words of the adapter's model card.
    """

    template: PromptTemplate
    answers: Callable[[Mapping[str, Any]], list[str]]
    longest: int
    floor: Mapping[str, Callable[[str], str]]
    model: str
    title: str
    about: str
    limits: str

    def rows(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows with this task's answers as their `references`."""
        return [{**row, "references": self.answers(row)} for row in rows]


TASKS: Mapping[str, Task] = {
    "summary": Task(
        template=TEMPLATES["summarize"],
        answers=lambda row: list(row["references"]),
        longest=60,
        floor={name: BASELINES[name] for name in ("lead-3", "constant")},
        model="smollm2-135m-summarizer",
        title="A dialogue summarizer",
        about="Writes one or two sentences about a short English dialogue",
        limits="It invents: it swaps who said what, and turns questions and offers into facts.",
    ),
    "topic": Task(
        template=PromptTemplate(
            "Name the topic of the following conversation in two to four words.", "", "Topic:"
        ),
        answers=lambda row: [row["topic"]],
        longest=12,
        floor={"three frequent words": frequent_words},
        model="smollm2-135m-topics",
        title="A namer of topics",
        about="Names in two to four words the topic of a short English dialogue",
        limits="It names what is mentioned, which is not always what the dialogue is about.",
    ),
}
