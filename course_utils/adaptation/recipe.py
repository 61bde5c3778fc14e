"""The recipe of the shipped adapters: `course adapt` makes them again, and measures them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from course_utils.adaptation.examples import Example, tokenize_examples
from course_utils.adaptation.lora import LoRALinear, add_lora
from course_utils.adaptation.tasks import TASKS
from course_utils.adaptation.training import Step, TrainingRun, TrainingSettings, fine_tune
from course_utils.adapter_files import CONFIG, WEIGHTS
from course_utils.model_catalogue import DEFAULT_MODEL

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class LoraRecipe:
    """Which weights LoRA adapts, how strongly, what they are taught, and how.

    task: a key of `TASKS`.
    last_layers: how many decoder layers are adapted, counted from the top; those below are
        computed once, so fewer is faster.
    """

    base: str = DEFAULT_MODEL
    task: str = "summary"
    targets: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )
    last_layers: int = 10
    rank: int = 4
    alpha: int = 8
    training: TrainingSettings = field(default_factory=TrainingSettings)

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task={self.task!r} is unknown: give one of {', '.join(TASKS)}.")
        if self.last_layers < 1 or self.rank < 1:
            raise ValueError(
                f"last_layers={self.last_layers} and rank={self.rank}: both must be at least 1."
            )


def add_adapter(model: PreTrainedModel, recipe: LoraRecipe) -> None:
    """Freeze the model and put the recipe's LoRA into its last layers, drawn by the recipe's seed.

    Raises ValueError if the model has fewer layers than are to be adapted.
    """
    layers = model.config.num_hidden_layers
    if recipe.last_layers > layers:
        raise ValueError(
            f"last_layers={recipe.last_layers}, but the model has {layers}: give at most that."
        )
    torch.manual_seed(recipe.training.seed)
    add_lora(
        model,
        targets=recipe.targets,
        layers=range(layers - recipe.last_layers, layers),
        rank=recipe.rank,
        alpha=recipe.alpha,
    )


def train_adapter(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Mapping[str, Sequence[Mapping]],
    recipe: LoraRecipe,
    *,
    watch: Callable[[Step], None] | None = None,
    checkpoint: Path | None = None,
) -> TrainingRun:
    """Add an adapter and teach it the recipe's task on rows["train"]; the loss on
    rows["validation"], if there, is measured after each epoch.

    Returns the course of the run. Raises as `fine_tune` does.
    """
    task = TASKS[recipe.task]

    def tokenized(split: str) -> list[Example]:
        window = model.config.max_position_embeddings
        told = task.rows(rows[split])
        return tokenize_examples(tokenizer, told, task.template, context_window=window)

    train = tokenized("train")
    held_out = tokenized("validation") if rows.get("validation") else []
    add_adapter(model, recipe)
    return fine_tune(
        model, train, recipe.training, validation=held_out, watch=watch, checkpoint=checkpoint
    )


def save_adapter(model: PreTrainedModel, recipe: LoraRecipe, folder: Path, card: str) -> None:
    """Write the adapter in the `peft` library's format, in bfloat16, with its card.

    It is written beside its place, then renamed; a former adapter there is replaced whole.
    """
    from peft import LoraConfig
    from safetensors.torch import save

    weights = {}
    for name, module in model.named_modules():
        if isinstance(module, LoRALinear):
            for part, weight in (("A", module.A), ("B", module.B)):
                kept = weight.detach().to("cpu", torch.bfloat16).contiguous()
                weights[f"base_model.model.{name}.lora_{part}.weight"] = kept
    layers = model.config.num_hidden_layers
    config = LoraConfig(
        task_type="CAUSAL_LM",
        base_model_name_or_path=recipe.base,
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules=list(recipe.targets),
        layers_to_transform=list(range(layers - recipe.last_layers, layers)),
        inference_mode=True,
    )
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside:
        ready, former = Path(beside) / "ready", Path(beside) / "former"
        config.save_pretrained(ready)
        settled = json.loads((ready / CONFIG).read_text())  # sets are written in random order
        lists = {key: sorted(value) for key, value in settled.items() if isinstance(value, list)}
        (ready / CONFIG).write_text(json.dumps(settled | lists, indent=2, sort_keys=True) + "\n")
        (ready / WEIGHTS).write_bytes(save(weights))
        (ready / "README.md").write_text(card)
        if folder.exists():
            folder.rename(former)
        ready.rename(folder)
