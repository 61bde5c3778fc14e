"""Compute once what training cannot change: the layers below the first trainable one.

With adapters on the last ten of thirty layers, the first twenty give the same hidden states in
every epoch, and no gradient flows through them. So they are run once, without gradients; their
outputs are kept, and training begins above them.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from course_utils.adaptation.examples import Example, pad_right
from course_utils.progress import progress_bar

ROWS_AT_ONCE = 8


def first_trainable_layer(model: nn.Module) -> int:
    """Return the number of the lowest decoder layer that training changes.

    0 if the embeddings train too, or if the decoder is not a plain stack of `layers`; the number
    of layers if none of them trains.
    """
    decoder = _decoder(model)
    if decoder is None or any(w.requires_grad for w in decoder.embed_tokens.parameters()):
        return 0
    trains = [any(w.requires_grad for w in layer.parameters()) for layer in decoder.layers]
    return trains.index(True) if True in trains else len(trains)


def split_at(model: nn.Module, cut: int) -> tuple[nn.Module, nn.Module]:
    """Return the decoder's layers below `cut`, and those from `cut` on with the final norm.

    Both parts share the model's modules; nothing is copied and the model itself is unchanged.
    Raises ValueError for a model that is not a plain stack of layers.
    """
    decoder = _decoder(model)
    if decoder is None:
        raise ValueError(
            f"{type(model).__name__} does not keep a plain stack of decoder layers in "
            "`model.layers`: it can only be trained whole."
        )
    below = _slice(decoder, slice(0, cut), keep_norm=False)
    return below, _slice(decoder, slice(cut, None), keep_norm=True)


class SplitDecoder:
    """A decoder cut at a layer: the part below runs once, the part above runs every step.

    cut: number of the first layer above; as a rule `first_trainable_layer(model)`.
    Raises ValueError for a model that is not a plain stack of layers.
    """

    def __init__(self, model: nn.Module, cut: int) -> None:
        self.cut = cut
        self._head = model.get_output_embeddings()
        self._below, self._above = split_at(model, cut)
        self._embed = self._below.embed_tokens

    @torch.no_grad()
    def prepare(self, examples: Sequence[Example]) -> list[Tensor]:
        """Return each example's input to layer `cut`: (tokens, width), in the model's format."""
        states: dict[int, Tensor] = {}
        by_length = sorted(range(len(examples)), key=lambda row: len(examples[row]))
        with progress_bar(total=len(examples), description="Frozen layers, once") as bar:
            for start in range(0, len(by_length), ROWS_AT_ONCE):
                rows = by_length[start : start + ROWS_AT_ONCE]
                computed = self._read([examples[row] for row in rows])
                for row, state in zip(rows, computed, strict=True):
                    states[row] = state[: len(examples[row])].clone()
                bar.update(len(rows))
        return [states[row] for row in range(len(examples))]

    def logits(self, states: Sequence[Tensor], labelled: Tensor) -> Tensor:
        """Return the logits at the labelled places alone: (labels, vocabulary), float32.

        states: what `prepare` gave; labelled: (rows, longest), true where the *next*
        token has a label. The vocabulary is the widest matrix of the model: at one place in ten
        it costs a tenth.
        """
        output = self._above(inputs_embeds=pad_right(states), use_cache=False).last_hidden_state
        return self._head(output[labelled]).float()

    def _read(self, examples: Sequence[Example]) -> Tensor:
        ids = pad_right([torch.tensor(e.prompt + e.answer) for e in examples]).to(
            self._embed.weight.device
        )
        if self.cut == 0:
            return self._embed(ids)
        return self._below(input_ids=ids, use_cache=False).last_hidden_state


class WholeModel:
    """The same interface for a model that trains from its embeddings on: nothing is kept."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    def prepare(self, examples: Sequence[Example]) -> list[Tensor]:
        """Return each example's token ids: (tokens,)."""
        return [torch.tensor(e.prompt + e.answer, device=self._model.device) for e in examples]

    def logits(self, states: Sequence[Tensor], labelled: Tensor) -> Tensor:
        """Return the logits at the labelled places alone: (labels, vocabulary), float32."""
        decoder, head = self._model.get_decoder(), self._model.get_output_embeddings()
        output = decoder(input_ids=pad_right(states), use_cache=False).last_hidden_state
        return head(output[labelled]).float()


def reader_of(model: nn.Module) -> SplitDecoder | WholeModel:
    """Return the cheapest way to train this model: as little as possible in every step."""
    cut = first_trainable_layer(model)
    return SplitDecoder(model, cut) if cut else WholeModel(model)


def _decoder(model: nn.Module) -> nn.Module | None:
    """Return the stack of decoder layers of a Llama-like model, else None."""
    decoder = getattr(model, "model", None)
    parts = ("embed_tokens", "layers", "norm", "rotary_emb")
    return decoder if all(hasattr(decoder, part) for part in parts) else None


def _slice(decoder: nn.Module, layers: slice, *, keep_norm: bool) -> nn.Module:
    part = copy.copy(decoder)
    part._modules = dict(decoder._modules)  # a shallow copy would share the table of children
    part.layers = decoder.layers[layers]
    part.config = copy.copy(decoder.config)
    part.config.num_hidden_layers = len(part.layers)
    if not keep_norm:
        part.norm = nn.Identity()
    return part
