"""When a completion is over: an end token, a stop string, or no tokens left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def ends_in_stop_string(
    token_ids: Sequence[int], stop_strings: Sequence[str], tokenizer: PreTrainedTokenizerBase
) -> bool:
    """Whether the last token completes one of the stop strings.

    The string may begin in an earlier token and end inside the last one, so text is searched and
    never token ids: " stop", "stop" and "st" + "op" are different tokens and the same string.
    """
    before = len(_decode(tokenizer, token_ids[:-1]))
    text = _decode(tokenizer, token_ids)
    return any(text.find(stop, max(0, before - len(stop) + 1)) >= 0 for stop in stop_strings)


def cut_at_stop_string(text: str, stop_strings: Sequence[str]) -> str:
    """Return `text` up to the first stop string, which is left out."""
    found = [text.find(stop) for stop in stop_strings if stop in text]
    return text[: min(found)] if found else text


def _decode(tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int]) -> str:
    return tokenizer.decode(token_ids, clean_up_tokenization_spaces=False)
