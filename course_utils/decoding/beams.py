"""Beam search: follow the best few beginnings instead of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from course_utils.decoding.generation import DEFAULT_NEW_TOKENS, special_tokens

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import GenerationConfig, PreTrainedModel

IMPOSSIBLE = -1.0e9


@dataclass(frozen=True)
class Beam:
    """A finished completion: its token ids, end token included, and its score.

    The score is the sum of the tokens' log-probabilities over length ** length_penalty.
    """

    token_ids: list[int]
    score: float


def beam_search(model: PreTrainedModel, prompt_ids: Tensor, config: GenerationConfig) -> list[Beam]:
    """Return the `num_beams` best completions that beam search finds, the best first.

    prompt_ids: (prompt,), one prompt. At every step each open beam is extended by every token and
    the best `num_beams` extensions live on. Ended ones are put aside with their score; the search
    is over when no open beam is expected to beat the worst of a full set.
    Equals `generate` with do_sample=False: early_stopping may be False, True or "never".
    """
    import torch

    width, end_ids = config.num_beams or 1, special_tokens(model, config)[0]
    longest = config.max_new_tokens or DEFAULT_NEW_TOKENS
    length_penalty = 1.0 if config.length_penalty is None else config.length_penalty
    open_beams = torch.empty(width, 0, dtype=torch.long, device=prompt_ids.device)
    # All beams start as the same prompt: let only the first one grow at the first step.
    scores = torch.full((width,), IMPOSSIBLE, device=prompt_ids.device)
    scores[0] = 0.0
    unread, cache, finished = prompt_ids.expand(width, -1), None, []
    with torch.inference_mode():
        for length in range(1, longest + 1):
            output = model(input_ids=unread, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            totals = scores[:, None] + output.logits[:, -1].float().log_softmax(dim=-1)
            # Enough candidates that `width` stay open even if every other one has ended.
            candidates = totals.flatten().topk(max(2, 1 + len(end_ids)) * width)
            parents = candidates.indices // totals.shape[1]
            tokens = candidates.indices % totals.shape[1]
            extended = torch.cat([open_beams[parents], tokens[:, None]], dim=-1)
            ended = torch.isin(tokens, end_ids) | (length == longest)
            finished += [
                Beam(
                    extended[rank].tolist(), float(candidates.values[rank] / length**length_penalty)
                )
                for rank in range(width)
                if ended[rank]
            ]
            finished = sorted(finished, key=lambda beam: -beam.score)[:width]
            if length == longest:
                break
            survivors = (candidates.values + ended * IMPOSSIBLE).topk(width).indices
            open_beams, scores = extended[survivors], candidates.values[survivors]
            unread = tokens[survivors, None]
            cache.reorder_cache(parents[survivors])
            if len(finished) == width and _is_over(finished, scores, length, longest, config):
                break
    return finished


def _is_over(
    finished: list[Beam], scores: Tensor, length: int, longest: int, config: GenerationConfig
) -> bool:
    """Whether a full set of finished beams ends the search.

    early_stopping=True: always. False: unless an open beam would win by ending now, which is a
    guess. "never": unless one could still win at any length.
    """
    if config.early_stopping is True:
        return True
    length_penalty = 1.0 if config.length_penalty is None else config.length_penalty
    if config.early_stopping == "never" and length_penalty > 0:
        length = longest
    return float(scores[0] / length**length_penalty) <= finished[-1].score
