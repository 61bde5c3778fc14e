"""Execute one notebook with papermill in a process of its own: `python -m ...worker`.

The first line on stdin is the job (see `Job`). Events leave on stdout, one JSON object a line:
`{"start": CellRun}` and `{"cell": CellRun}` around each code cell, at most one
`{"error": RunError, "status": ...}`, and last `{"end": true}`. When stdin closes, whoever started
this is gone, so the kernel is stopped too.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from course_utils.automation.notebooks import read_notebook
from course_utils.automation.runs import CellRun, RunError

Send = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Job:
    """One notebook to execute: plain data, so that it can travel to another process or machine."""

    name: str
    notebook: str
    parameters: dict[str, Any]
    output: str
    cells: int
    cell_timeout: float | None = None


class Execution:
    """Watches papermill execute one job and tells each step through `send`."""

    def __init__(self, job: Job, send: Send):
        self.job, self.send = job, send
        self.running: tuple[CellRun, str, float] | None = None  # the cell, its source, its start
        cells = read_notebook(Path(job.notebook)).cells
        tagged = [cell.metadata.get("tags", []) for cell in cells]
        marks = [i for i, tags in enumerate(tagged) if "parameters" in tags]
        injects = bool(job.parameters) and not any("injected-parameters" in tags for tags in tagged)
        # papermill puts a cell of its own after this one, so later positions are one too high.
        self.injected_after = marks[0] if injects and marks else len(cells) + 1

    def run(self) -> None:
        """Execute the notebook; whatever stops it becomes an event."""
        import papermill
        from nbclient.exceptions import CellTimeoutError, DeadKernelError

        try:
            papermill.execute_notebook(
                _without_braces(self.job.notebook),
                _without_braces(self.job.output),
                self.job.parameters,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                cwd=str(Path(self.job.notebook).parent),
                execution_timeout=self.job.cell_timeout,
                on_cell_execute=self.cell_starts,
                on_cell_executed=self.cell_ends,
                on_cell_error=self.cell_fails,
            )
        except papermill.PapermillExecutionError:
            # The cell has been told by its hook, or it is tagged as one that raises on purpose.
            _remove_error_markers(self.job.output)
        except CellTimeoutError:
            self.fail(f"cell limit of {self.job.cell_timeout:g} s reached", status="timeout")
        except DeadKernelError:
            self.fail("the kernel died (out of memory, perhaps)")
        except Exception as error:
            self.fail(f"{type(error).__name__}: {error}", ename=type(error).__name__)

    def cell_starts(self, cell: Any, cell_index: int) -> None:
        """Remember and tell the cell that starts."""
        if cell_index == self.injected_after + 1:
            return
        shift = 0 if cell_index > self.injected_after else 1
        line = next((line for line in cell.source.splitlines() if line.strip()), "").strip()
        timing = CellRun(cell_index + shift, cell.get("id", ""), _shorten(line, 80), 0.0)
        self.running = timing, cell.source, time.monotonic()
        self.send({"start": asdict(timing), "source": cell.source})

    def cell_ends(self, cell: Any, cell_index: int, execute_reply: dict[str, Any]) -> None:
        """Tell how long the cell took."""
        if self.running is None or cell_index == self.injected_after + 1:
            return
        timing, _, start = self.running
        failed = execute_reply["content"]["status"] == "error" and not _may_raise(cell)
        seconds = round(time.monotonic() - start, 3)
        self.send({"cell": {**asdict(timing), "seconds": seconds, "failed": failed}})

    def cell_fails(self, cell: Any, cell_index: int, execute_reply: dict[str, Any]) -> None:
        """Tell the error, unless the cell is tagged `raises-exception`."""
        reply = execute_reply["content"]
        if not _may_raise(cell):
            traceback = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(reply["traceback"]))
            self.fail(
                f"{reply['ename']}: {reply['evalue']}".removesuffix(": "),
                ename=reply["ename"],
                evalue=reply["evalue"][:2000],
                traceback=traceback[-8000:],
            )

    def fail(self, reason: str, status: str = "failed", **fields: str) -> None:
        """Tell what stopped the notebook, and in which cell."""
        if self.running:
            timing, source, _ = self.running
            fields |= {"cell": timing.cell, "id": timing.id, "first_line": timing.first_line}
            fields["source"] = source
        error = RunError(_shorten(reason.strip().partition("\n")[0], 300), **fields)
        self.send({"error": asdict(error), "status": status})


def stop_process_tree(pid: int) -> None:
    """Kill a process and all that it started, the kernel among them."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(pid)
        for process in [*top.children(recursive=True), top]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _may_raise(cell: Any) -> bool:
    return "raises-exception" in cell.metadata.get("tags", [])


def _without_braces(path: str) -> str:
    """Escape braces: papermill formats paths with the parameters."""
    return path.replace("{", "{{").replace("}", "}}")


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _remove_error_markers(path: str) -> None:
    """Take out the cells with which papermill points at an error: the report's link does that."""
    from papermill.execute import remove_error_markers
    from papermill.iorw import load_notebook_node, write_ipynb

    write_ipynb(remove_error_markers(load_notebook_node(path)), path)


def _end_with_parent() -> None:
    while os.read(0, 1):  # not sys.stdin: a thread that holds its lock upsets the exit
        pass
    stop_process_tree(os.getpid())


def main() -> None:
    """Run the job on stdin."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what the kernel or a library prints must not mix with the events

    def send(event: dict[str, Any]) -> None:
        events.write(json.dumps(event) + "\n")

    # jsonschema would build a grammar for URIs, which no notebook needs: a second for each worker.
    sys.modules["rfc3987_syntax"] = None
    job = Job(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    Execution(job, send).run()
    send({"end": True})


if __name__ == "__main__":
    main()
