"""Which names, numbers and words of a summary its dialogue has.

A summary that names somebody who does not occur, or a price that nobody said, is wrong whatever
its ROUGE. This is the cheapest check of that kind: it looks words up. It cannot see who did what
to whom, nor a negation; what it calls unsupported may be a paraphrase.
Nan et al. 2021, "Entity-level Factual Consistency of Abstractive Text Summarization" (precision
of a summary's entities in its source).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np

from course_utils.corpus_words import names_in, numbers_in, words_in

Kind = Literal["speaker", "name", "number", "word"]
KINDS: tuple[Kind, ...] = get_args(Kind)
INVENTIBLE: tuple[Kind, ...] = ("speaker", "name", "number")

_UNITS = "one two three four five six seven eight nine".split()
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
_VALUES = (
    {word: value for value, word in enumerate(_UNITS + _TEENS, start=1)}
    | {word: 10 * value for value, word in enumerate(_TENS, start=2)}
    | {word: value for value, word in enumerate(_ORDINALS, start=1)}
    | {"thirtieth": 30, "hundred": 100, "thousand": 1000, "million": 1_000_000}
)
_TOKEN = re.compile(
    r"(?P<speaker>#?\bPerson ?[0-9]\b#?)"
    rf"|(?P<compound>\b(?:{'|'.join(_TENS)})[- ](?:{'|'.join(_UNITS)})\b)"
    r"|(?P<digits>\d+(?:[.,:]\d+)*(?:st|nd|rd|th)?)"
    r"|(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*)",
    re.IGNORECASE,
)
# Words that every text has, whatever it is about.
_FUNCTION_WORDS = frozenset(
    """
    a an the this that these those some any each every no not nor and or but if so as than then
    of in on at by for from to into onto with without about against between through over under up down
    out off after before
    until till while when where why how what which who whom whose because though although since
    i you he she it we they me him her us them my your his its our their mine yours hers ours theirs
    myself yourself himself herself itself themselves there here both all one ones other another
    am is are was were be been being have has had having do does did done doing will would shall
    should can could may might must isn't aren't wasn't weren't don't doesn't didn't won't wouldn't
    can't couldn't shouldn't haven't hasn't hadn't i'm it's that's let's too also just only very
    """.split()
)


@dataclass(frozen=True)
class Mention:
    """One name, number, speaker or content word of a text, and whether its source has it.

    start, end: where it stands in the text; key: the same for all forms of it ("forty" and "40").
    """

    start: int
    end: int
    text: str
    kind: Kind
    key: str
    supported: bool


def mentions(text: str, source: str) -> list[Mention]:
    """Find the speakers, names, numbers and content words of a text, in order.

    source: the text that should have them, as a dialogue its summary's. Turned round,
    `mentions(dialogue, summary)` says what of the dialogue the summary took up.

    Words are compared by their stem, numbers by their value ("forty" is "40", "7:00" is
    "seven"; a clock time in other words, such as "half past seven", is not understood).
    "#Person1#", "Person1" and "Person 1" are the same speaker.
    """
    known = {key for _, _, key in _tokens(source)}
    return [
        Mention(*match.span(), match[0], kind, key, key in known)
        for match, kind, key in _tokens(text)
        if kind is not None
    ]


def support_per_example(
    summaries: Sequence[str], dialogues: Sequence[str]
) -> dict[Kind, np.ndarray]:
    """Say what share of each summary's mentions its dialogue has: the precision of each kind.

    Returns {"speaker": (n,), "name": (n,), "number": (n,), "word": (n,)}, from 0 to 100; nan
    where a summary mentions nothing of the kind, so that there is nothing to be right about.
    Raises ValueError for no summaries, or lists that differ in length.
    """
    _check_pairs(summaries, dialogues, "dialogues")
    found = [mentions(text, source) for text, source in zip(summaries, dialogues, strict=True)]
    return {
        kind: np.array([_percent([m.supported for m in row if m.kind == kind]) for row in found])
        for kind in KINDS
    }


def invention_free(summaries: Sequence[str], dialogues: Sequence[str]) -> np.ndarray:
    """Say for each summary whether every speaker, name and number of it is in its dialogue.

    Returns (n,): 100 where all are, or where it mentions none, else 0. A text that says nothing
    invents nothing, so read this beside `coverage_per_example`.
    Raises ValueError as `support_per_example` does.
    """
    _check_pairs(summaries, dialogues, "dialogues")
    return np.array(
        [
            100.0 * all(m.supported for m in mentions(text, source) if m.kind in INVENTIBLE)
            for text, source in zip(summaries, dialogues, strict=True)
        ]
    )


def coverage_per_example(
    summaries: Sequence[str], statements: Sequence[Sequence[str]]
) -> np.ndarray:
    """Say how much of what should be told each summary tells, by words.

    statements: for each summary one or more sentences, such as the corpus's `facts`.
    Returns (n,): the share of a statement's mentions that the summary has, the mean over its
    statements, from 0 to 100.
    Raises ValueError for no summaries, lists that differ in length, or a summary without
    statements (DialogSum has none).
    """
    _check_pairs(summaries, statements, "lists of statements")
    rows = []
    for number, (summary, sentences) in enumerate(zip(summaries, statements, strict=True)):
        shares = [
            _percent([m.supported for m in mentions(sentence, summary)]) for sentence in sentences
        ]
        if isinstance(sentences, str) or not shares:
            raise ValueError(
                f"Summary {number} has no list of statements to cover: give each summary the "
                "facts of its dialogue. DialogSum has none; load_dialogues('course') does."
            )
        rows.append(np.nanmean(shares))
    return np.array(rows)


def _tokens(text: str) -> Iterator[tuple[re.Match[str], Kind | None, str]]:
    """Give each speaker, number and word with its kind, None for function words, and its key."""
    names = names_in(text.replace("(", " "))  # a name in brackets begins no sentence
    for match in _TOKEN.finditer(text):
        token = match[0].lower()
        if match["speaker"]:
            yield match, "speaker", f"#Person{re.search('[0-9]', token)[0]}#"
        elif match["compound"]:
            tens, unit = re.split("[- ]", token)
            yield match, "number", str(_VALUES[tens] + _VALUES[unit])
        elif match["digits"]:
            yield match, "number", _written_value(token)
        elif token in _VALUES and numbers_in(token):
            yield match, "number", str(_VALUES[token])
        else:
            (bare,) = words_in(match[0])
            if match[0][0].isupper() and bare in names:
                kind = "name"
            else:
                kind = None if len(bare) == 1 or bare in _FUNCTION_WORDS else "word"
            yield match, kind, _stem(bare)


def _written_value(digits: str) -> str:
    """Write a number in digits plainly: "1,200" as 1200, "7:00" as 7, "3rd" as 3."""
    plain = re.sub(r"(st|nd|rd|th)$", "", digits)
    plain = re.sub(r",(?=\d{3}(?:\D|$))", "", plain)
    return re.sub(r"[.:]00$", "", plain).lstrip("0") or "0"


@cache
def _stem(word: str) -> str:
    """Give the stem that ROUGE compares."""
    return "".join(_stemmer().tokenize(word)) or word


@cache
def _stemmer():
    from rouge_score.tokenizers import DefaultTokenizer

    return DefaultTokenizer(use_stemmer=True)


def _percent(flags: Sequence[bool]) -> float:
    return 100 * sum(flags) / len(flags) if flags else float("nan")


def _check_pairs(summaries: Sequence[str], others: Sequence, what: str) -> None:
    if len(summaries) != len(others):
        raise ValueError(
            f"{len(summaries)} summaries but {len(others)} {what}: give each summary its own, "
            "in the same order."
        )
    if len(summaries) == 0:
        raise ValueError("There are no summaries: give one at least.")
