"""Take a part out of a trained decoder, and measure what it was for."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.transformer.attention import MultiHeadAttention
from course_utils.transformer.decoder import Decoder
from course_utils.transformer.shapes import States, TokenIds


class Nothing(nn.Module):
    """A part that adds nothing to the stream."""

    def forward(self, x: States) -> States:
        """Return zeros of the same shape."""
        return torch.zeros_like(x)


@contextmanager
def replaced(parts: Sequence[object], attribute: str, value: object) -> Iterator[None]:
    """Set `attribute` of each of `parts` to `value`, and put the old values back at the end."""
    before = [getattr(part, attribute) for part in parts]
    try:
        for part in parts:
            setattr(part, attribute, value)
        yield
    finally:
        for part, old in zip(parts, before, strict=True):
            setattr(part, attribute, old)


def without_rotary_positions(decoder: Decoder) -> AbstractContextManager[None]:
    """Let attention know nothing of the order of the tokens, save for the causal mask."""
    return replaced(_attentions(decoder), "rope_theta", None)


def without_scaling(decoder: Decoder) -> AbstractContextManager[None]:
    """Leave the dot products as large as they come: no division by sqrt(head_width)."""
    return replaced(_attentions(decoder), "scale", 1.0)


def without_causal_mask(decoder: Decoder) -> AbstractContextManager[None]:
    """Let every token see the tokens after it, which it never did in training."""
    return replaced([decoder], "causal", False)


def without_mlp(decoder: Decoder, layer: int) -> AbstractContextManager[None]:
    """Take the MLP out of one block."""
    return replaced([decoder.blocks[layer]], "mlp", Nothing())


def _attentions(decoder: Decoder) -> list[MultiHeadAttention]:
    return [block.attention for block in decoder.blocks]


ABLATIONS: dict[str, Callable[[Decoder], AbstractContextManager[None]]] = {
    "everything in place": lambda decoder: nullcontext(),
    "no causal mask": without_causal_mask,
    "no rotary positions": without_rotary_positions,
    "no division by sqrt(d)": without_scaling,
    "no MLP in the first block": lambda decoder: without_mlp(decoder, 0),
}


@torch.no_grad()
def next_token_losses(decoder: Decoder, ids: TokenIds) -> Annotated[Tensor, "batch length-1"]:
    """Return the surprise at each next token, -ln p, in nats.

    Raises ValueError for fewer than two tokens: there is no next token to predict.
    """
    if ids.shape[1] < 2:
        raise ValueError("There is no next token to predict: give at least two tokens.")
    logits = decoder(ids)[:, :-1]
    return F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")


@torch.no_grad()
def prefix_losses(decoder: Decoder, ids: TokenIds, stride: int = 1) -> Tensor:
    """Return the surprise at every `stride`-th next token, given only the tokens before it.

    ids: (1, length). Returns ceil((length - 1) / stride) losses in nats. With the causal mask in
    place they equal those of `next_token_losses` at a far higher cost; without it, that function's
    one pass would let the model see the answer.
    Raises ValueError for fewer than two tokens.
    """
    if ids.shape[1] < 2:
        raise ValueError("There is no next token to predict: give at least two tokens.")
    ends = range(1, ids.shape[1], stride)
    logits = torch.cat([decoder(ids[:, :end])[:, -1] for end in ends])
    return F.cross_entropy(logits, ids[0, 1::stride], reduction="none")


def measure_ablations(
    decoder: Decoder, passages: Sequence[TokenIds], stride: int = 1
) -> dict[str, list[float]]:
    """Return the mean loss in nats per token of each passage, for each entry of ABLATIONS.

    passages: each (1, length). Without the causal mask every `stride`-th token is predicted, each
    from a text that ends before it, so that no model sees the answer. The decoder is as it was when this returns.
    """
    losses = {}
    for name, ablation in ABLATIONS.items():
        with ablation(decoder):
            measure = next_token_losses if decoder.causal else partial(prefix_losses, stride=stride)
            losses[name] = [float(measure(decoder, ids).mean()) for ids in passages]
    return losses
