"""What `course adapt` does: train, measure beside the rivals, save with a card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from course_utils.adaptation.measurement import (
    Scores,
    answer_scores,
    baseline_scores,
    model_card,
)
from course_utils.adaptation.recipe import LoraRecipe, save_adapter, train_adapter
from course_utils.adaptation.tasks import TASKS
from course_utils.adaptation.training import Step
from course_utils.comparison import bootstrap_interval, paired_difference
from course_utils.dialogues import load_dialogues
from course_utils.errors import CourseError
from course_utils.language_model import LanguageModel
from course_utils.model_store import load_model, load_transformers_model


def adapt(
    recipe: LoraRecipe,
    out: Path,
    *,
    source: str = "course",
    dtype: str = "auto",
    console: Console,
    command: str,
) -> None:
    """Train the recipe's adapter, measure it on every test split at hand, and write it to `out`.

    source: dialogues with a train split, as `load_dialogues` takes them.
    Raises CourseError or ValueError for what cannot be loaded, trained on or written.
    """
    rows = {split: list(part) for split, part in load_dialogues(source).items()}
    if "train" not in rows:
        raise CourseError(f"{source} has no train split: give a folder with a train file.")
    model, tokenizer = load_transformers_model(recipe.base, dtype=dtype)
    console.print(
        f"Adapting {recipe.base} ({str(model.dtype).removeprefix('torch.')}, {model.device}) "
        f"to {len(rows['train'])} dialogues"
    )
    run = train_adapter(
        model, tokenizer, rows, recipe, watch=_speaker(console), checkpoint=out / "checkpoint.pt"
    )
    console.print(f"Trained in {run.seconds:.0f} s, {run.tokens_per_second:.0f} tokens a second")
    weights = sum(w.numel() for w in model.parameters() if w.requires_grad)
    save_adapter(model, recipe, out / "adapter", card="(being measured)\n")
    measured = _measure(recipe, out / "adapter", _test_sets(), dtype, console)
    card = model_card(
        recipe, run, measured, command=command, weights=weights, source=source, rows=rows
    )
    save_adapter(model, recipe, out / "adapter", card)
    (out / "checkpoint.pt").unlink()
    console.print(f"The adapter and its card lie in {out / 'adapter'}", soft_wrap=True)


def _speaker(console: Console):
    def speak(step: Step) -> None:
        if step.validation is not None or step.step % 10 == 0:
            held_out = f", validation {step.validation:.3f}" if step.validation else ""
            console.print(
                f"  epoch {step.epoch}, step {step.step}: loss {step.loss:.3f}{held_out} "
                f"({step.seconds:.0f} s)"
            )

    return speak


def _test_sets() -> dict[str, Sequence]:
    sets = {}
    for name in ("course", "dialogsum"):
        try:
            rows = list(load_dialogues(name)["test"])
        except CourseError:  # DialogSum is not ours to ship
            continue
        sets[f"{name} test, {len(rows)} dialogues"] = rows
    return sets


def _measure(
    recipe: LoraRecipe, adapter: Path, sets: dict[str, Sequence], dtype: str, console: Console
) -> dict[str, dict[str, Scores]]:
    systems: dict[str, LanguageModel] = {
        "zero-shot": load_model(recipe.base, dtype=dtype),
        "this adapter": load_model(str(adapter), dtype=dtype),
    }
    measured, task = {}, TASKS[recipe.task]
    for name, rows in sets.items():
        console.print(f"Measuring on {name} ...")
        measured[name] = baseline_scores(rows, task)
        for system, model in systems.items():
            measured[name][system] = answer_scores(model, rows, task)
        for system, scores in measured[name].items():
            console.print(f"  {system:31} ROUGE-1 {bootstrap_interval(scores['rouge1'])}")
        gain = paired_difference(
            measured[name]["this adapter"]["rouge1"], measured[name]["zero-shot"]["rouge1"]
        )
        console.print(f"  over zero-shot, paired          {gain}")
    return measured
