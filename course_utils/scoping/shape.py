"""The sizes that a decoder is made of, and how many parameters they come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from transformers import PretrainedConfig

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")


@dataclass(frozen=True)
class DecoderShape:
    """The sizes of a dense decoder with gated MLPs and RMSNorm, such as Llama's.

    heads, kv_heads: query heads, and the key-value heads that they share (grouped-query
        attention where there are fewer). head_dim: values in one head.
    tied: whether the output layer uses the embedding matrix instead of one of its own.
    qkv_bias, output_bias, mlp_bias: which projections add a bias. qk_norm: a norm on each head's
        queries and keys (Qwen 3).
    context_window: the most tokens that the model was built for.
    """

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool
    context_window: int
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False

    @classmethod
    def of(cls, config: PretrainedConfig | DecoderShape) -> DecoderShape:
        """Read the sizes from a `transformers` configuration; a shape is returned as it is.

        Raises ValueError for an architecture that is built otherwise.
        """
        if isinstance(config, cls):
            return config
        family = getattr(config, "model_type", type(config).__name__)
        if family not in FAMILIES:
            raise ValueError(
                f"{family!r} is not built as this calculator counts: it knows dense decoders "
                f"({', '.join(FAMILIES)}). Load the model and ask model.num_parameters()."
            )
        attention_bias = bool(getattr(config, "attention_bias", False))
        return cls(
            layers=config.num_hidden_layers,
            hidden=config.hidden_size,
            intermediate=config.intermediate_size,
            heads=config.num_attention_heads,
            kv_heads=getattr(config, "num_key_value_heads", None) or config.num_attention_heads,
            head_dim=getattr(config, "head_dim", None)
            or config.hidden_size // config.num_attention_heads,
            vocabulary=config.vocab_size,
            tied=bool(config.tie_word_embeddings),
            context_window=config.max_position_embeddings,
            qkv_bias=attention_bias or family == "qwen2",
            output_bias=attention_bias,
            mlp_bias=bool(getattr(config, "mlp_bias", False)),
            qk_norm=family == "qwen3",
        )

    @property
    def projections(self) -> dict[str, tuple[int, int, bool]]:
        """The linear layers of one block: name to (values in, values out, adds a bias)."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "q_proj": (self.hidden, queries, self.qkv_bias),
            "k_proj": (self.hidden, keys, self.qkv_bias),
            "v_proj": (self.hidden, keys, self.qkv_bias),
            "o_proj": (queries, self.hidden, self.output_bias),
            "gate_proj": (self.hidden, self.intermediate, self.mlp_bias),
            "up_proj": (self.hidden, self.intermediate, self.mlp_bias),
            "down_proj": (self.intermediate, self.hidden, self.mlp_bias),
        }

    @property
    def embedding_parameters(self) -> int:
        """Of the embedding matrix, and of the output layer unless it is the same matrix."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def block_parameters(self) -> int:
        """Of one block: its projections and its norms."""
        norms = 2 * self.hidden + (2 * self.head_dim if self.qk_norm else 0)
        return norms + sum(
            inward * outward + (outward if bias else 0)
            for inward, outward, bias in self.projections.values()
        )

    @property
    def parameters(self) -> int:
        """Of the whole model: embeddings, blocks, and the norm after the last block."""
        return self.embedding_parameters + self.layers * self.block_parameters + self.hidden


def count_parameters(config: PretrainedConfig | DecoderShape) -> int:
    """Count a dense decoder's parameters from its configuration; tied embeddings count once.

    Raises ValueError for an architecture that is built otherwise.
    """
    return DecoderShape.of(config).parameters


def lora_parameters(
    config: PretrainedConfig | DecoderShape,
    rank: int,
    targets: Iterable[str],
    layers: int | None = None,
) -> int:
    """Count what LoRA trains: for each target in each block, A (rank x in) and B (out x rank).

    targets: names of projections, such as ("q_proj", "v_proj"). layers: how many blocks are
        adapted; all of them if None.
    Raises ValueError for a rank below 1, a projection or a number of layers that there is not.
    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1.
    """
    shape = DecoderShape.of(config)
    if rank < 1:
        raise ValueError(f"rank={rank} trains nothing: give a whole number from 1 on, such as 8.")
    targets = (targets,) if isinstance(targets, str) else tuple(targets)
    unknown = [name for name in targets if name not in shape.projections]
    if unknown or not targets:
        raise ValueError(
            f"targets={targets!r}: name one or more of {', '.join(shape.projections)}."
        )
    adapted = shape.layers if layers is None else layers
    if not 1 <= adapted <= shape.layers:
        raise ValueError(f"layers={layers}: the model has {shape.layers}; adapt 1 to all of them.")
    sizes = [shape.projections[name][:2] for name in targets]
    return adapted * sum(rank * (inward + outward) for inward, outward in sizes)


# Read from each model's published config.json.
PUBLISHED_SHAPES = {
    "SmolLM2-135M": DecoderShape(30, 576, 1536, 9, 3, 64, 49_152, True, 8192),
    "Qwen2.5-0.5B": DecoderShape(24, 896, 4864, 14, 2, 64, 151_936, True, 32_768, qkv_bias=True),
    "Llama-3.2-1B": DecoderShape(16, 2048, 8192, 32, 8, 64, 128_256, True, 131_072),
    "SmolLM2-1.7B": DecoderShape(24, 2048, 8192, 32, 32, 64, 49_152, True, 8192),
    "Llama-3.1-8B": DecoderShape(32, 4096, 14_336, 32, 8, 128, 128_256, False, 131_072),
    "Llama-3.1-70B": DecoderShape(80, 8192, 28_672, 64, 8, 128, 128_256, False, 131_072),
}
