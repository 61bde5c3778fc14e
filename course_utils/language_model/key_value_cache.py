"""A key-value cache that neither grows by copying nor computes a shared prefix twice."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import Cache, DynamicLayer


class PreallocatedLayer(DynamicLayer):
    """One layer's keys and values in a buffer of full size, seen through a growing window.

    The library's DynamicLayer concatenates at every token, which copies the whole cache; its
    StaticLayer attends over the unused end as well.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity

    def update(self, keys: Tensor, values: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        """Append keys and values of shape (batch, heads, new, width); return all so far."""
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
            batch, heads, _, width = keys.shape
            self.key_buffer = keys.new_empty(batch, heads, self.capacity, width)
            self.value_buffer = values.new_empty(batch, heads, self.capacity, values.shape[-1])
            self.filled = 0
        end = self.filled + keys.shape[-2]
        self.key_buffer[:, :, self.filled : end] = keys
        self.value_buffer[:, :, self.filled : end] = values
        self.filled = end
        self.keys, self.values = self.key_buffer[:, :, :end], self.value_buffer[:, :, :end]
        return self.keys, self.values


def preallocated_cache(layers: int, capacity: int, rows: int, prefix: DynamicCache | None) -> Cache:
    """Return a cache for `rows` rows of up to `capacity` tokens, begun with a computed prefix."""
    cache = Cache(layers=[PreallocatedLayer(capacity) for _ in range(layers)])
    if prefix is not None:
        for layer, computed in zip(cache.layers, prefix.layers, strict=True):
            layer.update(
                computed.keys.expand(rows, -1, -1, -1), computed.values.expand(rows, -1, -1, -1)
            )
    return cache


@torch.inference_mode()
def compute_prefix(model, ids: list[int]) -> DynamicCache:
    """Run a prefix through the model once, as a batch of one."""
    cache = DynamicCache(config=model.config)
    model(torch.tensor([ids], device=model.device), past_key_values=cache, logits_to_keep=1)
    return cache
