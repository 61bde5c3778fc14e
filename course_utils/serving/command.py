"""What `course serve` does."""

from __future__ import annotations

import json
from collections.abc import Callable

from course_utils.errors import CourseError
from course_utils.serving.limits import Limits
from course_utils.serving.listening import bind


def serve(
    model: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: str = "auto",
    dtype: str = "auto",
    limits: Limits | None = None,
    drain_seconds: float = 30.0,
    api_key: str | None = None,
    until_stdin_ends: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Serve a model over HTTP until SIGTERM or Ctrl-C; see `Limits` and `ChatServer`.

    until_stdin_ends: stop when the program that started this one goes away.
    say: prints a line for people.
    Raises CourseError if the port or the model cannot be had, or if accepted requests were lost.
    """
    with bind(host, port) as taken:  # before anything slow, so that a mistake shows at once
        from course_utils.model_store import load_model

        try:
            language_model = load_model(model, device=device, dtype=dtype)
        except ValueError as error:  # an unknown device or number format
            raise CourseError(str(error)) from error

        from course_utils.serving.server import ChatServer, stop_with_parent
        from course_utils.serving.service import Service

        service = Service(language_model, limits, api_key or None)

        def announce(url: str) -> None:
            say(f"Serving {service.name} at {url}/v1 (Ctrl-C stops it); try: {example(url)}")

        def example(url: str) -> str:
            key = ' -H "Authorization: Bearer $COURSE_API_KEY"' if api_key else ""
            body = {"model": service.name, "messages": [{"role": "user", "content": "Hello"}]}
            return (
                f"curl {url}/v1/chat/completions -H 'Content-Type: application/json'{key} "
                f"-d '{json.dumps(body)}'"
            )

        if not api_key and host not in ("127.0.0.1", "localhost", "::1"):
            say("Anybody who reaches this machine can use the model: set COURSE_API_KEY.")
        server = ChatServer(service, drain_seconds=drain_seconds, announce=announce)
        if until_stdin_ends:
            stop_with_parent(server)
        server.serve_on(taken)
    if server.lost:
        raise CourseError(
            f"{server.lost} accepted requests were cut off after {drain_seconds:g} s: give them "
            "longer with --drain-seconds."
        )
    say("Stopped; every accepted request was answered.")
