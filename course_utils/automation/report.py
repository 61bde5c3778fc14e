"""Write a run's report: `report.json` for programs, `report.html` for people."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

from course_utils.automation.files import write_out
from course_utils.automation.runs import CellRun, RunReport

SLOWEST_SHOWN = 5


def write_report(report: RunReport, folder: Path) -> None:
    """Write `report.json` and the self-contained `report.html` into `folder`.

    The sweep's figure, if any, is read from `folder` and embedded.
    """
    write_out(folder / "report.json", json.dumps(report.to_dict(), indent=2))
    write_out(folder / "report.html", _html(report, folder))


def _html(report: RunReport, folder: Path) -> str:
    from jinja2 import Environment, StrictUndefined

    jinja = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    jinja.lstrip_blocks = True
    jinja.filters |= {"url": quote, "seconds": seconds_in_words, "value": in_words}
    template = jinja.from_string(Path(__file__).with_name("report.html").read_text("utf-8"))
    figure = None
    if report.sweep and report.sweep["figure"]:
        picture = (folder / report.sweep["figure"]).read_bytes()
        figure = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    return template.render(
        report=report,
        figure=figure,
        passed=sum(run.status == "passed" for run in report.notebooks),
        longest=max(run.seconds for run in report.notebooks) or 1.0,
        slowest=_slowest,
    )


def _slowest(timings: list[CellRun]) -> list[CellRun]:
    return sorted(timings, key=lambda timing: -timing.seconds)[:SLOWEST_SHOWN]


def seconds_in_words(seconds: float) -> str:
    """Return a duration as people say it: `0.4 s`, `48 s`, `3 min 20 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def in_words(value: object) -> str:
    """Return a parameter or result as a reader wants it: floats to four digits, None as a dash."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
