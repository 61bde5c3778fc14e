"""Turn what was asked for into jobs, with every name and type checked before a kernel starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_utils.automation.notebooks import read_notebook
from course_utils.automation.parameters import (
    PROFILES,
    Parameter,
    check_names,
    read_parameters,
)
from course_utils.automation.sweep import Grid, combinations, run_name
from course_utils.automation.worker import Job
from course_utils.errors import CourseError

if TYPE_CHECKING:
    from nbformat import NotebookNode


@dataclass(frozen=True)
class Source:
    """A notebook that was asked for, and its parameters; None when it has no cell for them."""

    path: Path
    node: NotebookNode
    parameters: dict[str, Parameter] | None

    @property
    def name(self) -> str:
        """The notebook's name without its ending."""
        return self.path.stem

    def convert(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of `given` that this notebook has, as their types."""
        known = self.parameters or {}
        return {
            name: known[name].convert(value, self.name)
            for name, value in given.items()
            if name in known
        }


def read_sources(paths: Sequence[Path]) -> list[Source]:
    """Read the notebooks. Raises CourseError for one that is damaged, or two of one name."""
    sources = []
    for path in paths:
        node = read_notebook(path)
        sources.append(Source(path, node, read_parameters(node, path.stem)))
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise CourseError(
                f"Two of the notebooks are called {name}: run them one by one, each into its "
                "own folder (--out)."
            )
    return sources


def check_settings(
    profile: str, jobs: int, timeout: float | None, cell_timeout: float | None
) -> None:
    """Raise CourseError for a profile that does not exist, or a number that makes no sense."""
    if profile not in PROFILES:
        raise CourseError(f"There is no profile {profile!r}: choose {' or '.join(PROFILES)}.")
    if jobs < 1:
        raise CourseError(f"--jobs {jobs} would run nothing: give 1 or more.")
    for name, seconds in (("--timeout", timeout), ("--cell-timeout", cell_timeout)):
        if seconds is not None and not seconds > 0:
            raise CourseError(f"{name} {seconds:g} leaves no time: give seconds above 0.")


def read_grid(
    sources: Sequence[Source], sweep: Mapping[str, Sequence[Any]], given: Mapping[str, Any]
) -> Grid:
    """Return the sweep's values as the notebook's types, each once, in the order given."""
    if not sweep:
        return {}
    if len(sources) != 1:
        raise CourseError(f"A sweep takes one notebook, not {len(sources)}: name it.")
    if both := sorted(set(sweep) & set(given)):
        raise CourseError(f"{both[0]} is both swept and set: leave one of the two out.")
    (source,) = sources
    check_names(sweep, {source.name: source.parameters})
    grid: Grid = {}
    for name, values in sweep.items():
        converted = [source.convert({name: value})[name] for value in values]
        grid[name] = [value for i, value in enumerate(converted) if value not in converted[:i]]
    return grid


def plan(
    sources: Sequence[Source],
    *,
    profile: str,
    given: Mapping[str, Any],
    grid: Grid,
    folder: Path,
    cell_timeout: float | None = None,
) -> list[Job]:
    """Return the jobs, one for each notebook or, in a sweep, for each combination.

    given: parameters as texts or values; one that only some notebooks have goes to those.
    folder: where the executed notebooks go. Raises CourseError for an unknown name, a value of
    the wrong type, or a full profile asked of a notebook that has no `profile`.
    """
    check_names(given, {source.name: source.parameters for source in sources})
    jobs = []
    for source in sources:
        if profile != "fast" and "profile" not in (source.parameters or {}):
            raise CourseError(
                f"{source.name} has no parameter `profile`, so --profile {profile} would change "
                "nothing: leave it out."
            )
        settings = source.convert({"profile": profile, **given})
        for values in combinations(grid):
            name = run_name(source.name, values)
            jobs.append(
                Job(
                    name=name,
                    notebook=str(source.path),
                    parameters=settings | values,
                    output=str(folder / f".{name}.running.ipynb"),
                    cells=sum(_runs(cell) for cell in source.node.cells),
                    cell_timeout=cell_timeout,
                )
            )
    return jobs


def _runs(cell: Any) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())
