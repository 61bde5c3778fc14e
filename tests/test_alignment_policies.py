"""Policies over a few candidates: closed forms, the gradient that reaches them, and Goodhart."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_utils.alignment import (
    best_of_n,
    kl_divergence,
    objective,
    optimal_policy,
    pressure_curve,
    reinforce,
)
from course_utils.alignment.overoptimization import CandidatePool, lead_ladder

REFERENCE = torch.tensor([0.6, 0.25, 0.1, 0.05], dtype=torch.float64)
REWARDS = torch.tensor([0.0, 1.0, 3.0, 2.0], dtype=torch.float64)


def test_two_candidates_by_hand():
    reference, rewards = torch.tensor([0.5, 0.5]), torch.tensor([0.0, math.log(3.0)])
    torch.testing.assert_close(optimal_policy(reference, rewards, 1.0), torch.tensor([0.25, 0.75]))
    moved = torch.tensor([0.25, 0.75])
    assert kl_divergence(moved, reference).item() == pytest.approx(
        0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    )


@given(st.lists(st.floats(0.01, 1), min_size=4, max_size=4), st.floats(0.05, 10))
def test_no_policy_has_a_higher_objective_than_the_closed_form(weights, beta):
    other = torch.tensor(weights, dtype=torch.float64)
    other /= other.sum()
    best = optimal_policy(REFERENCE, REWARDS, beta)
    top = objective(best, REFERENCE, REWARDS, beta)
    # J(p) = J(best) - beta KL(p || best): the shortfall is the distance from the optimum.
    torch.testing.assert_close(
        objective(other, REFERENCE, REWARDS, beta), top - beta * kl_divergence(other, best)
    )
    assert objective(other, REFERENCE, REWARDS, beta) <= top + 1e-9


def test_beta_goes_from_the_greediest_policy_to_the_reference():
    assert optimal_policy(REFERENCE, REWARDS, 0.01)[2] > 0.999
    torch.testing.assert_close(
        optimal_policy(REFERENCE, REWARDS, 1e6), REFERENCE, atol=1e-5, rtol=0
    )
    moved = [
        kl_divergence(optimal_policy(REFERENCE, REWARDS, beta), REFERENCE).item()
        for beta in (0.1, 0.5, 1, 5)
    ]
    assert moved == sorted(moved, reverse=True)


def test_what_the_reference_never_does_stays_impossible():
    reference = torch.tensor([0.5, 0.5, 0.0])
    policy = optimal_policy(reference, torch.tensor([0.0, 1.0, 100.0]), 1.0)
    assert policy[2] == 0
    assert kl_divergence(torch.tensor([0.0, 0.0, 1.0]), reference) == math.inf


@pytest.mark.parametrize("beta", [1.0, 2.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_policy_gradient_reaches_the_closed_form(beta, seed):
    history = reinforce(REFERENCE, REWARDS, beta, steps=400, seed=seed)
    optimum = optimal_policy(REFERENCE, REWARDS, beta)
    distance = [kl_divergence(policy, optimum).item() for policy in history[[0, 100, -1]]]
    assert distance[0] > 0.1
    assert distance[1] < distance[0] / 2
    assert distance[2] < 1e-4
    assert history.shape == (401, 4)


def test_the_policy_gradient_starts_at_the_reference_and_repeats_with_its_seed():
    first, again, other = (reinforce(REFERENCE, REWARDS, 1.0, steps=5, seed=s) for s in (3, 3, 4))
    torch.testing.assert_close(first[0], REFERENCE)
    torch.testing.assert_close(first, again, atol=0, rtol=0)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_best_of_n_is_what_drawing_n_and_keeping_the_best_gives(n):
    draws = np.random.default_rng(0).choice(4, size=(40_000, n), p=REFERENCE.numpy())
    rewards = REWARDS.numpy()[draws]
    winners = draws[np.arange(len(draws)), rewards.argmax(axis=1)]
    counted = np.bincount(winners, minlength=4) / len(draws)
    np.testing.assert_allclose(best_of_n(REFERENCE, REWARDS, n).numpy(), counted, atol=0.012)


def test_best_of_one_is_the_reference_and_best_of_many_the_highest_reward():
    torch.testing.assert_close(best_of_n(REFERENCE, REWARDS, 1), REFERENCE)
    assert best_of_n(REFERENCE, REWARDS, 10_000)[2] == pytest.approx(1)
    assert best_of_n(REFERENCE, REWARDS, 10**9).isfinite().all()


def test_equal_rewards_share_their_chance_in_proportion_to_the_reference():
    rewards = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    chances = best_of_n(REFERENCE, rewards, 3)
    assert (chances[0] / chances[1]).item() == pytest.approx(0.6 / 0.25)
    assert chances[:2].sum().item() == pytest.approx(1 - 0.15**3)


def test_best_of_n_moves_no_further_than_its_known_bound():
    for n in (2, 8, 64):
        moved = kl_divergence(best_of_n(REFERENCE, REWARDS, n), REFERENCE).item()
        assert 0 < moved <= math.log(n) - (n - 1) / n


def pool(truths):
    return CandidatePool(
        texts=list("abcd"), reference=REFERENCE, rewards=REWARDS,
        truths=torch.tensor(truths, dtype=torch.float64),
        lengths=torch.arange(4, dtype=torch.float64),
    )  # fmt: skip


def test_a_reward_that_is_not_the_truth_rises_while_the_truth_falls():
    curve = pressure_curve([pool([10.0, 30.0, 0.0, 20.0])], best_of_n, [1, 2, 4, 64])
    reward, truth = curve["reward"][:, 0], curve["truth"][:, 0]
    assert (np.diff(reward) > 0).all()
    assert truth[0] < truth[1]
    assert truth[-1] < truth[0]
    assert curve["kl"][0, 0] == pytest.approx(0)
    honest = pressure_curve([pool(REWARDS.tolist())], best_of_n, [1, 2, 4, 64])
    assert (np.diff(honest["truth"][:, 0]) > 0).all()


def test_a_ladder_ends_with_the_whole_dialogue():
    ladder = lead_ladder("#Person1#: one two three\n#Person2#: four five six seven")
    assert ladder[0] == "#Person1#: one two three #Person2#:"
    assert ladder[-1] == "#Person1#: one two three #Person2#: four five six seven"
    assert len(ladder) == 2


def test_bad_input_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match="above 0"):
        optimal_policy(REFERENCE, REWARDS, 0)
    with pytest.raises(ValueError, match="not a distribution"):
        optimal_policy(REWARDS, REWARDS, 1.0)
    with pytest.raises(ValueError, match="rewards holds a value that is not finite"):
        reinforce(REFERENCE, torch.tensor([0, 1, math.nan, 0]).double(), 1.0)
    with pytest.raises(ValueError, match="two samples"):
        reinforce(REFERENCE, REWARDS, 1.0, samples=1)
    with pytest.raises(ValueError, match="whole number"):
        best_of_n(REFERENCE, REWARDS, 0)
    with pytest.raises(ValueError, match="one pool"):
        pressure_curve([], best_of_n, [1])
