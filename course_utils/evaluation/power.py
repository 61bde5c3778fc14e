"""How many dialogues a claim needs.

Card et al. 2020, "With Little Power Comes Great Responsibility": most comparisons that are
published could not have found the difference they claim.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np


def dialogues_needed(gain: float, spread: float, power: float = 0.8, level: float = 0.95) -> int:
    """Say how many dialogues find a true gain with probability `power`.

    gain: the smallest difference of the means worth finding, in points.
    spread: standard deviation of the paired differences, in points (ddof=1, from a pilot).
    level: of the interval that must exclude zero.
    n = ((z(1/2 + level/2) + z(power)) * spread / gain)^2, rounded up, with z the normal quantile.
    Raises ValueError unless gain and spread are above 0 and power and level in (0, 1).
    Cohen 1988, "Statistical Power Analysis for the Behavioral Sciences", chapter 2.
    """
    _check_positive(gain=gain, spread=spread)
    return max(2, math.ceil((_quantiles(power, level) * spread / gain) ** 2))


def detectable_gain(n: int, spread: float, power: float = 0.8, level: float = 0.95) -> float:
    """Say which true gain n dialogues find with probability `power`, in points.

    The inverse of `dialogues_needed`: what a test split of fixed size can tell at all.
    Raises ValueError as it does, and for fewer than two dialogues.
    """
    _check_positive(spread=spread)
    _check_size(n)
    return _quantiles(power, level) * spread / math.sqrt(n)


def detection_rate(
    differences: Sequence[float] | np.ndarray,
    gain: float,
    n: int,
    *,
    seed: int = 0,
    level: float = 0.95,
    trials: int = 1000,
    resamples: int = 1000,
) -> float:
    """Simulate how often n dialogues find a true gain: by the bootstrap, on real differences.

    differences: (m,), paired differences of two systems, measured on m dialogues.
    gain: the difference that is made true: the measured ones are shifted to this mean, so that
        their spread and their skew stay. With gain=0 the rate is that of false alarms.
    Each trial draws n of them with replacement and asks whether the percentile interval of the
    mean lies above zero (with gain=0: excludes zero). The trials share one set of resamplings.
    Returns a share from 0 to 1; its standard error is at most 0.5 / sqrt(trials).
    Raises ValueError for fewer than two differences or dialogues, or a level outside (0, 1).
    """
    values = np.asarray(differences, dtype=float)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(
            f"differences of shape {values.shape}: give the finite paired differences of two "
            "systems on two dialogues at least."
        )
    _check_size(n)
    _quantiles(0.5, level)
    rng = np.random.default_rng(seed)
    drawn = rng.choice(values - values.mean() + gain, size=(n, trials))
    counts = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    means = counts @ drawn / n  # (resamples, trials)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    found = low > 0 if gain > 0 else high < 0 if gain < 0 else (low > 0) | (high < 0)
    return float(found.mean())


def _quantiles(power: float, level: float) -> float:
    """Give the sum of the two normal quantiles that the formula is made of."""
    for name, value in {"power": power, "level": level}.items():
        if not 0 < value < 1:
            raise ValueError(f"{name}={value} is not a probability: give a value in (0, 1).")
    return NormalDist().inv_cdf((1 + level) / 2) + NormalDist().inv_cdf(power)


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0 or math.isinf(value):
            raise ValueError(f"{name}={value}: give a number of points above 0.")


def _check_size(n: int) -> None:
    if n < 2:
        raise ValueError(f"n={n}: an interval needs two dialogues at least.")
