"""What a block consists of besides attention: norms and the MLP, and the block itself."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.transformer.attention import MultiHeadAttention
from course_utils.transformer.cache import KeyValueCache
from course_utils.transformer.shapes import AttentionMask, AttentionWeights, States


class RMSNorm(nn.Module):
    """Divide each token's vector by its root mean square, then scale each column.

    Computed in float32. Zhang and Sennrich 2019, "Root Mean Square Layer Normalization".
    """

    def __init__(self, width: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: States) -> States:
        """Return the normed states."""
        wide = x.float()
        normed = wide * (wide.square().mean(dim=-1, keepdim=True) + self.epsilon).rsqrt()
        return self.weight * normed.to(x.dtype)


class LayerNorm(nn.Module):
    """Bring each token's vector to mean 0 and variance 1, then scale and shift each column.

    Ba et al. 2016, "Layer Normalization".
    """

    def __init__(self, width: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.epsilon = epsilon

    def forward(self, x: States) -> States:
        """Return the normed states."""
        centred = x - x.mean(dim=-1, keepdim=True)
        variance = centred.square().mean(dim=-1, keepdim=True)
        return self.weight * centred * (variance + self.epsilon).rsqrt() + self.bias


class MLP(nn.Module):
    """Widen, bend, narrow: the feed-forward layer of 2017, with any activation."""

    def __init__(
        self, width: int, inner_width: int, activation: Callable[[Tensor], Tensor] = F.gelu
    ) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, inner_width), nn.Linear(inner_width, width)
        self.activation = activation

    def forward(self, x: States) -> States:
        """Treat each token by itself."""
        return self.down(self.activation(self.up(x)))


class GatedMLP(nn.Module):
    """An MLP in which one half decides how much of the other passes (SwiGLU).

    Shazeer 2020, "GLU Variants Improve Transformer".
    """

    def __init__(self, width: int, inner_width: int, bias: bool = False) -> None:
        super().__init__()
        self.gate = nn.Linear(width, inner_width, bias=bias)
        self.up = nn.Linear(width, inner_width, bias=bias)
        self.down = nn.Linear(inner_width, width, bias=bias)

    def forward(self, x: States) -> States:
        """Treat each token by itself."""
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    """Norm, attend, add; norm, attend to the memory, add (where there is one); norm, MLP, add."""

    def __init__(
        self,
        width: int,
        attention: MultiHeadAttention,
        mlp: nn.Module,
        norm: Callable[[int], nn.Module] = LayerNorm,
        cross_attention: MultiHeadAttention | None = None,
    ) -> None:
        super().__init__()
        self.attention_norm, self.attention = norm(width), attention
        self.cross_norm = norm(width) if cross_attention else None
        self.cross_attention = cross_attention
        self.mlp_norm, self.mlp = norm(width), mlp

    def forward(
        self,
        x: States,
        mask: AttentionMask | None = None,
        memory: States | None = None,
        memory_mask: AttentionMask | None = None,
        positions: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> tuple[States, AttentionWeights]:
        """Return the new states, and the weights of cross-attention or else self-attention."""
        change, weights = self.attention(
            self.attention_norm(x), mask, positions=positions, cache=cache
        )
        x = x + change
        if self.cross_attention is not None:
            change, weights = self.cross_attention(self.cross_norm(x), memory_mask, memory)
            x = x + change
        return x + self.mlp(self.mlp_norm(x)), weights
