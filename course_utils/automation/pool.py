"""Execute several notebooks at once, each in its own process, under a hard time limit."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from course_utils.automation.progress import Progress
from course_utils.automation.runs import CellRun, NotebookRun, RunError
from course_utils.automation.worker import Job, stop_process_tree

Events = queue.Queue[tuple[str, dict[str, Any] | None]]


def execute(
    jobs: Sequence[Job],
    *,
    at_once: int,
    timeout: float | None,
    progress: Progress,
    finished: Callable[[Job, NotebookRun], None],
) -> None:
    """Execute the jobs, `at_once` at a time, and hand each run to `finished` as it ends.

    timeout: seconds for one notebook from the start of its process, kernel start included; then
    its whole process tree is killed. Nothing is left running, however this function ends.
    """
    waiting, active = list(jobs), {}
    events: Events = queue.Queue()
    with tempfile.TemporaryDirectory(prefix="course-run-", ignore_cleanup_errors=True) as scratch:
        environment = _environment(at_once, scratch)
        try:
            while waiting or active:
                while waiting and len(active) < at_once:
                    job = waiting.pop(0)
                    active[job.name] = _Worker(job, environment, Path(scratch), events)
                    progress.started(job)
                _take_one(events, active, progress)
                for worker in list(active.values()):
                    if timeout is not None and worker.elapsed > timeout and not worker.ended:
                        worker.stop(f"time limit of {timeout:g} s reached")
                    if worker.ended:
                        del active[worker.job.name]
                        run = worker.result()
                        finished(worker.job, run)
                        progress.finished(run)
        finally:
            for worker in active.values():
                worker.stop("stopped")


def _take_one(events: Events, active: dict[str, _Worker], progress: Progress) -> None:
    with contextlib.suppress(queue.Empty):
        name, event = events.get(timeout=0.1)
        if worker := active.get(name):
            worker.take(event)
    for worker in active.values():
        progress.advanced(worker.job, len(worker.run.timings), worker.elapsed)


class _Worker:
    """One worker process and what it has told so far."""

    def __init__(self, job: Job, environment: dict[str, str], scratch: Path, events: Events):
        self.job = job
        self.run = NotebookRun(job.name, job.notebook, job.parameters, "passed", cells=job.cells)
        self.begun = time.monotonic()
        self.ended = self.complete = False
        self.current: CellRun | None = None  # the cell that runs, or ran last
        self.source, self.current_begun = "", 0.0
        self.log = scratch / f"{job.name}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "course_utils.automation.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                env=environment,
                start_new_session=True,  # Ctrl-C is for this process, which stops the others
            )
        with contextlib.suppress(BrokenPipeError):  # it died at once; its log says why
            self.process.stdin.write(json.dumps(asdict(job)) + "\n")
            self.process.stdin.flush()
        threading.Thread(target=self._listen, args=(events,), daemon=True).start()

    @property
    def elapsed(self) -> float:
        """Seconds since the process was started."""
        return time.monotonic() - self.begun

    def _listen(self, events: Events) -> None:
        for line in self.process.stdout:
            if line.endswith("\n"):  # a killed process may leave half a line
                events.put((self.job.name, json.loads(line)))
        events.put((self.job.name, None))

    def take(self, event: dict[str, Any] | None) -> None:
        """Take in one event; None means that the process has ended."""
        match event:
            case {"start": cell, "source": source}:
                self.current, self.source = CellRun(**cell), source
                self.current_begun = time.monotonic()
            case {"cell": cell}:
                self.run.timings.append(CellRun(**cell))
            case {"error": error, "status": status}:
                self._fail(RunError(**error), status)
            case {"end": True}:
                self.complete = True
            case None:
                self.process.wait()
                self.ended = True

    def stop(self, reason: str) -> None:
        """Kill the process tree and name the cell that was running."""
        stop_process_tree(self.process.pid)
        self.process.wait()
        if not self.complete:
            self._blame(reason, "timeout")
        self.ended = self.complete = True

    def _blame(self, reason: str, status: str) -> None:
        """Fail for a reason that the worker could not tell, in the cell that was running."""
        cell = self.current
        place = {"cell": cell.cell, "id": cell.id, "first_line": cell.first_line} if cell else {}
        self._fail(RunError(reason, source=self.source, **place), status)

    def _fail(self, error: RunError, status: str) -> None:
        self.run.error, self.run.status = error, status
        timings = self.run.timings
        if self.current and (not timings or timings[-1].cell != self.current.cell):
            seconds = round(time.monotonic() - self.current_begun, 3)  # it never ended
            timings.append(replace(self.current, seconds=seconds, failed=True))

    def result(self) -> NotebookRun:
        """Return the finished run."""
        self.process.stdin.close()
        self.run.seconds = round(self.elapsed, 3)
        if not self.complete and self.run.error is None:
            lines = self.log.read_text(errors="replace").strip().splitlines()
            detail = f": {lines[-1][:200]}" if lines else ""
            code = self.process.returncode
            self._blame(f"its process ended unexpectedly with status {code}{detail}", "failed")
        return self.run


def _environment(at_once: int, scratch: str) -> dict[str, str]:
    """Return the workers' environment: the cores shared out, offline unless asked otherwise.

    HF_HUB_OFFLINE=0 in the caller's environment asks for the Hub.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = str(max(1, (cores or 1) // at_once))
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
    defaults = dict.fromkeys(names, threads) | {"HF_HUB_OFFLINE": "1"}
    # A profile of the user's own, or its history's lock, must not change what a notebook does.
    fixed = {"IPYTHONDIR": f"{scratch}/ipython", "JUPYTER_PREFER_ENV_PATH": "1"}
    return defaults | dict(os.environ) | fixed
