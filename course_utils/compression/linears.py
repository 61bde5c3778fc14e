"""Linear layers that keep their weights as integers, and the embedding that shares one."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.compression.integers import (
    dequantize_int4,
    quantize_int4,
    quantize_int8,
    unpack_int4,
)

KERNEL_GROUPS = (32, 64, 128, 256)


class Int8Linear(nn.Module):
    """A linear layer with int8 weights, one scale for each output.

    round_inputs: also round each token's input to int8, with a scale of its own, and multiply
        integers by integers ("W8A8"). Otherwise the weights are turned back into floats at every
        call: smaller, and slower than the layer it stands for ("W8A16").
    outliers: input features that exceed this in any token are multiplied as floats, so that they
        do not set the scale for the others; infinity rounds everything.
    Dettmers et al. 2022, "LLM.int8()", sections 2.1 (vector-wise quantization) and 3
    (mixed-precision decomposition, with 6 as the threshold).
    """

    def __init__(
        self, linear: nn.Linear, *, round_inputs: bool = True, outliers: float = math.inf
    ) -> None:
        super().__init__()
        integers, scale = quantize_int8(linear.weight, axis=0)
        self.register_buffer("integers", integers)
        self.register_buffer("scale", scale[:, 0])
        self.bias = linear.bias
        self.dtype = linear.weight.dtype
        self.round_inputs = round_inputs
        self.outliers = outliers

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        if not self.round_inputs:
            product = F.linear(x, self.integers.to(x.dtype)) * self.scale.to(x.dtype)
        else:
            product = self._round_and_multiply(x.reshape(-1, x.shape[-1]).float())
            product = product.to(x.dtype).reshape(*x.shape[:-1], -1)
        return product if self.bias is None else product + self.bias

    def _round_and_multiply(self, tokens: Tensor) -> Tensor:
        """Map (tokens, in) to (tokens, out), in float32."""
        apart = None
        if self.outliers < math.inf:
            large = (tokens.abs().amax(0) > self.outliers).nonzero()[:, 0]
            if len(large):
                apart = tokens[:, large] @ self.integers[:, large].float().T
                tokens = tokens.index_fill(1, large, 0)
        scale = tokens.abs().amax(-1, keepdim=True).clamp(min=1e-12) / 127
        rounded = (tokens / scale).round().to(torch.int8)
        product = multiply_integers(rounded, self.integers.T) * scale
        return (product if apart is None else product + apart) * self.scale

    def extra_repr(self) -> str:
        """Say the sizes, as nn.Linear does."""
        outputs, inputs = self.integers.shape
        return f"in_features={inputs}, out_features={outputs}, round_inputs={self.round_inputs}"


def multiply_integers(a: Tensor, b: Tensor) -> Tensor:
    """Return the exact product of int8 matrices, (n, k) by (k, m), as int32 or float32.

    torch keeps its int8 product private (`torch._int_mm`), and has it for CPUs with oneDNN and for
    CUDA, there for more than 16 rows and sizes that are multiples of 8; elsewhere the integers are
    multiplied as floats.
    """
    if a.device.type == "cuda" and all(size % 8 == 0 for size in b.shape):
        return torch._int_mm(F.pad(a, (0, 0, 0, max(0, 17 - len(a)))), b)[: len(a)]
    if a.device.type == "cpu" and torch.backends.mkldnn.is_available():
        return torch._int_mm(a, b)
    return a.float() @ b.float()


class Int8Embedding(nn.Module):
    """Token vectors out of the int8 weight of a model's head, which stays shared with it."""

    def __init__(self, head: Int8Linear) -> None:
        super().__init__()
        self.head = head

    def forward(self, ids: Tensor) -> Tensor:
        """Map token ids (...) to vectors (..., width)."""
        vectors = self.head.integers[ids] * self.head.scale[ids][..., None]
        return vectors.to(self.head.dtype)


class Int4Linear(nn.Module):
    """A linear layer with packed int4 weights, turned back into floats at every call.

    group_size: neighbours in a row that share a scale and a lowest value, each kept in 16 bits:
        4 + 32 / group_size bits for a weight.
    """

    def __init__(self, linear: nn.Linear, group_size: int = 32) -> None:
        super().__init__()
        packed, scale, lowest = quantize_int4(linear.weight, group_size)
        self.register_buffer("packed", packed)
        self.register_buffer("scale", scale.half())
        self.register_buffer("lowest", lowest.half())
        self.bias = linear.bias
        self.group_size = group_size

    def weight(self) -> Tensor:
        """Return the weight that this layer computes with: float32, (out, in)."""
        return dequantize_int4(self.packed, self.scale.float(), self.lowest.float())

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        return F.linear(x, self.weight().to(x.dtype), self.bias)

    def extra_repr(self) -> str:
        """Say the sizes, as nn.Linear does."""
        outputs, half = self.packed.shape
        return f"in_features={2 * half}, out_features={outputs}, group_size={self.group_size}"


class Int4KernelLinear(nn.Module):
    """The numbers of `Int4Linear`, multiplied by torch's own int4 product for CPUs.

    It unpacks in registers as it multiplies, in bfloat16: fast for few tokens, slow for many.
    torch keeps it private (`torch._weight_int4pack_mm_for_cpu`) and arranges the bytes its own way.
    Raises ValueError on another device, or for sizes that the product does not take.
    """

    def __init__(self, linear: nn.Linear, group_size: int = 32) -> None:
        super().__init__()
        device, outputs = linear.weight.device.type, linear.out_features
        if device != "cpu":
            raise ValueError(f"This int4 product is for CPUs, not {device}: use Int4Linear.")
        if group_size not in KERNEL_GROUPS or outputs % 16:
            raise ValueError(
                f"group_size={group_size} and {outputs} outputs do not suit the int4 product: give "
                f"one of {KERNEL_GROUPS} and a multiple of 16 outputs, or use Int4Linear."
            )
        packed, scale, lowest = quantize_int4(linear.weight, group_size)
        levels = unpack_int4(packed).int()
        self.register_buffer("packed", torch._convert_weight_to_int4pack_for_cpu(levels, 1))
        # The product counts levels from the middle: weight = middle + (integer - 8) * scale.
        affine = torch.stack([scale.T, (lowest + 8 * scale).T], dim=-1)
        self.register_buffer("affine", affine.bfloat16().contiguous())
        self.bias = linear.bias
        self.group_size = group_size

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        tokens = x.reshape(-1, x.shape[-1]).bfloat16()
        product = torch._weight_int4pack_mm_for_cpu(
            tokens, self.packed, self.group_size, self.affine
        )
        product = product.to(x.dtype).reshape(*x.shape[:-1], -1)
        return product if self.bias is None else product + self.bias
