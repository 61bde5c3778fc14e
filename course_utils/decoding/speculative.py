"""Speculative decoding: a small model drafts, the large one checks a whole draft in one pass.

The output is what the large model alone would have written: the same tokens when greedy, the
same distribution when sampling. Only the number of its forward passes changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from course_utils.decoding.generation import DEFAULT_NEW_TOKENS, special_tokens
from course_utils.decoding.sampling import greedy, reshape_logits, sample

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import GenerationConfig, PreTrainedModel


@dataclass(frozen=True)
class SpeculativeGeneration:
    """A completion, and what it cost.

    token_ids: (new tokens,). target_calls: forward passes of the large model. accepted: drafted
    tokens that it kept, of `drafted`.
    """

    token_ids: Tensor
    target_calls: int
    accepted: int
    drafted: int


def verify_draft(
    draft_ids: Tensor,
    draft_logits: Tensor,
    target_logits: Tensor,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Keep a beginning of the draft and add one token, so that the target's distribution results.

    draft_ids: (n,). draft_logits: (n, vocabulary). target_logits: (n + 1, vocabulary).
    A token that the draft gave q and the target gives p stays with probability min(1, p / q).
    At the first refusal the replacement is drawn from what p has in excess of q; if all stay, one
    more token is drawn from the target. Returns between 1 and n + 1 token ids.
    Leviathan et al. 2023, "Fast Inference from Transformers via Speculative Decoding", algorithm 1.
    """
    import torch

    q, p = draft_logits.softmax(dim=-1), target_logits.softmax(dim=-1)
    drafted = torch.arange(len(draft_ids), device=draft_ids.device)
    odds = p[drafted, draft_ids] / q[drafted, draft_ids]
    accepted = torch.rand(odds.shape, generator=generator, device=odds.device) <= odds
    kept = int(accepted.cumprod(dim=0).sum())
    if kept < len(draft_ids):
        excess = (p[kept] - q[kept]).clamp(min=0)
        extra = (excess / excess.sum()).multinomial(1, generator=generator)
    else:
        extra = p[kept].multinomial(1, generator=generator)
    return torch.cat([draft_ids[:kept], extra])


def speculative_generate(
    target: PreTrainedModel,
    draft: PreTrainedModel,
    prompt_ids: Tensor,
    config: GenerationConfig,
    *,
    draft_length: int = 5,
    generator: torch.Generator | None = None,
) -> SpeculativeGeneration:
    """Complete one prompt with `target`, helped by `draft`, which shares its vocabulary.

    prompt_ids: (prompt,). Written without a key-value cache, to show the idea: it saves passes of
    the target, not time. Repetition penalties are left out.
    """
    import torch

    end_ids, _ = special_tokens(target, config)
    sequence, calls, accepted, drafted = prompt_ids, 0, 0, 0
    last = len(prompt_ids) + (config.max_new_tokens or DEFAULT_NEW_TOKENS)
    with torch.inference_mode():
        while len(sequence) < last and not torch.isin(sequence[len(prompt_ids) :], end_ids).any():
            start = len(sequence)
            proposal, draft_logits = sequence, []
            for _ in range(min(draft_length, last - start - 1)):
                logits = reshape_logits(_logits(draft, proposal)[-1:], config)
                token = sample(logits, generator) if config.do_sample else greedy(logits)
                proposal, draft_logits = torch.cat([proposal, token]), [*draft_logits, logits]
            target_logits = reshape_logits(_logits(target, proposal)[start - 1 :], config)
            calls += 1
            if config.do_sample and draft_logits:
                new = verify_draft(
                    proposal[start:], torch.cat(draft_logits), target_logits, generator
                )
            elif config.do_sample:
                new = sample(target_logits, generator)
            else:
                choices = greedy(target_logits)
                agreed = int((choices[:-1] == proposal[start:]).cumprod(dim=0).sum())
                new = choices[: agreed + 1]
            accepted, drafted = accepted + len(new) - 1, drafted + len(proposal) - start
            sequence = torch.cat([sequence, new])
    completion = sequence[len(prompt_ids) :]
    ends = torch.isin(completion, end_ids).nonzero()
    if len(ends):
        completion = completion[: int(ends[0]) + 1]
    return SpeculativeGeneration(completion, calls, accepted, drafted)


def _logits(model: PreTrainedModel, token_ids: Tensor) -> Tensor:
    """Logits at every position: (length, vocabulary)."""
    return model(input_ids=token_ids[None], use_cache=False).logits[0].float()
