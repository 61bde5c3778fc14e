"""A decoder-only transformer of the Llama family: SmolLM2 and its relatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.transformer.attention import (
    MultiHeadAttention,
    causal_mask,
    check_divides,
    padding_mask,
)
from course_utils.transformer.cache import KeyValueCache
from course_utils.transformer.layers import Block, GatedMLP, RMSNorm
from course_utils.transformer.shapes import (
    AttentionMask,
    AttentionWeights,
    Logits,
    PaddingMask,
    States,
    TokenIds,
)


@dataclass(frozen=True)
class DecoderConfig:
    """The numbers that give a decoder its shape; `tied` heads reuse the embedding."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    mlp_width: int
    context: int
    rope_theta: float = 10_000.0
    epsilon: float = 1e-5
    tied: bool = True
    attention_bias: bool = False
    mlp_bias: bool = False

    def __post_init__(self) -> None:
        check_divides(self.kv_heads, self.heads, "key-value heads", "query heads")

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> DecoderConfig:
        """Read the fields of a Llama-family `config.json`.

        Raises ValueError for rotary positions or an activation that this decoder has not.
        """
        rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        kind = rope.get("rope_type", rope.get("type", "default"))
        if kind != "default":
            raise ValueError(f"Rotary positions of type '{kind}' are not built: use 'default'.")
        if config.get("hidden_act", "silu") != "silu":
            raise ValueError(f"Activation '{config['hidden_act']}' is not built: use 'silu'.")
        heads, width = config["num_attention_heads"], config["hidden_size"]
        return cls(
            vocabulary=config["vocab_size"],
            width=width,
            layers=config["num_hidden_layers"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_width=config.get("head_dim") or width // heads,
            mlp_width=config["intermediate_size"],
            context=config.get("max_position_embeddings", 2048),
            rope_theta=rope.get("rope_theta") or config.get("rope_theta", 10_000.0),
            epsilon=config.get("rms_norm_eps", 1e-6),
            tied=config.get("tie_word_embeddings", False),
            attention_bias=config.get("attention_bias", False),
            mlp_bias=config.get("mlp_bias", False),
        )


@dataclass
class Trace:
    """What a forward pass leaves behind when asked to: pass an empty one to be filled."""

    states: list[States] = field(default_factory=list)
    """The embedding, then the states after each block, before the final norm."""
    attentions: list[AttentionWeights] = field(default_factory=list)
    """The attention weights of each layer."""


class Decoder(nn.Module):
    """Token ids in, a score for every possible next token out."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.causal = True
        norm = partial(RMSNorm, epsilon=config.epsilon)
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.blocks = nn.ModuleList(_block(config, norm) for _ in range(config.layers))
        self.norm = norm(config.width)
        self.head = None if config.tied else nn.Linear(config.width, config.vocabulary, bias=False)

    def forward(
        self,
        ids: TokenIds,
        attention_mask: PaddingMask | None = None,
        cache: KeyValueCache | None = None,
        trace: Trace | None = None,
    ) -> Logits:
        """Score the next token after each of `ids`.

        attention_mask: (batch, cached + length), 0 where there is padding.
        cache: holds the tokens before `ids`, and `ids` afterwards.
        Raises ValueError for an empty sequence, unknown ids, or more tokens than the context.
        """
        past = cache.length if cache else 0
        check_ids(ids, self.config.vocabulary, self.config.context, past)
        positions = torch.arange(past, past + ids.shape[1], device=ids.device)
        mask = self._mask(ids, past, attention_mask)
        x = self.embedding(ids)
        if trace:
            trace.states.append(x)
        for block in self.blocks:
            x, weights = block(x, mask, positions=positions, cache=cache)
            if trace:
                trace.states.append(x)
                trace.attentions.append(weights)
        return self.unembed(x)

    def unembed(self, x: States) -> Logits:
        """Turn states into logits: the final norm, then a dot product with every token."""
        weight = self.embedding.weight if self.head is None else self.head.weight
        return F.linear(self.norm(x), weight)

    def _mask(
        self, ids: TokenIds, past: int, attention_mask: PaddingMask | None
    ) -> AttentionMask | None:
        length = ids.shape[1]
        mask = causal_mask(length, past + length).to(ids.device) if self.causal else None
        if attention_mask is None:
            return mask
        padding = padding_mask(attention_mask)
        return padding if mask is None else mask & padding

    @torch.no_grad()
    def generate(self, ids: TokenIds, max_new_tokens: int, use_cache: bool = True) -> Tensor:
        """Append the most likely token `max_new_tokens` times (greedy decoding)."""
        cache = KeyValueCache() if use_cache else None
        unseen = ids
        for _ in range(max_new_tokens):
            logits = self(unseen if use_cache else ids, cache=cache)
            unseen = logits[:, -1].argmax(dim=-1, keepdim=True)
            ids = torch.cat([ids, unseen], dim=1)
        return ids


def _block(config: DecoderConfig, norm: partial[RMSNorm]) -> Block:
    attention = MultiHeadAttention(
        config.width,
        config.heads,
        config.kv_heads,
        config.head_width,
        bias=config.attention_bias,
        rope_theta=config.rope_theta,
    )
    mlp = GatedMLP(config.width, config.mlp_width, bias=config.mlp_bias)
    return Block(config.width, attention, mlp, norm)


def check_ids(ids: TokenIds, vocabulary: int, context: int, past: int = 0) -> None:
    """Raise ValueError, with the remedy, for token ids that a model cannot read.

    ids: must be (batch, length) integers with at least one token, all below `vocabulary`;
    past + length may not exceed `context`.
    """
    if ids.dim() != 2:
        raise ValueError(
            f"Token ids have shape {tuple(ids.shape)}: give (batch, length), "
            "for one text ids[None]."
        )
    if ids.shape[1] == 0:
        raise ValueError("The sequence is empty: give at least one token.")
    if past + ids.shape[1] > context:
        raise ValueError(
            f"{past + ids.shape[1]} tokens do not fit the context window of {context}: "
            "shorten the text, or drop its beginning."
        )
    if ids.min() < 0 or ids.max() >= vocabulary:
        raise ValueError(
            f"Token id {int(ids.max() if ids.min() >= 0 else ids.min())} is not in the vocabulary "
            f"of {vocabulary}: encode the text with this model's own tokenizer."
        )
