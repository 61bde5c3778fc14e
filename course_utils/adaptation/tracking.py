"""A local store that keeps every training run, to be compared with the next one."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course_utils.adaptation.training import Step


class Tracker:
    """Keep every step of a run in a local store, to be compared with other runs later.

    The store is trackio's, an SQLite file in `folder`; nothing leaves the machine. Look at it with
    `TRACKIO_DIR=folder trackio show --project summarizer`. A name that is taken gets a number.
    """

    def __init__(self, run: str, settings: dict, *, folder: Path, project: str = "summarizer"):
        taken = tracked_runs(folder, project)
        self.name = run if run not in taken else f"{run}-{len(taken) + 1}"
        self._said = io.StringIO()
        with contextlib.redirect_stdout(self._said), contextlib.redirect_stderr(self._said):
            import trackio

            self._run = trackio.init(
                project=project, name=self.name, config=settings, embed=False, auto_log_cpu=False
            )

    def __call__(self, step: Step) -> None:
        """Keep the step's numbers."""
        numbers = {
            "loss": step.loss,
            "learning_rate": step.learning_rate,
            "tokens": step.tokens,
            "seconds": step.seconds,
        }
        if step.validation is not None:
            numbers["validation_loss"] = step.validation
        self._run.log(numbers, step=step.step)

    def finish(self) -> None:
        """Write what is still on its way to the store."""
        with contextlib.redirect_stdout(self._said), contextlib.redirect_stderr(self._said):
            import trackio

            trackio.finish()


def tracked_runs(folder: Path, project: str = "summarizer") -> dict[str, list[dict]]:
    """Read the store: the logged steps of each run, by the run's name."""
    os.environ["TRACKIO_DIR"] = str(Path(folder).resolve())
    from trackio.sqlite_storage import SQLiteStorage

    return {name: SQLiteStorage.get_logs(project, name) for name in SQLiteStorage.get_runs(project)}
