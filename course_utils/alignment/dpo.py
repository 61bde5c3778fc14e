"""Direct preference optimization: the reward model is the policy itself."""

from __future__ import annotations

from torch import Tensor

from course_utils.alignment.rewards import bradley_terry_loss
from course_utils.alignment.validation import require_beta, require_finite, require_same_shape


def implicit_rewards(policy_logp: Tensor, reference_logp: Tensor, beta: float) -> Tensor:
    """Give the reward that would make this policy the optimal one, up to a constant.

    policy_logp, reference_logp: (n,), the log-probability of each whole answer, in nats.
    Returns (n,): beta (ln policy - ln reference). The constant depends on the prompt alone and
    cancels between two answers to it.
    Rafailov et al. 2023, "Direct Preference Optimization: Your Language Model is Secretly a
    Reward Model", equation 5.
    """
    require_beta(beta)
    require_same_shape(policy_logp=policy_logp, reference_logp=reference_logp)
    return beta * (policy_logp - reference_logp)


def dpo_loss(
    policy_chosen_logp: Tensor,
    policy_rejected_logp: Tensor,
    reference_chosen_logp: Tensor,
    reference_rejected_logp: Tensor,
    beta: float = 0.1,
) -> Tensor:
    """Give Bradley and Terry's loss of the implicit rewards, averaged over the pairs.

    Each argument: (pairs,), the log-probability of a whole answer given its prompt: the sum over
    the answer's tokens, end of turn included, prompt excluded.
    Returns a scalar in nats: ln 2 while the policy is the reference, less once it prefers the
    chosen answers more than the reference does.
    Raises ValueError for no pairs, shapes that differ, a value that is not finite, or beta <= 0.
    Rafailov et al. 2023, equation 7.
    """
    logps = {
        "policy_chosen_logp": policy_chosen_logp,
        "policy_rejected_logp": policy_rejected_logp,
        "reference_chosen_logp": reference_chosen_logp,
        "reference_rejected_logp": reference_rejected_logp,
    }
    require_same_shape(**logps)
    require_finite(**logps)
    chosen = implicit_rewards(policy_chosen_logp, reference_chosen_logp, beta)
    rejected = implicit_rewards(policy_rejected_logp, reference_rejected_logp, beta)
    return bradley_terry_loss(chosen, rejected)
