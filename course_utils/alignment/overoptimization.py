"""Push a learned reward and watch the truth: Goodhart's law with every number exact.

The policy copies the first words of a dialogue and stops somewhere. Where it stops is all it
can choose, so its candidates can be listed, scored by the learned reward, and scored by the
truth that the reward stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from course_utils.alignment.policies import kl_divergence
from course_utils.alignment.reward_model import RewardModel
from course_utils.alignment.validation import require_distribution, require_same_shape
from course_utils.metrics import rouge_per_example

LADDER = (5, 10, 20, 40, 80)  # words copied; the last candidate copies everything


@dataclass(frozen=True)
class CandidatePool:
    """The candidates for one dialogue, shortest first.

    reference: (n,), the policy before any optimisation; rewards: (n,), what the learned reward
    gives; truths: (n,), ROUGE-1 against people's summaries; lengths: (n,), in words.
    """

    texts: list[str]
    reference: Tensor
    rewards: Tensor
    truths: Tensor
    lengths: Tensor


def lead_ladder(dialogue: str) -> list[str]:
    """Copy the first 5, 10, 20, 40 and 80 words of a dialogue, then all of it."""
    words = dialogue.split()
    return [" ".join(words[:size]) for size in LADDER if size < len(words)] + [" ".join(words)]


def candidate_pools(
    rows: Sequence[Mapping], model: RewardModel, *, stop: float = 0.5
) -> list[CandidatePool]:
    """List the candidates for each row of `load_dialogues`, with their rewards and truths.

    stop: the chance that the reference policy stops at a rung of the ladder, in (0, 1); it
    begins as a terse one.
    Raises ValueError for a chance outside (0, 1) or a dialogue of five words or fewer.
    """
    if not 0 < stop < 1:
        raise ValueError(f"stop={stop} is not a chance in (0, 1): give one, such as 0.5.")
    pools = []
    for row in rows:
        texts = lead_ladder(row["dialogue"])
        if len(texts) < 2:
            raise ValueError(
                f"{row['id']} has {LADDER[0]} words or fewer: there is nothing to choose from."
            )
        scores = rouge_per_example(texts, [row["references"]] * len(texts))["rouge1"]
        chance = (1 - stop) ** torch.arange(len(texts), dtype=torch.float64)
        pools.append(
            CandidatePool(
                texts=texts,
                reference=chance / chance.sum(),
                rewards=model.score([row["dialogue"]] * len(texts), texts).double(),
                truths=torch.tensor(scores),
                lengths=torch.tensor([float(len(text.split())) for text in texts]).double(),
            )
        )
    return pools


def pressure_curve(
    pools: Sequence[CandidatePool],
    optimise: Callable[[Tensor, Tensor, float], Tensor],
    pressures: Sequence[float],
) -> dict[str, np.ndarray]:
    """Optimise every pool at every pressure and take exact expectations.

    optimise: (reference, rewards, pressure) -> policy, such as `best_of_n` with n, or
    `optimal_policy` with beta.
    Returns {"kl", "reward", "truth", "words"}: each (pressures, pools).
    Gao, Schulman and Hilton 2023, "Scaling Laws for Reward Model Overoptimization".
    """
    if not pools or not len(pressures):
        raise ValueError("A curve needs one pool and one pressure at least.")
    table = []
    for pressure in pressures:
        line = []
        for pool in pools:
            policy = optimise(pool.reference, pool.rewards, pressure)
            require_same_shape(policy=policy, reference=pool.reference)
            require_distribution(policy=policy)
            line.append(
                [
                    float(kl_divergence(policy, pool.reference)),
                    *(float(policy @ v) for v in (pool.rewards, pool.truths, pool.lengths)),
                ]
            )
        table.append(line)
    values = np.array(table).transpose(2, 0, 1)
    return dict(zip(("kl", "reward", "truth", "words"), values, strict=True))
