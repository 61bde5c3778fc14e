"""Two ways to tell a transformer where a token stands."""

from typing import Annotated

import torch
from torch import Tensor

from course_utils.transformer.shapes import Heads


def sinusoidal_positions(length: int, width: int) -> Annotated[Tensor, "length width"]:
    """Give each position its own pattern of sines and cosines, to be added to the embedding.

    Column 2i is sin(p / 10000^(2i/width)) and column 2i + 1 its cosine.
    Raises ValueError if `width` is odd.
    Vaswani et al. 2017, "Attention Is All You Need", section 3.5.
    """
    _check_even(width)
    angles = _angles(torch.arange(length), width, theta=10_000.0)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def rotate(x: Heads, positions: Tensor, theta: float = 10_000.0) -> Heads:
    """Turn each pair of coordinates of a query or key by an angle that grows with its position.

    x: (batch, heads, length, head_width). positions: (length,) or (batch, length).
    Coordinate i is paired with i + head_width / 2 ("half-split", as Llama checkpoints store it);
    pair i turns by position * theta^(-2i / head_width) radians. A query and a key turned this way
    have a dot product that depends on how far apart they stand, not on where.
    Raises ValueError if head_width is odd or there are not as many positions as tokens.
    Su et al. 2021, "RoFormer", section 3.2.
    """
    _check_even(x.shape[-1])
    if positions.shape[-1] != x.shape[-2]:
        raise ValueError(
            f"There are {positions.shape[-1]} positions for {x.shape[-2]} tokens: give one each."
        )
    angles = _angles(positions, x.shape[-1], theta)
    if positions.dim() == 2:
        angles = angles.unsqueeze(1)  # the same for every head
    cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


def _angles(positions: Tensor, width: int, theta: float) -> Tensor:
    """Return (..., length, width / 2) angles in radians, in float32 whatever the model's dtype."""
    exponents = torch.arange(0, width, 2, device=positions.device).float() / width
    return positions.float().unsqueeze(-1) * (1 / theta**exponents)


def _check_even(width: int) -> None:
    if width % 2:
        raise ValueError(f"A width of {width} is odd: coordinates turn in pairs, so make it even.")
