"""Policies over a few candidate answers, where everything can be computed exactly.

A language model is a distribution over all texts. Over a handful of candidates the same
formulas need no sampling: what a reward and a KL penalty ask for is known in closed form.
"""

from __future__ import annotations

import torch
from torch import Tensor

from course_utils.alignment.validation import (
    require_beta,
    require_distribution,
    require_finite,
    require_same_shape,
)


def kl_divergence(policy: Tensor, reference: Tensor) -> Tensor:
    """Say in nats how far the policy has moved from the reference: sum p ln(p / q).

    policy, reference: (n,) probabilities. Infinite where the policy does what the reference
    never does.
    """
    require_same_shape(policy=policy, reference=reference)
    require_distribution(policy=policy, reference=reference)
    return (torch.xlogy(policy, policy) - torch.xlogy(policy, reference)).sum()


def objective(policy: Tensor, reference: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """Give what RLHF maximizes: the expected reward minus beta times the KL divergence.

    policy, reference, rewards: (n,), over the same candidates.
    Stiennon et al. 2020, section 3.4; Ouyang et al. 2022, "Training language models to follow
    instructions with human feedback", equation 2.
    """
    require_beta(beta)
    require_same_shape(policy=policy, reference=reference, rewards=rewards)
    require_finite(rewards=rewards)
    return (policy * rewards).sum() - beta * kl_divergence(policy, reference)


def optimal_policy(reference: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """Give the policy that maximizes `objective`: reference x exp(reward / beta), normalized.

    reference, rewards: (n,). Small beta: all on the highest reward; large: the reference.
    Rafailov et al. 2023, "Direct Preference Optimization", equation 4.
    """
    require_beta(beta)
    require_same_shape(reference=reference, rewards=rewards)
    require_distribution(reference=reference)
    require_finite(rewards=rewards)
    return (reference.log() + rewards / beta).softmax(0)


def best_of_n(reference: Tensor, rewards: Tensor, n: int) -> Tensor:
    """Give the chance that each candidate wins when n are drawn and the best reward is kept.

    reference, rewards: (n candidates,). Exact: the best of n draws is among the lower-ranked
    candidates, up to one with cumulative probability F, with chance F^n. Equal rewards share
    their chance in proportion to the reference.
    Raises ValueError unless n is a whole number from 1.
    """
    if n < 1 or n != int(n):
        raise ValueError(f"n={n} draws are not possible: give a whole number from 1.")
    require_same_shape(reference=reference, rewards=rewards)
    require_distribution(reference=reference)
    require_finite(rewards=rewards)
    levels, level = rewards.unique(return_inverse=True)  # ascending
    mass = torch.zeros(len(levels), dtype=reference.dtype).index_add(0, level, reference)
    cumulative = mass.cumsum(0).clamp(max=1) ** n
    wins = cumulative.diff(prepend=cumulative.new_zeros(1))
    share = torch.where(mass[level] > 0, reference / mass[level], 0.0)
    chances = wins[level] * share
    return chances / chances.sum()
