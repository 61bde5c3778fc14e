"""POST /v1/chat/completions: from the bytes of a request to the bytes of its answer."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterator

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from course_utils.serving.api_errors import ApiError
from course_utils.serving.chat_answer import ChatAnswer
from course_utils.serving.chat_schema import ChatRequest, read_chat_request
from course_utils.serving.engine import EngineStopped, QueueFull
from course_utils.serving.row import Failure, Generation, Piece
from course_utils.serving.service import Service

GONE = object()  # what stands in a queue of pieces when the client has left
SECONDS_TO_SAY_SO = 1.0  # a client that does not read is not waited for, once time is up

Events = asyncio.Queue[Piece | Failure | object]


class ChatCompletions:
    """The endpoint, as an ASGI application: it has to notice a client that leaves."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and count how it ended."""
        began = time.perf_counter()
        request = Request(scope, receive)
        answer = ChatAnswer(request, send, self.service.name)
        seconds, status = self.service.limits.request_seconds, 500
        try:
            try:
                async with asyncio.timeout(seconds):
                    await self._answer(request, answer, began)
                status = 200
            except TimeoutError:
                raise ApiError(
                    504,
                    f"Not finished within {seconds:g} s: ask for fewer tokens, or come back when "
                    "the server has less to do.",
                    code="timeout",
                ) from None
        except ApiError as error:
            status = error.status
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SECONDS_TO_SAY_SO):
                    await answer.fail(error)
        except ClientDisconnect:
            status = 499
        finally:
            self.service.metrics.requests.labels(status).inc()
            if status == 200:
                self.service.metrics.request_seconds.observe(time.perf_counter() - began)

    async def _answer(self, request: Request, answer: ChatAnswer, began: float) -> None:
        service = self.service
        service.check_key(request)
        body = await read_body(request, service.limits.max_body_bytes)
        chat = read_chat_request(body)
        service.check_model(chat.model)
        prompt_ids, config = await service.prompt_and_config(chat)
        seed = random.getrandbits(63) if chat.seed is None else chat.seed
        events: Events = asyncio.Queue()
        generation = Generation(prompt_ids, config, seed, deliver=_into(events))
        with _accepted(service, generation), _watching(request, events):
            piece = await _next(events)  # a failure before it still gets a status of its own
            service.metrics.first_token_seconds.observe(time.perf_counter() - began)
            send = _send_stream if chat.stream else _send_whole
            await send(chat, answer, piece, events, len(prompt_ids))


async def read_body(request: Request, most_bytes: int) -> bytes:
    """Read the body of a JSON request.

    Raises ApiError: 413 beyond `most_bytes`, 400 if it does not say that it is JSON.
    """
    declared = request.headers.get("content-length", "")
    body = bytearray()
    if not (declared.isdigit() and int(declared) > most_bytes):
        async for chunk in request.stream():
            body += chunk
            if len(body) > most_bytes:
                break
        else:
            if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
                raise ApiError(400, "Send JSON, with the header Content-Type: application/json.")
            return bytes(body)
    raise ApiError(
        413,
        f"The request is larger than {most_bytes:,} bytes: send less text.",
        code="request_too_large",
    )


def _into(events: Events) -> Callable[[Piece | Failure], None]:
    """Return a function for the engine's thread that puts a piece into the event loop's queue."""
    loop = asyncio.get_running_loop()

    def deliver(event: Piece | Failure) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(events.put_nowait, event)

    return deliver


@contextlib.contextmanager
def _accepted(service: Service, generation: Generation) -> Iterator[None]:
    """Give the generation to the engine, and take it back however the block is left.

    Raises ApiError: 429 if the queue is full, 503 if the server is about to stop.
    """
    if service.draining:
        raise stopping()
    try:
        service.engine.submit(generation)
    except QueueFull as full:
        raise ApiError(
            429,
            f"The server is busy and its queue is full: try again in {full.seconds} s.",
            code="queue_full",
            retry_after=full.seconds,
        ) from None
    except EngineStopped:
        raise stopping() from None
    service.open += 1
    try:
        yield
    finally:
        service.open -= 1
        service.engine.cancel(generation)


@contextlib.contextmanager
def _watching(request: Request, events: Events) -> Iterator[None]:
    """Put GONE into the queue when the client closes the connection."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        events.put_nowait(GONE)

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()


async def _next(events: Events) -> Piece:
    event = await events.get()
    if event is GONE:
        raise ClientDisconnect
    if isinstance(event, Failure):
        raise stopping() if event.stopping else ApiError(500, event.message)
    return event


async def _send_whole(
    chat: ChatRequest, answer: ChatAnswer, piece: Piece, events: Events, prompt_tokens: int
) -> None:
    texts = [piece.text]
    while not piece.finish_reason:
        piece = await _next(events)
        texts.append(piece.text)
    await answer.whole("".join(texts), piece, prompt_tokens)


async def _send_stream(
    chat: ChatRequest, answer: ChatAnswer, piece: Piece, events: Events, prompt_tokens: int
) -> None:
    await answer.begin_stream()
    await answer.piece(piece)
    while not piece.finish_reason:
        piece = await _next(events)
        await answer.piece(piece)
    options = chat.stream_options
    with_usage = bool(options and options.include_usage)
    await answer.end_stream(piece, prompt_tokens, with_usage=with_usage)


def stopping() -> ApiError:
    """Return the refusal of a server that finishes what it accepted and takes nothing new."""
    return ApiError(
        503,
        "The server is stopping: it finishes what it has accepted and takes nothing new.",
        code="stopping",
        retry_after=5,
    )
