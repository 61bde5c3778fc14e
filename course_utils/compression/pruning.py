"""Take out the smallest weights."""

from __future__ import annotations

import copy

import torch

from course_utils.compression.replacing import Model, inner_linears


@torch.no_grad()
def magnitude_prune(model: Model, share: float) -> Model:
    """Return a copy in which the smallest `share` of each inner linear layer's weights is zero.

    share: in [0, 1]; of a layer of n weights, exactly round(share * n) are zero or were before.
    The table of token vectors and the norms stay as they are. Nothing is trained afterwards.
    Raises ValueError for a share outside [0, 1].
    Han et al. 2015, "Learning both Weights and Connections for Efficient Neural Networks",
    section 3.1 (there, with training after each cut).
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share={share} is not a share: give a value in [0, 1], such as 0.3.")
    model = copy.deepcopy(model)
    for linear in inner_linears(model).values():
        flat = linear.weight.view(-1)
        count = round(share * flat.numel())
        flat[flat.abs().float().topk(count, largest=False, sorted=False).indices] = 0
    return model


def zero_share(model: Model) -> float:
    """Return the share of zeros among the weights of the inner linear layers."""
    weights = [linear.weight for linear in inner_linears(model).values()]
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)
