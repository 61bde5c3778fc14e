"""The recipe of the shipped summarizer: `course adapt` makes it again, and measures it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.adaptation.examples import Example, tokenize_examples
from course_utils.adaptation.training import Step, TrainingRun, TrainingSettings, fine_tune
from course_utils.model_catalogue import DEFAULT_MODEL
from course_utils.prompts import TEMPLATES

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TEMPLATE = TEMPLATES["summarize"]


@dataclass(frozen=True)
class LoraRecipe:
    """Which weights LoRA adapts, how strongly, and how it is trained.

    last_layers: how many decoder layers are adapted, counted from the top; those below are
        computed once, so fewer is faster.
    """

    base: str = DEFAULT_MODEL
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
        if self.last_layers < 1 or self.rank < 1:
            raise ValueError(
                f"last_layers={self.last_layers} and rank={self.rank}: both must be at least 1."
            )


def add_adapter(model: PreTrainedModel, recipe: LoraRecipe) -> PeftModel:
    """Freeze the model and add the recipe's LoRA weights with the `peft` library.

    Raises ValueError if the model has fewer layers than are to be adapted.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    from course_utils.adapter_files import quiet_peft

    layers = model.config.num_hidden_layers
    if recipe.last_layers > layers:
        raise ValueError(
            f"last_layers={recipe.last_layers}, but the model has {layers}: give at most that."
        )
    torch.manual_seed(recipe.training.seed)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules=list(recipe.targets),
        layers_to_transform=list(range(layers - recipe.last_layers, layers)),
    )
    with quiet_peft():
        adapted = get_peft_model(model, config)
    config.base_model_name_or_path = recipe.base  # our name, not the path of somebody's cache
    return adapted


def train_adapter(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Mapping[str, Sequence[Mapping]],
    recipe: LoraRecipe,
    *,
    watch: Callable[[Step], None] | None = None,
    checkpoint: Path | None = None,
) -> tuple[PeftModel, TrainingRun]:
    """Train an adapter on rows["train"], measuring the loss on rows["validation"] if there.

    Returns the adapted model and the course of the run. Raises as `fine_tune` does.
    """
    adapted = add_adapter(model, recipe)

    def tokenized(split: str) -> list[Example]:
        window = model.config.max_position_embeddings
        return tokenize_examples(tokenizer, rows[split], TEMPLATE, context_window=window)

    run = fine_tune(
        adapted.get_base_model(),
        tokenized("train"),
        recipe.training,
        validation=tokenized("validation") if rows.get("validation") else (),
        watch=watch,
        checkpoint=checkpoint,
    )
    return adapted, run


def save_adapter(adapted: PeftModel, folder: Path, card: str) -> None:
    """Write the adapter beside its place, in bfloat16 with its model card, then rename it."""
    import shutil
    import tempfile

    from safetensors.torch import load_file, save_file

    from course_utils.adapter_files import CONFIG, WEIGHTS

    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside:
        ready = Path(beside) / "ready"
        adapted.save_pretrained(ready, save_embedding_layers=False)
        weights = load_file(ready / WEIGHTS)
        save_file({name: w.bfloat16() for name, w in weights.items()}, ready / WEIGHTS)
        config = json.loads((ready / CONFIG).read_text())
        lists = {key: sorted(v) for key, v in config.items() if isinstance(v, list)}
        (ready / CONFIG).write_text(json.dumps(config | lists, indent=2, sort_keys=True) + "\n")
        (ready / "README.md").write_text(card)
        former = Path(beside) / "former"
        if folder.exists():
            folder.rename(former)
        ready.rename(folder)
        shutil.rmtree(former, ignore_errors=True)
