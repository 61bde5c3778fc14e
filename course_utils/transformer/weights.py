"""Pour a published checkpoint's numbers into the models of this package."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from course_utils.errors import CourseError
from course_utils.transformer.decoder import Decoder, DecoderConfig
from course_utils.transformer.encoder import Encoder, EncoderConfig

Model = TypeVar("Model", bound=nn.Module)

# What transformers calls a part, and what it is called here. Order matters: longest first.
LLAMA_NAMES = {
    "post_attention_layernorm": "mlp_norm",
    "input_layernorm": "attention_norm",
    "self_attn.": "attention.",
    "embed_tokens": "embedding",
    "lm_head": "head",
    "layers.": "blocks.",
    "model.": "",
    "_proj": "",
    ".q.": ".query.",
    ".k.": ".key.",
    ".v.": ".value.",
    ".o.": ".output.",
}
BERT_NAMES = {
    "embeddings.word_embeddings": "embedding",
    "embeddings.position_embeddings": "position_embedding",
    "embeddings.token_type_embeddings": "segment_embedding",
    "embeddings.LayerNorm": "embedding_norm",
    "attention.output.LayerNorm": "attention_norm",
    "attention.output.dense": "attention.output",
    "attention.self": "attention",
    "intermediate.dense": "mlp.up",
    "output.LayerNorm": "mlp_norm",
    "output.dense": "mlp.down",
    "encoder.layer.": "blocks.",
    "bert.": "",
}


def load_decoder(folder: str | Path, dtype: torch.dtype = torch.float32) -> Decoder:
    """Build a Decoder from a folder with `config.json` and safetensors, in evaluation mode.

    Raises CourseError for a folder without them or a checkpoint of another family.
    """
    config, weights = read_checkpoint(folder)
    return decoder_from(config, weights, dtype)


def load_encoder(folder: str | Path, dtype: torch.dtype = torch.float32) -> Encoder:
    """Build an Encoder from a folder with `config.json` and safetensors, in evaluation mode.

    Raises CourseError for a folder without them or a checkpoint of another family.
    """
    config, weights = read_checkpoint(folder)
    return encoder_from(config, weights, dtype)


def decoder_from(
    config: Mapping[str, Any], weights: Mapping[str, Tensor], dtype: torch.dtype = torch.float32
) -> Decoder:
    """Build a Decoder from a Llama-family config and its named weights, whose memory it shares.

    Raises CourseError for another family, and for missing, unknown or misshapen weights.
    """
    _check_family(config, "llama", "a Decoder", "load_encoder")
    with torch.device("meta"):  # no time spent on random numbers that the weights replace
        decoder = Decoder(DecoderConfig.from_transformers(config))
    known = {name: weight for name, weight in weights.items() if "rotary_emb" not in name}
    if decoder.config.tied:
        known.pop("lm_head.weight", None)  # the same numbers as the embedding
    return _pour(decoder, known, LLAMA_NAMES, dtype)


def encoder_from(
    config: Mapping[str, Any], weights: Mapping[str, Tensor], dtype: torch.dtype = torch.float32
) -> Encoder:
    """Build an Encoder from a BERT-family config and its named weights, whose memory it shares.

    The pooling layer on top, which the course does not use, is left out.
    Raises CourseError for another family, and for missing, unknown or misshapen weights.
    """
    _check_family(config, "bert", "an Encoder", "load_decoder")
    unused = ("pooler.", "position_ids")
    known = {name: w for name, w in weights.items() if not any(part in name for part in unused)}
    with torch.device("meta"):
        encoder = Encoder(EncoderConfig.from_transformers(config))
    return _pour(encoder, known, BERT_NAMES, dtype)


def read_checkpoint(folder: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the config and the named weights of a checkpoint folder, sharded or not.

    Raises CourseError if the folder has no `config.json` or no safetensors.
    """
    from safetensors.torch import load_file

    folder = Path(folder)
    files = sorted(folder.glob("*.safetensors"))
    if not (folder / "config.json").is_file() or not files:
        raise CourseError(
            f"'{folder}' is not a checkpoint: it needs config.json and at least one .safetensors "
            "file. Give the folder that save_pretrained wrote."
        )
    weights = {name: weight for file in files for name, weight in load_file(file).items()}
    return json.loads((folder / "config.json").read_text()), weights


def _check_family(config: Mapping[str, Any], family: str, needed_by: str, other: str) -> None:
    found = config.get("model_type")
    if found != family:
        raise CourseError(
            f"This checkpoint is of the '{found}' family, but {needed_by} holds '{family}' "
            f"weights: give a '{family}' checkpoint, or try {other}."
        )


def _pour(
    model: Model, weights: Mapping[str, Tensor], names: Mapping[str, str], dtype: torch.dtype
) -> Model:
    ours = {_rename(name, names): name for name in weights}
    expected = model.state_dict()
    if unknown := [ours[name] for name in ours.keys() - expected.keys()]:
        raise CourseError(_listing("Unknown weights", unknown, "has no place for them"))
    if missing := sorted(expected.keys() - ours.keys()):
        raise CourseError(_listing("Missing weights", missing, "cannot run without them"))
    for name, theirs in ours.items():
        if expected[name].shape != weights[theirs].shape:
            raise CourseError(
                f"Weight '{theirs}' has shape {tuple(weights[theirs].shape)}, but the config asks "
                f"for {tuple(expected[name].shape)}: config and weights are not of one model."
            )
    converted = {name: weights[theirs].to(dtype) for name, theirs in ours.items()}
    model.load_state_dict(converted, assign=True)
    return model.eval()


def _rename(name: str, names: Mapping[str, str]) -> str:
    for theirs, ours in names.items():
        name = name.replace(theirs, ours)
    return name


def _listing(what: str, names: list[str], why: str) -> str:
    shown = ", ".join(sorted(names)[:3]) + (" ..." if len(names) > 3 else "")
    return (
        f"{what} ({len(names)}): {shown}. The model {why}: check that the config and the weights "
        "are of the same model."
    )
