"""What a language model answers with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Completion:
    """One completion of one prompt.

    finish_reason: "stop" when the model ended it (end-of-sequence token or stop string),
        "length" when max_new_tokens cut it.
    log_probabilities: of each token in nats, where they were asked for.
    """

    text: str
    token_ids: list[int]
    finish_reason: Literal["stop", "length"]
    prompt_tokens: int
    log_probabilities: list[float] | None = None


@dataclass(frozen=True)
class NextTokens:
    """The distribution over the next token, as logits of shape (vocabulary,)."""

    logits: Tensor
    tokenizer: PreTrainedTokenizerBase

    def probabilities(self) -> Tensor:
        """Return softmax(logits): shape (vocabulary,), sums to 1."""
        return self.logits.softmax(-1)

    def top(self, k: int = 10) -> list[tuple[str, float]]:
        """Return the k most probable tokens as text, each with its probability."""
        probabilities, ids = self.probabilities().topk(k)
        texts = [self.tokenizer.decode([token]) for token in ids.tolist()]
        return list(zip(texts, probabilities.tolist(), strict=True))


@dataclass(frozen=True)
class Score:
    """How probable a model finds a given completion of a prompt.

    token_log_probabilities: one per token of the completion, in nats.
    """

    token_log_probabilities: list[float]

    @property
    def log_probability(self) -> float:
        """Of the whole completion, in nats."""
        return sum(self.token_log_probabilities)

    @property
    def mean_loss(self) -> float:
        """Cross-entropy per token, in nats; exp of it is the perplexity."""
        return -self.log_probability / len(self.token_log_probabilities)
