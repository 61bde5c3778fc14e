"""From tokens per second to money."""

from __future__ import annotations


def cost_per_thousand(
    tokens_per_answer: float,
    tokens_per_second: float,
    price_per_hour: float,
    *,
    busy: float = 1.0,
) -> float:
    """Return what a thousand answers cost, in the currency of `price_per_hour`.

    tokens_per_answer: completion tokens of one answer, on average.
    tokens_per_second: completion tokens of all users together, as a load test measures them; the
        reading of the prompts is in it, because it took its part of the seconds.
    price_per_hour: of the whole machine, whoever uses it.
    busy: the part of the day in which there is that much to do; an idle machine costs the same.
    Raises ValueError unless all are positive and busy is at most 1.
    """
    if min(tokens_per_answer, tokens_per_second, price_per_hour, busy) <= 0 or busy > 1:
        raise ValueError(
            "Give positive numbers, and for busy a share in (0, 1]: got "
            f"{tokens_per_answer=}, {tokens_per_second=}, {price_per_hour=}, {busy=}."
        )
    seconds = 1000 * tokens_per_answer / tokens_per_second / busy
    return seconds / 3600 * price_per_hour
