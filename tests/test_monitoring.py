"""Distances are zero without change, and alarms are as rare as promised."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from course_utils.monitoring import (
    alarm_threshold,
    first_alarm,
    ks_distance,
    population_stability_index,
    watch,
)

samples = st.lists(st.integers(-20, 20), min_size=1, max_size=40)


@given(samples)
def test_equal_samples_have_no_distance(values):
    assert population_stability_index(values, values) == 0
    assert ks_distance(values, values) == 0


@given(samples, samples)
def test_the_distance_is_that_of_scipy(reference, current):
    assert ks_distance(reference, current) == pytest.approx(
        ks_2samp(reference, current, method="asymp").statistic
    )


def test_the_index_equals_its_formula_by_hand():
    reference, current = [1, 2, 3, 4], [1, 3, 3, 4]  # one inner edge, at 2.5
    r, c = np.array([2.5, 2.5]) / 5, np.array([1.5, 3.5]) / 5
    expected = sum((c - r) * np.log(c / r))
    assert population_stability_index(reference, current, bins=2) == pytest.approx(expected)


@given(samples, samples)
def test_the_index_is_never_negative_and_always_finite(reference, current):
    index = population_stability_index(reference, current)
    assert 0 <= index < math.inf


def test_a_larger_shift_gives_larger_distances():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=500)
    for distance in (population_stability_index, ks_distance):
        values = [distance(reference, rng.normal(shift, size=500)) for shift in (0, 0.5, 1, 2)]
        assert values == sorted(values)


def test_watching_compares_the_newest_window():
    reference, stream = [0.0, 1.0], [5.0, 6.0, 0.0, 1.0]
    seen = watch(reference, stream, 2, lambda _, window: window.sum())
    assert np.isnan(seen[0])
    assert list(seen[1:]) == [11, 6, 1]


def test_the_first_alarm_is_the_first_value_above():
    assert first_alarm([float("nan"), 0.2, 0.5, 0.9], 0.4) == 2
    assert first_alarm([0.2, 0.4], 0.4) is None


@pytest.mark.parametrize("statistic", [ks_distance, population_stability_index])
def test_without_change_alarms_are_about_as_rare_as_asked(statistic):
    """With references and streams that are drawn afresh, as in use."""
    rng = np.random.default_rng(1)
    window, length, rate, trials = 15, 40, 0.2, 120
    alarms = 0
    for trial in range(trials):
        reference = rng.lognormal(size=120)
        threshold = alarm_threshold(
            reference, window, length, statistic,
            false_alarm_rate=rate, simulations=40, seed=trial,
        )  # fmt: skip
        seen = watch(reference, rng.lognormal(size=length), window, statistic)
        alarms += first_alarm(seen, threshold) is not None
    assert 0.08 <= alarms / trials <= 0.33


def test_a_change_is_found_soon():
    rng = np.random.default_rng(2)
    reference = rng.normal(size=200)
    threshold = alarm_threshold(reference, 20, 80, simulations=100)
    stream = np.concatenate([rng.normal(size=40), rng.normal(2, size=40)])
    alarm = first_alarm(watch(reference, stream, 20), threshold)
    assert 40 <= alarm <= 60


def test_the_same_seed_gives_the_same_threshold_and_a_rarer_alarm_a_higher_one():
    reference = np.arange(50.0)
    first = alarm_threshold(reference, 5, 20, simulations=100, seed=3)
    assert first == alarm_threshold(reference, 5, 20, simulations=100, seed=3)
    assert first >= alarm_threshold(reference, 5, 20, false_alarm_rate=0.5, simulations=100, seed=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 1}, "window=1 of a stream of 9"),
        ({"window": 10}, "from 2 to 9"),
        ({"false_alarm_rate": 0}, "not a rate"),
        ({"false_alarm_rate": 0.01}, "take 500 or more"),
        ({"reference": []}, "reference of shape"),
        ({"reference": [1.0, float("inf")]}, "not a finite number"),
    ],
)
def test_a_watch_that_cannot_work_is_refused(arguments, message):
    settings = {"reference": [1.0, 2.0], "window": 3, "stream_length": 9} | arguments
    with pytest.raises(ValueError, match=message):
        alarm_threshold(**settings)


def test_the_index_needs_two_bins():
    with pytest.raises(ValueError, match="bins=1"):
        population_stability_index([1], [1], bins=1)
