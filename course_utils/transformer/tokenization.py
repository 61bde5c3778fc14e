"""Byte-pair encoding: learn which neighbours to merge, then cut any text into those pieces."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

# A word keeps the space in front of it, so that joining the pieces gives the text back.
WORDS = re.compile(r" ?\w+| ?[^\w\s]+|\s+")
BYTES = 256


def count_pairs(words: Counter[tuple[int, ...]]) -> Counter[tuple[int, int]]:
    """Count each pair of neighbouring symbols over all words, each word as often as it occurs."""
    pairs: Counter[tuple[int, int]] = Counter()
    for symbols, count in words.items():
        for pair in pairwise(symbols):
            pairs[pair] += count
    return pairs


def merge_pair(symbols: tuple[int, ...], pair: tuple[int, int], merged: int) -> tuple[int, ...]:
    """Replace `pair` by `merged` from left to right; pairs that overlap are merged once."""
    result, position = [], 0
    while position < len(symbols):
        if symbols[position : position + 2] == pair:
            result.append(merged)
            position += 2
        else:
            result.append(symbols[position])
            position += 1
    return tuple(result)


def train_bpe(texts: Iterable[str], merges: int) -> "BytePairTokenizer":
    """Learn up to `merges` merges: each joins the pair that is most frequent at that moment.

    A tie goes to the pair with the lower ids. Training ends early once no pair occurs twice.
    Raises ValueError if `merges` is negative.
    Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units".
    """
    if merges < 0:
        raise ValueError(f"merges={merges} is negative: give how many pairs to merge, 0 or more.")
    words = Counter(tuple(word.encode()) for text in texts for word in WORDS.findall(text))
    learned: list[tuple[int, int]] = []
    while len(learned) < merges:
        pairs = count_pairs(words)
        best = min(pairs, key=lambda pair: (-pairs[pair], pair), default=None)
        if best is None or pairs[best] < 2:
            break
        merged = BYTES + len(learned)
        learned.append(best)
        words = _merge_everywhere(words, best, merged)
    return BytePairTokenizer(learned)


def _merge_everywhere(
    words: Counter[tuple[int, ...]], pair: tuple[int, int], merged: int
) -> Counter[tuple[int, ...]]:
    result: Counter[tuple[int, ...]] = Counter()
    for symbols, count in words.items():
        result[merge_pair(symbols, pair, merged)] += count
    return result


@dataclass
class BytePairTokenizer:
    """A byte-level tokenizer: ids 0 to 255 are bytes, id 256 + i is the i-th merge.

    Any text can be encoded, whatever its script, because every text is bytes.
    """

    merges: list[tuple[int, int]]
    pieces: list[bytes] = field(init=False, repr=False)
    """pieces[id] is the bytes that token `id` stands for."""

    def __post_init__(self) -> None:
        self.pieces = [bytes([value]) for value in range(BYTES)]
        for left, right in self.merges:
            self.pieces.append(self.pieces[left] + self.pieces[right])
        self._ranks = {pair: rank for rank, pair in enumerate(self.merges)}

    def __len__(self) -> int:
        return len(self.pieces)

    def encode(self, text: str) -> list[int]:
        """Cut `text` into token ids: in each word, apply the merges in the order learned."""
        return [token for word in WORDS.findall(text) for token in self._encode_word(word)]

    def _encode_word(self, word: str) -> tuple[int, ...]:
        symbols = tuple(word.encode())
        while known := [pair for pair in pairwise(symbols) if pair in self._ranks]:
            pair = min(known, key=self._ranks.__getitem__)
            symbols = merge_pair(symbols, pair, BYTES + self._ranks[pair])
        return symbols

    def decode(self, ids: Iterable[int]) -> str:
        """Join the bytes of `ids`; bytes that are no whole character show as U+FFFD.

        Raises ValueError for an id outside the vocabulary.
        """
        ids = list(ids)
        if unknown := [token for token in ids if not 0 <= token < len(self)]:
            raise ValueError(
                f"Token id {unknown[0]} is not in the vocabulary: ids go from 0 to {len(self) - 1}."
            )
        return b"".join(self.pieces[token] for token in ids).decode(errors="replace")
