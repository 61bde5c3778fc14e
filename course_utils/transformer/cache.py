"""The key-value cache: what a decoder need not compute again for the next token."""

from __future__ import annotations

import torch
from torch import nn

from course_utils.transformer.shapes import Heads


class KeyValueCache:
    """Keys and values of the tokens seen so far, per attention layer, before heads are shared."""

    def __init__(self) -> None:
        self._layers: dict[nn.Module, tuple[Heads, Heads]] = {}

    @property
    def length(self) -> int:
        """How many tokens the cache holds."""
        return next((keys.shape[-2] for keys, _ in self._layers.values()), 0)

    @property
    def bytes(self) -> int:
        """The memory that the cache's tensors take."""
        return sum(x.numel() * x.element_size() for pair in self._layers.values() for x in pair)

    def extend(self, layer: nn.Module, keys: Heads, values: Heads) -> tuple[Heads, Heads]:
        """Append to what `layer` has stored, and return all of its keys and values.

        Raises ValueError if the batch is not the one that the cache was begun with.
        """
        if layer in self._layers:
            old_keys, old_values = self._layers[layer]
            if old_keys.shape[0] != keys.shape[0]:
                raise ValueError(
                    f"The cache holds a batch of {old_keys.shape[0]}, the new tokens are a batch "
                    f"of {keys.shape[0]}: begin a new KeyValueCache for another batch."
                )
            keys = torch.cat([old_keys, keys], dim=-2)
            values = torch.cat([old_values, values], dim=-2)
        self._layers[layer] = keys, values
        return keys, values
