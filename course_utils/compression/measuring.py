"""Count what a model costs: bytes, tokens a second, passes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def weight_bytes(model: nn.Module) -> int:
    """Return the bytes that the parameters and buffers take; a shared one counts once."""
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))


@dataclass(frozen=True)
class Speed:
    """Tokens a second, over all rows of the batch.

    reading: of a prompt, all its tokens in one pass. writing: one token of each row in a pass.
    """

    reading: float
    writing: float

    def seconds(self, prompt_tokens: int, new_tokens: int) -> float:
        """Return the time for one completion in a batch of one."""
        return prompt_tokens / self.reading + new_tokens / self.writing


@torch.inference_mode()
def measure_speed(
    model: PreTrainedModel, *, rows: int = 1, prompt_tokens: int = 64, new_tokens: int = 8
) -> Speed:
    """Time a decoder-only model reading random prompts and writing greedily after them.

    The first pass, over a few tokens, is not counted. The prompt is read twice, each new token is
    one pass, and the fastest pass of either kind counts: a machine that does other things only
    ever adds time. Ends of sequence are ignored.
    """
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(model.config.vocab_size, (rows, prompt_tokens), generator=draw)
    ids = ids.to(model.device)
    model(ids[:, :4])
    reading, writing = [], []
    for _ in range(2):
        output, seconds = _timed(model, input_ids=ids, use_cache=True, logits_to_keep=1)
        reading.append(seconds)
    for _ in range(new_tokens):
        token, cache = output.logits[:, -1:].argmax(-1), output.past_key_values
        output, seconds = _timed(model, input_ids=token, past_key_values=cache, use_cache=True)
        writing.append(seconds)
    return Speed(rows * prompt_tokens / min(reading), rows / min(writing))


def _timed(model: PreTrainedModel, **inputs: Tensor):
    began = time.perf_counter()
    output = model(**inputs)
    output.logits[0, -1, 0].item()  # waits for a device that computes on its own
    return output, time.perf_counter() - began


@contextmanager
def count_passes(model: nn.Module) -> Iterator[list[int]]:
    """Count the model's forward passes inside the `with` block.

    Yields a list to which each pass appends the number of tokens that it read, in all rows.
    """
    passes: list[int] = []

    def note(module: nn.Module, args: tuple, kwargs: dict) -> None:
        ids = kwargs["input_ids"] if "input_ids" in kwargs else args[0]
        passes.append(ids.numel())

    hook = model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield passes
    finally:
        hook.remove()
