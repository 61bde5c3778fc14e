"""Prompts for dialogue summarization: templates, shots, a token budget and a leakage guard."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from course_utils.dialogues import same_dialogue_key
from course_utils.errors import CourseError

Chat = list[dict[str, str]]


@dataclass(frozen=True)
class Shot:
    """A worked example: a dialogue and a summary that a person wrote."""

    dialogue: str
    summary: str


@dataclass(frozen=True)
class PromptTemplate:
    """The words around a dialogue.

    instruction: what to do, said first; may be empty.
    before, after: the lines that open the dialogue and that ask for the summary.
    """

    instruction: str
    before: str
    after: str

    def question(self, dialogue: str) -> str:
        """Return one request, up to and including the words that ask for the summary."""
        return "\n\n".join(
            part for part in (self.instruction, self.before + dialogue, self.after) if part
        )

    def plain(self, dialogue: str, shots: Sequence[Shot] = ()) -> str:
        """Return one string: every shot with its summary, then the dialogue without one."""
        solved = [f"{self.question(shot.dialogue)} {shot.summary}" for shot in shots]
        return "\n\n\n".join([*solved, self.question(dialogue)])

    def chat(self, dialogue: str, shots: Sequence[Shot] = ()) -> Chat:
        """Return messages: each shot is a user turn and the assistant's answer to it."""
        messages: Chat = []
        for shot in shots:
            messages.append({"role": "user", "content": self.question(shot.dialogue)})
            messages.append({"role": "assistant", "content": shot.summary})
        return [*messages, {"role": "user", "content": self.question(dialogue)}]


TEMPLATES: Mapping[str, PromptTemplate] = {
    "bare": PromptTemplate("", "", ""),
    "summarize": PromptTemplate("Summarize the following conversation.", "", "Summary:"),
    "what happened": PromptTemplate("", "Dialogue:\n\n", "What was going on?"),
    "brief": PromptTemplate(
        "Summarize the dialogue in one short sentence. Say who wants what and what is decided.",
        "Dialogue:\n",
        "Summary:",
    ),
}


def choose_shots(
    pool: Sequence[Mapping], target_dialogues: Sequence[str], k: int, seed: int = 0
) -> list[Shot]:
    """Draw k shots from rows of `load_dialogues`, none of them a dialogue to be summarized.

    pool: rows with `dialogue` and `references`; a dialogue that stands in several rows counts once.
    Raises CourseError if fewer than k dialogues are left.
    """
    targets = {same_dialogue_key(dialogue) for dialogue in target_dialogues}
    distinct = {same_dialogue_key(row["dialogue"]): row for row in pool}
    allowed = [row for words, row in distinct.items() if words not in targets]
    if k > len(allowed):
        raise CourseError(
            f"{k} shots are wanted, but the pool has only {len(allowed)} dialogues that are not "
            "to be summarized: ask for fewer, or take the training split."
        )
    drawn = random.Random(seed).sample(allowed, k)
    return [Shot(row["dialogue"], row["references"][0]) for row in drawn]


def check_leakage(shots: Sequence[Shot], dialogue: str) -> None:
    """Raise CourseError if the dialogue to be summarized is among the shots.

    Dialogues are compared by their words: another id, other spaces or capitals hide nothing.
    """
    for number, shot in enumerate(shots):
        if same_dialogue_key(shot.dialogue) == same_dialogue_key(dialogue):
            raise CourseError(
                f"Shot {number} is the dialogue to be summarized, with its answer: draw the shots "
                "from another split (choose_shots does)."
            )


def fit_budget(
    shots: Sequence[Shot],
    dialogue: str,
    template: PromptTemplate,
    count_tokens: Callable[[Chat], int],
    max_tokens: int,
) -> list[Shot]:
    """Keep as many of the first shots as fit, so that the chat has at most `max_tokens` tokens.

    count_tokens: such as `LanguageModel.count_tokens`. The dialogue itself is never cut.
    Raises CourseError if the dialogue alone is too long.
    """
    for kept in range(len(shots), -1, -1):
        tokens = count_tokens(template.chat(dialogue, shots[:kept]))
        if tokens <= max_tokens:
            return list(shots[:kept])
    raise CourseError(
        f"The dialogue alone needs {tokens:,} tokens, more than max_tokens={max_tokens:,}: "
        "raise the budget or choose a model with a longer context."
    )
