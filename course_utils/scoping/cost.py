"""Hours and money, from assumptions that are stated."""

from __future__ import annotations

import math
from typing import NamedTuple


def compute_hours(flops: float, flops_per_second: float, utilisation: float = 1.0) -> float:
    """Say how many hours a machine computes.

    flops_per_second: what the machine can do. utilisation: the share of it that the work
        reaches; 1 if `flops_per_second` was measured on that work.
    Raises ValueError for a speed that is not positive or a utilisation outside (0, 1].
    """
    if not flops_per_second > 0:
        raise ValueError(
            f"flops_per_second={flops_per_second} is no speed: give operations a second, "
            "such as 1e11 for a processor core."
        )
    if not 0 < utilisation <= 1:
        raise ValueError(f"utilisation={utilisation} is no share: give a value in (0, 1].")
    return flops / (flops_per_second * utilisation) / 3600


def api_price(
    prompt_tokens: float, completion_tokens: float, price_in: float, price_out: float
) -> float:
    """Price one call. price_in, price_out: for a million tokens read, and written."""
    if min(prompt_tokens, completion_tokens, price_in, price_out) < 0:
        raise ValueError("Tokens and prices are not negative: check the four numbers.")
    return (prompt_tokens * price_in + completion_tokens * price_out) / 1e6


def machines_price(volume: float, capacity: float, price: float) -> float:
    """Price a month on machines of your own: as many as the volume needs, one at least.

    volume: calls a month; capacity: calls that one machine manages in a month; price: of one
    machine a month, used or idle.
    """
    if not (capacity > 0 and price > 0 and volume >= 0):
        raise ValueError(
            f"capacity={capacity}, price={price}, volume={volume}: capacity and price are "
            "positive, the volume is not negative."
        )
    return price * max(1, math.ceil(volume / capacity))


class BreakEven(NamedTuple):
    """Where an own machine meets an API.

    volume: calls a month from which one machine is no dearer, None if it is full before.
    full: what the machine costs for each call when it never idles.
    """

    volume: float | None
    full: float


def break_even(price_per_call: float, price: float, capacity: float) -> BreakEven:
    """Compare an API's `price_per_call` with a machine's monthly `price` at its `capacity`.

    Raises ValueError unless all three are positive.
    """
    if not min(price_per_call, price, capacity) > 0:
        raise ValueError(
            f"price_per_call={price_per_call}, price={price}, capacity={capacity}: "
            "all three must be positive."
        )
    volume = price / price_per_call
    return BreakEven(volume if volume <= capacity else None, price / capacity)
