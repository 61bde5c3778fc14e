"""Batched generation: left padding, one pass over a shared prefix, no copied cache."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import (
    DynamicCache,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.cache_utils import DynamicLayer

from course_utils.language_model.completion import Completion
from course_utils.language_model.key_value_cache import compute_prefix, preallocated_cache
from course_utils.language_model.prompt_tokens import (
    batches_by_length,
    pad_left,
    shared_prefix_length,
)

# Rows x tokens computed at once: enough to fill the device, little enough to fit.
TOKENS_PER_BATCH = {"cpu": 8_192, "mps": 16_384, "cuda": 131_072}
SHORTEST_PREFIX = 8  # tokens; a shorter shared beginning is not worth a forward pass of its own


def complete_in_batches(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: list[list[int]],
    config: GenerationConfig,
    log_probabilities: bool,
    tokens_per_batch: int | None,
) -> Iterator[tuple[list[int], list[Completion]]]:
    """Yield batches of row numbers with their completions, as they are ready.

    config: complete, as `settle` returns it.
    tokens_per_batch: bound on rows x tokens of a batch; None takes the device's default.
    """
    if not rows:
        return
    bound = tokens_per_batch or TOKENS_PER_BATCH[model.device.type]
    if log_probabilities:
        bound //= 8  # the logits of every new token are kept: vocabulary x new tokens x rows
    config = copy.deepcopy(config)
    config.return_dict_in_generate, config.output_logits = True, log_probabilities
    own_cache = _takes_own_cache(model, config)
    prefix, prefix_length = None, 0
    if own_cache and len(rows) > 1 and shared_prefix_length(rows) >= SHORTEST_PREFIX:
        prefix_length = shared_prefix_length(rows)
        prefix = compute_prefix(model, rows[0][:prefix_length])
    lengths = [len(row) + config.max_new_tokens for row in rows]
    for batch in batches_by_length(lengths, bound):
        padded = pad_left(
            [rows[number] for number in batch],
            config.pad_token_id,
            prefix=prefix_length,
            device=model.device,
        )
        extra = {"tokenizer": tokenizer} if config.stop_strings else {}
        if own_cache:
            capacity = padded.ids.shape[1] + config.max_new_tokens
            layers = model.config.num_hidden_layers
            extra["past_key_values"] = preallocated_cache(layers, capacity, len(batch), prefix)
        with torch.inference_mode():
            output = model.generate(
                input_ids=padded.ids,
                attention_mask=padded.mask,
                generation_config=config,
                **extra,
            )
        # Before the completion stands the prompt, or the decoder's start token.
        begin = 1 if model.config.is_encoder_decoder else padded.ids.shape[1]
        sequences = output.sequences[:, begin:]
        yield (
            batch,
            [
                _completion(
                    tokenizer,
                    sequences[place],
                    [step[place] for step in output.logits] if log_probabilities else None,
                    config,
                    len(rows[number]),
                )
                for place, number in enumerate(batch)
            ],
        )


def _completion(
    tokenizer: PreTrainedTokenizerBase,
    ids: Tensor,
    logits: list[Tensor] | None,
    config: GenerationConfig,
    prompt_tokens: int,
) -> Completion:
    tokens = ids.tolist()
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    end = next((at for at, token in enumerate(tokens) if token in ends), None)
    if end is not None:
        tokens = tokens[: end + 1]
    elif config.stop_strings:  # a row that met one is filled up with padding
        while tokens and tokens[-1] == config.pad_token_id:
            tokens.pop()
    text = tokenizer.decode(tokens, skip_special_tokens=True)
    stops = config.stop_strings or []
    stops = [stops] if isinstance(stops, str) else stops
    found = [text.index(stop) for stop in stops if stop in text]
    chosen = None
    if logits is not None:
        chosen = [
            step.float().log_softmax(-1)[token].item()
            for step, token in zip(logits, tokens, strict=False)
        ]
    return Completion(
        text=text[: min(found)] if found else text,
        token_ids=tokens,
        finish_reason="stop" if found or end is not None else "length",
        prompt_tokens=prompt_tokens,
        log_probabilities=chosen,
    )


def _takes_own_cache(model: PreTrainedModel, config: GenerationConfig) -> bool:
    """Whether every layer keeps plain keys and values, read in order by a single beam."""
    if model.config.is_encoder_decoder or config.num_beams > 1 or config.use_cache is False:
        return False
    layers = DynamicCache(config=model.config).layers
    return all(type(layer) is DynamicLayer for layer in layers)
