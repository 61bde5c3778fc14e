"""The process: a socket, signals, and an orderly end."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

import uvicorn

from course_utils.serving.app import create_app
from course_utils.serving.service import Service

SECONDS_TO_CLOSE = 3  # for connections that are left when every accepted request is answered


class ChatServer(uvicorn.Server):
    """A server that stops in order.

    At SIGTERM or Ctrl-C it is not ready any more and refuses new requests (503), but goes on
    listening until every accepted one is answered, or for `drain_seconds`. A second signal ends
    it at once. `lost` counts the accepted requests that got no complete answer.

    announce: called with the base URL once the server answers.
    """

    def __init__(
        self,
        service: Service,
        *,
        drain_seconds: float = 30.0,
        announce: Callable[[str], None] = lambda url: None,
    ) -> None:
        config = uvicorn.Config(
            create_app(service),
            http="h11",  # bounds the headers' size, and is there wherever uvicorn is
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SECONDS_TO_CLOSE,
        )
        super().__init__(config)
        self.service = service
        self.drain_seconds = drain_seconds
        self.announce = announce
        self.lost = 0
        self._drain_until: float | None = None

    def stop(self) -> None:
        """Begin to stop. May be called from any thread, and more than once."""
        if self._drain_until is None:
            self._drain_until = time.monotonic() + self.drain_seconds
            self.service.draining = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop in order at the first signal, at once at the second."""
        if self._drain_until is not None:
            self.lost = self.service.open
            self.should_exit = self.force_exit = True
        self.stop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        host, port = sockets[0].getsockname()[:2]
        self.announce(f"http://{f'[{host}]' if ':' in host else host}:{port}")

    async def on_tick(self, counter: int) -> bool:
        """Look, ten times a second, whether the end has come."""
        if self._drain_until is not None and not self.should_exit:
            if time.monotonic() > self._drain_until and self.service.open:
                self.lost = self.service.open
                await asyncio.to_thread(self.service.engine.close)  # they get a 503
                await asyncio.sleep(0.1)
                self.should_exit = True
            elif not self.service.open:
                self.should_exit = True
        return await super().on_tick(counter)

    def serve_on(self, taken: socket.socket) -> None:
        """Serve until stopped; afterwards no thread and no socket is left."""
        try:
            self.run(sockets=[taken])
        finally:
            taken.close()
            self.service.close()


def stop_with_parent(server: ChatServer) -> None:
    """Stop when standard input ends, as it does when the program that holds it dies."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        server.stop()

    threading.Thread(target=watch, name="parent", daemon=True).start()
