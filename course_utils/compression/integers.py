"""Weights as small integers: round, pack, and undo it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Int8Weight(NamedTuple):
    """Integers from -127 to 127 and the scale that turns them back: weight = integers * scale.

    integers: int8, the weight's shape. scale: float32, of size 1 along every axis but the one
    whose slices have a scale each.
    """

    integers: Tensor
    scale: Tensor


class Int4Weight(NamedTuple):
    """Integers from 0 to 15, two in a byte: weight = lowest + integer * scale, group by group.

    packed: uint8, (out, in / 2). scale, lowest: float32, (out, in / group size).
    """

    packed: Tensor
    scale: Tensor
    lowest: Tensor


def quantize_int8(weight: Tensor, axis: int | None = 0) -> Int8Weight:
    """Round a weight to 255 levels, evenly spaced around zero.

    axis: whose slices have a scale each, as in torch. 0 gives one to each row of a (out, in)
        weight, 1 to each column, None one to the whole weight.
    The scale is the largest absolute value / 127, so no weight moves by more than half a scale. A
    slice of zeros gets the scale 1: it comes back as zeros.
    Raises ValueError for weights that are not finite floating-point numbers.
    Dettmers et al. 2022, "LLM.int8()", section 2.
    """
    weight = _checked(weight)
    others = range(weight.ndim) if axis is None else set(range(weight.ndim)) - {axis % weight.ndim}
    scale = weight.abs().amax(tuple(others), keepdim=True) / 127
    scale = scale.where(scale > 0, 1.0)
    return Int8Weight((weight / scale).round().clamp(-127, 127).to(torch.int8), scale)


def dequantize_int8(integers: Tensor, scale: Tensor) -> Tensor:
    """Return the weight that the integers stand for, in the scale's number format."""
    return integers.to(scale.dtype) * scale


def quantize_int4(weight: Tensor, group_size: int = 32) -> Int4Weight:
    """Round each group of neighbours in a row to 16 levels between its lowest and highest value.

    weight: (out, in). group_size: values that share a scale, a divisor of `in`.
    No weight moves by more than half a scale; a group of equal values stays as it is. The layout
    of GGUF's Q4_1, but for the order of the integers within the bytes.
    Raises ValueError for a group size that does not divide the row, an odd row (two integers
    share a byte), or weights that are not finite floating-point numbers.
    """
    weight = _checked(weight)
    if weight.ndim != 2 or weight.shape[1] % 2:
        raise ValueError(
            f"A weight of shape {tuple(weight.shape)} cannot be packed: give (out, in) with an "
            "even `in`, as two integers share a byte."
        )
    if group_size < 1 or weight.shape[1] % group_size:
        fits = [size for size in (16, 32, 64, 128) if weight.shape[1] % size == 0]
        raise ValueError(
            f"group_size={group_size} does not divide the row length {weight.shape[1]}: give a "
            f"divisor, such as {fits[-1] if fits else weight.shape[1]}."
        )
    groups = weight.unflatten(1, (-1, group_size))
    lowest = groups.amin(-1)
    scale = (groups.amax(-1) - lowest) / 15
    scale = scale.where(scale > 0, 1.0)
    levels = ((groups - lowest[..., None]) / scale[..., None]).round().clamp(0, 15)
    return Int4Weight(pack_int4(levels.to(torch.uint8).flatten(1)), scale, lowest)


def dequantize_int4(packed: Tensor, scale: Tensor, lowest: Tensor) -> Tensor:
    """Return the (out, in) weight that the packed integers stand for, in the scale's format."""
    groups = unpack_int4(packed).unflatten(1, (scale.shape[1], -1)).to(scale.dtype)
    return torch.addcmul(lowest[..., None], groups, scale[..., None]).flatten(1)


def pack_int4(integers: Tensor) -> Tensor:
    """Put neighbours into one byte, the first into its lower half.

    integers: uint8, (..., n) with n even, from 0 to 15. Returns uint8, (..., n / 2).
    Raises ValueError for an odd n or an integer that needs more than four bits.
    """
    if integers.shape[-1] % 2:
        raise ValueError(
            f"{integers.shape[-1]} integers do not fill whole bytes: give an even number."
        )
    if integers.numel() and not 0 <= integers.min() <= integers.max() <= 15:
        raise ValueError(
            f"Integers from {integers.min()} to {integers.max()} do not fit into four bits: "
            "give 0 to 15."
        )
    pairs = integers.to(torch.uint8).unflatten(-1, (-1, 2))
    return pairs[..., 0] | pairs[..., 1] << 4


def unpack_int4(packed: Tensor) -> Tensor:
    """Undo `pack_int4`: uint8 of shape (..., n / 2) to uint8 of shape (..., n)."""
    return torch.stack([packed & 15, packed >> 4], dim=-1).flatten(-2)


def _checked(weight: Tensor) -> Tensor:
    if not weight.is_floating_point():
        raise ValueError(
            f"A weight of type {weight.dtype} is no floating-point weight: it may be quantized "
            "already. Give the original one."
        )
    if not weight.isfinite().all():
        raise ValueError(
            "The weight holds values that are not finite: no scale fits them. Look for the "
            "training step that made them."
        )
    return weight.detach().float()
