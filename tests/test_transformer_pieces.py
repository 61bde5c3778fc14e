"""Each piece of the transformer equals the library's, over shapes, dtypes and masks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from transformers.models.llama import modeling_llama

from course_utils.transformer.attention import (
    MultiHeadAttention,
    attend,
    causal_mask,
    join_heads,
    padding_mask,
    share_heads,
    split_heads,
)
from course_utils.transformer.cache import KeyValueCache
from course_utils.transformer.layers import MLP, Block, GatedMLP, LayerNorm, RMSNorm
from course_utils.transformer.positions import rotate, sinusoidal_positions

sizes = st.integers(1, 5)
dtypes = st.sampled_from([torch.float32, torch.float64, torch.bfloat16])
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-6, torch.bfloat16: 5e-2}


@given(sizes, sizes, sizes, sizes, sizes, dtypes, st.integers(0, 2**16))
def test_attention_equals_torch_for_any_shape_dtype_and_mask(
    batch, heads, queries, keys, width, dtype, seed
):
    torch.manual_seed(seed)
    q = torch.randn(batch, heads, queries, width, dtype=dtype)
    k, v = torch.randn(2, batch, heads, keys, width, dtype=dtype)
    mask = torch.rand(batch, 1, queries, keys) < 0.7
    output, weights = attend(q, k, v, mask)
    seen = mask.any(-1, keepdim=True).expand_as(output)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(
        output[seen], expected[seen], atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype]
    )
    assert (output[~seen] == 0).all()
    assert (weights[~mask.expand_as(weights)] == 0).all()


@given(sizes, sizes, sizes)
def test_what_comes_later_never_changes_what_came_before(length, width, heads):
    torch.manual_seed(length)
    q, k, v = torch.randn(3, 1, heads, length, width)
    before, _ = attend(q, k, v, causal_mask(length))
    k[..., -1, :] += 10
    v[..., -1, :] -= 10
    after, _ = attend(q, k, v, causal_mask(length))
    assert torch.equal(before[..., :-1, :], after[..., :-1, :])


@given(sizes, st.integers(1, 4), st.sampled_from([2, 4, 8, 64]), st.integers(0, 5000))
def test_rotary_positions_equal_the_llama_implementation(length, heads, width, start):
    config = modeling_llama.LlamaConfig(
        hidden_size=width * heads,
        num_attention_heads=heads,
        rope_parameters={"rope_type": "default", "rope_theta": 1e5},
    )
    q, k = torch.randn(2, 1, heads, length, width)
    positions = torch.arange(start, start + length)
    cosine, sine = modeling_llama.LlamaRotaryEmbedding(config)(q, positions[None])
    expected = modeling_llama.apply_rotary_pos_emb(q, k, cosine, sine)
    for x, theirs in zip((q, k), expected, strict=True):
        torch.testing.assert_close(rotate(x, positions, 1e5), theirs, atol=1e-4, rtol=1e-4)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 400))
def test_a_rotated_dot_product_depends_on_the_distance_only(p, q, shift):
    query, key = torch.randn(2, 1, 1, 1, 16, generator=torch.Generator().manual_seed(0))

    def product(a, b):
        return (rotate(query, torch.tensor([a])) * rotate(key, torch.tensor([b]))).sum()

    torch.testing.assert_close(product(p, q), product(p + shift, q + shift), atol=1e-3, rtol=0)


def test_sinusoidal_positions_follow_the_formula():
    table = sinusoidal_positions(4, 6)
    assert table.shape == (4, 6)
    assert table[0].tolist() == [0, 1, 0, 1, 0, 1]
    torch.testing.assert_close(table[3, 2], torch.tensor(3 / 10_000 ** (2 / 6)).sin())


@given(sizes, sizes, st.floats(0.1, 100), dtypes)
def test_the_norms_equal_the_library(batch, length, size, dtype):
    x = torch.randn(batch, length, 8) * size
    ours, theirs = LayerNorm(8), nn.LayerNorm(8)
    nn.init.normal_(theirs.weight)
    nn.init.normal_(theirs.bias)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-4, rtol=1e-4)
    ours, theirs = RMSNorm(8).to(dtype), modeling_llama.LlamaRMSNorm(8, eps=1e-5).to(dtype)
    nn.init.normal_(theirs.weight)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(x.to(dtype)), theirs(x.to(dtype)))


@pytest.mark.parametrize("bias", [True, False])
def test_the_gated_mlp_equals_the_llama_implementation(bias):
    config = modeling_llama.LlamaConfig(
        hidden_size=8, num_attention_heads=1, intermediate_size=12, mlp_bias=bias
    )
    theirs = modeling_llama.LlamaMLP(config)
    ours = GatedMLP(8, 12, bias=bias)
    ours.load_state_dict({k.replace("_proj", ""): v for k, v in theirs.state_dict().items()})
    x = torch.randn(2, 3, 8)
    torch.testing.assert_close(ours(x), theirs(x))


def library_attention_weights(theirs):
    query, key, value = theirs.in_proj_weight.chunk(3)
    query_bias, key_bias, value_bias = theirs.in_proj_bias.chunk(3)
    return {
        "query.weight": query,
        "key.weight": key,
        "value.weight": value,
        "query.bias": query_bias,
        "key.bias": key_bias,
        "value.bias": value_bias,
        "output.weight": theirs.out_proj.weight,
        "output.bias": theirs.out_proj.bias,
    }


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 2, 4]))
def test_multi_head_and_cross_attention_equal_the_library(batch, length, others, heads):
    ours = MultiHeadAttention(8, heads, bias=True)
    theirs = nn.MultiheadAttention(8, heads, batch_first=True)
    nn.init.normal_(theirs.in_proj_bias)
    ours.load_state_dict(library_attention_weights(theirs))
    x, memory = torch.randn(batch, length, 8), torch.randn(batch, others, 8)
    for source in (None, memory):
        output, weights = ours(x, memory=source)
        keys = x if source is None else source
        expected = theirs(x, keys, keys, average_attn_weights=False)
        torch.testing.assert_close(output, expected[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(weights, expected[1], atol=1e-5, rtol=1e-4)


@given(st.integers(1, 6))
@settings(max_examples=10)
def test_encoder_and_decoder_blocks_equal_torchs_pre_norm_layers(length):
    torch.manual_seed(length)
    x, memory = torch.randn(2, length, 8), torch.randn(2, 3, 8)
    options = {"batch_first": True, "norm_first": True, "dropout": 0.0, "activation": F.gelu}
    encoder = nn.TransformerEncoderLayer(8, 2, 32, **options)
    decoder = nn.TransformerDecoderLayer(8, 2, 32, **options)
    mask = causal_mask(length)
    ours, _ = block_of(encoder)(x)
    torch.testing.assert_close(ours, encoder(x), atol=1e-5, rtol=1e-4)
    ours, _ = block_of(decoder, cross=True)(x, mask, memory)
    expected = decoder(x, memory, tgt_mask=~mask)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


def block_of(layer, cross=False):
    attention = MultiHeadAttention(8, 2, bias=True)
    attention.load_state_dict(library_attention_weights(layer.self_attn))
    crossing = MultiHeadAttention(8, 2, bias=True) if cross else None
    block = Block(8, attention, MLP(8, 32), LayerNorm, crossing)
    block.mlp.up, block.mlp.down = layer.linear1, layer.linear2
    norms = [layer.norm1, layer.norm2] + ([layer.norm3] if cross else [])
    block.attention_norm, block.mlp_norm = norms[0], norms[-1]
    if cross:
        crossing.load_state_dict(library_attention_weights(layer.multihead_attn))
        block.cross_norm = norms[1]
    return block


def test_grouped_heads_are_shared_by_neighbours():
    x = torch.arange(3.0).view(1, 3, 1, 1)
    assert share_heads(x, 9).flatten().tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


@given(sizes, sizes, sizes, sizes)
def test_joining_heads_undoes_splitting_them(batch, length, heads, width):
    x = torch.randn(batch, length, heads * width)
    assert torch.equal(join_heads(split_heads(x, heads)), x)


def test_a_query_behind_a_cache_sees_all_that_is_cached():
    assert causal_mask(2, 4).tolist() == [[True, True, True, False], [True] * 4]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MultiHeadAttention(10, 3), "3 heads do not divide 10"),
        (lambda: MultiHeadAttention(12, 6, kv_heads=4), "4 key-value heads do not divide 6"),
        (lambda: MultiHeadAttention(12, 6, kv_heads=0), "0 key-value heads do not divide 6"),
        (lambda: rotate(torch.ones(1, 1, 2, 3), torch.arange(2)), "width of 3 is odd"),
        (lambda: rotate(torch.ones(1, 1, 2, 4), torch.arange(3)), "3 positions for 2 tokens"),
        (lambda: sinusoidal_positions(2, 5), "width of 5 is odd"),
        (lambda: padding_mask(torch.tensor([[1, 1], [0, 0]])), "Row 1 .* padding only"),
        (
            lambda: attend(torch.ones(1, 1, 2, 4), *torch.ones(2, 1, 1, 2, 3)),
            "Queries have width 4 and keys 3",
        ),
        (
            lambda: attend(*torch.ones(2, 1, 1, 2, 4), torch.ones(1, 1, 3, 4)),
            "2 keys but 3 values",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused_in_words(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_cache_refuses_another_batch():
    cache, layer = KeyValueCache(), nn.Identity()
    cache.extend(layer, *torch.ones(2, 2, 1, 3, 4))
    with pytest.raises(ValueError, match=r"batch of 2.*batch of 1"):
        cache.extend(layer, *torch.ones(2, 1, 1, 3, 4))
    assert cache.length == 3
    assert cache.bytes == 2 * 2 * 3 * 4 * 4
