"""Has the model seen the test before? Two probes, one of texts and one of probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from course_utils.corpus_words import five_word_runs
from course_utils.language_model.completion import Score


def seen_runs(texts: Sequence[str], corpus: Sequence[str]) -> np.ndarray:
    """Say how much of each text stands word for word in a corpus.

    texts: n texts of a test set; corpus: those that a model was trained on.
    Returns (n,): the percentage of a text's runs of five words that occur in the corpus, capitals,
    punctuation and speakers aside; 0 for a text of fewer than five words.
    Raises ValueError for no texts or no corpus.
    Brown et al. 2020, "Language Models are Few-Shot Learners", appendix C (with longer runs).
    """
    if not len(texts) or not len(corpus):
        raise ValueError("Give one text and one text of the corpus at least.")
    seen = set().union(*map(five_word_runs, corpus))
    runs = [five_word_runs(text) for text in texts]
    return np.array([100 * len(own & seen) / len(own) if own else 0.0 for own in runs])


def min_k_probability(score: Score, share: float = 0.2) -> float:
    """Give the mean log-probability of a text's least probable tokens, in nats (Min-K% Prob).

    share: how many of them, in (0, 1]; one token at least. With share=1 it is the mean of all.
    A text that was learnt by heart has few tokens that surprise; one that is merely easy has
    some. The higher, the likelier it is that the model has seen the text.
    Raises ValueError for a share outside (0, 1].
    Shi et al. 2023, "Detecting Pretraining Data from Large Language Models", section 4.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share={share} is not a share: give a value in (0, 1], such as 0.2.")
    tokens = np.sort(score.token_log_probabilities)
    return float(tokens[: max(1, int(share * len(tokens)))].mean())
