"""Cut a long text into pieces that can be indexed."""

from __future__ import annotations

import re
from typing import NamedTuple


class Chunk(NamedTuple):
    """A piece of a text: text[start:end]."""

    start: int
    end: int
    text: str


def chunk(text: str, words: int, overlap: int = 0) -> list[Chunk]:
    """Cut a text into pieces of at most `words` words, each repeating `overlap` of the last.

    A sentence on a border is torn; overlap puts it whole into one of two pieces if it is no
    longer than that, and makes the index larger by the factor words / (words - overlap).
    Raises ValueError for words below 1, or an overlap outside [0, words).
    """
    if words < 1:
        raise ValueError(f"words={words} is no size: give 1 or more.")
    if not 0 <= overlap < words:
        raise ValueError(f"overlap={overlap} must be at least 0 and less than words={words}.")
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    chunks = []
    for first in range(0, len(spans), words - overlap):
        last = min(first + words, len(spans))
        start, end = spans[first][0], spans[last - 1][1]
        chunks.append(Chunk(start, end, text[start:end]))
        if last == len(spans):
            break
    return chunks
