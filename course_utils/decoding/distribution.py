"""Numbers that describe a next-token distribution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def entropy(logits: Tensor) -> Tensor:
    """Return the entropy in bits, the average surprise: 0 for a certainty, log2(n) for n equals.

    logits: (..., vocabulary). Returns shape (...).
    """
    log_probabilities = logits.log_softmax(dim=-1)
    return -(log_probabilities.exp() * log_probabilities).nansum(dim=-1) / math.log(2)


def nucleus_size(logits: Tensor, top_p: float) -> Tensor:
    """Count the most probable tokens that it takes to reach `top_p`.

    logits: (..., vocabulary). Returns integers of shape (...).
    Raises ValueError unless 0 < top_p < 1.
    """
    if not 0 < top_p < 1:
        raise ValueError(f"top_p={top_p} must lie strictly between 0 and 1.")
    descending = logits.softmax(dim=-1).sort(dim=-1, descending=True).values
    return (descending.cumsum(dim=-1) < top_p).sum(dim=-1) + 1


def kept_mass(logits: Tensor, filtered: Tensor) -> Tensor:
    """Return the probability, under `logits`, of the tokens that `filtered` did not drop.

    Both (..., vocabulary). Returns shape (...).
    """
    return logits.softmax(dim=-1).where(filtered > -math.inf, 0.0).sum(dim=-1)
