"""Answer only when sure enough: risk against coverage.

Geifman and El-Yaniv 2017, "Selective Classification for Deep Neural Networks".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class RiskCoverage(NamedTuple):
    """What each threshold costs, from the strictest to answering everything.

    Each of shape (thresholds,): with `threshold` the questions whose confidence reaches it are
    answered; `coverage` is their share of all, `risk` the share of wrong answers among them.
    """

    threshold: NDArray
    coverage: NDArray
    risk: NDArray

    @property
    def area(self) -> float:
        """The mean risk over all numbers of answered questions; less is better."""
        answered = np.diff(self.coverage, prepend=0)
        return float(np.sum(answered * self.risk) / np.sum(answered))


def risk_coverage(
    confidences: Sequence[float] | NDArray, right: Sequence[bool] | NDArray
) -> RiskCoverage:
    """Return risk and coverage for every threshold that makes a difference.

    confidences: (n,), higher is surer; right: (n,), whether the answer is right (to a question
    that has no answer, none is). Equal confidences are answered together or not at all.
    Raises ValueError for lists that are empty, differ in length, or hold a nan.
    """
    confidences, right = np.asarray(confidences, float), np.asarray(right, bool)
    if confidences.shape != right.shape or confidences.ndim != 1 or len(right) == 0:
        raise ValueError(
            f"{confidences.shape} confidences and {right.shape} answers: give one of each for "
            "every question, one question at least."
        )
    if np.isnan(confidences).any():
        raise ValueError("A confidence is not a number: give every question one.")
    order = np.argsort(-confidences, kind="stable")
    sorted_confidences, wrong = confidences[order], np.cumsum(~right[order])
    last = np.append(sorted_confidences[1:] != sorted_confidences[:-1], True)
    answered = np.flatnonzero(last) + 1
    return RiskCoverage(
        threshold=sorted_confidences[last],
        coverage=answered / len(right),
        risk=wrong[last] / answered,
    )


def choose_threshold(
    confidences: Sequence[float] | NDArray, right: Sequence[bool] | NDArray, max_risk: float
) -> float:
    """Return the threshold that answers most while the risk stays within `max_risk`.

    Infinity, so that nothing is answered, if no threshold does. The risk on other questions will
    be higher on average: the best of many thresholds is flattered by its luck.
    Raises ValueError for a max_risk outside [0, 1], and as `risk_coverage` does.
    """
    if not 0 <= max_risk <= 1:
        raise ValueError(
            f"max_risk={max_risk} is not a share of wrong answers: give one in [0, 1]."
        )
    curve = risk_coverage(confidences, right)
    allowed = np.flatnonzero(curve.risk <= max_risk)
    return float(curve.threshold[allowed[-1]]) if len(allowed) else float("inf")
