"""An encoder-only transformer of the BERT family: MiniLM and its relatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from course_utils.transformer.attention import MultiHeadAttention, padding_mask
from course_utils.transformer.decoder import Trace, check_ids
from course_utils.transformer.layers import MLP, LayerNorm
from course_utils.transformer.shapes import (
    AttentionMask,
    AttentionWeights,
    PaddingMask,
    States,
    TokenIds,
)


@dataclass(frozen=True)
class EncoderConfig:
    """The numbers that give an encoder its shape; `segments` tells texts of a pair apart."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    mlp_width: int
    context: int
    segments: int = 2
    epsilon: float = 1e-12

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> EncoderConfig:
        """Read the fields of a BERT-family `config.json`.

        Raises ValueError for an activation or positions that this encoder has not.
        """
        if config.get("hidden_act", "gelu") != "gelu":
            raise ValueError(f"Activation '{config['hidden_act']}' is not built: use 'gelu'.")
        if config.get("position_embedding_type", "absolute") != "absolute":
            raise ValueError("Only absolute position embeddings are built.")
        return cls(
            vocabulary=config["vocab_size"],
            width=config["hidden_size"],
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            mlp_width=config["intermediate_size"],
            context=config["max_position_embeddings"],
            segments=config.get("type_vocab_size", 2),
            epsilon=config.get("layer_norm_eps", 1e-12),
        )


class PostNormBlock(nn.Module):
    """Attend, add, norm; MLP, add, norm: the order of 2017, which BERT kept."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(config.width, config.heads, bias=True)
        self.attention_norm = LayerNorm(config.width, config.epsilon)
        self.mlp = MLP(config.width, config.mlp_width)
        self.mlp_norm = LayerNorm(config.width, config.epsilon)

    def forward(
        self, x: States, mask: AttentionMask | None = None
    ) -> tuple[States, AttentionWeights]:
        """Return the new states and the attention weights."""
        change, weights = self.attention(x, mask)
        x = self.attention_norm(x + change)
        return self.mlp_norm(x + self.mlp(x)), weights


class Encoder(nn.Module):
    """Token ids in, one vector per token out, each informed by the text on both sides."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.position_embedding = nn.Embedding(config.context, config.width)
        self.segment_embedding = nn.Embedding(config.segments, config.width)
        self.embedding_norm = LayerNorm(config.width, config.epsilon)
        self.blocks = nn.ModuleList(PostNormBlock(config) for _ in range(config.layers))

    def forward(
        self,
        ids: TokenIds,
        attention_mask: PaddingMask | None = None,
        segments: TokenIds | None = None,
        trace: Trace | None = None,
    ) -> States:
        """Read whole texts at once.

        attention_mask: (batch, length), 0 where there is padding.
        segments: (batch, length), 0 for the first text of a pair and 1 for the second.
        Raises ValueError for an empty sequence, unknown ids, or more tokens than the context.
        """
        check_ids(ids, self.config.vocabulary, self.config.context)
        segments = torch.zeros_like(ids) if segments is None else segments
        positions = torch.arange(ids.shape[1], device=ids.device)
        x = self.embedding(ids) + self.position_embedding(positions)
        x = self.embedding_norm(x + self.segment_embedding(segments))
        mask = None if attention_mask is None else padding_mask(attention_mask)
        if trace:
            trace.states.append(x)
        for block in self.blocks:
            x, weights = block(x, mask)
            if trace:
                trace.states.append(x)
                trace.attentions.append(weights)
        return x
