"""From tokens to text that may be shown already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from course_utils.decoding.stopping import cut_at_stop_string

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

UNFINISHED = "\ufffd"  # what a decoder shows for the first bytes of a longer character


class TextStream:
    """The text of a growing completion, given out in pieces that are never taken back."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, stop_strings: Sequence[str] | None
    ) -> None:
        self.stopped = False  # whether a stop string has appeared
        self._tokenizer = tokenizer
        self._stops = stop_strings or ()
        self._ids: list[int] = []
        self._text = ""
        self._given = 0

    def add(self, token_id: int) -> None:
        """Append a token."""
        self._ids.append(token_id)
        # All of it each time: what a token looks like depends on those before it.
        text = self._tokenizer.decode(self._ids, skip_special_tokens=True)
        self._text = cut_at_stop_string(text, self._stops)
        self.stopped = self._text != text

    def take(self, *, final: bool) -> str:
        """Return the text since the last call.

        Unless `final`, what may still change is held back: a character of which only the first
        bytes are there, and an end that may be the beginning of a stop string.
        """
        end = len(self._text) if final or self.stopped else self._settled()
        piece = self._text[self._given : end]
        self._given = max(self._given, end)
        return piece

    def _settled(self) -> int:
        text = self._text.rstrip(UNFINISHED)
        held = max((_overlap(text, stop) for stop in self._stops), default=0)
        return len(text) - held


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of `text` that `stop` begins with."""
    return next(
        (n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0
    )
