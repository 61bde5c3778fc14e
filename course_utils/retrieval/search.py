"""Find passages: by their words (BM25), by their meaning (embeddings), by both.

Every index is built from texts and answers `search(queries, k)` with hits, the best first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Words = Callable[[str], list[str]]


class Hit(NamedTuple):
    """A text that was found: its position among the indexed texts, and its score."""

    index: int
    score: float


class Index(Protocol):
    """What can be searched."""

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Return for each query at most k hits, the best first."""


def stemmed_words(text: str) -> list[str]:
    """Split a text into lower-case words without endings: "The lathes in Bay 3" to lath, bay, 3.

    The library's 33 English stop words (the, in, is, ...) are left out. One-character words are
    kept, which the library's own tokenizer drops: in "Bay 3" the 3 is what matters.
    Porter 1980, "An algorithm for suffix stripping".
    """
    from bm25s.stopwords import STOPWORDS_EN

    return [_stem(word) for word in re.findall(r"\w+", text.lower()) if word not in STOPWORDS_EN]


class LexicalIndex:
    """Search by shared words, rare ones first: BM25 by the library bm25s.

    words: how a text becomes words; `stemmed_words` unless you give another.
    Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond".
    """

    def __init__(self, texts: Sequence[str], words: Words = stemmed_words) -> None:
        import bm25s

        self.size, self.words = _checked(texts), words
        self._bm25 = bm25s.BM25()
        self._bm25.index([words(text) or [""] for text in texts], show_progress=False)

    def search(self, queries: Sequence[str], k: int = 5) -> list[list[Hit]]:
        """Return for each query at most k hits; a text that shares no word with it is none.

        Raises ValueError for a k below 1 or above the number of texts.
        """
        check_k(k, self.size)
        return [_best(self.scores(query), k, above=0) for query in queries]

    def scores(self, query: str) -> np.ndarray:
        """Return the BM25 score of every text: (texts,), 0 where no word is shared."""
        known = self._bm25.get_tokens_ids(self.words(query))
        return self._bm25.get_scores_from_ids(known) if known else np.zeros(self.size)


class DenseIndex:
    """Search by meaning: the cosine of MiniLM's embeddings, by sentence-transformers.

    embed: texts to vectors of shape (n, width); `course_utils.metrics.embed` unless you give
    another, which cuts a text at 256 tokens.
    Karpukhin et al. 2020, "Dense Passage Retrieval for Open-Domain Question Answering".
    """

    def __init__(
        self, texts: Sequence[str], embed: Callable[[Sequence[str]], Tensor] | None = None
    ) -> None:
        from course_utils import metrics

        self.size, self._embed = _checked(texts), embed or metrics.embed
        self.vectors = self._embed(texts)

    def search(self, queries: Sequence[str], k: int = 5) -> list[list[Hit]]:
        """Return for each query the k hits with the highest cosine, from -1 to 1.

        Raises ValueError for a k below 1 or above the number of texts.
        """
        from sentence_transformers.util import semantic_search

        check_k(k, self.size)
        if not queries:
            return []
        found = semantic_search(self._embed(queries), self.vectors, top_k=k)
        return [[Hit(hit["corpus_id"], hit["score"]) for hit in hits] for hits in found]


class HybridIndex:
    """Search several indexes of the same texts and fuse their rankings."""

    def __init__(self, *indexes: LexicalIndex | DenseIndex) -> None:
        if len({index.size for index in indexes}) != 1:
            raise ValueError("Give indexes of the same texts, one at least.")
        self.indexes, self.size = indexes, indexes[0].size

    def search(self, queries: Sequence[str], k: int = 5) -> list[list[Hit]]:
        """Return for each query the k hits that stand highest in the rankings together.

        Raises ValueError for a k below 1 or above the number of texts.
        """
        check_k(k, self.size)
        rankings = [index.search(queries, self.size) for index in self.indexes]
        return [
            reciprocal_rank_fusion([[hit.index for hit in hits] for hits in of_query])[:k]
            for of_query in zip(*rankings, strict=True)
        ]


def reciprocal_rank_fusion(rankings: Sequence[Sequence[int]], constant: float = 60) -> list[Hit]:
    """Fuse rankings: an item gets 1 / (constant + rank) from each list it stands in.

    rankings: items, the best first; ranks count from 1. Scores of the lists are not compared,
    so BM25 and cosines can be fused. Equal sums keep the order of first appearance.
    Cormack, Clarke and Büttcher 2009, "Reciprocal Rank Fusion outperforms Condorcet and
    individual Rank Learning Methods".
    """
    sums: dict[int, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, start=1):
            sums[item] = sums.get(item, 0.0) + 1 / (constant + rank)
    return [Hit(item, total) for item, total in sorted(sums.items(), key=lambda pair: -pair[1])]


def check_k(k: int, size: int | None = None) -> None:
    """Raise ValueError unless 1 <= k <= size."""
    if k < 1:
        raise ValueError(f"k={k} asks for nothing: give the number of passages wanted, 1 or more.")
    if size is not None and k > size:
        raise ValueError(
            f"k={k} passages are wanted, but only {size} are indexed: ask for {size} at most."
        )


def _checked(texts: Sequence[str]) -> int:
    """Return how many texts there are. Raises ValueError if there are none or one is empty."""
    if isinstance(texts, str):
        raise ValueError("One string was given where texts are expected: put it into a list.")
    if len(texts) == 0:
        raise ValueError("The corpus is empty: give at least one text to index.")
    for number, text in enumerate(texts):
        if not text.strip():
            raise ValueError(f"Text {number} is empty: leave it out before indexing.")
    return len(texts)


def _best(scores: np.ndarray, k: int, above: float) -> list[Hit]:
    """Return the k highest scores above a bound; equal ones in the order of the texts."""
    order = np.argsort(-scores, kind="stable")[:k]
    return [Hit(int(index), float(scores[index])) for index in order if scores[index] > above]


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    return _porter().stem(word)


@lru_cache
def _porter():
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()
