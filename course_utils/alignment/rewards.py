"""From scores to preferences: the model behind reward learning, in two formulas."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn.functional import logsigmoid

from course_utils.alignment.validation import require_finite, require_same_shape


def preference_probability(first: Tensor, second: Tensor) -> Tensor:
    """Give the probability that the first answer is preferred to the second.

    first, second: their rewards, of the same shape. P = sigmoid(first - second), so
    P(a over b) + P(b over a) = 1, and a constant added to all rewards changes nothing.
    Bradley and Terry 1952, "Rank Analysis of Incomplete Block Designs".
    """
    require_same_shape(first=first, second=second)
    return (first - second).sigmoid()


def bradley_terry_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Give the mean negative log-probability of the preferences under Bradley and Terry's model.

    chosen, rejected: (pairs,), the rewards of the preferred and of the other answer.
    Returns a scalar in nats: ln 2 where the rewards are equal, towards 0 as the chosen win.
    Raises ValueError for no pairs, shapes that differ, or a reward that is not finite.
    Christiano et al. 2017, "Deep Reinforcement Learning from Human Preferences", section 2.2.3;
    Stiennon et al. 2020, "Learning to summarize from human feedback", section 3.4.
    """
    require_same_shape(chosen=chosen, rejected=rejected)
    require_finite(chosen=chosen, rejected=rejected)
    return -logsigmoid(chosen - rejected).mean()


def pair_accuracy(chosen: Tensor, rejected: Tensor) -> np.ndarray:
    """Say for each pair whether the chosen answer has the higher score: 100, 0, or 50 for a tie.

    chosen, rejected: (pairs,). Returns (pairs,) in percent, ready for `bootstrap_interval`.
    """
    require_same_shape(chosen=chosen, rejected=rejected)
    require_finite(chosen=chosen, rejected=rejected)
    margin = (chosen - rejected).detach().float().cpu().numpy()
    return 50.0 * (1 + np.sign(margin))
