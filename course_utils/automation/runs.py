"""What a run leaves behind, as plain data.

`RunReport.to_dict` is `report.json`, schema 1; keys are only ever added to it.

    schema: 1                     ok: whether every notebook passed
    started: ISO 8601, UTC        seconds: wall-clock time of the whole run
    profile, jobs                 environment: {name: version} of what ran it
    timeout, cell_timeout: seconds, or null for no limit
    notebooks: one for each execution, in order
        name: the run's own name, also that of its files
        notebook: path            parameters: {name: value} as set for this run
        status: passed | failed | timeout
        seconds                   reused: taken from an earlier run by --resume
        cells: code cells in it   timings: [{cell, id, first_line, seconds, failed}]
        results: {name: value} that it published with `results.record`
        output, page: the executed notebook and its HTML page, relative to the report, or null
        error: null, or {reason, ename, evalue, cell, id, first_line, source, traceback}
    sweep: null, or
        parameters: {name: [values]}      results: [names], the first is drawn
        rows: one for each notebook above: {name, status, seconds, parameters, results}
        table: the CSV file               figure: the PNG file or null       alt: its text

A `cell` is a 1-based position among all cells of the source notebook; null where no cell is to
blame.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class CellRun:
    """One executed code cell."""

    cell: int
    id: str
    first_line: str
    seconds: float
    failed: bool = False


@dataclass(frozen=True)
class RunError:
    """Why a notebook did not pass, and the cell where it happened."""

    reason: str
    ename: str = ""
    evalue: str = ""
    cell: int | None = None
    id: str = ""
    first_line: str = ""
    source: str = ""
    traceback: str = ""


@dataclass
class NotebookRun:
    """One execution of one notebook."""

    name: str
    notebook: str
    parameters: dict[str, Any]
    status: str = "failed"
    seconds: float = 0.0
    cells: int = 0
    timings: list[CellRun] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)
    error: RunError | None = None
    output: str | None = None
    page: str | None = None
    reused: bool = False

    @property
    def message(self) -> str:
        """One line that names the notebook, the cell and the error; empty when it passed."""
        if self.error is None:
            return ""
        where = self.name
        if self.error.cell is not None:
            where += f", cell {self.error.cell} ({self.error.id}), `{self.error.first_line}`"
        return f"{where}: {self.error.reason}"

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> NotebookRun:
        """Read back what `dataclasses.asdict` wrote of a run."""
        error = fields["error"] and RunError(**fields["error"])
        timings = [CellRun(**timing) for timing in fields["timings"]]
        return cls(**{**fields, "timings": timings, "error": error})


@dataclass
class RunReport:
    """All that `course run` did; see the module's text for the fields."""

    profile: str
    started: str
    jobs: int
    timeout: float | None
    cell_timeout: float | None
    environment: dict[str, str]
    notebooks: list[NotebookRun]
    seconds: float = 0.0
    sweep: dict[str, Any] | None = None

    @property
    def ok(self) -> bool:
        """Whether every notebook passed."""
        return all(run.status == "passed" for run in self.notebooks)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        return {"schema": 1, "ok": self.ok, **asdict(self)}
