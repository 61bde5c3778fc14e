"""A reward model that trains in a second: five numbers about a summary, one weight for each.

A reward model proper is a whole language model whose last layer gives one number. Here the body
is MiniLM, frozen, with a few things that can be counted, so the head can be read: its five
weights say what the reward measures.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from course_utils.alignment.preferences import PreferencePair
from course_utils.alignment.rewards import bradley_terry_loss
from course_utils.metrics import embed

FEATURES = ("similarity", "supported", "log words", "distinct", "speaker tags")
EMBEDDED_WORDS = 100  # of a text; MiniLM was trained on 128 tokens
_vectors: dict[str, Tensor] = {}  # a text is embedded once a session


def summary_features(dialogues: Sequence[str], summaries: Sequence[str]) -> Tensor:
    """Describe each summary of its dialogue by five numbers: (n, 5), in the order of `FEATURES`.

    similarity: the cosine of the MiniLM embeddings of dialogue and summary, each by its first
    100 words; supported: the share of the summary's words of four letters or more that
    the dialogue contains; log words: the natural logarithm of its length; distinct: the share of
    its words that are different; speaker tags: the share of its words that are #Person1# and
    the like.
    Raises ValueError if there is not one dialogue for each summary, or a summary has no word.
    """
    if len(dialogues) != len(summaries):
        raise ValueError(f"{len(dialogues)} dialogues but {len(summaries)} summaries: pair them.")
    _embed_once([*dialogues, *summaries])
    rows = []
    for dialogue, summary in zip(dialogues, summaries, strict=True):
        words = _words(summary)
        if not words:
            raise ValueError(f"The summary {summary!r} has no word: there is nothing to score.")
        said, long = set(_words(dialogue)), [word for word in words if len(word) >= 4]
        rows.append(
            [
                float(_vectors[_beginning(dialogue)] @ _vectors[_beginning(summary)]),
                sum(word in said for word in long) / max(1, len(long)),
                torch.tensor(len(words)).log().item(),
                len(set(words)) / len(words),
                sum(word.startswith("#") for word in words) / len(words),
            ]
        )
    return torch.tensor(rows).reshape(-1, len(FEATURES))


class RewardModel(nn.Module):
    """One weight for each standardized feature; the reward is their sum.

    Only differences of rewards of the same dialogue mean anything: a pair never shows a constant.
    """

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        """mean, scale: (5,), of the features that it is trained on."""
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale.clamp(min=1e-6))
        self.weights = nn.Parameter(torch.zeros(len(mean)))

    def forward(self, features: Tensor) -> Tensor:
        """Give rewards (n,) for features (n, 5)."""
        return (features - self.mean) / self.scale @ self.weights

    @torch.no_grad()
    def score(self, dialogues: Sequence[str], summaries: Sequence[str]) -> Tensor:
        """Give the reward of each summary of its dialogue: (n,)."""
        return self(summary_features(dialogues, summaries))


def train_reward_model(
    pairs: Sequence[PreferencePair], *, steps: int = 300, penalty: float = 0.01
) -> RewardModel:
    """Learn a reward from preferences by Bradley and Terry's loss, on all pairs at once.

    penalty: times the squared weights; without it, weights grow for ever where the pairs can be
    told apart perfectly. The problem is convex and starts from zero, so there is no seed.
    Raises ValueError for no pairs.
    """
    if not pairs:
        raise ValueError("There are no pairs to learn from: give at least one.")
    dialogues = [pair.dialogue for pair in pairs]
    chosen, rejected = summary_features(
        dialogues * 2, [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
    ).chunk(2)
    both = torch.cat([chosen, rejected])
    model = RewardModel(both.mean(0), both.std(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(steps):
        loss = bradley_terry_loss(model(chosen), model(rejected))
        optimizer.zero_grad()
        (loss + penalty * model.weights.square().sum()).backward()
        optimizer.step()
    return model.requires_grad_(False)


def pair_rewards(model: RewardModel, pairs: Sequence[PreferencePair]) -> tuple[Tensor, Tensor]:
    """Give the rewards of the chosen and of the rejected summaries: two tensors (pairs,)."""
    dialogues = [pair.dialogue for pair in pairs]
    texts = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
    chosen, rejected = model.score(dialogues * 2, texts).chunk(2)
    return chosen, rejected


def length_rewards(pairs: Sequence[PreferencePair]) -> tuple[Tensor, Tensor]:
    """Give the words of the chosen and of the rejected: the reward "longer is better"."""
    counts = [
        torch.tensor([float(len(_words(text))) for text in texts])
        for texts in ([p.chosen for p in pairs], [p.rejected for p in pairs])
    ]
    return counts[0], counts[1]


def _words(text: str) -> list[str]:
    return re.findall(r"#?[a-z0-9']+", text.lower())


def _beginning(text: str) -> str:
    return " ".join(text.split()[:EMBEDDED_WORDS])


def _embed_once(texts: Sequence[str]) -> None:
    wanted = {_beginning(text) for text in texts}
    new = sorted((text for text in wanted if text not in _vectors), key=len)  # little padding
    if new:
        _vectors.update(zip(new, embed(new), strict=True))
