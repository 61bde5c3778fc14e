"""Risk and coverage count rightly, and a threshold keeps its promise where it was chosen."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.retrieval import choose_threshold, risk_coverage

answers = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30)


@given(answers)
def test_risk_and_coverage_equal_a_count_at_every_threshold(pairs):
    confidences, right = map(np.array, zip(*pairs, strict=True))
    curve = risk_coverage(confidences, right)
    assert list(curve.threshold) == sorted(set(confidences), reverse=True)
    for threshold, coverage, risk in zip(*curve, strict=True):
        answered = confidences >= threshold
        assert coverage == pytest.approx(answered.mean())
        assert risk == pytest.approx(1 - right[answered].mean())
    assert curve.coverage[-1] == 1


def test_a_confidence_that_knows_all_has_the_least_area():
    right = np.array([1, 1, 1, 0, 0, 0], bool)
    knowing = risk_coverage([6, 5, 4, 3, 2, 1], right)
    mistaken = risk_coverage([1, 2, 3, 4, 5, 6], right)
    blind = risk_coverage([0] * 6, right)
    assert knowing.risk[2] == 0
    assert knowing.area == pytest.approx(np.mean([0, 0, 0, 1 / 4, 2 / 5, 3 / 6]))
    assert knowing.area < blind.area == 0.5 < mistaken.area


@given(answers, st.floats(0, 1))
def test_a_threshold_answers_most_within_the_risk(pairs, max_risk):
    confidences, right = map(np.array, zip(*pairs, strict=True))
    threshold = choose_threshold(confidences, right, max_risk)
    answered = confidences >= threshold
    if answered.any():
        assert 1 - right[answered].mean() <= max_risk + 1e-12
    for lower in set(confidences[~answered]):
        assert 1 - right[confidences >= lower].mean() > max_risk - 1e-12


def test_nothing_is_answered_where_no_threshold_is_safe():
    assert choose_threshold([3, 2, 1], [False, False, True], 0.1) == math.inf


def test_abstaining_refuses_what_cannot_be_counted():
    with pytest.raises(ValueError, match="one of each"):
        risk_coverage([1, 2], [True])
    with pytest.raises(ValueError, match="one of each"):
        risk_coverage([], [])
    with pytest.raises(ValueError, match="not a number"):
        risk_coverage([float("nan")], [True])
    with pytest.raises(ValueError, match="max_risk=5"):
        choose_threshold([1], [True], 5)
