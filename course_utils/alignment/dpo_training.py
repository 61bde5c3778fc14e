"""Tune the upper layers of a language model on preference pairs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from course_utils.alignment.dpo import dpo_loss, implicit_rewards
from course_utils.alignment.pair_scoring import PairScorer, PreparedPair
from course_utils.alignment.validation import require_beta
from course_utils.progress import progress_bar

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor
    from transformers import PreTrainedModel


_MATRICES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class DpoStep(NamedTuple):
    """One step of training: the loss of its pairs in nats, and the mean margin of their rewards."""

    loss: float
    margin: float


def add_top_lora(model: PreTrainedModel, layers: int, *, rank: int = 8, seed: int = 0) -> PeftModel:
    """Freeze the model and add a LoRA adapter to every matrix of its last `layers` blocks.

    The adapter starts as the identity: the policy begins as its own reference.
    Raises ValueError for a number of layers that the model does not have.
    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models".
    """
    from peft import LoraConfig, get_peft_model

    depth = model.config.num_hidden_layers
    if not 1 <= layers <= depth:
        raise ValueError(f"layers={layers}: the model has {depth} blocks, so give 1 to {depth}.")
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks by a name that is going away
        torch.manual_seed(seed)
        return get_peft_model(
            model,
            LoraConfig(
                r=rank,
                lora_alpha=2 * rank,
                target_modules=_MATRICES,
                layers_to_transform=list(range(depth - layers, depth)),
            ),
        )


def train_dpo(
    scorer: PairScorer,
    pairs: Sequence[PreparedPair],
    *,
    beta: float = 0.1,
    epochs: int = 3,
    pairs_per_step: int = 4,
    rate: float = 5e-4,
    seed: int = 0,
) -> list[DpoStep]:
    """Train the scorer's adapter on the pairs by `dpo_loss`; returns what each step measured.

    pairs: from `scorer.prepare`, so that reference and frozen layers are computed once.
    Raises ValueError for no pairs, no trained weight, beta <= 0, and, naming the value, as soon
    as a log-probability is not finite.
    """
    require_beta(beta)
    weights = [weight for weight in scorer.model.parameters() if weight.requires_grad]
    if not pairs or not weights:
        raise ValueError(
            "There is nothing to train: give at least one prepared pair and a model with an "
            "adapter (add_top_lora)."
        )
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
    steps = []
    for _ in progress_bar(range(epochs), description="DPO"):
        order = torch.randperm(len(pairs), generator=generator)
        for batch in order.split(pairs_per_step):
            policy = torch.stack([scorer.log_probabilities(pairs[i]) for i in batch])
            reference = torch.stack([pairs[i].reference for i in batch])
            loss = dpo_loss(*policy.T, *reference.T, beta)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            steps.append(DpoStep(loss.item(), _margin(policy.detach(), reference, beta)))
    return steps


def _margin(policy: Tensor, reference: Tensor, beta: float) -> float:
    chosen, rejected = implicit_rewards(policy, reference, beta).T
    return float((chosen - rejected).mean())
