"""Put a server under load, and say what its users would have felt."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from course_utils.language_model import Chat


@dataclass
class LoadReport:
    """What a load test saw.

    latencies: seconds from sending a request to its complete answer, of each answered one.
    seconds: from the first request to the last answer. completion_tokens: of all answers.
    errors: how often each refusal came, such as {"429 queue_full": 3}.
    texts: the answers in the order of the prompts, None where there was none.
    """

    concurrency: int
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    completion_tokens: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    texts: list[str | None] = field(default_factory=list)

    @property
    def p50(self) -> float:
        """The median latency in seconds: half of the users waited longer."""
        return self._percentile(50)

    @property
    def p95(self) -> float:
        """The latency in seconds that one user in twenty exceeded."""
        return self._percentile(95)

    @property
    def requests_per_second(self) -> float:
        """Answers per second, all users together."""
        return len(self.latencies) / self.seconds

    @property
    def tokens_per_second(self) -> float:
        """Generated tokens per second, all users together."""
        return self.completion_tokens / self.seconds

    def _percentile(self, percent: float) -> float:
        return float(np.percentile(self.latencies, percent)) if self.latencies else float("nan")

    def __str__(self) -> str:
        return (
            f"{self.concurrency:3} at once: {self.requests_per_second:5.2f} requests/s, "
            f"{self.tokens_per_second:4.0f} tokens/s, p50 {self.p50:5.2f} s, p95 {self.p95:5.2f} s, "
            f"{self.errors.total()} errors"
        )


def load_test(
    base_url: str,
    prompts: Sequence[Chat],
    concurrency: int,
    *,
    model: str | None = None,
    api_key: str = "unused",
    **settings: Any,
) -> LoadReport:
    """Send every prompt once, `concurrency` at a time, and measure.

    A closed loop: each of `concurrency` users sends the next prompt when the last one is answered,
    so the load never exceeds what the server answers. A refusal counts as an error and is not
    sent again.
    base_url: with /v1. model: by default the server's first. settings: max_tokens, temperature,
    seed, ... of the request.
    Works inside a notebook too: the requests run in a thread with an event loop of its own.
    Raises ValueError without prompts or users.
    """
    if not prompts or concurrency < 1:
        raise ValueError("A load test needs at least one prompt and a concurrency of 1 or more.")
    test = _load(base_url, list(prompts), concurrency, model, api_key, settings)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, test).result()


async def _load(
    base_url: str,
    prompts: list[Chat],
    concurrency: int,
    model: str | None,
    api_key: str,
    settings: dict[str, Any],
) -> LoadReport:
    from openai import APIError, AsyncOpenAI

    report = LoadReport(concurrency, texts=[None] * len(prompts))
    todo = iter(enumerate(prompts))
    async with AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0) as client:
        model = model or (await client.models.list()).data[0].id

        async def user() -> None:
            for number, messages in todo:
                sent = time.perf_counter()
                try:
                    answer = await client.chat.completions.create(
                        model=model, messages=messages, **settings
                    )
                except APIError as error:
                    status = getattr(error, "status_code", type(error).__name__)
                    report.errors[f"{status} {error.code or ''}".strip()] += 1
                    continue
                report.latencies.append(time.perf_counter() - sent)
                report.completion_tokens += answer.usage.completion_tokens
                report.texts[number] = answer.choices[0].message.content

        began = time.perf_counter()
        await asyncio.gather(*(user() for _ in range(concurrency)))
        report.seconds = time.perf_counter() - began
    return report
