"""The words of a dialogue: names, numbers, speakers, five-word runs and misspellings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from course_utils.dialogues import COURSE_FOLDER

ALLOWED_WORDS_FILE = COURSE_FOLDER / "allowed_words.txt"

_SPEAKER = re.compile(r"#Person\d#")
_TURN_MARK = re.compile(r"#Person\d#:?")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_DIGITS = re.compile(r"\d+(?:[.,:]\d+)*")
_TITLES = ("Mr.", "Mrs.", "Ms.", "Dr.")
_ENDING = re.compile(r"'(?:s|ll|d|ve|re|m)$")
# "one", "first" and "second" are left out: they seldom count anything in a summary.
_NUMBERS = """
    two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred
    thousand million third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth
    thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth thirtieth
"""
_NUMBER_WORDS = frozenset(_NUMBERS.split())


def speakers_in(text: str) -> set[str]:
    """Give the speakers a text mentions: {"#Person1#", ...}."""
    return set(_SPEAKER.findall(text))


def words_in(text: str) -> list[str]:
    """Give the words of a text in lower case, without speakers, digits and possessive 's."""
    return [_bare(word) for word in _WORD.findall(_TURN_MARK.sub(" ", text))]


def five_word_runs(text: str) -> set[str]:
    """Give every run of five words or numbers of a text, without its speakers."""
    words = re.findall(r"\w+", _TURN_MARK.sub(" ", text).lower())
    return {" ".join(words[i : i + 5]) for i in range(len(words) - 4)}


def numbers_in(text: str) -> set[str]:
    """Give the numbers of a text as they are written: {"7:25", "forty", "third"}."""
    plain = _TURN_MARK.sub(" ", text)
    return set(_DIGITS.findall(plain)) | (_NUMBER_WORDS & set(words_in(plain)))


def names_in(text: str) -> set[str]:
    """Give a text's names in lower case.

    A name is a word with a capital inside a sentence, or a word that begins one and that no
    dictionary has: in "Renaud lends Ann his radio", `renaud` and `ann`.
    """
    return {
        _bare(word)
        for word, begins in _placed_words(text)
        if word[0].isupper() and _bare(word) != "i" and not (begins and is_known(word))
    }


def misspelt(texts: Iterable[str]) -> list[str]:
    """Give the words of texts that neither the dictionary nor the allowed list has.

    Names are left out: a word with a capital inside a sentence in any of the texts.
    """
    placed = [found for text in texts for found in _placed_words(text)]
    names = {_bare(word) for word, begins in placed if word[0].isupper() and not begins}
    words = dict.fromkeys(word for word, _ in placed)
    return [word for word in words if _bare(word) not in names and not is_known(word)]


def is_known(word: str) -> bool:
    """Tell whether a word is English, or foreign or dialect and allowed on purpose."""
    bare = _bare(word)
    return bare in _dictionary() or word.lower() in _dictionary() or bare in _allowed_words()


def _placed_words(text: str) -> Iterator[tuple[str, bool]]:
    """Give each word, and whether it begins a sentence or a quotation."""
    plain = _TURN_MARK.sub("\n", text)
    for match in _WORD.finditer(plain):
        before = plain[: match.start()].rstrip(" ")
        begins = not before or before[-1] in "\n.!?:\"'("
        yield match[0], begins and not before.endswith(_TITLES)


def _bare(word: str) -> str:
    return _ENDING.sub("", word.lower())


@cache
def _dictionary():
    from spellchecker import SpellChecker

    return SpellChecker(language="en")


@cache
def _allowed_words() -> frozenset[str]:
    lines = ALLOWED_WORDS_FILE.read_text(encoding="utf-8").splitlines()
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))
