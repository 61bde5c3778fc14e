"""LoRA adapters on disk, in the `peft` library's format: read, checked, merged."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.errors import CourseError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds an adapter rather than a whole model."""
    return (folder / CONFIG).exists()


def base_model_of(folder: Path) -> str:
    """Return the name of the model that the adapter was trained on.

    Raises CourseError when the folder is not whole.
    """
    try:
        base = json.loads((folder / CONFIG).read_text())["base_model_name_or_path"]
    except (ValueError, KeyError) as error:
        raise CourseError(
            f"{folder / CONFIG} does not name the adapter's base model: save the adapter again."
        ) from error
    if not (folder / WEIGHTS).exists():
        raise CourseError(f"The adapter {folder} has no {WEIGHTS}: copy or save it again.")
    return base


def merge_adapter(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """Return the model with the adapter added into its weights: same size, same speed.

    model: in float32, so that the small update is not rounded away; changed in place.
    Raises CourseError when the adapter does not fit the model or is damaged.
    """
    from peft import PeftModel
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, framework="pt") as tensors:
            wanted = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
        with quiet_peft():
            adapted = PeftModel.from_pretrained(model, folder)
    except SafetensorError as error:
        raise CourseError(f"The adapter {folder / WEIGHTS} is damaged: copy it again.") from error
    except (RuntimeError, ValueError) as error:
        raise CourseError(_another_model(folder, model)) from error
    there = {name.replace(".default", ""): tuple(w.shape) for name, w in adapted.named_parameters()}
    if any(there.get(name) != shape for name, shape in wanted.items()):
        raise CourseError(_another_model(folder, model))
    return adapted.merge_and_unload()


@contextlib.contextmanager
def quiet_peft() -> Iterator[None]:
    """Keep off stderr the library's talk: of names soon to change, of keys that are checked here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing")
        warnings.filterwarnings("ignore", message="Found missing adapter keys")
        yield


def _another_model(folder: Path, model: PreTrainedModel) -> str:
    return (
        f"The adapter {folder} was trained on {base_model_of(folder)}, and its weights do not fit "
        f"this {type(model).__name__} of {model.num_parameters() / 1e6:.0f} million parameters: "
        "load it with its own base model."
    )
