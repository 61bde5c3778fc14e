"""The knobs that reshape a next-token distribution, each in a few lines.

Every function takes logits of shape (..., vocabulary) and returns logits of the same shape. A
token that a filter drops gets the logit minus infinity, hence the probability 0. Each equals the
LogitsWarper of the same name in transformers, ties and infinities included.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

DROPPED = -math.inf


def scale_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Divide by the temperature: below 1 sharpens the distribution, above 1 flattens it.

    The order of the tokens never changes. The limit at 0 is the most probable token, which has to
    be asked for as greedy decoding: nothing can be divided by 0.
    Raises ValueError unless temperature > 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature={temperature} must be above 0. For greedy use `greedy`.")
    return logits / temperature


def keep_top_k(logits: Tensor, top_k: int) -> Tensor:
    """Keep the `top_k` largest logits; tokens tied with the smallest of them stay as well.

    A `top_k` above the vocabulary's size keeps everything.
    Raises ValueError unless top_k >= 1.
    """
    if top_k < 1:
        raise ValueError(f"top_k={top_k} must be at least 1: a token has to be left to draw.")
    smallest_kept = logits.topk(min(top_k, logits.shape[-1])).values[..., -1:]
    return logits.masked_fill(logits < smallest_kept, DROPPED)


def keep_top_p(logits: Tensor, top_p: float) -> Tensor:
    """Keep the nucleus: the smallest set of most probable tokens that reaches `top_p`.

    Counted from the tail: sort upwards, and drop tokens while the dropped mass is at most
    1 - top_p. The token that crosses `top_p` therefore stays, and one always does.
    Raises ValueError unless 0 < top_p <= 1.
    Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", section 3.1.
    """
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p} is not a probability: give a value in (0, 1].")
    ascending, order = logits.sort(dim=-1)
    mass_up_to_here = ascending.softmax(dim=-1).cumsum(dim=-1)
    in_tail = mass_up_to_here <= 1 - top_p
    in_tail[..., -1] = False
    dropped = in_tail.scatter(-1, order, in_tail)
    return logits.masked_fill(dropped, DROPPED)


def keep_min_p(logits: Tensor, min_p: float) -> Tensor:
    """Keep tokens at least `min_p` times as probable as the most probable one.

    The bar is high where the model is sure and low where it is not.
    Raises ValueError unless 0 <= min_p <= 1.
    Nguyen et al. 2024, "Turning Up the Heat: Min-p Sampling", section 3.
    """
    if not 0 <= min_p <= 1:
        raise ValueError(f"min_p={min_p} is not a probability: give a value in [0, 1].")
    probabilities = logits.softmax(dim=-1)
    bar = min_p * probabilities.amax(dim=-1, keepdim=True)
    return logits.masked_fill(probabilities < bar, DROPPED)


def keep_typical(logits: Tensor, typical_p: float) -> Tensor:
    """Keep the tokens whose surprise is nearest the average surprise, up to mass `typical_p`.

    A token's surprise is -log p, and its average is the entropy. Both ends can go: the far too
    rare and, unlike every other filter, the far too probable.
    Raises ValueError unless 0 < typical_p < 1.
    Meister et al. 2023, "Locally Typical Sampling", section 4.
    """
    if not 0 < typical_p < 1:
        raise ValueError(f"typical_p={typical_p} must lie strictly between 0 and 1.")
    log_probabilities = logits.log_softmax(dim=-1)
    average_surprise = -(log_probabilities * log_probabilities.exp()).nansum(dim=-1, keepdim=True)
    strangeness = (-log_probabilities - average_surprise).abs()
    ascending, order = strangeness.sort(dim=-1)
    mass_up_to_here = logits.gather(-1, order).softmax(dim=-1).cumsum(dim=-1)
    last_kept = (mass_up_to_here < typical_p).sum(dim=-1, keepdim=True)
    last_kept = last_kept.clamp(max=logits.shape[-1] - 1)
    too_strange = ascending > ascending.gather(-1, last_kept)
    return logits.masked_fill(too_strange.scatter(-1, order, too_strange), DROPPED)
