"""The logits that predict a given completion."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import PreTrainedModel

from course_utils.language_model.prompt_tokens import pad_left


def target_logits(
    model: PreTrainedModel, pad_id: int, rows: list[list[int]], targets: list[list[int]]
) -> Iterator[Tensor]:
    """Yield, per row, the logits that predict its target: (target tokens, vocabulary)."""
    device = model.device
    longest = max(map(len, targets))
    if model.config.is_encoder_decoder:
        source = pad_left(rows, pad_id, device=device)
        start = model.config.decoder_start_token_id
        shifted = [[start, *target[:-1]] for target in targets]
        decoder = torch.full((len(rows), longest), pad_id, device=device)
        for number, row in enumerate(shifted):
            decoder[number, : len(row)] = torch.tensor(row)
        logits = model(
            input_ids=source.ids, attention_mask=source.mask, decoder_input_ids=decoder
        ).logits
        for number, target in enumerate(targets):
            yield logits[number, : len(target)]
        return
    joined = pad_left(
        [row + target for row, target in zip(rows, targets, strict=True)], pad_id, device=device
    )
    positions = (joined.mask.cumsum(-1) - 1).clamp(min=0)
    logits = model(
        input_ids=joined.ids,
        attention_mask=joined.mask,
        position_ids=positions,
        logits_to_keep=longest + 1,  # the last one predicts beyond the target
    ).logits
    for number, target in enumerate(targets):
        yield logits[number, -len(target) - 1 : -1]
