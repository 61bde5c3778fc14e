"""How good a ranking is, before anything is generated from it."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence

from course_utils.retrieval.search import check_k


def recall_at_k(ranked: Sequence[Hashable], relevant: Collection[Hashable], k: int) -> float:
    """Return the share of the relevant items that stand among the first k: 0 to 1.

    ranked: items, the best first, fewer than k if no more were found.
    Raises ValueError for a k below 1, nothing relevant, or an item that is ranked twice.
    """
    check_k(k)
    _check(ranked, relevant)
    return len(set(ranked[:k]) & set(relevant)) / len(set(relevant))


def reciprocal_rank(ranked: Sequence[Hashable], relevant: Collection[Hashable]) -> float:
    """Return 1 / rank of the first relevant item, 0 if none was found.

    Raises ValueError for nothing relevant or an item that is ranked twice.
    """
    _check(ranked, relevant)
    return next((1 / rank for rank, item in enumerate(ranked, 1) if item in relevant), 0.0)


def _check(ranked: Sequence[Hashable], relevant: Collection[Hashable]) -> None:
    if not relevant:
        raise ValueError(
            "Nothing is relevant, so nothing can be recalled: leave questions without an answer "
            "out of recall, and measure abstaining on them."
        )
    if len(set(ranked)) < len(ranked):
        raise ValueError("An item is ranked twice: a ranking names each item once.")
