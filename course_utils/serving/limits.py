"""What the server takes on at once, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass, fields

from course_utils.errors import CourseError


@dataclass(frozen=True)
class Limits:
    """The bounds that keep memory and waiting finite.

    max_rows: requests computed together.
    max_queue: accepted requests that may wait for a row; the next one is told to come back (429).
    max_tokens_in_flight: rows x the longest row's tokens (prompt and completion): the size of the
        key-value cache, 46 kB a token for the default model in float32, half of it in bfloat16.
    max_new_tokens: most tokens that one request may ask for, and what it gets if it says nothing.
    max_body_bytes: a longer request is refused unread (413).
    request_seconds: from the first byte of a request to the last byte of its answer (504).

    Raises CourseError for a bound that would let nothing through.
    """

    max_rows: int = 32
    max_queue: int = 64
    max_tokens_in_flight: int = 16_384
    max_new_tokens: int = 512
    max_body_bytes: int = 1_048_576
    request_seconds: float = 120.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), 0 if field.name == "max_queue" else 1
            if not value >= least:
                raise CourseError(
                    f"{field.name}={value} lets nothing through: give {least} or more."
                )
