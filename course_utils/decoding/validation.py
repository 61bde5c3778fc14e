"""Say what a generation configuration will really do, before a model runs.

`transformers` accepts many settings that it then ignores: `top_p=3`, a temperature with greedy
decoding, a misspelt name. `validate` reports each with the remedy. It loads no heavy library.
The behaviour named in the messages is that of transformers 5.23.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from transformers import GenerationConfig


@dataclass(frozen=True)
class Problem:
    """One thing in a configuration that does not do what it seems to say.

    An `error` asks for something that cannot be done as written. A `warning` runs, and means
    something else than a reader would think.
    """

    setting: str
    severity: Literal["error", "warning"]
    message: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.message}"


@dataclass(frozen=True)
class Range:
    """The values a setting may take, and the ones outside it that transformers lets through."""

    expected: str
    holds: Callable[[Any], bool]
    swallows: Callable[[Any], bool] = lambda value: False


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


RANGES = {
    "temperature": Range(
        "a float above 0; for the most probable token at each step say do_sample=False",
        lambda value: 0 < value < math.inf,
        swallows=lambda value: value == math.inf,
    ),
    "top_k": Range(
        "a whole number of tokens, or 0 to keep all of them",
        lambda value: _is_whole(value) and value >= 0,
    ),
    "top_p": Range(
        "a probability in (0, 1]",
        lambda value: 0 < value <= 1,
        swallows=lambda value: not value < 1,
    ),
    "min_p": Range("a probability in [0, 1]", lambda value: 0 <= value <= 1),
    "typical_p": Range(
        "a probability in (0, 1]",
        lambda value: 0 < value <= 1,
        swallows=lambda value: not value < 1,
    ),
    "epsilon_cutoff": Range(
        "a probability in [0, 1)", lambda value: 0 <= value < 1, lambda _: True
    ),
    "eta_cutoff": Range("a probability in [0, 1)", lambda value: 0 <= value < 1, lambda _: True),
    "repetition_penalty": Range(
        "a float above 0 (1.0 for none)", lambda value: 0 < value < math.inf
    ),
    "no_repeat_ngram_size": Range(
        "a whole number of tokens, or 0 for none",
        lambda value: _is_whole(value) and value >= 0,
        swallows=lambda value: not value > 0,
    ),
    "num_beams": Range("a whole number, 1 or more", lambda value: _is_whole(value) and value >= 1),
    "max_new_tokens": Range(
        "a whole number of tokens, 1 or more",
        lambda value: _is_whole(value) and value >= 1,
    ),
}

SAMPLING_ONLY = {
    "temperature": (1,),
    "top_k": (0,),
    "top_p": (1,),
    "min_p": (0,),
    "typical_p": (1,),
    "epsilon_cutoff": (0,),
    "eta_cutoff": (0,),
}
"""The settings that only sampling reads, and the values at which they change nothing."""

LEFT_THE_LIBRARY = (
    "penalty_alpha",
    "num_beam_groups",
    "diversity_penalty",
    "dola_layers",
    "constraints",
    "force_words_ids",
)
"""Strategies that transformers 5 moved to the Hub: the name is kept, the code is gone."""

OTHER_NAMES = {
    "max_tokens": "the name here is max_new_tokens",
    "stop": "the name here is stop_strings",
    "n": "the name here is num_return_sequences",
    "seed": "call course_utils.runtime.seed_everything(seed) before generating",
    "frequency_penalty": "use course_utils.decoding.frequency_penalty, transformers has none",
    "presence_penalty": "use course_utils.decoding.presence_penalty, transformers has none",
}
"""Settings of other interfaces that people bring along."""


def validate(config: GenerationConfig) -> list[Problem]:
    """List what in `config` cannot be done or will be silently changed, errors first.

    An empty list means that the configuration does what it says.
    """
    checks = (_unknown_names, _out_of_range, _sampling, _search, _length)
    problems = [problem for check in checks for problem in check(config)]
    return sorted(problems, key=lambda problem: problem.severity)


def _error(setting: str, message: str) -> Problem:
    return Problem(setting, "error", message)


def _warning(setting: str, message: str) -> Problem:
    return Problem(setting, "warning", message)


def _unknown_names(config: GenerationConfig) -> Iterator[Problem]:
    known = _known_settings(type(config))
    for name in sorted(vars(config).keys() - known):
        if name.startswith("_"):
            continue
        guess = difflib.get_close_matches(name, known, n=1)
        remedy = OTHER_NAMES.get(name) or (f"write {guess[0]}" if guess else "remove it")
        yield _error(
            name,
            f"{name} is not a setting of GenerationConfig: {remedy}. "
            "(transformers keeps it and never reads it.)",
        )
    for name in LEFT_THE_LIBRARY:
        if (value := getattr(config, name, None)) not in (None, 0, 1):
            yield _error(
                name,
                f"{name}={value!r} asks for a strategy that transformers 5 no longer contains: "
                "remove it, or load the strategy with custom_generate.",
            )


@cache
def _known_settings(config_class: type) -> frozenset[str]:
    return frozenset(vars(config_class()))


def _out_of_range(config: GenerationConfig) -> Iterator[Problem]:
    for name, allowed in RANGES.items():
        value = getattr(config, name, None)
        if value is None or (name == "temperature" and value == 0 and not config.do_sample):
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            yield _error(name, f"{name}={value!r} is not a number: give {allowed.expected}.")
        elif not allowed.holds(value):
            silent = " (transformers ignores it silently.)" if allowed.swallows(value) else ""
            yield _error(name, f"{name}={value} is out of range: give {allowed.expected}.{silent}")
        elif name in ("temperature", "repetition_penalty") and _is_whole(value) and value != 1:
            yield _error(name, f"{name}={value} is an int, which transformers refuses: {value}.0.")


def _changes_sampling(config: GenerationConfig, name: str) -> bool:
    value = getattr(config, name, None)
    return value is not None and value not in SAMPLING_ONLY[name]


def _sampling(config: GenerationConfig) -> Iterator[Problem]:
    active = [name for name in SAMPLING_ONLY if _changes_sampling(config, name)]
    if config.do_sample not in (None, True, False):
        yield _error("do_sample", f"do_sample={config.do_sample!r} is neither True nor False.")
    elif not config.do_sample:
        for name in active:
            yield _warning(
                name,
                f"{name}={getattr(config, name)} has no effect without do_sample=True: set that, "
                f"or remove {name}.",
            )
    else:
        if config.top_k is None:
            yield _warning(
                "top_k",
                "top_k is not set, so transformers samples from the 50 most probable tokens: say "
                "top_k=0 for the whole vocabulary, or top_k=50 if that is what you want.",
            )
        elif config.top_k == 1:
            yield _warning("top_k", "top_k=1 leaves one token to draw: do_sample=False says so.")
        adaptive = [name for name in ("top_p", "min_p", "typical_p") if name in active]
        if len(adaptive) > 1:
            yield _warning(
                adaptive[1],
                f"{' and '.join(adaptive)} are applied in turn, each to what the last one left, "
                "so no number means what it says alone: keep one of them.",
            )


def _search(config: GenerationConfig) -> Iterator[Problem]:
    one_beam = config.num_beams in (None, 1)
    if not one_beam and config.do_sample is True:
        yield _warning(
            "num_beams",
            f"num_beams={config.num_beams} with do_sample=True draws the beams at random, which "
            "is neither search nor plain sampling: choose one of the two.",
        )
    for name, neutral in (("length_penalty", 1), ("early_stopping", False)):
        value = getattr(config, name, None)
        if one_beam and value not in (None, neutral):
            yield _warning(name, f"{name}={value} has no effect with one beam: set num_beams.")
    penalty = config.repetition_penalty
    if isinstance(penalty, float) and 0 < penalty < 1:
        yield _warning(
            "repetition_penalty",
            f"repetition_penalty={penalty} rewards repetition: a value above 1 penalizes it.",
        )


def _length(config: GenerationConfig) -> Iterator[Problem]:
    longest, shortest, total = config.max_new_tokens, config.min_new_tokens, config.max_length
    if longest is None and total is None:
        yield _warning(
            "max_new_tokens",
            "max_new_tokens is not set, so transformers stops after 20 tokens: set it.",
        )
    elif longest is None:
        yield _warning(
            "max_length",
            f"max_length={total} counts the prompt's tokens too: use max_new_tokens instead.",
        )
    elif total is not None:
        yield _warning("max_length", f"max_length={total} loses to max_new_tokens={longest}.")
    if _is_whole(longest) and _is_whole(shortest) and shortest > longest:
        yield _error(
            "min_new_tokens", f"min_new_tokens={shortest} exceeds max_new_tokens={longest}."
        )
    stops = config.stop_strings
    if stops == "" or (isinstance(stops, list | tuple) and "" in stops):
        yield _error("stop_strings", "stop_strings has an empty string, which is in every text.")
