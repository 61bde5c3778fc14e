"""How probable a model finds both answers of a pair, with nothing computed twice.

Three savings, none of which changes a value. The two answers share their prompt, so a pair is one
row: prompt, chosen, rejected, with a mask that hides the answers from one another. The layers
below the first adapter are frozen, so their output is computed once for the whole training.
And logits are formed only where an answer is predicted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_utils.adaptation.frozen_layers import first_trainable_layer, split_at
from course_utils.alignment.preferences import PreferencePair
from course_utils.language_model.prompt_tokens import render
from course_utils.prompts import TEMPLATES, PromptTemplate


@dataclass(frozen=True)
class TokenizedPair:
    """Token ids of a prompt and of its two answers, each closed by the end-of-turn token."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]


def tokenize_pair(
    tokenizer: PreTrainedTokenizerBase,
    pair: PreferencePair,
    template: PromptTemplate = TEMPLATES["summarize"],
) -> TokenizedPair:
    """Render the dialogue as the model's chat (if it has one) and tokenize both summaries."""
    prompt = tokenizer(
        render(template.chat(pair.dialogue), tokenizer), add_special_tokens=False
    ).input_ids
    chosen, rejected = (
        [*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
        for text in (pair.chosen, pair.rejected)
    )
    return TokenizedPair(prompt, chosen, rejected)


@dataclass(frozen=True)
class PreparedPair:
    """A pair as far as the frozen layers take it, and what the reference thinks of it.

    hidden: (1, tokens, width), the input of the first trained layer; positions: (1, tokens);
    mask: (1, 1, tokens, tokens), added to the attention scores; predicting: the places whose
    logits predict the answers' tokens; targets: those tokens; chosen_tokens: how many of them
    are the chosen answer's; reference: (2,), log-probabilities of the chosen and the rejected
    answer with the adapter switched off.
    """

    hidden: Tensor
    positions: Tensor
    mask: Tensor
    predicting: Tensor
    targets: Tensor
    chosen_tokens: int
    reference: Tensor


class PairScorer:
    """Scores pairs under a decoder with an adapter, in the form of `peft`'s models."""

    def __init__(self, model: PreTrainedModel) -> None:
        """model: a decoder whose blocks lie in `model.layers` (Llama and its kin), or a
        `peft` model around one, with trained weights inside the blocks only.

        Raises ValueError for another architecture, or trained weights outside the blocks.
        """
        self.model = model
        decoder = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.frozen_layers = first_trainable_layer(decoder)
        self._lower, self._upper = split_at(decoder, self.frozen_layers)
        inside = {id(weight) for layer in self._upper.layers for weight in layer.parameters()}
        if any(w.requires_grad and id(w) not in inside for w in decoder.parameters()):
            raise ValueError(
                "Weights outside the blocks are trained (embeddings, head or final norm), so "
                "nothing can be computed once: freeze them and add an adapter to the blocks."
            )
        self._head = decoder.get_output_embeddings()

    @torch.no_grad()
    def prepare(self, pair: TokenizedPair) -> PreparedPair:
        """Run the frozen layers on a pair once, and score it under the reference.

        Raises ValueError for a pair with an empty prompt or answer.
        """
        if not (pair.prompt and pair.chosen and pair.rejected):
            raise ValueError("A pair needs tokens in its prompt and in both answers.")
        place = self._head.weight.device
        prompt, chosen, rejected = map(len, (pair.prompt, pair.chosen, pair.rejected))
        ids = torch.tensor([pair.prompt + pair.chosen + pair.rejected], device=place)
        first, second = prompt + chosen, prompt + chosen + rejected
        sees = torch.ones(second, second, dtype=torch.bool, device=place).tril()
        sees[first:, prompt:first] = False  # the rejected answer does not see the chosen one
        positions = torch.cat([torch.arange(first), torch.arange(prompt, prompt + rejected)])
        positions = positions[None].to(place)
        dtype = self._head.weight.dtype
        mask = torch.zeros(1, 1, second, second, dtype=dtype, device=place)
        mask.masked_fill_(~sees, torch.finfo(dtype).min)
        # The last token of the prompt predicts the first of each answer.
        predicting = [*range(prompt - 1, first - 1), prompt - 1, *range(first, second - 1)]
        unscored = PreparedPair(
            hidden=_run(self._lower, {"input_ids": ids}, mask, positions),
            positions=positions,
            mask=mask,
            predicting=torch.tensor(predicting, device=place),
            targets=ids[0, prompt:],
            chosen_tokens=chosen,
            reference=torch.empty(0),
        )
        if not hasattr(self.model, "disable_adapter"):
            reference = self.log_probabilities(unscored)
        else:
            with self.model.disable_adapter():
                reference = self.log_probabilities(unscored)
        return PreparedPair(**{**vars(unscored), "reference": reference})

    def log_probabilities(self, pair: PreparedPair) -> Tensor:
        """Give ln p(chosen | prompt) and ln p(rejected | prompt), in nats: (2,), with gradients."""
        hidden = _run(self._upper, {"inputs_embeds": pair.hidden}, pair.mask, pair.positions)
        logits = self._head(hidden[0, pair.predicting]).float()
        logp = logits.log_softmax(-1).gather(-1, pair.targets[:, None])[:, 0]
        return torch.stack([logp[: pair.chosen_tokens].sum(), logp[pair.chosen_tokens :].sum()])


def _run(body: nn.Module, given: dict[str, Tensor], mask: Tensor, positions: Tensor) -> Tensor:
    return body(
        **given, attention_mask=mask, position_ids=positions, use_cache=False
    ).last_hidden_state
