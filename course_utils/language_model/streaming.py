"""One completion, piece by piece."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
    TextIteratorStreamer,
)

from course_utils.language_model.prompt_tokens import pad_left


def stream_row(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    row: list[int],
    config: GenerationConfig,
    seed: int,
) -> Iterator[str]:
    """Yield the completion's text as it is computed, from a thread that stops with the reader."""
    streamer = TextIteratorStreamer(
        tokenizer, skip_prompt=not model.config.is_encoder_decoder, skip_special_tokens=True
    )
    closed = threading.Event()
    failure: list[Exception] = []

    def generate() -> None:
        try:
            with torch.random.fork_rng(), torch.inference_mode():
                torch.manual_seed(seed)
                padded = pad_left([row], config.pad_token_id, device=model.device)
                model.generate(
                    input_ids=padded.ids,
                    attention_mask=padded.mask,
                    generation_config=config,
                    streamer=streamer,
                    stopping_criteria=StoppingCriteriaList([StopWhen(closed)]),
                    **({"tokenizer": tokenizer} if config.stop_strings else {}),
                )
        except Exception as error:
            failure.append(error)
            streamer.end()

    worker = threading.Thread(target=generate, daemon=True)
    worker.start()
    try:
        yield from (piece for piece in streamer if piece)
    finally:
        closed.set()
        worker.join()
    if failure:
        raise failure[0]


class StopWhen(StoppingCriteria):
    """Stop generating once the reader has gone."""

    def __init__(self, closed: threading.Event) -> None:
        self.closed = closed

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs) -> Tensor:
        return torch.full((len(input_ids),), self.closed.is_set(), device=input_ids.device)
