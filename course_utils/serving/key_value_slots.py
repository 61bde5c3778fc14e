"""A key-value cache whose rows come and go one by one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

COLUMN_STEP = 128  # columns are reserved in steps of this many, so that growing is rare


@dataclass
class Window:
    """Where the tokens of a forward pass belong.

    slots: the rows taking part. positions: (rows, new), the column of each new token.
    columns: how many columns the rows read.
    """

    slots: slice
    positions: Tensor
    columns: int


class SlotLayer(DynamicLayer):
    """One layer's keys and values: (slots, heads, columns, width). Token t of a row is column t.

    Every row starts at column 0 and has its own length, so a row joins or leaves without a move
    of the others. What lies beyond a row's end is hidden by the mask.
    """

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns
        self.window: Window | None = None

    def lazy_initialization(self, keys: Tensor, values: Tensor) -> None:
        # Zeros, not empty memory: a hidden NaN times the weight 0 is still NaN.
        self.keys = keys.new_zeros(self.rows, keys.shape[1], self.columns, keys.shape[3])
        self.values = values.new_zeros(self.rows, values.shape[1], self.columns, values.shape[3])
        self.is_initialized = True

    def update(self, keys: Tensor, values: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        """Write keys and values of shape (rows, heads, new, width); return what the rows read."""
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
        slots, columns = self.window.slots, self.window.columns
        rows = torch.arange(slots.start, slots.stop, device=keys.device)[:, None]
        for stored, new in ((self.keys, keys), (self.values, values)):
            stored[rows, :, self.window.positions] = new.transpose(1, 2)
        return self.keys[slots, :, :columns], self.values[slots, :, :columns]

    def resize(self, rows: int, columns: int) -> None:
        """Take another size and keep what both sizes hold."""
        self.rows, self.columns = rows, columns
        if not self.is_initialized:
            return
        old = self.keys, self.values
        self.lazy_initialization(*old)
        for before, after in zip(old, (self.keys, self.values), strict=True):
            kept = tuple(map(min, before.shape, after.shape))
            after[: kept[0], :, : kept[2]] = before[: kept[0], :, : kept[2]]


class KeyValueSlots:
    """The cache of a model for a changing set of rows, and the forward pass over it.

    max_tokens: bound on slots x columns.
    """

    def __init__(self, model: PreTrainedModel, max_tokens: int) -> None:
        self.model, self.max_tokens = model, max_tokens
        self.release()

    def release(self) -> None:
        """Give all memory back."""
        self.rows = self.columns = 0
        layers = DynamicCache(config=self.model.config).layers
        self._cache = Cache(layers=[SlotLayer(0, 0) for _ in layers])

    def reserve(self, rows: int, columns: int) -> None:
        """Make room for `rows` slots of `columns` tokens, which have to fit into `max_tokens`."""
        if rows <= self.rows and columns <= self.columns:
            return
        stepped = -(-columns // COLUMN_STEP) * COLUMN_STEP
        self.columns = min(stepped, self.max_tokens // rows)
        self.rows = min(1 << (rows - 1).bit_length(), self.max_tokens // self.columns)
        for layer in self._cache.layers:
            layer.resize(self.rows, self.columns)

    def clear(self, slot: int) -> None:
        """Forget what a former row left, which the mask would not hide if it were NaN."""
        for layer in self._cache.layers:
            if layer.is_initialized:
                layer.keys[slot].zero_()
                layer.values[slot].zero_()

    def copy(self, source: int, target: int, tokens: int | None = None) -> None:
        """Copy one slot into another: all of it, or its first tokens."""
        for layer in self._cache.layers:
            for stored in (layer.keys, layer.values):
                stored[target, :, :tokens] = stored[source, :, :tokens]

    def forward(self, first_slot: int, ids: list[list[int]], starts: list[int]) -> Tensor:
        """Run new tokens of the rows from `first_slot` on through the model.

        ids: (rows, new). starts: the column of each row's first new token, which is also its
        position. Returns the logits behind each row's last token: (rows, vocabulary), float32.
        """
        device, new = self.model.device, len(ids[0])
        positions = torch.tensor(starts, device=device)[:, None] + torch.arange(new, device=device)
        columns = max(starts) + new
        # Each token sees its own row up to itself: (rows, 1, new, columns).
        seen = torch.arange(columns, device=device) <= positions[:, None, :, None]
        hidden = torch.finfo(self.model.dtype).min
        mask = torch.zeros(seen.shape, dtype=self.model.dtype, device=device)
        mask.masked_fill_(~seen, hidden)
        window = Window(slice(first_slot, first_slot + len(ids)), positions, columns)
        for layer in self._cache.layers:
            layer.window = window
        output = self.model(
            input_ids=torch.tensor(ids, device=device),
            position_ids=positions,
            attention_mask=mask,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1].float()
