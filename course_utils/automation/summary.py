"""What the terminal shows when a run has ended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.automation.progress import verdict
from course_utils.automation.report import in_words, seconds_in_words
from course_utils.automation.runs import RunReport

if TYPE_CHECKING:
    from rich.console import Console


def print_summary(console: Console, report: RunReport, folder: Path) -> None:
    """Print a table of the notebooks, or of the sweep, then the errors and the report's path."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    if sweep := report.sweep:
        for name in sweep["parameters"]:
            table.add_column(name)
        for name in sweep["results"]:
            table.add_column(name, justify="right")
        cells = [
            [
                *(in_words(row["parameters"][name]) for name in sweep["parameters"]),
                *(in_words(row["results"].get(name)) for name in sweep["results"]),
            ]
            for row in sweep["rows"]
        ]
    else:
        table.add_column("notebook")
        cells = [[run.name] for run in report.notebooks]
    table.add_column("result")
    for texts, run in zip(cells, report.notebooks, strict=True):
        style = "" if run.status == "passed" else "bold red"
        table.add_row(*map(Text, texts), Text(verdict(run), style))
    console.print()
    console.print(table)
    for run in report.notebooks:
        if run.message:
            console.print(Text(run.message, "red"), soft_wrap=True)
    passed = sum(run.status == "passed" for run in report.notebooks)
    console.print(
        f"\n{passed} of {len(report.notebooks)} passed in {seconds_in_words(report.seconds)}. "
        f"Report: {folder / 'report.html'}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
