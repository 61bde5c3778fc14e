"""Load a model by name: from the catalogue, a folder or the Hub; offline first."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.adapter_files import base_model_of, is_adapter, merge_adapter
from course_utils.errors import CourseError
from course_utils.model_cache import (
    disk_full,
    forget,
    is_cached,
    model_folder,
    quiet_library,
    unknown_model,
)
from course_utils.model_catalogue import (
    CATALOGUE,
    DEFAULT_MODEL,
    AdapterSource,
    HubSource,
    WheelSource,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from course_utils.language_model import LanguageModel

ADAPTERS = Path(__file__).parent / "data" / "adapters"

__all__ = ["DEFAULT_MODEL", "load_model", "load_transformers_model", "model_folder", "pull"]


def load_model(
    name: str = DEFAULT_MODEL, *, device: str = "auto", dtype: str = "auto"
) -> LanguageModel:
    """Load a causal or sequence-to-sequence model, ready to complete prompts.

    name: a name of the catalogue, a folder that `save_pretrained` wrote (of a model, or of a LoRA
        adapter, which is merged into its base model), or a Hub id.
    device, dtype: see `course_utils.runtime`; "float32" gives the answers that graders compare.
    Raises CourseError with what was tried when the model cannot be had.
    """
    from course_utils.language_model import LanguageModel

    model, tokenizer = load_transformers_model(name, device=device, dtype=dtype)
    return LanguageModel(model, tokenizer, name=name)


def load_transformers_model(
    name: str, *, device: str = "auto", dtype: str = "auto"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the `transformers` model (in eval mode) and the tokenizer of any architecture.

    Raises CourseError with what was tried when the model cannot be had.
    """
    import transformers
    from transformers import AutoConfig, AutoTokenizer

    from course_utils.runtime import pick_device, pick_dtype

    place = pick_device(device)
    number_format = pick_dtype(place, dtype)
    source = _locate(name)
    if is_adapter(Path(source)):
        base, tokenizer = load_transformers_model(base_model_of(Path(source)), dtype="float32")
        with quiet_library():
            model = merge_adapter(base, Path(source)).to(place)
        for weight in model.parameters():  # not the buffers: rounded positions would be wrong ones
            weight.data = weight.data.to(number_format)
        model.config.dtype = number_format
        return model.eval(), tokenizer
    with _one_sentence(name), quiet_library():
        config = AutoConfig.from_pretrained(source)
        architecture = (config.architectures or ["?"])[0]
        if config.is_encoder_decoder:
            loader = transformers.AutoModelForSeq2SeqLM
        elif architecture.endswith(("ForCausalLM", "LMHeadModel")):
            loader = transformers.AutoModelForCausalLM
        else:
            loader = transformers.AutoModel
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = loader.from_pretrained(source, dtype=number_format)
    return model.to(place).eval(), tokenizer


def pull(name: str, *, force: bool = False) -> Path:
    """Fetch a model of the catalogue now; `force` throws the cached copy away first.

    Returns its folder. Raises CourseError when it cannot be had.
    """
    model = CATALOGUE.get(name)
    if model is None:
        raise CourseError(unknown_model(name))
    if isinstance(model.source, AdapterSource):
        pull(model.source.base, force=force)
        return ADAPTERS / model.source.adapter
    if isinstance(model.source, HubSource):
        from huggingface_hub import snapshot_download

        with _one_sentence(name):
            _ask_hub()
            return Path(
                snapshot_download(
                    model.source.repository,
                    force_download=force,
                    ignore_patterns=["*.h5", "*.msgpack", "*.bin", "*.onnx"],
                )
            )
    if force:
        forget(name)
    return model_folder(name)


def _locate(name: str) -> str:
    """Return what `from_pretrained` takes: a folder, or the Hub id of a model."""
    source = CATALOGUE[name].source if name in CATALOGUE else None
    if isinstance(source, AdapterSource):
        return str(ADAPTERS / source.adapter)
    if isinstance(source, WheelSource):
        return str(model_folder(name))
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not is_adapter(folder) and not (folder / "config.json").exists():
            raise CourseError(
                f"The folder {folder} holds no config.json: give a folder that "
                "`save_pretrained` wrote."
            )
        return str(folder)
    if name.startswith((".", "/", "~")):
        raise CourseError(f"There is no folder {folder}: check the path.")
    if name not in CATALOGUE and name.count("/") != 1:
        raise CourseError(f"{unknown_model(name)} A Hub id has the form owner/name.")
    repository = CATALOGUE[name].source.repository if name in CATALOGUE else name
    from huggingface_hub import try_to_load_from_cache

    if not isinstance(try_to_load_from_cache(repository, "config.json"), str):
        with _one_sentence(name):
            _ask_hub()
    return repository


def _ask_hub() -> None:
    """Raise OSError at once if the Hub cannot be reached; its client would retry for half a minute."""
    import httpx
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise OSError("HF_HUB_OFFLINE is set")
    try:
        httpx.head(constants.ENDPOINT, timeout=5)
    except httpx.HTTPError as error:
        raise OSError(str(error)) from error


@contextlib.contextmanager
def _one_sentence(name: str) -> Iterator[None]:
    """Turn what `transformers` and the Hub client raise into a sentence with the remedy."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise CourseError(disk_full(Path.home())) from error
        reason = str(error).strip().split("\n")[0]
        if Path(name).expanduser().is_dir() or is_cached(name):
            raise CourseError(f"The model {name} cannot be loaded: {reason}") from error
        raise CourseError(
            f"The model {name!r} is not on this machine, and the Hugging Face Hub does not give it "
            f"({reason}). Go online or check the name; offline, use {DEFAULT_MODEL!r}."
        ) from error
