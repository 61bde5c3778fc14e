"""What an adapter gained, measured beside the floor and the ceiling, and its model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from course_utils.adaptation.recipe import TEMPLATE, LoraRecipe
from course_utils.adaptation.training import TrainingRun
from course_utils.baselines import BASELINES, human_ceiling
from course_utils.comparison import bootstrap_interval, paired_difference
from course_utils.metrics import rouge_per_example

if TYPE_CHECKING:
    from course_utils.language_model import LanguageModel

Scores = dict[str, np.ndarray]  # "rouge1", "rouge2", "rougeL" -> (dialogues,)
LONGEST_SUMMARY = 60  # tokens


def summarize(model: LanguageModel, rows: Sequence[Mapping]) -> list[str]:
    """Return the greedy summary of each dialogue, with the recipe's prompt."""
    from transformers import GenerationConfig

    config = GenerationConfig(max_new_tokens=LONGEST_SUMMARY, do_sample=False)
    answers = model.complete([TEMPLATE.chat(row["dialogue"]) for row in rows], config)
    return [answer.text.strip() for answer in answers]


def baseline_scores(rows: Sequence[Mapping]) -> dict[str, Scores]:
    """Score what needs no model: the human ceiling (with several references) and the floor."""
    references = [row["references"] for row in rows]
    scores = {}
    if min(map(len, references)) > 1:
        scores["a reference against the others"] = human_ceiling(references)
    for name in ("lead-3", "constant"):
        floor = [BASELINES[name](row["dialogue"]) for row in rows]
        scores[name] = rouge_per_example(floor, references)
    return scores


def summary_scores(model: LanguageModel, rows: Sequence[Mapping]) -> Scores:
    """Score the model's greedy summaries of the dialogues."""
    return rouge_per_example(summarize(model, rows), [row["references"] for row in rows])


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
) -> str:
    """Return the adapter's card: what it is, how it was made, what it scores, its limits.

    measured: for each set of dialogues ("course test, 60 dialogues") the systems' scores, with
    "zero-shot" and "this adapter" among them. Mitchell et al. 2019, "Model Cards".
    """
    training = recipe.training
    parts = []
    for name, scores in measured.items():
        gain = paired_difference(scores["this adapter"]["rouge1"], scores["zero-shot"]["rouge1"])
        parts.append(f"### {name}\n\n{as_table(scores)}\n\nROUGE-1 over zero-shot, paired: {gain}.")
    tables = "\n\n".join(parts)
    return f"""\
---
license: apache-2.0
base_model: {recipe.base}
library_name: peft
---
# A dialogue summarizer: LoRA on {recipe.base}

Writes one or two sentences about a short English dialogue whose turns read `#Person1#: ...`.
Load it with `load_model("smollm2-135m-summarizer")`.

## How it was made

`{command}`

- LoRA (Hu et al. 2021) of rank {recipe.rank}, alpha {recipe.alpha}, on {", ".join(recipe.targets)} of
  the last {recipe.last_layers} layers: {weights:,} weights, stored in bfloat16.
- Trained on the course's 140 training dialogues (CC BY 4.0, written by a language model; see
  `docs/datasheet.md`): {training.epochs} epochs, batches of {training.batch_size}, learning rate
  {training.learning_rate:g} with a linear rise and a cosine fall, seed {training.seed}.
- Prompt: the chat template around "{TEMPLATE.instruction}", the dialogue, "{TEMPLATE.after}".
- Validation loss after each epoch: {", ".join(f"{v:.3f}" for v in run.validation_losses)} nats a
  token, on the course's 40 validation dialogues.

## What it scores

Greedy decoding; F-measure with stemming, in percent, mean over the references, 95% interval.

{tables}

## Limits

It invents: it swaps who said what, and turns questions and offers into facts. It has read only
short everyday dialogues in English. Check a summary before anybody acts on it.
"""
