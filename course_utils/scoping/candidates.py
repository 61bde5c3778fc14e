"""Measure what lies on disk: what it writes, how long it takes; and who is beaten by whom."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from course_utils.progress import progress_bar

if TYPE_CHECKING:
    from transformers import GenerationConfig

    from course_utils.language_model import LanguageModel, Prompt

Better = Literal["high", "low"]


@dataclass(frozen=True)
class Run:
    """What a summarizer wrote, and how long single summaries took.

    texts: one for each input. seconds: (timed,), each input alone, nobody else waiting.
    """

    texts: list[str]
    seconds: np.ndarray

    def percentile(self, q: float) -> float:
        """The time in seconds within which `q` percent of the timed summaries were ready.

        From fewer than 20 timings the 95th percentile is little else than the slowest one.
        """
        return float(np.percentile(self.seconds, q))


def run_function(method: Callable[[str], str], inputs: Sequence[str]) -> Run:
    """Run a method without a model, such as those of `course_utils.baselines`, and time each."""
    texts, seconds = [], []
    for text in inputs:
        began = time.perf_counter()
        texts.append(method(text))
        seconds.append(time.perf_counter() - began)
    return Run(texts, np.array(seconds))


def run_model(
    model: LanguageModel, prompts: Sequence[Prompt], config: GenerationConfig, *, timed: int = 4
) -> Run:
    """Complete the prompts: the first `timed` one at a time and timed, the others together.

    A first token that is not counted warms the model up.
    Raises ValueError unless 1 <= timed <= len(prompts), and as `LanguageModel.complete` does.
    """
    if not 1 <= timed <= len(prompts):
        raise ValueError(
            f"timed={timed} of {len(prompts)} prompts: time one at least, and no more than there are."
        )
    next(model.stream(prompts[0], config))
    texts, seconds = [], []
    for prompt in progress_bar(prompts[:timed], description=f"Timing {model.name}"):
        began = time.perf_counter()
        texts.append("".join(model.stream(prompt, config)).strip())
        seconds.append(time.perf_counter() - began)
    if prompts[timed:]:
        texts += [answer.text.strip() for answer in model.complete(prompts[timed:], config)]
    return Run(texts, np.array(seconds))


def pareto_front(
    points: Mapping[str, Sequence[float]], better: Sequence[Better]
) -> dict[str, list[str]]:
    """Find for each candidate the ones that beat it: as good in everything, better in something.

    points: name to one value a measure. better: for each measure, whether "high" or "low" is.
    Returns name to the names that beat it; the front are those that nobody beats (an empty list).
    Raises ValueError when a point has another number of values than `better`.
    """
    for name, values in points.items():
        if len(values) != len(better):
            raise ValueError(f"{name!r} has {len(values)} values for {len(better)} measures.")
    sign = np.array([1.0 if kind == "high" else -1.0 for kind in better])
    gains = {name: sign * np.asarray(values, dtype=float) for name, values in points.items()}
    return {
        name: [
            rival
            for rival, other in gains.items()
            if (other >= gain).all() and (other > gain).any()
        ]
        for name, gain in gains.items()
    }
