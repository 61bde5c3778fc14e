"""The token loop: predict, choose, append, until every row is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from course_utils.decoding.penalties import token_counts
from course_utils.decoding.sampling import next_tokens
from course_utils.decoding.stopping import ends_in_stop_string

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

DEFAULT_NEW_TOKENS = 20
"""What `generate` does when no length was given."""


@dataclass(frozen=True)
class Generation:
    """Completions of a batch.

    token_ids: (batch, new tokens), the completions without their prompts, padded on the right.
    finish_reasons: "stop" for an end token or a stop string, "length" for a completion cut off.
    model_calls: forward passes through the model.
    """

    token_ids: Tensor
    finish_reasons: list[str]
    model_calls: int


def generate(
    model: PreTrainedModel,
    prompt_ids: Tensor,
    config: GenerationConfig,
    *,
    attention_mask: Tensor | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    generator: torch.Generator | None = None,
) -> Generation:
    """Complete a batch of prompts with a decoder-only model, greedily or by sampling.

    prompt_ids: (batch, prompt), padded on the left. attention_mask: same shape, 0 for padding.
    tokenizer: needed for stop strings. generator: the random numbers to draw with.
    A row that has finished is filled with padding while the others go on, and never stops them.
    """
    import torch

    mask = torch.ones_like(prompt_ids) if attention_mask is None else attention_mask
    end_ids, pad_id = special_tokens(model, config)
    sequences, running, cache, calls = prompt_ids, torch.ones(len(prompt_ids), dtype=bool), None, 0
    running = running.to(prompt_ids.device)
    with torch.inference_mode():
        for _ in range(config.max_new_tokens or DEFAULT_NEW_TOKENS):
            unread = sequences if cache is None else sequences[:, -1:]
            positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -unread.shape[1] :]
            output = model(
                input_ids=unread,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
            )
            cache, calls = output.past_key_values, calls + 1
            logits = output.logits[:, -1].float()
            counts = token_counts(sequences, logits.shape[-1], mask)
            chosen = next_tokens(logits, config, counts, generator)
            chosen = chosen.where(running, pad_id)
            sequences = torch.cat([sequences, chosen[:, None]], dim=-1)
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=-1)
            running = running & ~torch.isin(chosen, end_ids)
            running = running & ~_hit_stop_string(sequences, config, tokenizer)
            if not running.any():
                break
    reasons = ["length" if cut else "stop" for cut in running.tolist()]
    return Generation(sequences[:, prompt_ids.shape[1] :], reasons, calls)


def special_tokens(model: PreTrainedModel, config: GenerationConfig) -> tuple[Tensor, int]:
    """Return the token ids that end a completion, as a tensor, and the one that pads.

    What `config` leaves out is taken from the model's own generation config.
    """
    import torch

    def setting(name: str) -> int | list[int] | None:
        value = getattr(config, name)
        return getattr(model.generation_config, name) if value is None else value

    end_ids = setting("eos_token_id")
    end_ids = [] if end_ids is None else torch.tensor(end_ids).reshape(-1).tolist()
    pad_id = setting("pad_token_id")
    if pad_id is None:
        pad_id = end_ids[0] if end_ids else 0
    return torch.tensor(end_ids, dtype=torch.long, device=model.device), pad_id


def _hit_stop_string(
    sequences: Tensor, config: GenerationConfig, tokenizer: PreTrainedTokenizerBase | None
) -> Tensor:
    import torch

    stops = [config.stop_strings] if isinstance(config.stop_strings, str) else config.stop_strings
    if not stops:
        return torch.zeros(len(sequences), dtype=torch.bool, device=sequences.device)
    if tokenizer is None:
        raise ValueError("stop_strings are text: pass the tokenizer that reads them to generate.")
    tail = sequences[:, -max(len(stop) for stop in stops) - 1 :].tolist()
    hit = [ends_in_stop_string(row, stops, tokenizer) for row in tail]
    return torch.tensor(hit, device=sequences.device)
