"""Run `course serve` beside a notebook, and never leave it behind."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence

from course_utils.errors import CourseError

COURSE_SERVE = (sys.executable, "-m", "course_utils.cli", "serve")


class ServerProcess:
    """`course serve` in a process of its own, on a free port of this machine.

        with ServerProcess("smollm2-135m-instruct", "--max-queue", "8") as server:
            client = OpenAI(base_url=server.base_url, api_key="unused")

    words: what stands behind `course serve`. program: what to run in its place.
    seconds: how long it may take until it is ready.
    The server stops with the block, at `stop()`, or with this process, however that ends.
    Raises CourseError with what the server said if it does not start.
    """

    def __init__(
        self, *words: str, program: Sequence[str] = COURSE_SERVE, seconds: float = 180.0
    ) -> None:
        self._command = [*program, *words, "--port", "0", "--until-stdin-ends"]
        self._seconds = seconds
        self._lines: deque[str] = deque(maxlen=1000)
        self._ready = threading.Event()
        self.url = ""

    @property
    def base_url(self) -> str:
        """What OpenAI's clients want: the address of the interface, /v1 included."""
        return f"{self.url}/v1"

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server has printed so far."""
        return "".join(self._lines)

    def start(self) -> ServerProcess:
        """Start it and wait until it is ready; `with` does this."""
        self._process = subprocess.Popen(
            self._command,
            env=_without_colours(),
            stdin=subprocess.PIPE,  # its end tells the server that this process is gone
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        atexit.register(self.stop)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            in_time = self._ready.wait(self._seconds)
        except BaseException:  # interrupted: do not leave it behind
            self.stop(seconds=0)
            raise
        if not self.url:
            self.stop(seconds=0)
            why = "stopped" if in_time else f"was not ready after {self._seconds:g} s"
            raise CourseError(f"The server {why}: {self.log.strip() or 'it printed nothing'}")
        return self

    def stop(self, seconds: float = 60.0) -> int | None:
        """Ask it to stop (SIGTERM), wait, and return its exit status; kill it after `seconds`."""
        atexit.unregister(self.stop)
        if self._process.poll() is None:
            if seconds:
                self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            self._process.kill()
        status = self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()
        return status

    def __enter__(self) -> ServerProcess:
        return self.start()

    def __exit__(self, *exception) -> None:
        self.stop()

    def _read(self) -> None:
        """Keep what the server prints; find its address in it."""
        for line in self._process.stdout:
            self._lines.append(line)
            if not self.url and (found := re.search(r"^Serving .* at (http://\S+)/v1 ", line)):
                self.url = found[1]
                self._ready.set()
        self._ready.set()


def _without_colours() -> dict[str, str]:
    """Return the environment for output that is read: a notebook's kernel asks for colours."""
    kept = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "CLICOLOR_FORCE")}
    return {**kept, "NO_COLOR": "1"}
