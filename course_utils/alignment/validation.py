"""What every function of this package refuses, said once."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def require_same_shape(**values: Tensor) -> None:
    """Raise ValueError unless the named tensors have one shape with at least one element."""
    shapes = {name: tuple(value.shape) for name, value in values.items()}
    if len(set(shapes.values())) > 1:
        described = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"Shapes differ: {described}. Give one value for each pair in each.")
    if next(iter(values.values())).numel() == 0:
        raise ValueError("There are no pairs: give at least one.")


def require_finite(**values: Tensor) -> None:
    """Raise ValueError naming the first tensor with a NaN or an infinite value."""
    for name, value in values.items():
        if not torch.isfinite(value).all():
            raise ValueError(
                f"{name} holds a value that is not finite: look for an overflow, a logarithm of "
                "zero, or a learning rate that is too high."
            )


def require_beta(beta: float) -> None:
    """Raise ValueError unless beta, the price of leaving the reference, is above zero."""
    if not (math.isfinite(beta) and beta > 0):
        raise ValueError(
            f"beta={beta} is not possible: give a value above 0, such as 0.1. The larger it is, "
            "the nearer the policy stays to its reference."
        )


def require_distribution(**values: Tensor) -> None:
    """Raise ValueError unless each named tensor is (n,), not negative, and sums to 1."""
    for name, value in values.items():
        if value.ndim != 1 or (value < 0).any() or abs(float(value.sum()) - 1) > 1e-4:
            raise ValueError(
                f"{name} is not a distribution over candidates: give (n,) probabilities that are "
                f"not negative and sum to 1 (shape {tuple(value.shape)}, sum {float(value.sum()):.4g})."
            )
