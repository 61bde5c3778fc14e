"""A request on its way through the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedTokenizerBase

from course_utils.decoding.sampling import next_tokens
from course_utils.serving.text_stream import TextStream


@dataclass(frozen=True)
class Piece:
    """Text that one step added, possibly none; the last piece has a finish reason.

    tokens: generated so far, the end token included.
    """

    text: str
    tokens: int
    finish_reason: Literal["stop", "length"] | None = None


@dataclass(frozen=True)
class Failure:
    """The engine could not go on with this request."""

    message: str
    stopping: bool = False  # because the server stops, rather than by a fault


@dataclass(eq=False)
class Generation:
    """What to generate, and where its pieces go.

    config: max_new_tokens, do_sample, temperature, top_p, stop_strings, all set.
    deliver: called from the engine's thread, once for each step; it must not block.
    """

    prompt_ids: list[int]
    config: GenerationConfig
    seed: int
    deliver: Callable[[Piece | Failure], None]
    cancelled: bool = False

    @property
    def reserved(self) -> int:
        """The most tokens it can occupy in the cache."""
        return len(self.prompt_ids) + self.config.max_new_tokens


class Row:
    """A generation in the queue or in the batch, with a random generator of its own.

    read: tokens whose keys and values are in the cache. began: when it got its slot, in seconds.
    """

    def __init__(
        self, generation: Generation, tokenizer: PreTrainedTokenizerBase, device: torch.device
    ) -> None:
        self.generation = generation
        self.read = 0
        self.began = 0.0
        self.finished = False
        self.tokens: list[int] = []
        self._text = TextStream(tokenizer, generation.config.stop_strings)
        self._random = torch.Generator(device).manual_seed(generation.seed)

    def choose(self, logits: Tensor) -> int:
        """Choose the next token from logits of shape (vocabulary,), as the request says."""
        chosen = next_tokens(logits[None], self.generation.config, generator=self._random)
        return int(chosen)

    def append(self, token_id: int, end_ids: set[int]) -> Piece:
        """Append a token and return what it adds."""
        self.tokens.append(token_id)
        self._text.add(token_id)
        reason = None
        if token_id in end_ids or self._text.stopped:
            reason = "stop"
        elif len(self.tokens) == self.generation.config.max_new_tokens:
            reason = "length"
        self.finished = reason is not None
        return Piece(self._text.take(final=self.finished), len(self.tokens), reason)
