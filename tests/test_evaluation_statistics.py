"""Power formulas hold in simulation; probes of what a model has seen are what they say."""

import numpy as np
import pytest

from course_utils.evaluation import (
    detectable_gain,
    detection_rate,
    dialogues_needed,
    min_k_probability,
    seen_runs,
)
from course_utils.language_model import Score

DIFFERENCES = np.random.default_rng(0).normal(1, 9, 60)
SPREAD = DIFFERENCES.std(ddof=1)


def test_the_number_needed_is_what_the_formula_gives_by_hand():
    # (1.95996 + 0.84162) * 10 / 2 = 14.008; its square is 196.2
    assert dialogues_needed(gain=2, spread=10) == 197
    assert dialogues_needed(gain=2, spread=10, power=0.5, level=0.95) == 97  # 9.7998 squared


def test_half_the_gain_needs_four_times_the_dialogues():
    assert dialogues_needed(1, 10) == pytest.approx(4 * dialogues_needed(2, 10), abs=4)


def test_the_detectable_gain_undoes_the_number_needed():
    n = dialogues_needed(1.5, 9)
    assert detectable_gain(n, 9) <= 1.5 < detectable_gain(n - 1, 9)


@pytest.mark.parametrize(("gain", "power"), [(2, 0.8), (3, 0.8), (3, 0.9), (2, 0.5)])
def test_in_simulation_the_number_needed_finds_the_gain_that_often(gain, power):
    n = dialogues_needed(gain, SPREAD, power)
    found = detection_rate(DIFFERENCES, gain, n, trials=3000)
    assert found == pytest.approx(power, abs=0.06)


def test_without_a_gain_the_alarms_are_those_of_the_level():
    assert detection_rate(DIFFERENCES, 0, 200, trials=3000) == pytest.approx(0.05, abs=0.02)
    assert detection_rate(DIFFERENCES, 0, 200, trials=3000, level=0.8) == pytest.approx(
        0.2, abs=0.03
    )


def test_more_dialogues_and_larger_gains_are_found_more_often():
    rates = [detection_rate(DIFFERENCES, 3, n) for n in (10, 40, 160)]
    assert rates == sorted(rates)
    assert rates[0] < 0.4
    assert rates[-1] > 0.95
    assert detection_rate(DIFFERENCES, 6, 20) > detection_rate(DIFFERENCES, 2, 20)


def test_a_loss_is_found_as_often_as_a_gain_of_its_size():
    mirrored = np.concatenate([DIFFERENCES, -DIFFERENCES])
    loss, gain = (detection_rate(mirrored, d, 60, trials=3000) for d in (-3, 3))
    assert loss == pytest.approx(gain, abs=0.04)


def test_the_simulated_decision_is_that_of_the_paired_bootstrap():
    from course_utils.comparison import bootstrap_interval

    rng, n = np.random.default_rng(1), 20
    centred = DIFFERENCES - DIFFERENCES.mean() + 4
    decided = [
        bootstrap_interval(rng.choice(centred, n), trial, resamples=600).low > 0
        for trial in range(600)
    ]
    assert np.mean(decided) == pytest.approx(detection_rate(DIFFERENCES, 4, n), abs=0.07)


def test_the_same_seed_simulates_the_same():
    assert detection_rate(DIFFERENCES, 3, 30, seed=4) == detection_rate(DIFFERENCES, 3, 30, seed=4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dialogues_needed(0, 10), "gain=0: give a number of points above 0"),
        (lambda: dialogues_needed(2, -1), "spread=-1"),
        (lambda: dialogues_needed(2, float("inf")), "spread=inf"),
        (lambda: dialogues_needed(2, 10, power=80), "power=80 is not a probability"),
        (lambda: detectable_gain(1, 10), "n=1: an interval needs two"),
        (lambda: detectable_gain(10, 10, level=95), "level=95 is not a probability"),
        (lambda: detection_rate([1.0], 2, 10), "on two dialogues at least"),
        (lambda: detection_rate([1.0, float("nan")], 2, 10), "finite paired differences"),
        (lambda: detection_rate([1.0, 2.0], 2, 1), "n=1"),
        (lambda: detection_rate([1.0, 2.0], 2, 10, level=0), "level=0"),
    ],
)
def test_what_has_no_power_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_planted_dialogue_is_found_whatever_its_capitals_and_speakers():
    clean = "#Person1#: We are going to the lake with the new red boat today."
    planted = clean.upper().replace("#PERSON1#", "#Person2#").replace(" ", "  ")
    fresh = "#Person1#: My aunt keeps four geese behind the old post office now."
    assert seen_runs([clean, fresh], [planted]).tolist() == [100, 0]


def test_half_a_copied_sentence_is_half_seen():
    text = "one two three four five six seven eight"  # four runs of five words
    assert seen_runs([text], ["one two three four five six"])[0] == 50


def test_a_text_too_short_for_a_run_is_not_seen():
    assert seen_runs(["one two three"], ["one two three"])[0] == 0


def test_min_k_is_the_mean_of_the_least_probable_tokens():
    score = Score([-1.0, -9.0, -2.0, -7.0, -0.5, -0.1, -0.2, -0.3, -0.4, -3.0])
    assert min_k_probability(score, 0.2) == pytest.approx(-8)
    assert min_k_probability(score, 1) == pytest.approx(-score.mean_loss)
    assert min_k_probability(score, 0.01) == -9, "one token at least"


def test_probes_of_nothing_are_refused():
    with pytest.raises(ValueError, match="one text"):
        seen_runs([], ["a"])
    with pytest.raises(ValueError, match="share=20 is not a share"):
        min_k_probability(Score([-1.0]), 20)
