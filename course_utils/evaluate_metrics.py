"""The course's scores as `evaluate.Metric`s that need no network.

`evaluate.load("rouge")` fetches its code from the Hub; these are ordinary classes:

    Rouge().compute(predictions=summaries, references=test["references"])

Import them from `course_utils.metrics`.
"""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np

from course_utils.metrics import Over, rouge_per_example, similarity_per_example

_TEXT = datasets.Value("string")
_INPUTS = """
Args:
    predictions: n texts.
    references: for each of them one text or a list of texts.
    over: 'mean' over an example's references (default) or 'max'.
    per_example: give the n scores instead of their mean.
"""


class _TextMetric(evaluate.Metric):
    """What the two metrics share: one or several references each, kept in memory."""

    description: str
    citation: str

    def __init__(self, **kwargs):
        super().__init__(**{"keep_in_memory": True, **kwargs})

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.description,
            citation=self.citation,
            inputs_description=_INPUTS,
            features=[
                datasets.Features({"predictions": _TEXT, "references": datasets.List(_TEXT)}),
                datasets.Features({"predictions": _TEXT, "references": _TEXT}),
            ],
        )

    def _compute(
        self,
        predictions: Sequence[str],
        references: Sequence[str | Sequence[str]],
        over: Over = "mean",
        per_example: bool = False,
    ) -> dict[str, float] | dict[str, list[float]]:
        scores = self._scores(predictions, references, over)
        if per_example:
            return {name: values.tolist() for name, values in scores.items()}
        return {name: float(values.mean()) for name, values in scores.items()}

    def _scores(self, predictions, references, over: Over) -> dict[str, np.ndarray]:
        raise NotImplementedError


class Rouge(_TextMetric):
    """ROUGE-1, ROUGE-2 and ROUGE-L F-measures, 0 to 100, over several references."""

    description = "Overlap of words, word pairs and the longest common subsequence, in percent."
    citation = "Lin 2004, ROUGE: A Package for Automatic Evaluation of Summaries."

    def _scores(self, predictions, references, over: Over) -> dict[str, np.ndarray]:
        return rouge_per_example(predictions, references, over=over)


class SemanticSimilarity(_TextMetric):
    """100 times the cosine of MiniLM sentence embeddings, over several references."""

    description = "Nearness in meaning: the cosine of two texts' MiniLM embeddings, in percent."
    citation = "Reimers and Gurevych 2019, Sentence-BERT."

    def _scores(self, predictions, references, over: Over) -> dict[str, np.ndarray]:
        return {"similarity": similarity_per_example(predictions, references, over=over)}
