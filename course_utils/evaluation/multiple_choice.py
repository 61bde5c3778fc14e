"""Which of several texts does a model find more probable: multiple choice without generating.

Most benchmarks with answer options are scored so. What the number means depends on three
choices that are seldom printed: whole options or a mean per token, and what is taken off for
options that are probable by themselves.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from course_utils.language_model.completion import Score
from course_utils.language_model.key_value_cache import compute_prefix
from course_utils.language_model.model import LanguageModel
from course_utils.language_model.prompt_tokens import Prompt, batches_by_length, tokenize
from course_utils.progress import progress_bar

# Options x tokens computed at once. A CPU is busy with few, and small batches need little padding.
OPTION_TOKENS_PER_BATCH = {"cpu": 256, "mps": 4_096, "cuda": 32_768}


def score_options(
    model: LanguageModel, prompts: Sequence[Prompt], options: Sequence[Sequence[str]]
) -> list[list[Score]]:
    """Say how probable a model finds each option behind its prompt.

    prompts: n prompts; options: for each of them one text or more.
    Returns n lists of `Score`s, as `LanguageModel.score` gives them. Here each prompt is read
    once, however many options it has, and an option that it has twice is scored once.
    Raises ValueError for no prompts, lists that differ in length, a prompt without options or
    an empty option; CourseError for a pair over the context window.
    """
    _check_options(prompts, options)
    if model.is_encoder_decoder:  # its encoder keeps no cache that options could share
        return [
            model.score([prompt] * len(texts), texts)
            for prompt, texts in zip(prompts, options, strict=True)
        ]
    return [
        _score_behind(model, prompt, texts)
        for prompt, texts in progress_bar(
            list(zip(prompts, options, strict=True)), description="Scoring options"
        )
    ]


def fact_options(rows: Sequence[Mapping[str, Any]]) -> tuple[list[list[str]], list[int]]:
    """Give each dialogue's facts, then its distractors, and how many of them are facts.

    Raises ValueError for no rows, or rows without facts and distractors.
    """
    rows = list(rows)
    if not rows:
        raise ValueError("There are no dialogues: give one at least.")
    for number, row in enumerate(rows):
        if not row.get("facts") or not row.get("distractors"):
            raise ValueError(
                f"Dialogue {number} has no facts or no distractors: only the course's own "
                "dialogues have both, load_dialogues('course'). DialogSum has neither."
            )
    return [[*row["facts"], *row["distractors"]] for row in rows], [len(r["facts"]) for r in rows]


def win_rates(values: Sequence[Sequence[float]], right: Sequence[int]) -> np.ndarray:
    """Say how often a right option beats a wrong one.

    values: for each of n questions, one number per option, the right options first;
    right: how many of them are right.
    Returns (n,): of all pairs of a right and a wrong option, the percentage in which the right
    one has the higher value, ties counting half. Guessing gives 50, whatever the number of
    options.
    Raises ValueError for lists that differ in length, or a question without a right or a wrong
    option.
    """
    if len(values) != len(right):
        raise ValueError(f"{len(values)} lists of values but {len(right)} counts: give one each.")
    rates = []
    for number, (row, count) in enumerate(zip(values, right, strict=True)):
        if not 0 < count < len(row):
            raise ValueError(
                f"Question {number} has {len(row)} options of which {count} are right: "
                "one right and one wrong option are needed at least."
            )
        gaps = np.subtract.outer(np.asarray(row[:count], float), np.asarray(row[count:], float))
        rates.append(100 * np.mean((gaps > 0) + 0.5 * (gaps == 0)))
    return np.array(rates)


def _score_behind(model: LanguageModel, prompt: Prompt, texts: Sequence[str]) -> list[Score]:
    """Score the distinct options behind one prompt, in batches over the prompt's one cache."""
    import torch

    distinct = list(dict.fromkeys(texts))
    targets = [model.tokenizer(text, add_special_tokens=False).input_ids for text in distinct]
    lengths = list(map(len, targets))
    (row,) = tokenize([prompt], model.tokenizer, room=model.context_window, new_tokens=max(lengths))
    if len(row) == 1:  # nothing stands before the token that predicts the option
        return model.score([prompt] * len(texts), texts)
    prefix = compute_prefix(model.model, row[:-1])
    scores: dict[str, Score] = {}
    for batch in batches_by_length(lengths, OPTION_TOKENS_PER_BATCH[model.model.device.type]):
        cache = copy.deepcopy(prefix)
        cache.batch_repeat_interleave(len(batch))
        ids = torch.zeros((len(batch), lengths[batch[0]]), dtype=torch.long)
        for place, number in enumerate(batch):  # what stands behind a row's end is never read
            ids[place, : lengths[number]] = torch.tensor([row[-1], *targets[number][:-1]])
        with torch.inference_mode():
            logits = model.model(ids.to(model.model.device), past_key_values=cache).logits
        for number, row_logits in zip(batch, logits, strict=True):
            needed = row_logits[: lengths[number]].float()
            target = torch.tensor(targets[number], device=needed.device)
            chosen = needed.gather(-1, target[:, None])[:, 0] - needed.logsumexp(-1)
            scores[distinct[number]] = Score(chosen.tolist())
    return [scores[text] for text in texts]


def _check_options(prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> None:
    if len(prompts) != len(options):
        raise ValueError(
            f"{len(prompts)} prompts but options for {len(options)}: give each prompt its own list."
        )
    if not prompts:
        raise ValueError("There are no prompts: give one at least.")
    for number, texts in enumerate(options):
        if isinstance(texts, str) or not texts:
            raise ValueError(f"Prompt {number} has no list of options: give it at least one text.")
        if not all(text.strip() for text in texts):
            raise ValueError(f"Prompt {number} has an empty option: there is nothing to score.")
