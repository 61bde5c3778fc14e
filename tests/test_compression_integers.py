"""Weights in eight and in four bits: by hand, as the libraries round and multiply them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from course_utils.compression import (
    Int4KernelLinear,
    Int4Linear,
    Int8Linear,
    dequantize_int4,
    dequantize_int8,
    pack_int4,
    quantize_int4,
    quantize_int8,
    unpack_int4,
    weight_bytes,
)

HAS_INT4_PRODUCT = hasattr(torch, "_weight_int4pack_mm_for_cpu")


def linear_like(weight):
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.weight.data = weight
    return linear


# int8


def test_int8_by_hand():
    integers, scale = quantize_int8(torch.tensor([[1.27, -0.5, 0.004], [-12.7, 0.1, 0.0]]))
    assert integers.tolist() == [[127, -50, 0], [-127, 1, 0]]
    assert scale[:, 0].tolist() == pytest.approx([0.01, 0.1])


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_no_int8_weight_moves_by_more_than_half_a_step(draw, axis):
    weight = torch.randn(24, 40, generator=draw) * torch.logspace(-6, 3, 24)[:, None]
    integers, scale = quantize_int8(weight, axis)
    assert integers.dtype == torch.int8
    assert integers.abs().max() == 127
    assert scale.numel() == {0: 24, 1: 40, -1: 40, None: 1}[axis]
    moved = (dequantize_int8(integers, scale) - weight).abs()
    assert (moved <= scale * 0.5 * (1 + 1e-5)).all()


@pytest.mark.parametrize("axis", [0, 1, None])
def test_rows_of_zeros_stay_zero(axis):
    weight = torch.zeros(3, 4)
    if axis is not None:
        weight[0, 0] = 5.0
    integers, scale = quantize_int8(weight, axis)
    assert (scale > 0).all()
    assert torch.equal(dequantize_int8(integers, scale), weight)


def test_a_scale_for_each_row_protects_the_rows_without_outliers(draw):
    weight = torch.randn(8, 64, generator=draw)
    weight[0, 0] = 500.0
    per_row, whole = (
        (dequantize_int8(*quantize_int8(weight, axis)) - weight)[1:].abs().mean()
        for axis in (0, None)
    )
    assert whole > 30 * per_row


@pytest.mark.parametrize("axis", [0, 1])
def test_int8_rounds_as_torchs_own_quantizer_does(draw, axis):
    weight = torch.randn(24, 40, generator=draw)
    integers, scale = quantize_int8(weight, axis)
    steps, zeros = scale.flatten(), torch.zeros(scale.numel(), dtype=torch.int32)
    theirs = torch.fake_quantize_per_channel_affine(weight, steps, zeros, axis, -127, 127)
    assert torch.allclose(dequantize_int8(integers, scale), theirs, atol=1e-6)


def test_an_int8_layer_is_the_product_of_integers_with_both_scales(draw):
    linear = nn.Linear(48, 16)
    x = torch.randn(2, 5, 48, generator=draw)
    x[0, 0] = 0  # a token of zeros has no scale of its own
    layer = Int8Linear(linear)
    integers, scale = quantize_int8(linear.weight)
    rounded, x_scale = quantize_int8(x.reshape(10, 48))
    expected = (rounded.double() @ integers.double().T) * x_scale * scale.T + linear.bias
    assert torch.allclose(layer(x), expected.float().reshape(2, 5, 16), atol=1e-5)
    assert (layer(x) - linear(x)).abs().max() < 0.05


def test_an_int8_layer_with_float_inputs_equals_its_dequantized_product(draw):
    linear = nn.Linear(48, 16)
    x = torch.randn(3, 48, generator=draw)
    layer = Int8Linear(linear, round_inputs=False)
    weight = dequantize_int8(*quantize_int8(linear.weight))
    assert torch.allclose(layer(x), F.linear(x, weight, linear.bias), atol=1e-5)


def test_outliers_apart_leave_the_scale_to_the_other_features(draw):
    linear = nn.Linear(48, 16)
    x = torch.randn(2, 5, 48, generator=draw)
    x[1, 2, 7], x[0, 4, 30] = 900.0, -2000.0
    errors = {
        name: (Int8Linear(linear, outliers=limit)(x) - linear(x)).abs()
        for name, limit in {"all rounded": math.inf, "apart": 6.0, "no such outlier": 1e9}.items()
    }
    assert torch.equal(errors["all rounded"], errors["no such outlier"])
    spoiled = errors["all rounded"][1, 2].mean()
    assert spoiled > 3 * errors["apart"][0, 0].mean() > 0
    weights = dequantize_int8(*quantize_int8(linear.weight))
    kept = x.clone()
    kept[..., [7, 30]] = 0
    exact = x[..., [7, 30]] @ weights[:, [7, 30]].T
    rounded = Int8Linear(linear)(kept)
    assert torch.allclose(Int8Linear(linear, outliers=6.0)(x), rounded + exact, atol=1e-3)


# int4


def test_int4_by_hand():
    weight = torch.tensor([[-1.0, 0.0, 0.5, 14.0]])  # 16 levels, one apart, from -1
    packed, scale, lowest = quantize_int4(weight, group_size=4)
    assert (scale.item(), lowest.item()) == (1.0, -1.0)
    assert packed.tolist() == [[0 + 16 * 1, 2 + 16 * 15]]  # 0.5 is 1.5 levels up: to the even one
    assert dequantize_int4(packed, scale, lowest).tolist() == [[-1.0, 0.0, 1.0, 14.0]]


@given(st.lists(st.integers(0, 15), max_size=40).filter(lambda values: len(values) % 2 == 0))
@settings(deadline=None)
def test_packing_loses_nothing_and_takes_half_a_byte_each(values):
    integers = torch.tensor(values, dtype=torch.uint8)
    packed = pack_int4(integers)
    assert packed.dtype == torch.uint8
    assert packed.numel() * packed.element_size() == len(values) / 2
    assert unpack_int4(packed).tolist() == values


@pytest.mark.parametrize("group_size", [2, 8, 32, 96])
def test_no_int4_weight_moves_by_more_than_half_a_step_of_its_group(draw, group_size):
    weight = torch.randn(12, 96, generator=draw) + 3 * torch.randn(12, 1, generator=draw)
    packed, scale, lowest = quantize_int4(weight, group_size)
    assert packed.shape == (12, 48)
    assert scale.shape == lowest.shape == (12, 96 // group_size)
    moved = (dequantize_int4(packed, scale, lowest) - weight).abs().unflatten(1, (-1, group_size))
    assert (moved <= scale[..., None] * 0.5 * (1 + 1e-4)).all()


def test_groups_of_equal_values_and_of_zeros_come_back_as_they_were():
    weight = torch.tensor([[0.0] * 4 + [3.5] * 4 + [-2.0] * 4])
    assert torch.equal(dequantize_int4(*quantize_int4(weight, 4)), weight)


def test_weights_that_stand_on_the_grid_already_come_back_exactly(draw):
    levels = torch.randint(0, 16, (6, 2, 32), generator=draw)
    levels[..., 0], levels[..., 1] = 0, 15
    scale, lowest = torch.rand(6, 2, 1, generator=draw) + 0.1, torch.randn(6, 2, 1, generator=draw)
    weight = (lowest.half().float() + levels * scale.half().float()).flatten(1)
    layer = Int4Linear(linear_like(weight), group_size=32)
    assert torch.allclose(layer.weight(), weight, atol=1e-6)
    assert not torch.allclose(Int4Linear(linear_like(weight), 64).weight(), weight, atol=1e-2)


def test_an_outlier_spoils_its_group_only(draw):
    weight = torch.randn(1, 128, generator=draw)
    weight[0, 5] = 100.0
    moved = {
        size: (dequantize_int4(*quantize_int4(weight, size)) - weight)[0, 32:].abs().mean()
        for size in (32, 128)
    }
    assert moved[128] > 5 * moved[32]


def test_our_int4_is_the_layout_of_gguf_q4_1(draw):
    gguf = pytest.importorskip("gguf")
    kind = gguf.GGMLQuantizationType.Q4_1
    weight = torch.randn(16, 64, generator=draw)
    theirs = gguf.quants.quantize(weight.numpy(), kind)
    layer = Int4Linear(linear_like(weight), group_size=32)
    assert theirs.nbytes == weight_bytes(layer)
    # A level may differ where a weight falls between two: by one, in a weight in a thousand.
    difference = np.abs(gguf.quants.dequantize(theirs, kind) - layer.weight().numpy())
    assert (difference < 1e-3).mean() > 0.99
    assert difference.max() <= layer.scale.float().max() * 1.01


@pytest.mark.parametrize("bias", [True, False])
def test_an_int4_layer_equals_its_dequantized_product(draw, bias):
    linear = nn.Linear(64, 32, bias=bias)
    x = torch.randn(2, 3, 64, generator=draw)
    layer = Int4Linear(linear, group_size=16)
    assert torch.allclose(layer(x), F.linear(x, layer.weight(), linear.bias), atol=1e-6)
    assert (layer.weight() - linear.weight).abs().max() <= 0.51 * layer.scale.max()


@pytest.mark.skipif(not HAS_INT4_PRODUCT, reason="this torch has no int4 product for CPUs")
@pytest.mark.parametrize("rows", [1, 7])
def test_the_librarys_int4_product_equals_ours(draw, rows):
    linear = nn.Linear(64, 32)
    x = torch.randn(rows, 64, generator=draw)
    ours, theirs = Int4Linear(linear)(x), Int4KernelLinear(linear)(x)
    assert theirs.dtype == torch.float32
    assert (ours - theirs).abs().max() < 0.03 * ours.abs().max()  # theirs computes in bfloat16
