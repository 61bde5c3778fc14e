"""Watch a stream of numbers for a change, with a known rate of false alarms.

One number per request (a length, a distance, a share of odd words) is compared, window by window,
with the numbers of a time when all was well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Statistic = Callable[[NDArray, NDArray], float]


def population_stability_index(reference: ArrayLike, current: ArrayLike, bins: int = 10) -> float:
    """Return how far the shares of the current values have moved between the reference's bins.

    The sum over bins of (c - r) ln(c / r), where r and c are the shares of reference and current
    values; the inner edges are the reference's quantiles. Half a value is added to each bin, so
    that an empty one does not make the sum infinite. 0 for equal samples, and no upper bound.
    Raises ValueError for an empty sample, a value that is not finite, or fewer than two bins.
    Siddiqi 2006, "Credit Risk Scorecards"; the usual bounds of 0.1 and 0.25 ignore how many
    values there are (see `alarm_threshold`).
    """
    reference, current = _values(reference, "reference"), _values(current, "current")
    if bins < 2:
        raise ValueError(f"bins={bins} leaves nothing to compare: give 2 or more.")
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))
    shares = []
    for values in (reference, current):
        counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        shares.append((counts + 0.5) / (counts + 0.5).sum())
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def ks_distance(reference: ArrayLike, current: ArrayLike) -> float:
    """Return the largest distance between the two samples' distribution functions: 0 to 1.

    It is the statistic of the Kolmogorov-Smirnov test (`scipy.stats.ks_2samp`) without the
    p-value, which holds for one look only and not for a stream that is looked at again and again.
    Raises ValueError for an empty sample or a value that is not finite.
    """
    reference = np.sort(_values(reference, "reference"))
    current = np.sort(_values(current, "current"))
    points = np.concatenate([reference, current])
    shares = [np.searchsorted(s, points, side="right") / len(s) for s in (reference, current)]
    return float(np.abs(shares[0] - shares[1]).max())


def watch(
    reference: ArrayLike,
    stream: ArrayLike,
    window: int,
    statistic: Statistic = ks_distance,
) -> NDArray:
    """Return the statistic of the newest `window` values against the reference, value by value.

    Shape (stream,); not a number (nan) until the first window is full.
    Raises ValueError for a window below 2 or above the stream's length.
    """
    reference, stream = _values(reference, "reference"), _values(stream, "stream")
    _check_window(window, len(stream))
    full = [
        statistic(reference, stream[end - window : end]) for end in range(window, len(stream) + 1)
    ]
    return np.concatenate([np.full(window - 1, np.nan), full])


def alarm_threshold(
    reference: ArrayLike,
    window: int,
    stream_length: int,
    statistic: Statistic = ks_distance,
    *,
    false_alarm_rate: float = 0.05,
    simulations: int = 400,
    seed: int = 0,
) -> float:
    """Return the bound that a stream without change exceeds, at any moment, this rarely.

    Simulates: draws a reference of the same size and a stream of `stream_length` from the
    reference's values, with replacement, watches the stream, and keeps the largest statistic. The
    bound is the 1 - `false_alarm_rate` quantile of those. Drawing the reference anew counts in
    that it is itself only a sample.
    Raises ValueError for a rate outside (0, 1), or too few simulations to see such a rate.
    """
    reference = _values(reference, "reference")
    _check_window(window, stream_length)
    if not 0 < false_alarm_rate < 1:
        raise ValueError(f"false_alarm_rate={false_alarm_rate} is not a rate: give one in (0, 1).")
    if simulations * false_alarm_rate < 5:
        raise ValueError(
            f"{simulations} simulations show a rate of {false_alarm_rate:g} too rarely to place "
            f"the bound: take {int(np.ceil(5 / false_alarm_rate)):,} or more."
        )
    rng = np.random.default_rng(seed)
    highest = [
        np.nanmax(
            watch(
                rng.choice(reference, len(reference)),
                rng.choice(reference, stream_length),
                window,
                statistic,
            )
        )
        for _ in range(simulations)
    ]
    return float(np.quantile(highest, 1 - false_alarm_rate, method="higher"))


def first_alarm(statistics: Sequence[float] | NDArray, threshold: float) -> int | None:
    """Return the position of the first value above the threshold, None if there is none."""
    (above,) = np.nonzero(np.asarray(statistics, dtype=float) > threshold)
    return int(above[0]) if len(above) else None


def _values(values: ArrayLike, name: str) -> NDArray:
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(f"{name} of shape {array.shape}: give a list of numbers, one at least.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds a value that is not a finite number: leave it out.")
    return array


def _check_window(window: int, length: int) -> None:
    if not 2 <= window <= length:
        raise ValueError(
            f"window={window} of a stream of {length} values: give a window from 2 to {length}."
        )
