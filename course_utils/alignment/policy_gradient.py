"""Reinforcement learning in its smallest form: REINFORCE with a KL penalty."""

from __future__ import annotations

import torch
from torch import Tensor

from course_utils.alignment.validation import (
    require_beta,
    require_distribution,
    require_finite,
    require_same_shape,
)


def reinforce(
    reference: Tensor,
    rewards: Tensor,
    beta: float,
    *,
    steps: int = 300,
    samples: int = 32,
    rate: float = 0.2,
    seed: int = 0,
) -> Tensor:
    """Learn a policy over n candidates from samples of it, starting at the reference.

    reference, rewards: (n,). In each step, `samples` candidates are drawn from the policy and
    rewarded with r - beta ln(policy / reference); log-probabilities of those above the samples'
    mean are pushed up, of those below it down. Only drawn candidates are scored, as with texts.
    Returns (steps + 1, n): the policy before each step and at the end.
    Raises ValueError for beta, steps, samples or rate that are not above zero.
    Williams 1992, "Simple Statistical Gradient-Following Algorithms for Connectionist
    Reinforcement Learning"; the penalty is that of Stiennon et al. 2020, section 3.4.
    """
    require_beta(beta)
    require_same_shape(reference=reference, rewards=rewards)
    require_distribution(reference=reference)
    require_finite(rewards=rewards)
    if min(steps, samples - 1, rate) <= 0:
        raise ValueError(
            f"steps={steps}, samples={samples}, rate={rate}: steps and rate must be above 0, and "
            "two samples are the least whose mean says anything."
        )
    generator = torch.Generator().manual_seed(seed)
    logits = reference.log().clone().requires_grad_()
    optimizer = torch.optim.SGD([logits], lr=rate)
    policies = [reference]
    for _ in range(steps):
        log_policy = logits.log_softmax(0)
        policy = log_policy.detach().exp()
        drawn = policy.multinomial(samples, replacement=True, generator=generator)
        gain = rewards[drawn] - beta * (log_policy.detach() - reference.log())[drawn]
        advantage = gain - gain.mean()
        optimizer.zero_grad()
        (-(advantage * log_policy[drawn]).mean()).backward()
        optimizer.step()
        policies.append(logits.detach().softmax(0))
    return torch.stack(policies)
