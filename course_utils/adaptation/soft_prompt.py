"""Prompt tuning: train a few vectors before the prompt, and not one weight of the model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from course_utils.adaptation.examples import Example, pad_right


class SoftPrompt(nn.Module):
    """Vectors that stand before the embeddings of every prompt.

    vectors: (length, width), float32, begun from the embeddings of `words`, repeated to the
    length; they need not stay near any word. Give it to `fine_tune` as model *and* reader.
    Lester et al. 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning".
    """

    def __init__(self, model: nn.Module, words: Sequence[int], length: int = 20) -> None:
        super().__init__()
        if length < 1 or not words:
            raise ValueError("A soft prompt needs a length of at least 1 and words to begin from.")
        self._frozen = (model.requires_grad_(False),)  # a tuple: not a part that would train
        start = [words[place % len(words)] for place in range(length)]
        embeddings = model.get_input_embeddings().weight[torch.tensor(start, device=model.device)]
        self.vectors = nn.Parameter(embeddings.detach().float().clone())

    @property
    def model(self) -> nn.Module:
        """The frozen language model."""
        return self._frozen[0]

    def prepare(self, examples: Sequence[Example]) -> list[Tensor]:
        """Return each example's embeddings: (tokens, width)."""
        embed = self.model.get_input_embeddings()
        with torch.no_grad():
            return [
                embed(torch.tensor(e.prompt + e.answer, device=self.model.device)) for e in examples
            ]

    def logits(self, states: Sequence[Tensor], labelled: Tensor) -> Tensor:
        """Return the logits at the labelled places alone: (labels, vocabulary), float32."""
        words = pad_right(states)
        soft = self.vectors.to(words.dtype).expand(len(words), -1, -1)
        decoder, head = self.model.get_decoder(), self.model.get_output_embeddings()
        output = decoder(inputs_embeds=torch.cat([soft, words], dim=1), use_cache=False)
        return head(output.last_hidden_state[:, soft.shape[1] :][labelled]).float()
