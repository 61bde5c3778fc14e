"""A chat answer as OpenAI's clients read it: one JSON object, or a stream of server-sent events."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Send

from course_utils.serving.api_errors import ApiError
from course_utils.serving.row import Piece

STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # a proxy in between must not collect the pieces
]


class ChatAnswer:
    """The answer to one request, on its way to the client."""

    def __init__(self, request: Request, send: Send, model_name: str) -> None:
        self._request, self._send, self._model_name = request, send, model_name
        self._id, self._created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
        self._streaming = False

    async def whole(self, text: str, last: Piece, prompt_tokens: int) -> None:
        """Send a complete answer."""
        message = {"role": "assistant", "content": text}
        body = self._body(
            "chat.completion",
            [{"index": 0, "message": message, "finish_reason": last.finish_reason}],
        )
        await self._respond(JSONResponse({**body, "usage": _usage(prompt_tokens, last.tokens)}))

    async def begin_stream(self) -> None:
        """Send the headers of a stream and its first event, which names the role."""
        self._streaming = True
        await self._send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
        await self._delta({"role": "assistant", "content": ""})

    async def piece(self, piece: Piece) -> None:
        """Send text, if there is any, and the finish reason, if it is the last piece."""
        if piece.text:
            await self._delta({"content": piece.text})
        if piece.finish_reason:
            await self._delta({}, piece.finish_reason)

    async def end_stream(self, last: Piece, prompt_tokens: int, *, with_usage: bool) -> None:
        """Send the token counts, if they were asked for, and the end."""
        if with_usage:
            body = self._body("chat.completion.chunk", [])
            await self._event({**body, "usage": _usage(prompt_tokens, last.tokens)})
        await self._write(b"data: [DONE]\n\n", more=False)

    async def fail(self, error: ApiError) -> None:
        """Send a refusal: with its own status, or inside a stream that has begun."""
        if self._streaming:
            await self._event(error.body())
            await self._write(b"", more=False)
        else:
            await self._respond(error.response())

    async def _respond(self, response: JSONResponse) -> None:
        await response(self._request.scope, self._request.receive, self._send)

    def _body(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model_name,
            "choices": choices,
        }

    async def _delta(self, delta: dict[str, str], finish_reason: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        await self._event(self._body("chat.completion.chunk", [choice]))

    async def _event(self, data: dict[str, Any]) -> None:
        await self._write(f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode())

    async def _write(self, body: bytes, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


def _usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
