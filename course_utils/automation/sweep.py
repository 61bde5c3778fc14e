"""A grid of parameter values: read from the command line, laid out, drawn and tabled."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from course_utils.automation.runs import NotebookRun
from course_utils.errors import CourseError

Grid = dict[str, list[Any]]
Row = dict[str, Any]


def split_sweep(
    names: Sequence[str], sweep: Sequence[str]
) -> tuple[list[str], dict[str, list[str]]]:
    """Read `--sweep temperature=0.2,0.7 top_p=0.8,0.95` into names and the values of each.

    A command line parser takes only the first word after `--sweep` for its value and the rest
    for notebook names: with a sweep, those that have an `=` belong to it.
    Returns the remaining names and {parameter: texts}. Raises CourseError for a word that is
    not NAME=V1,V2.
    """
    pairs = [*sweep, *(name for name in names if sweep and "=" in name)]
    found: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, values = pair.partition("=")
        texts = [text.strip() for text in values.split(",")]
        if not (name.isidentifier() and equals and all(texts)):
            raise CourseError(
                f"--sweep cannot read {pair!r}: write NAME=V1,V2, such as temperature=0.2,0.7."
            )
        if name in found:
            raise CourseError(f"--sweep names {name} twice: give its values once, with commas.")
        found[name] = texts
    return [name for name in names if name not in pairs], found


def combinations(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every combination of the grid's values, the last name varying fastest."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def run_name(stem: str, values: Mapping[str, Any]) -> str:
    """Return a file name for one combination, such as `04_x--temperature=0.2--top_p=0.8`."""
    name = "--".join([stem, *(f"{key}={value}" for key, value in values.items())])
    safe = re.sub(r"[^\w.=+-]+", "_", name)[:120]
    if safe == name:
        return name
    return f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def rows_of(grid: Grid, runs: Iterable[NotebookRun]) -> list[Row]:
    """Return one row for each run of the sweep, as `report.json` has it."""
    return [
        {
            "name": run.name,
            "status": run.status,
            "seconds": run.seconds,
            "parameters": {name: run.parameters[name] for name in grid},
            "results": run.results,
        }
        for run in runs
    ]


def result_names(grid: Grid, rows: Sequence[Row]) -> list[str]:
    """Return the names of what the runs recorded: those with numbers first."""
    names = dict.fromkeys(name for row in rows for name in row["results"] if name not in grid)
    return sorted(names, key=lambda name: not any(_is_number(r["results"].get(name)) for r in rows))


def table(grid: Grid, results: Sequence[str], rows: Sequence[Row]) -> str:
    """Return the sweep as CSV text: parameters, results, then how each notebook ended."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*grid, *results, "notebook_status", "notebook_seconds"])
    for row in rows:
        values = [row["parameters"][name] for name in grid]
        values += [row["results"].get(name) for name in results]
        writer.writerow([*values, row["status"], row["seconds"]])
    return buffer.getvalue()


def figure(grid: Grid, result: str, rows: Sequence[Row]) -> tuple[bytes, str] | None:
    """Draw one result over the first swept parameter, a line for each other combination.

    Returns the PNG and its text alternative, or None when no run recorded a number for it.
    """
    import matplotlib
    from matplotlib.figure import Figure

    from course_utils.lessons.plots import use_course_style

    drawn = [row for row in rows if _is_number(row["results"].get(result))]
    if not drawn:
        return None
    first, *others = grid
    positions = _positions(grid[first])
    with matplotlib.rc_context():
        use_course_style()
        chart = Figure()
        axes = chart.subplots()
        colours = len(matplotlib.rcParams["axes.prop_cycle"])
        for number, values in enumerate(combinations({name: grid[name] for name in others})):
            points = [
                (positions[str(row["parameters"][first])], row["results"][result])
                for row in drawn
                if values.items() <= row["parameters"].items()
            ]
            if not points:
                continue
            label = ", ".join(f"{name} = {value}" for name, value in values.items())
            dashes = ("-", "--", ":", "-.")[number // colours % 4]
            x, y = zip(*sorted(points), strict=True)
            axes.plot(x, y, f"o{dashes}", color=f"C{number % colours}", label=label)
        title, alt = _finding(grid, result, drawn)
        chart.suptitle("\n".join(textwrap.wrap(title, 75)), x=0.01, ha="left", weight="bold")
        axes.set(xlabel=first, ylabel=result)
        axes.set_xticks(list(positions.values()), list(positions))
        if others:
            chart.legend(loc="outside right center")
        buffer = io.BytesIO()
        chart.savefig(buffer, format="png")
    return buffer.getvalue(), alt


def _positions(values: Sequence[Any]) -> dict[str, float]:
    """Place numbers where they are, anything else side by side; keys are what the axis says."""
    if all(_is_number(value) for value in values):
        return {str(value): float(value) for value in values}
    return {str(value): float(place) for place, value in enumerate(values)}


def _finding(grid: Grid, result: str, rows: Sequence[Row]) -> tuple[str, str]:
    """Say where the result is highest, as a title, and what the chart shows, in a sentence."""
    low, high = (end(rows, key=lambda row: row["results"][result]) for end in (min, max))
    lowest, highest = low["results"][result], high["results"][result]
    where, low_where = (
        ", ".join(f"{name} = {value}" for name, value in row["parameters"].items())
        for row in (high, low)
    )
    chart = f"Line chart of {result} over {', '.join(grid)}."
    if highest == lowest:
        return f"{result} stays at {highest:.4g}", f"{chart} It is {highest:.4g} everywhere."
    title = f"{result} is highest, {highest:.4g}, at {where}"
    return title, f"{chart} {title}; it is lowest, {lowest:.4g}, at {low_where}."


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
