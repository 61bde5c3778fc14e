"""Say how sure a mean is, and whether two systems differ: bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_BLOCK = 4_000_000  # resampled scores held in memory at once (32 MB)


class Interval(NamedTuple):
    """A mean and the interval around it; `str` gives "27.0 [25.4, 28.6]"."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.1f} [{self.low:.1f}, {self.high:.1f}]"

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside: for a difference, whether the sign is settled."""
        return self.low > 0 or self.high < 0


def bootstrap_interval(
    scores: Sequence[float] | np.ndarray,
    seed: int = 0,
    level: float = 0.95,
    *,
    resamples: int = 10_000,
) -> Interval:
    """Give the mean of per-example scores with its percentile bootstrap interval.

    scores: (n,), one per example, n at least 2; level: the interval's coverage, in (0, 1).
    Draws n examples with replacement `resamples` times and takes the middle `level` of the
    means. The same seed gives the same interval.
    Raises ValueError for fewer than two scores, a score that is not a number, or a bad level.
    Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3.
    """
    values = np.asarray(scores, dtype=float)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(
            f"scores of shape {values.shape}: an interval needs one score per example, "
            "of two examples at least."
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"Score {int(np.argmin(np.isfinite(values)))} is not a finite number: "
            "score every example, or leave it out on purpose."
        )
    if not 0 < level < 1:
        raise ValueError(f"level={level} is not a coverage: give a value in (0, 1), such as 0.95.")
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // len(values))
    means = np.concatenate(
        [
            values[
                rng.integers(len(values), size=(min(block, resamples - start), len(values)))
            ].mean(axis=1)
            for start in range(0, resamples, block)
        ]
    )
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(float(values.mean()), float(low), float(high))


def paired_difference(
    a: Sequence[float] | np.ndarray,
    b: Sequence[float] | np.ndarray,
    seed: int = 0,
    level: float = 0.95,
    *,
    resamples: int = 10_000,
) -> Interval:
    """Give the mean of `a - b`, both scored on the same examples, with its interval.

    a, b: (n,), where a[i] and b[i] belong to the same example. Hard examples are hard for
    both systems; the differences leave that out, so the interval is much narrower than
    those of the two means. Unpacks as (difference, low, high).
    Raises ValueError when the lengths differ, and as `bootstrap_interval` does.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        raise ValueError(
            f"{a.shape} and {b.shape} scores cannot be paired: score both systems on the same "
            "examples, in the same order."
        )
    return bootstrap_interval(a - b, seed, level, resamples=resamples)
