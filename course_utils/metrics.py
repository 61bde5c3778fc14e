"""Scores of summaries against several references, in percent, without a network.

The functions here give one score per example, which is what an interval needs
(`course_utils.comparison`). `Rouge` and `SemanticSimilarity` are the same scores as
`evaluate.Metric`s; they are loaded on first use because importing `evaluate` takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")
Over = Literal["mean", "max"]


def rouge_per_example(
    predictions: Sequence[str],
    references: Sequence[str | Sequence[str]],
    *,
    over: Over = "mean",
) -> dict[str, np.ndarray]:
    """Score each prediction against its references with ROUGE-1, ROUGE-2 and ROUGE-L.

    predictions: n texts; references: for each of them one text or several.
    over: the `mean` over an example's references (the course's convention) or the `max`.
    Returns {"rouge1": (n,), "rouge2": (n,), "rougeL": (n,)}: F-measures from 0 to 100, of
    words stemmed by Porter's rules.
    Raises ValueError when the two lists differ in length or an example has no reference.
    Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"; package rouge-score.
    """
    scorer, reduce = _rouge_scorer(), _reduction(over)
    rows = []
    for prediction, texts in zip(predictions, _checked(predictions, references), strict=True):
        scores = [scorer.score(text, prediction) for text in texts]
        rows.append([reduce([score[kind].fmeasure for score in scores]) for kind in ROUGE_TYPES])
    table = 100 * np.array(rows, dtype=float).reshape(-1, len(ROUGE_TYPES))
    return dict(zip(ROUGE_TYPES, table.T.copy(), strict=True))


def similarity_per_example(
    predictions: Sequence[str],
    references: Sequence[str | Sequence[str]],
    *,
    over: Over = "mean",
) -> np.ndarray:
    """Score how near in meaning each prediction is to its references.

    predictions: n texts; references: for each of them one text or several.
    Returns (n,): 100 times the cosine of the two texts' MiniLM embeddings (100: the same
    meaning; near 0: unrelated), the `mean` or `max` over an example's references.
    Raises ValueError as `rouge_per_example` does.
    """
    reduce, texts = _reduction(over), _checked(predictions, references)
    flat = list(dict.fromkeys([*predictions, *(text for row in texts for text in row)]))
    if not flat:
        return np.zeros(0)
    vector = dict(zip(flat, embed(flat).numpy(), strict=True))
    return 100 * np.array(
        [
            reduce([vector[prediction] @ vector[text] for text in row])
            for prediction, row in zip(predictions, texts, strict=True)
        ],
        dtype=float,
    )


def embed(texts: Sequence[str], *, batch_size: int = 64) -> Tensor:
    """Give each text one vector of length 1: the mean of its tokens' last hidden states.

    Returns (n, 384), float32, on the CPU. A text is cut at MiniLM's 256 tokens.
    Reimers and Gurevych 2019, "Sentence-BERT", section 3 (mean pooling).
    """
    import torch

    model, tokenizer = _minilm()
    vectors = []
    for start in range(0, len(texts), batch_size):
        batch = tokenizer(
            list(texts[start : start + batch_size]),
            padding=True,
            truncation=True,
            max_length=256,
            return_tensors="pt",
        ).to(model.device)
        with torch.inference_mode():
            hidden = model(**batch).last_hidden_state.float()
        mask = batch["attention_mask"].unsqueeze(-1)
        mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        vectors.append(torch.nn.functional.normalize(mean, dim=-1).cpu())
    return torch.cat(vectors)


def _checked(
    predictions: Sequence[str], references: Sequence[str | Sequence[str]]
) -> list[list[str]]:
    if len(predictions) != len(references):
        raise ValueError(
            f"{len(predictions)} predictions but references for {len(references)} examples: "
            "give each prediction its own reference or list of references."
        )
    texts = [[row] if isinstance(row, str) else list(row) for row in references]
    for index, row in enumerate(texts):
        if not row:
            raise ValueError(f"Example {index} has no reference: give it at least one.")
    return texts


def _reduction(over: Over):
    if over not in ("mean", "max"):
        raise ValueError(f"over={over!r} is not known: give 'mean' or 'max' over the references.")
    return np.mean if over == "mean" else np.max


@lru_cache
def _rouge_scorer():
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer, Tokenizer

    class CachedTokenizer(Tokenizer):
        """Stem each text once, however many texts it is compared with."""

        tokenize = staticmethod(
            lru_cache(maxsize=4096)(DefaultTokenizer(use_stemmer=True).tokenize)
        )

    return RougeScorer(list(ROUGE_TYPES), tokenizer=CachedTokenizer())


@lru_cache
def _minilm():
    from course_utils.model_store import load_transformers_model

    return load_transformers_model("minilm-l6-v2", dtype="float32")


def __getattr__(name: str):
    if name in ("Rouge", "SemanticSimilarity"):
        from course_utils import evaluate_metrics

        return getattr(evaluate_metrics, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
