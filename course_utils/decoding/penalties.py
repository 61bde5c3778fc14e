"""Make tokens that were used already less likely, three ways.

All three read `counts`, how often each token has occurred: shape (batch, vocabulary).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def token_counts(
    token_ids: Tensor, vocabulary: int, attention_mask: Tensor | None = None
) -> Tensor:
    """Count each token of each row.

    token_ids: (batch, length). attention_mask: (batch, length), 0 where a token is padding, which
    does not count. Returns counts of shape (batch, vocabulary), integers.
    """
    import torch

    counted = torch.ones_like(token_ids) if attention_mask is None else attention_mask.long()
    counts = torch.zeros(len(token_ids), vocabulary, dtype=torch.long, device=token_ids.device)
    return counts.scatter_add(1, token_ids, counted)


def repetition_penalty(logits: Tensor, counts: Tensor, penalty: float) -> Tensor:
    """Push the logit of every token seen so far down by a factor, once.

    A positive logit is divided by the penalty and a negative one multiplied, so that both fall
    when the penalty is above 1. How far depends on where the model put its zero, which the
    probabilities do not: adding a constant to all logits changes the answer.
    Raises ValueError unless penalty > 0.
    Keskar et al. 2019, "CTRL", section 4.1.
    """
    if not penalty > 0:
        raise ValueError(f"repetition_penalty={penalty} must be above 0; 1 changes nothing.")
    penalized = (logits * penalty).where(logits < 0, logits / penalty)
    return logits.where(counts == 0, penalized)


def frequency_penalty(logits: Tensor, counts: Tensor, penalty: float) -> Tensor:
    """Subtract `penalty` for each time that a token has occurred.

    The formula of the OpenAI API, which counts generated tokens only. transformers has none.
    """
    return logits - penalty * counts


def presence_penalty(logits: Tensor, counts: Tensor, penalty: float) -> Tensor:
    """Subtract `penalty` once from every token that has occurred, however often.

    The formula of the OpenAI API, which counts generated tokens only. transformers has none.
    """
    return logits - penalty * (counts > 0)
