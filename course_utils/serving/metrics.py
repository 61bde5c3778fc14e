"""What the server counts, in Prometheus' text format."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # a time stamp beside every number makes the page hard to read

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class ServerMetrics:
    """The counters of one server, in a registry of their own.

    Requests are counted by how they ended: a stream that broke off after its headers counts as
    the error it ended with, and a client that left counts as 499.
    """

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "course_requests", "Chat requests by how they ended.", ["status"], registry=registry
        )
        self.request_seconds = Histogram(
            "course_request_seconds",
            "From a request's arrival to the end of its answer; answered requests only.",
            buckets=SECONDS,
            registry=registry,
        )
        self.first_token_seconds = Histogram(
            "course_time_to_first_token_seconds",
            "From a request's arrival to its first token.",
            buckets=SECONDS,
            registry=registry,
        )
        self.queue_length = Gauge(
            "course_queue_length", "Accepted requests waiting for a row.", registry=registry
        )
        self.batch_size = Histogram(
            "course_batch_size", "Rows of each decoding step.", buckets=ROWS, registry=registry
        )
        self.prompt_tokens = Counter(
            "course_prompt_tokens", "Tokens of prompts read.", registry=registry
        )
        self.reused_tokens = Counter(
            "course_reused_prompt_tokens",
            "Of these, tokens whose keys and values were copied from a row with the same beginning.",
            registry=registry,
        )
        self.completion_tokens = Counter(
            "course_completion_tokens", "Tokens generated.", registry=registry
        )
        ProcessCollector(registry=registry)  # resident memory, open files, CPU seconds

    def text(self) -> bytes:
        """Return all of it as a scraper reads it."""
        return generate_latest(self.registry)
