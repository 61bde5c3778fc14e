"""What an adapter gained, measured beside the floor and the ceiling, and its model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from course_utils.adaptation.recipe import LoraRecipe
from course_utils.adaptation.tasks import TASKS, Task
from course_utils.adaptation.training import TrainingRun
from course_utils.baselines import human_ceiling
from course_utils.comparison import bootstrap_interval, paired_difference
from course_utils.metrics import rouge_per_example

if TYPE_CHECKING:
    from course_utils.language_model import LanguageModel

Scores = dict[str, np.ndarray]  # "rouge1", "rouge2", "rougeL" -> (dialogues,)
SUMMARY = TASKS["summary"]


def write_answers(model: LanguageModel, rows: Sequence[Mapping], task: Task = SUMMARY) -> list[str]:
    """Return what the model writes, greedily, about each dialogue with the task's prompt."""
    from transformers import GenerationConfig

    config = GenerationConfig(max_new_tokens=task.longest, do_sample=False)
    written = model.complete([task.template.chat(row["dialogue"]) for row in rows], config)
    return [answer.text.strip() for answer in written]


def baseline_scores(rows: Sequence[Mapping], task: Task = SUMMARY) -> dict[str, Scores]:
    """Score what needs no model: the human ceiling (with several answers) and the task's floor."""
    references = [task.answers(row) for row in rows]
    scores = {}
    if min(map(len, references)) > 1:
        scores["a reference against the others"] = human_ceiling(references)
    for name, method in task.floor.items():
        written = [method(row["dialogue"]) for row in rows]
        scores[name] = rouge_per_example(written, references)
    return scores


def answer_scores(model: LanguageModel, rows: Sequence[Mapping], task: Task = SUMMARY) -> Scores:
    """Score what the model writes, greedily, about each dialogue."""
    return rouge_per_example(write_answers(model, rows, task), [task.answers(row) for row in rows])


def as_table(scores: Mapping[str, Scores]) -> str:
    """Return a Markdown table of means with 95% intervals, one row a system."""
    lines = ["| system | ROUGE-1 | ROUGE-2 | ROUGE-L |", "| --- | --- | --- | --- |"]
    for name, found in scores.items():
        cells = [str(bootstrap_interval(found[kind])) for kind in ("rouge1", "rouge2", "rougeL")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def model_card(
    recipe: LoraRecipe,
    run: TrainingRun,
    measured: Mapping[str, Mapping[str, Scores]],
    *,
    command: str,
    weights: int,
    source: str,
    rows: Mapping[str, Sequence],
) -> str:
    """Return the adapter's card: what it is, how it was made, what it scores, its limits.

    source, rows: the dialogues it was trained on, as `load_dialogues` takes and gives them.
    measured: for each set of dialogues ("course test, 60 dialogues") the systems' scores, with
    "zero-shot" and "this adapter" among them. Mitchell et al. 2019, "Model Cards".
    """
    training, task = recipe.training, TASKS[recipe.task]
    parts = []
    for name, scores in measured.items():
        gain = paired_difference(scores["this adapter"]["rouge1"], scores["zero-shot"]["rouge1"])
        parts.append(f"### {name}\n\n{as_table(scores)}\n\nROUGE-1 over zero-shot, paired: {gain}.")
    tables = "\n\n".join(parts)
    ours = source == "course"
    shipped = ours and recipe == LoraRecipe(task=recipe.task)
    origin = (
        "CC BY 4.0, written by a language model; see\n  `docs/datasheet.md`" if ours else source
    )
    losses = ", ".join(f"{loss:.3f}" for loss in run.validation_losses) or "not measured"
    return f"""\
---
license: apache-2.0
base_model: {recipe.base}
library_name: peft
---
# {task.title}: LoRA on {recipe.base}

{task.about}, whose turns begin with `#Person1#:` and the like.
Load it with `load_model("{task.model if shipped else "the folder of this card"}")`.

## How it was made

`{command}`

- LoRA (Hu et al. 2021) of rank {recipe.rank}, alpha {recipe.alpha}, on {", ".join(recipe.targets)} of
  the last {recipe.last_layers} layers: {weights:,} weights, stored in bfloat16.
- Trained on {len(rows["train"])} dialogues ({origin}): {training.epochs} epochs, batches of {training.batch_size}, learning rate
  {training.learning_rate:g} with a linear rise and a cosine fall, seed {training.seed}.
- Prompt: the chat template around "{task.template.instruction}", the
  dialogue, "{task.template.after}".
- Validation loss after each epoch: {losses} nats a
  token, on {len(rows.get("validation", ()))} validation dialogues.

## What it scores

Greedy decoding; F-measure with stemming, in percent, mean over the references, 95% interval.

{tables}

## Limits

{task.limits}
It has read only short everyday dialogues in English. Check an answer before anybody acts on it.
"""
