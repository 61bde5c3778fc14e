"""From logits to the next token: reshape in the library's order, then choose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from course_utils.decoding.filters import (
    keep_min_p,
    keep_top_k,
    keep_top_p,
    keep_typical,
    scale_temperature,
)
from course_utils.decoding.penalties import repetition_penalty

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import GenerationConfig

IMPLICIT_TOP_K = 50
"""What `generate` fills in when sampling and `top_k` was never mentioned."""


def reshape_logits(
    logits: Tensor, config: GenerationConfig, counts: Tensor | None = None
) -> Tensor:
    """Apply what `config` asks for, in the order in which transformers does.

    Penalty, then temperature, then top-k, top-p, min-p, typical. Each reads what the one before
    left, so the order is part of the meaning. All but the penalty need do_sample=True.
    logits: (batch, vocabulary). counts: (batch, vocabulary), see `token_counts`; needed for a
    repetition penalty.
    """
    if config.repetition_penalty not in (None, 1.0):
        logits = repetition_penalty(logits, counts, config.repetition_penalty)
    if not config.do_sample:
        return logits
    if config.temperature not in (None, 1.0):
        logits = scale_temperature(logits, config.temperature)
    top_k = IMPLICIT_TOP_K if config.top_k is None else config.top_k
    if top_k:
        logits = keep_top_k(logits, top_k)
    if config.top_p is not None and config.top_p < 1:
        logits = keep_top_p(logits, config.top_p)
    if config.min_p is not None:
        logits = keep_min_p(logits, config.min_p)
    if config.typical_p is not None and config.typical_p < 1:
        logits = keep_typical(logits, config.typical_p)
    return logits


def greedy(logits: Tensor) -> Tensor:
    """Return the most probable token of each row; the first one of a tie.

    logits: (batch, vocabulary). Returns token ids of shape (batch,).
    """
    return logits.argmax(dim=-1)


def sample(logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw one token per row with the probability that its logit gives it.

    logits: (batch, vocabulary). Returns token ids of shape (batch,). The same generator state
    gives the same tokens on the same machine; without a generator torch's global one is used.
    """
    return logits.softmax(dim=-1).multinomial(1, generator=generator).squeeze(-1)


def next_tokens(
    logits: Tensor,
    config: GenerationConfig,
    counts: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Choose the next token of each row as `config` says. See `reshape_logits`."""
    logits = reshape_logits(logits, config, counts)
    return sample(logits, generator) if config.do_sample else greedy(logits)
