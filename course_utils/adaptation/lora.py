"""LoRA by hand: a frozen weight plus a product of two thin trainable ones."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

import torch
from torch import Tensor, nn


class LoRALinear(nn.Module):
    """A frozen linear layer plus a low-rank update: y = x W^T + (alpha / rank) x A^T B^T.

    linear: (out, in) weights, frozen here. A: (rank, in), drawn as `nn.Linear` draws its own.
    B: (out, rank), zero, so that training starts from the model as it was.
    A and B are float32 whatever the frozen weight's format, as their small updates would be rounded
    away in bfloat16; only their products with x are computed in its format, which is cheaper.
    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1.
    Raises ValueError for a rank below 1 or above the smaller side of the weight.
    """

    def __init__(self, linear: nn.Linear, rank: int = 8, alpha: float = 16) -> None:
        super().__init__()
        out_features, in_features = linear.weight.shape
        if not 1 <= rank <= min(out_features, in_features):
            raise ValueError(
                f"rank={rank} does not fit a weight of {out_features} x {in_features}: give 1 to "
                f"{min(out_features, in_features)}."
            )
        self.linear = linear.requires_grad_(False)
        self.scale = alpha / rank
        device = linear.weight.device
        self.A = nn.Parameter(torch.empty(rank, in_features, device=device))
        self.B = nn.Parameter(torch.zeros(out_features, rank, device=device))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (..., in) to (..., out), in the format of the frozen layer."""
        down, up = self.A.to(x.dtype), (self.scale * self.B).to(x.dtype)
        return self.linear(x) + (x @ down.T) @ up.T

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Return one plain linear layer that computes the same: W + (alpha / rank) B A."""
        update = self.scale * self.B @ self.A
        self.linear.weight += update.to(self.linear.weight.dtype)
        return self.linear


def add_lora(
    model: nn.Module,
    *,
    targets: Collection[str] = ("q_proj", "v_proj"),
    layers: Collection[int] | None = None,
    rank: int = 8,
    alpha: float = 16,
) -> list[LoRALinear]:
    """Freeze the model and put a LoRALinear in place of the named linear layers.

    targets: last part of a module's name; layers: numbers of the decoder layers, None for all.
    Returns the new modules, in the model's order.
    Raises ValueError when nothing is called so.
    """
    model.requires_grad_(False)
    added = []
    for parent, name, linear in list(_linears(model, targets, layers)):
        adapted = LoRALinear(linear, rank, alpha)
        setattr(parent, name, adapted)
        added.append(adapted)
    if not added:
        names = sorted(
            {n.rsplit(".", 1)[-1] for n, m in model.named_modules() if isinstance(m, nn.Linear)}
        )
        raise ValueError(
            f"No linear layer is called {sorted(targets)} in layers "
            f"{'all' if layers is None else sorted(layers)}: the model has {', '.join(names)}."
        )
    return added


def merge_lora(model: nn.Module) -> None:
    """Replace every LoRALinear by one plain layer: the adapted model at the old cost."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, LoRALinear):
                setattr(module, name, child.merged())


def _linears(
    model: nn.Module, targets: Collection[str], layers: Collection[int] | None
) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    for path, module in model.named_modules():
        for name, child in module.named_children():
            if not isinstance(child, nn.Linear) or name not in targets:
                continue
            numbers = [int(part) for part in path.split(".") if part.isdigit()]
            if layers is None or (numbers and numbers[0] in layers):
                yield module, name, child
