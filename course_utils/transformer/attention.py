"""Attention: each token gathers from the tokens that it may look at."""

import math

import torch
from torch import Tensor, nn

from course_utils.transformer.cache import KeyValueCache
from course_utils.transformer.positions import rotate
from course_utils.transformer.shapes import (
    AttentionMask,
    AttentionWeights,
    Heads,
    PaddingMask,
    States,
)


def causal_mask(queries: int, keys: int | None = None) -> AttentionMask:
    """Let each token look at itself and at what came before: (queries, keys), True = may look.

    With more keys than queries the queries are the last of them, as when a cache holds the rest.
    """
    keys = queries if keys is None else keys
    return torch.ones(queries, keys, dtype=torch.bool).tril(diagonal=keys - queries)


def padding_mask(attention_mask: PaddingMask) -> AttentionMask:
    """Hide padding from everybody: (batch, keys) of 0 and 1 becomes (batch, 1, 1, keys).

    Raises ValueError if a row is padding only.
    """
    mask = attention_mask.bool()
    if not mask.any(dim=-1).all():
        row = int((~mask.any(dim=-1)).nonzero()[0])
        raise ValueError(
            f"Row {row} of the attention mask is padding only: there is no token to look at. "
            "Leave that text out of the batch, or mark its tokens with 1."
        )
    return mask[:, None, None, :]


def attend(
    queries: Heads,
    keys: Heads,
    values: Heads,
    mask: AttentionMask | None = None,
    scale: float | None = None,
) -> tuple[Heads, AttentionWeights]:
    """Return softmax(q k^T * scale) v, and the softmax's weights.

    queries, keys and values have the same batch, heads and head_width; keys and values the same
    length. scale: 1 / sqrt(head_width) unless given. A query that may look at nothing gathers
    nothing: its weights and its output are 0, as in torch's own function.
    Raises ValueError if the shapes do not fit.
    Vaswani et al. 2017, "Attention Is All You Need", equation 1.
    """
    if queries.shape[-1] != keys.shape[-1]:
        raise ValueError(
            f"Queries have width {queries.shape[-1]} and keys {keys.shape[-1]}: "
            "a dot product needs the same width."
        )
    if keys.shape[-2] != values.shape[-2]:
        raise ValueError(f"There are {keys.shape[-2]} keys but {values.shape[-2]} values.")
    scale = 1 / math.sqrt(queries.shape[-1]) if scale is None else scale
    scores = queries @ keys.transpose(-2, -1) * scale
    if mask is None:
        weights = scores.softmax(dim=-1)
    else:
        hidden = ~mask
        scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)
        weights = scores.softmax(dim=-1).masked_fill(hidden, 0)
    return weights @ values, weights


def share_heads(x: Heads, heads: int) -> Heads:
    """Repeat each key or value head for its group of query heads.

    Of 3 heads for 9, query heads 0 to 2 use the first, 3 to 5 the second, 6 to 8 the third.
    Raises ValueError if the number of key-value heads does not divide `heads`.
    Ainslie et al. 2023, "GQA: Training Generalized Multi-Query Transformer Models".
    """
    check_divides(x.shape[1], heads, "key-value heads", "query heads")
    return x.repeat_interleave(heads // x.shape[1], dim=1)


def check_divides(part: int, whole: int, part_name: str, whole_name: str) -> None:
    """Raise ValueError unless `part` is positive and divides `whole`."""
    if part < 1 or whole % part:
        raise ValueError(
            f"{part} {part_name} do not divide {whole} {whole_name}: "
            f"choose one of {[n for n in range(1, whole + 1) if whole % n == 0]}."
        )


class MultiHeadAttention(nn.Module):
    """Attention in several heads at once, each in its own slice of the width.

    kv_heads: fewer key-value heads than query heads makes it grouped-query attention.
    rope_theta: base of the rotary positions; None for attention that knows no positions.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        kv_heads: int | None = None,
        head_width: int | None = None,
        bias: bool = False,
        rope_theta: float | None = None,
    ) -> None:
        super().__init__()
        kv_heads = heads if kv_heads is None else kv_heads
        if head_width is None:
            check_divides(heads, width, "heads", "columns of width")
            head_width = width // heads
        check_divides(kv_heads, heads, "key-value heads", "query heads")
        self.heads, self.kv_heads, self.rope_theta = heads, kv_heads, rope_theta
        self.scale = 1 / math.sqrt(head_width)
        self.query = nn.Linear(width, heads * head_width, bias=bias)
        self.key = nn.Linear(width, kv_heads * head_width, bias=bias)
        self.value = nn.Linear(width, kv_heads * head_width, bias=bias)
        self.output = nn.Linear(heads * head_width, width, bias=bias)

    def forward(
        self,
        x: States,
        mask: AttentionMask | None = None,
        memory: States | None = None,
        positions: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> tuple[States, AttentionWeights]:
        """Let `x` look at itself, or at `memory` where it is given (cross-attention).

        positions: (length,) or (batch, length), needed with rotary positions.
        cache: keys and values of the tokens before `x`; those of `x` are added to it.
        """
        source = x if memory is None else memory
        queries = split_heads(self.query(x), self.heads)
        keys = split_heads(self.key(source), self.kv_heads)
        values = split_heads(self.value(source), self.kv_heads)
        if self.rope_theta is not None:
            queries = rotate(queries, positions, self.rope_theta)
            keys = rotate(keys, positions, self.rope_theta)
        if cache is not None:
            keys, values = cache.extend(self, keys, values)
        keys, values = share_heads(keys, self.heads), share_heads(values, self.heads)
        gathered, weights = attend(queries, keys, values, mask, self.scale)
        return self.output(join_heads(gathered)), weights


def split_heads(x: States, heads: int) -> Heads:
    """Cut the width into heads: (batch, length, width) to (batch, heads, length, head_width)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def join_heads(x: Heads) -> States:
    """Put the heads side by side again: the inverse of `split_heads`."""
    return x.transpose(1, 2).flatten(-2)
