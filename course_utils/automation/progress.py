"""Show a run while it goes on: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from course_utils.automation.runs import NotebookRun
from course_utils.automation.worker import Job

if TYPE_CHECKING:
    from rich.console import Console

QUIET_SECONDS = 30  # without a terminal, a notebook says at most this often how far it is


def make_progress(console: Console) -> Progress:
    """Return the progress display that suits the console."""
    return Bars(console) if console.is_terminal else Progress(console)


def verdict(run: NotebookRun) -> str:
    """Return a run's end in words: `passed in 12.3 s`."""
    words = {"passed": "passed", "failed": "FAILED", "timeout": "TIMED OUT"}[run.status]
    return f"{words} in {run.seconds:.1f} s" + (" (earlier run)" if run.reused else "")


class Progress:
    """One line for each notebook that starts or ends, and a sign of life in between."""

    def __init__(self, console: Console):
        self.console = console
        self.spoken: dict[str, float] = {}

    def __enter__(self) -> Self:
        """Begin to show."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop showing."""

    def say(self, line: str, style: str = "") -> None:
        """Print a line as it is, whatever brackets it holds."""
        self.console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)

    def started(self, job: Job) -> None:
        """A notebook's process has been started."""
        self.spoken[job.name] = time.monotonic()
        self.say(f"{job.name}: started, {job.cells} cells")

    def advanced(self, job: Job, done: int, elapsed: float) -> None:
        """A notebook has `done` of its code cells done, `elapsed` seconds after its start."""
        if time.monotonic() - self.spoken[job.name] >= QUIET_SECONDS:
            self.spoken[job.name] = time.monotonic()
            self.say(f"{job.name}: cell {done} of {job.cells} done, {elapsed:.0f} s")

    def finished(self, run: NotebookRun) -> None:
        """A notebook has ended, or was taken from an earlier run."""
        self.say(f"{run.name}: {verdict(run)}", "" if run.status == "passed" else "bold red")
        if run.message:
            self.say(f"  {run.message}")


class Bars(Progress):
    """A bar for each running notebook, with its cell and the time; lines for the finished."""

    def __init__(self, console: Console):
        from rich import progress

        super().__init__(console)
        self.bars = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.TextColumn("cell {task.completed:.0f} of {task.total:.0f}"),
            progress.TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self.tasks: dict[str, progress.TaskID] = {}

    def __enter__(self) -> Self:
        """Begin to draw."""
        self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Take the bars away."""
        self.bars.stop()

    def started(self, job: Job) -> None:
        """Add a bar."""
        self.tasks[job.name] = self.bars.add_task(job.name, total=job.cells)

    def advanced(self, job: Job, done: int, elapsed: float) -> None:
        """Move the bar."""
        self.bars.update(self.tasks[job.name], completed=done)

    def finished(self, run: NotebookRun) -> None:
        """Replace the bar by a line."""
        if run.name in self.tasks:
            self.bars.remove_task(self.tasks.pop(run.name))
        super().finished(run)
