"""Intervals cover what they should, pairing helps, and the same seed repeats itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from course_utils.comparison import Interval, bootstrap_interval, paired_difference

SCORES = st.lists(st.floats(0, 100, width=32), min_size=2, max_size=40)


def test_an_interval_prints_as_mean_and_bounds():
    assert str(Interval(27.04, 25.36, 28.64)) == "27.0 [25.4, 28.6]"
    assert f"{Interval(27.04, 25.36, 28.64)}" == "27.0 [25.4, 28.6]"


def test_an_interval_unpacks_as_difference_low_high():
    difference, low, high = paired_difference([3.0, 4.0], [1.0, 2.0])
    assert (difference, low, high) == (2.0, 2.0, 2.0)


@given(SCORES)
@settings(max_examples=50, deadline=None)
def test_the_mean_lies_within_bounds_that_lie_within_the_scores(scores):
    interval = bootstrap_interval(scores, resamples=500)
    assert interval.mean == pytest.approx(np.mean(scores))
    assert min(scores) - 1e-6 <= interval.low <= interval.high <= max(scores) + 1e-6


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    scores = np.random.default_rng(1).normal(30, 10, 50)
    assert bootstrap_interval(scores, 3) == bootstrap_interval(scores, 3)
    assert bootstrap_interval(scores, 3) != bootstrap_interval(scores, 4)


def test_the_interval_agrees_with_scipys_percentile_bootstrap():
    scores = np.random.default_rng(2).gamma(2, 10, 80)
    wanted = stats.bootstrap(
        (scores,), np.mean, method="percentile", n_resamples=20_000, rng=0
    ).confidence_interval
    found = bootstrap_interval(scores, resamples=20_000)
    assert found.low == pytest.approx(wanted.low, abs=0.25)
    assert found.high == pytest.approx(wanted.high, abs=0.25)


def test_a_95_percent_interval_covers_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(300):
        interval = bootstrap_interval(rng.normal(30, 10, 60), trial, resamples=500)
        hits += interval.low <= 30 <= interval.high
    assert 0.89 <= hits / 300 <= 0.99


def test_an_interval_of_80_percent_is_narrower_than_one_of_95():
    scores = np.random.default_rng(5).normal(30, 10, 50)
    wide, narrow = bootstrap_interval(scores), bootstrap_interval(scores, level=0.8)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_pairing_sees_a_small_gain_that_separate_intervals_hide():
    rng = np.random.default_rng(0)
    hard = rng.normal(30, 12, 100)
    a, b = hard + 1.5 + rng.normal(0, 2, 100), hard + rng.normal(0, 2, 100)
    assert paired_difference(a, b).excludes_zero
    assert bootstrap_interval(a).low < bootstrap_interval(b).high


def test_the_difference_is_the_first_minus_the_second():
    assert paired_difference([5.0, 7.0], [1.0, 2.0]).mean == 4.5


def test_no_gain_leaves_zero_inside():
    rng = np.random.default_rng(7)
    a = rng.normal(30, 10, 80)
    assert not paired_difference(a, a + rng.normal(0, 3, 80)).excludes_zero


def test_many_scores_are_resampled_in_blocks_without_changing_the_mean():
    scores = np.random.default_rng(3).normal(30, 10, 50_000)
    interval = bootstrap_interval(scores, resamples=200)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 10 / 50_000**0.5, rel=0.25)


@pytest.mark.parametrize(
    ("scores", "level", "message"),
    [
        ([1.0], 0.95, "two examples at least"),
        ([], 0.95, "two examples at least"),
        ([[1.0, 2.0]], 0.95, "one score per example"),
        ([1.0, float("nan")], 0.95, "Score 1 is not a finite number"),
        ([1.0, 2.0], 95, r"level=95 is not a coverage"),
    ],
)
def test_what_cannot_have_an_interval_is_refused(scores, level, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(scores, level=level)


def test_scores_of_different_examples_cannot_be_paired():
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_difference([1.0, 2.0], [1.0, 2.0, 3.0])
