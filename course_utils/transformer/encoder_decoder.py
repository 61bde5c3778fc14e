"""The encoder-decoder of 2017, in the pre-norm order: one stack reads, the other writes."""

import torch
from torch import Tensor, nn

from course_utils.transformer.attention import MultiHeadAttention, causal_mask, padding_mask
from course_utils.transformer.decoder import Trace, check_ids
from course_utils.transformer.layers import MLP, Block, LayerNorm
from course_utils.transformer.positions import sinusoidal_positions
from course_utils.transformer.shapes import Logits, PaddingMask, States, TokenIds


class EncoderDecoder(nn.Module):
    """Read a source in both directions, then write a target that looks back at the source.

    One vocabulary for both sides; sinusoidal positions; the head is tied to the embedding.
    """

    def __init__(
        self, vocabulary: int, width: int, heads: int, layers: int, context: int = 512
    ) -> None:
        super().__init__()
        self.vocabulary, self.context = vocabulary, context
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.register_buffer("positions", sinusoidal_positions(context, width), persistent=False)
        self.encoder = nn.ModuleList(_block(width, heads) for _ in range(layers))
        self.encoder_norm = LayerNorm(width)
        self.decoder = nn.ModuleList(_block(width, heads, cross=True) for _ in range(layers))
        self.decoder_norm = LayerNorm(width)

    def embed(self, ids: TokenIds) -> States:
        """Scale the embeddings to the size of the positions, and add the positions."""
        check_ids(ids, self.vocabulary, self.context)
        scale = self.embedding.embedding_dim**0.5
        return self.embedding(ids) * scale + self.positions[: ids.shape[1]]

    def encode(self, source: TokenIds, source_mask: PaddingMask | None = None) -> States:
        """Read the source: every token sees every token."""
        mask = None if source_mask is None else padding_mask(source_mask)
        x = self.embed(source)
        for block in self.encoder:
            x, _ = block(x, mask)
        return self.encoder_norm(x)

    def decode(
        self,
        target: TokenIds,
        memory: States,
        source_mask: PaddingMask | None = None,
        trace: Trace | None = None,
    ) -> Logits:
        """Score the token after each of `target`: it sees what came before, and the memory.

        trace: receives the weights of cross-attention, (batch, heads, target, source) a layer.
        """
        x = self.embed(target)
        mask = causal_mask(target.shape[1]).to(target.device)
        memory_mask = None if source_mask is None else padding_mask(source_mask)
        for block in self.decoder:
            x, weights = block(x, mask, memory, memory_mask)
            if trace:
                trace.states.append(x)
                trace.attentions.append(weights)
        return self.decoder_norm(x) @ self.embedding.weight.T

    def forward(
        self, source: TokenIds, target: TokenIds, source_mask: PaddingMask | None = None
    ) -> Logits:
        """Score the token after each of `target`, given `source`."""
        return self.decode(target, self.encode(source, source_mask), source_mask)

    @torch.no_grad()
    def generate(self, source: TokenIds, start: int, max_new_tokens: int) -> Tensor:
        """Write greedily after a first token `start`; the source is read once."""
        memory = self.encode(source)
        target = torch.full((source.shape[0], 1), start, device=source.device)
        for _ in range(max_new_tokens):
            best = self.decode(target, memory)[:, -1].argmax(dim=-1, keepdim=True)
            target = torch.cat([target, best], dim=1)
        return target


def _block(width: int, heads: int, cross: bool = False) -> Block:
    return Block(
        width,
        MultiHeadAttention(width, heads, bias=True),
        MLP(width, 4 * width),
        LayerNorm,
        MultiHeadAttention(width, heads, bias=True) if cross else None,
    )
