"""Dialogues and summaries as tokens, with labels only where the model is to learn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from course_utils.errors import CourseError
from course_utils.prompts import PromptTemplate

IGNORED = -100  # the label that torch's cross-entropy leaves out


@dataclass(frozen=True)
class Example:
    """What the model reads, and what it shall write after it, as token ids."""

    prompt: list[int]
    answer: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


def tokenize_examples(
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Mapping],
    template: PromptTemplate,
    *,
    context_window: int | None = None,
) -> list[Example]:
    """Tokenize rows of `load_dialogues`: the chat prompt, then the first reference.

    The answer ends with the end-of-turn token: a model that never learns it never stops.
    Raises ValueError for an empty list and CourseError for an example over the context window.
    """
    if not rows:
        raise ValueError("There is nothing to learn from: the split is empty. Give some rows.")
    examples = []
    for number, row in enumerate(rows):
        prompt = tokenizer.apply_chat_template(
            template.chat(row["dialogue"]), add_generation_prompt=True, return_dict=False
        )
        answer = tokenizer.encode(row["references"][0], add_special_tokens=False)
        example = Example(prompt, [*answer, tokenizer.eos_token_id])
        if context_window and len(example) > context_window:
            raise CourseError(
                f"Row {number} ({row.get('id', 'without an id')}) has {len(example):,} tokens, more "
                f"than the context window of {context_window:,}: leave it out or shorten it."
            )
        examples.append(example)
    return examples


def mask_labels(examples: Sequence[Example]) -> Tensor:
    """Return the labels of a batch: the answer's tokens, and IGNORED for prompt and padding.

    Returns (rows, longest), padded on the right. The mask comes from the lengths and never from
    comparing ids with the padding token: where padding *is* the end-of-turn token, as here, that
    would hide the one label that teaches the model to stop.
    """
    labels = torch.full((len(examples), max(map(len, examples))), IGNORED)
    for row, example in enumerate(examples):
        labels[row, len(example.prompt) : len(example)] = torch.tensor(example.answer)
    return labels


def pad_right(sequences: Sequence[Tensor], value: float = 0) -> Tensor:
    """Stack sequences of unequal lengths: (rows, longest, ...), filled up on the right.

    Training needs no attention mask then: under the causal mask no token sees what follows it.
    """
    return torch.nn.utils.rnn.pad_sequence(list(sequences), batch_first=True, padding_value=value)


def batches(lengths: Sequence[int], size: int, seed: int) -> Iterator[list[int]]:
    """Yield row numbers in batches of rows of similar length, in random order.

    Rows are shuffled, sorted by length within pools of eight batches, cut, and the batches are
    shuffled: little padding, and no two epochs (seeds) with the same batches.
    Raises ValueError for a size below 1.
    """
    if size < 1:
        raise ValueError(f"A batch of {size} rows is not possible: give at least 1.")
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(lengths), generator=generator).tolist()
    cut = []
    for start in range(0, len(order), 8 * size):
        pool = sorted(order[start : start + 8 * size], key=lambda row: lengths[row])
        cut += [pool[at : at + size] for at in range(0, len(pool), size)]
    for batch in torch.randperm(len(cut), generator=generator).tolist():
        yield cut[batch]
