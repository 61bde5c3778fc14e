"""The way in: execute notebooks, or a sweep over one, and leave a report behind."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from course_utils.automation import sweep as sweeps
from course_utils.automation.files import exclusive, write_out, writing
from course_utils.automation.notebooks import find_notebooks, read_notebook
from course_utils.automation.pages import write_page
from course_utils.automation.plan import Source, check_settings, plan, read_grid, read_sources
from course_utils.automation.pool import execute
from course_utils.automation.progress import Progress, make_progress
from course_utils.automation.report import write_report
from course_utils.automation.results import read_results
from course_utils.automation.resume import State, environment, fingerprint
from course_utils.automation.runs import NotebookRun, RunReport
from course_utils.automation.summary import print_summary
from course_utils.automation.worker import Job
from course_utils.errors import CourseError

if TYPE_CHECKING:
    from nbformat import NotebookNode
    from rich.console import Console

DEFAULT_TIMEOUT = {"fast": 600.0, "full": 3600.0}  # seconds for one notebook


def run_notebooks(
    names: Sequence[str] = (),
    *,
    notebooks_dir: Path | str = "notebooks",
    profile: str = "fast",
    parameters: Mapping[str, Any] | None = None,
    sweep: Mapping[str, Sequence[Any]] | None = None,
    jobs: int = 1,
    timeout: float | None = None,
    cell_timeout: float | None = None,
    out: Path | str = "build/run",
    resume: bool = False,
    console: Console | None = None,
) -> RunReport:
    """Execute notebooks with papermill, each in its own process, and write a report into `out`.

    names: as for `find_notebooks`; none means all.
    parameters: values, or texts of values, for the notebooks that have them; `profile` among
    them stands for the profile.
    sweep: {parameter: values} for one notebook; every combination is run.
    jobs: how many at once.
    timeout: seconds for a notebook, by default `DEFAULT_TIMEOUT` of the profile; cell_timeout:
    seconds for a cell, by default no limit.
    resume: leave out what passed in `out` before and has not changed since.

    `out` then holds report.json (see `runs`), report.html, the executed notebooks with a page
    each in notebooks/, and sweep.csv and sweep.png of a sweep. A notebook that fails does not
    stop the others: see `RunReport.ok`.
    Raises CourseError, before any kernel starts, for what cannot be run as asked.
    """
    given = dict(parameters or {})
    profile = str(given.pop("profile", profile))
    limit = DEFAULT_TIMEOUT.get(profile) if timeout is None else timeout
    check_settings(profile, jobs, limit, cell_timeout)
    sources = read_sources(find_notebooks(names, Path(notebooks_dir)))
    grid = read_grid(sources, sweep or {}, given)
    out = Path(out).resolve()
    planned = plan(
        sources,
        profile=profile,
        given=given,
        grid=grid,
        folder=out / "notebooks",
        cell_timeout=cell_timeout,
    )
    report = RunReport(
        profile=profile,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        jobs=jobs,
        timeout=limit,
        cell_timeout=cell_timeout,
        environment=environment(),
        notebooks=[],
    )
    if console is None:
        from rich.console import Console

        console = Console()
    start = time.monotonic()
    with exclusive(out), make_progress(console) as progress:
        with _Runs(out, sources, profile, progress) as runs:
            todo = [job for job in planned if not (resume and runs.reuse(job))]
            at_once = max(1, min(jobs, len(todo)))  # so that a few share all the cores
            try:
                execute(
                    todo,
                    at_once=at_once,
                    timeout=limit,
                    progress=progress,
                    finished=runs.finish,
                )
            except KeyboardInterrupt:
                progress.say("Stopped. What had passed is kept: add --resume to go on from here.")
                raise
        report.notebooks = [runs.done[job.name] for job in planned]
        report.seconds = round(time.monotonic() - start, 3)
        report.sweep = _write_sweep(grid, report.notebooks, out) if grid else None
        write_report(report, out)
    print_summary(console, report, out)
    return report


class _Runs:
    """The runs of one output folder: taken from earlier, or finished now."""

    def __init__(self, out: Path, sources: Sequence[Source], profile: str, progress: Progress):
        self.out, self.profile, self.progress = out, profile, progress
        self.nodes = {str(source.path): source.node for source in sources}
        self.state = State(out)
        self.done: dict[str, NotebookRun] = {}
        # Pages are made beside the waiting for notebooks, which must not be held up.
        self.pages = ThreadPoolExecutor(max_workers=1)
        with writing(out):
            (out / "notebooks").mkdir(exist_ok=True)
            for partial in (out / "notebooks").glob(".*.running.ipynb"):
                partial.unlink()  # of a run that was killed

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Wait for the last page."""
        self.pages.shutdown()

    def _fingerprint(self, job: Job) -> str:
        return fingerprint(self.nodes[job.notebook], job.parameters, self.profile)

    def reuse(self, job: Job) -> bool:
        """Take the job's run from earlier, if it passed and nothing has changed."""
        run = self.state.passed(job.name, self._fingerprint(job))
        if run:
            self.done[job.name] = run
            self.progress.finished(run)
        return run is not None

    def finish(self, job: Job, run: NotebookRun) -> None:
        """Put the executed notebook in its place, with a page, and remember a pass."""
        executed = self.out / "notebooks" / f"{job.name}.ipynb"
        page = executed.with_suffix(".html")
        with writing(self.out):
            page.unlink(missing_ok=True)
            try:
                node = read_notebook(Path(job.output))
            except CourseError:  # it was killed before a whole notebook was written
                executed.unlink(missing_ok=True)
                Path(job.output).unlink(missing_ok=True)
            else:
                Path(job.output).replace(executed)
                run.results = read_results(node)
                run.output = executed.relative_to(self.out).as_posix()
                run.page = page.relative_to(self.out).as_posix()
                self.pages.submit(self._write_page, run, node, page)
        self.state.remember(run, self._fingerprint(job))
        self.done[job.name] = run

    def _write_page(self, run: NotebookRun, node: NotebookNode, page: Path) -> None:
        try:
            write_page(node, page)
        except Exception as error:
            run.page = None
            self.progress.say(f"{run.name}: its page could not be made ({error})")


def _write_sweep(grid: sweeps.Grid, runs: Sequence[NotebookRun], out: Path) -> dict[str, Any]:
    """Write sweep.csv and sweep.png, and return what the report says of the sweep."""
    rows = sweeps.rows_of(grid, runs)
    results = sweeps.result_names(grid, rows)
    write_out(out / "sweep.csv", sweeps.table(grid, results, rows))
    drawn = sweeps.figure(grid, results[0], rows) if results else None
    if drawn:
        write_out(out / "sweep.png", drawn[0])
    return {
        "parameters": grid,
        "results": results,
        "rows": rows,
        "table": "sweep.csv",
        "figure": "sweep.png" if drawn else None,
        "alt": drawn[1] if drawn else None,
    }
