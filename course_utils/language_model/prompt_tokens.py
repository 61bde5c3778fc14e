"""From prompts to token ids, and from many prompts to few batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from course_utils.errors import CourseError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

Chat = list[dict[str, str]]
Prompt = str | Chat


def render(prompt: Prompt, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the text that the model reads.

    A string stays as it is. A chat (a list of {"role": ..., "content": ...}) goes through the
    tokenizer's chat template and ends where the assistant's turn begins; a model without a
    template, such as FLAN-T5, reads the contents joined by blank lines.
    """
    if isinstance(prompt, str):
        return prompt
    if tokenizer.chat_template is None:
        return "\n\n".join(message["content"] for message in prompt)
    return tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)


def tokenize(
    prompts: Sequence[Prompt],
    tokenizer: PreTrainedTokenizerBase,
    *,
    room: int | None,
    new_tokens: int,
) -> list[list[int]]:
    """Return each prompt's token ids; nothing is ever truncated.

    room: the model's context window in tokens, None where it has no limit.
    Raises CourseError for an empty prompt or one that leaves no room for `new_tokens`.
    """
    if isinstance(prompts, str) or (prompts and isinstance(prompts[0], dict)):
        raise ValueError("Give a list of prompts: [prompt], also for a single string or chat.")
    ids = []
    for number, prompt in enumerate(prompts):
        text = render(prompt, tokenizer)
        # A chat template writes the special tokens itself; a plain string gets the tokenizer's.
        special = isinstance(prompt, str) or tokenizer.chat_template is None
        row = tokenizer(text, add_special_tokens=special, verbose=False).input_ids
        if not text.strip() or not row:
            raise CourseError(f"Prompt {number} is empty: there is nothing to complete.")
        if room is not None and len(row) + new_tokens > room:
            raise CourseError(
                f"Prompt {number} has {len(row):,} tokens; with {new_tokens} new tokens that is "
                f"more than the context window of {room:,} tokens: shorten it "
                "(course_utils.prompts.fit_budget drops shots) or lower max_new_tokens."
            )
        ids.append(row)
    return ids


def shared_prefix_length(rows: Sequence[Sequence[int]]) -> int:
    """Count the tokens with which all rows begin, leaving each row at least one of its own."""
    first, last = min(rows), max(rows)
    length = 0
    while length < min(len(first), len(last)) and first[length] == last[length]:
        length += 1
    return min(length, min(map(len, rows)) - 1)


def batches_by_length(lengths: Sequence[int], tokens_per_batch: int) -> Iterator[list[int]]:
    """Group row numbers so that rows of like length share a batch, longest first.

    tokens_per_batch: bound on rows x longest row, so that padding and memory stay small. The
    longest rows come first: if memory does not suffice, that shows at once.
    """
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > tokens_per_batch:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


@dataclass(frozen=True)
class PaddedBatch:
    """Token ids and attention mask, both (rows, length); mask 0 marks padding."""

    ids: Tensor
    mask: Tensor


def pad_left(
    rows: Sequence[Sequence[int]], pad_id: int, *, prefix: int = 0, device=None
) -> PaddedBatch:
    """Pad on the left, so that every row ends at the last column and the next token follows it.

    prefix: number of tokens that all rows share; they stay in the first columns and the padding
        comes behind them, so that one cached computation of the prefix serves every row.
    """
    import torch

    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad_id)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for number, row in enumerate(rows):
        start = width - len(row) + prefix
        for columns, tokens in (
            (slice(0, prefix), row[:prefix]),
            (slice(start, None), row[prefix:]),
        ):
            ids[number, columns] = torch.tensor(tokens, dtype=torch.long)
            mask[number, columns] = 1
    return PaddedBatch(ids.to(device), mask.to(device))
