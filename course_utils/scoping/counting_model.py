"""A language model made of counts: small enough to watch a scaling law on a processor."""

from __future__ import annotations

import math
from collections import Counter, defaultdict


class CountingModel:
    """Predicts the next character from counts of what followed the last few characters.

    Witten and Bell's smoothing: each context mixes its own counts with the prediction of the
    context one character shorter, the more so the more different characters have followed it.
    Witten and Bell 1991, "The Zero-Frequency Problem", method C.
    """

    def __init__(self, text: str, alphabet: int, order: int = 5) -> None:
        """Count the text. alphabet: how many different characters there may be; order: the longest
        run of characters counted, the predicted one included.

        Raises ValueError for an empty text, or an alphabet or order below 1.
        """
        if not text or alphabet < 1 or order < 1:
            raise ValueError(
                f"text of {len(text)} characters, alphabet={alphabet}, order={order}: give a text, "
                "and sizes from 1 on."
            )
        self.alphabet, self.order = alphabet, order
        self.followers: dict[str, Counter[str]] = defaultdict(Counter)
        for place, character in enumerate(text):
            for length in range(min(order, place + 1)):
                self.followers[text[place - length : place]][character] += 1
        self.totals = {context: counts.total() for context, counts in self.followers.items()}

    def probability(self, character: str, before: str) -> float:
        """Return the probability of a character after `before`."""
        p = 1 / self.alphabet
        for length in range(min(self.order, len(before) + 1)):
            context = before[len(before) - length :]
            total = self.totals.get(context)
            if total is None:
                break
            counts = self.followers[context]
            p = (counts.get(character, 0) + len(counts) * p) / (total + len(counts))
        return p

    def loss(self, text: str) -> float:
        """Return the mean of -ln p over the characters of a text, in nats."""
        reach = self.order - 1
        return -sum(
            math.log(self.probability(character, text[max(0, place - reach) : place]))
            for place, character in enumerate(text)
        ) / len(text)
