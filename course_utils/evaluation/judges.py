"""A language model as the judge of two summaries, asked in both orders.

Zheng et al. 2023, "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena", section 3.3
(position bias, and swapping the two answers against it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from course_utils.evaluation.multiple_choice import score_options
from course_utils.language_model.model import LanguageModel

JUDGE_QUESTION = """Here is a conversation and two summaries of it.

{dialogue}

Summary A: {a}

Summary B: {b}

Which summary is better? Answer with one letter, A or B."""


@dataclass(frozen=True)
class PairwiseVerdicts:
    """How far a judge prefers the letter A, with the pair in both orders.

    first_as_a, second_as_a: (n,), log P("A") - log P("B") in nats, when the first system's
    summary stands as A, and when the second's does. Above 0 the judge answers A.
    """

    first_as_a: np.ndarray
    second_as_a: np.ndarray

    @property
    def share_of_a(self) -> float:
        """Share of the answer A over both orders, in percent; a judge without bias has 50.

        Every pair stands in both orders, so whichever system is better is A exactly half the
        time.
        """
        return 100 * float(np.mean(np.concatenate([self.first_as_a, self.second_as_a]) > 0))

    @property
    def consistent(self) -> np.ndarray:
        """(n,): whether the same system wins in both orders."""
        return (self.first_as_a > 0) != (self.second_as_a > 0)

    @property
    def preference(self) -> np.ndarray:
        """(n,), in nats: how far the first system is preferred, the position averaged out."""
        return (self.first_as_a - self.second_as_a) / 2

    @property
    def wins_of_first(self) -> np.ndarray:
        """(n,): 100 where the first system is preferred over both orders, 50 at a tie, else 0."""
        return 50 * (np.sign(self.preference) + 1)


def judge_pairs(
    model: LanguageModel,
    dialogues: Sequence[str],
    first: Sequence[str],
    second: Sequence[str],
    *,
    question: str = JUDGE_QUESTION,
) -> PairwiseVerdicts:
    """Ask a chat model which of two summaries is better, in both orders.

    first, second: (n,), the summaries of two systems for the same n dialogues.
    question: with the fields {dialogue}, {a} and {b}; it must ask for the letter A or B.
    The verdict is read from the probabilities of the two letters, so none is unreadable.
    Raises ValueError for no dialogues, lists that differ in length, or a field that is missing.
    """
    if not len(dialogues) == len(first) == len(second):
        raise ValueError(
            f"{len(dialogues)} dialogues, {len(first)} and {len(second)} summaries: "
            "give one summary of each system for every dialogue."
        )
    if not dialogues:
        raise ValueError("There are no dialogues to judge: give one at least.")
    missing = [field for field in ("{dialogue}", "{a}", "{b}") if field not in question]
    if missing:
        raise ValueError(
            f"The judge's question lacks {', '.join(missing)}: it must show all three."
        )

    def ask(shown_as_a: Sequence[str], shown_as_b: Sequence[str]) -> np.ndarray:
        prompts = [
            [{"role": "user", "content": question.format(dialogue=text, a=a, b=b)}]
            for text, a, b in zip(dialogues, shown_as_a, shown_as_b, strict=True)
        ]
        scores = score_options(model, prompts, [["A", "B"]] * len(prompts))
        return np.array([a.log_probability - b.log_probability for a, b in scores])

    return PairwiseVerdicts(ask(first, second), ask(second, first))
