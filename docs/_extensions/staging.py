"""Lay out what the website is made of: its pages, the notebooks with outputs of a run, the labs.

Everything keeps its place in the repository, so that a relative link in a page works on the
website as it does there; only docs/index.md moves up, to be the first page.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from course_utils.automation.notebooks import read_notebook
from course_utils.automation.pages import as_a_still_page
from course_utils.automation.results import MEDIA_TYPE
from course_utils.errors import CourseError

if TYPE_CHECKING:
    from nbformat import NotebookNode
    from sphinx.application import Sphinx

REPOSITORY = Path(__file__).parents[2]
LAST_RUNS = ("build/run", "build/course/notebooks")  # of `course run` and of `make course`
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/*.md", "docs/images/*")


@dataclass(frozen=True)
class Execution:
    """A notebook that passed in a run, and how it was run."""

    notebook: NotebookNode
    run: str
    day: date
    parameters: dict[str, Any]
    environment: dict[str, str]

    def sentence(self) -> str:
        """Tell the reader of the page where its outputs come from."""
        given = {name: value for name, value in self.parameters.items() if name != "profile"}
        settings = "".join(f", `{name} = {value!r}`" for name, value in given.items())
        versions = ", ".join(f"{name} {version}" for name, version in self.environment.items())
        return (
            f"Outputs: a run of {_words(self.day)}, {self.parameters.get('profile', 'fast')} "
            f"profile{settings} ({versions})."
        )


def stage(source: Path) -> None:
    """Lay out the website's sources in an empty folder, and print whose outputs are shown.

    Notebooks carry the outputs of the newest run in which they passed with the text they have
    now. Runs are looked for in LAST_RUNS, or in the folder that SITE_NOTEBOOKS names.
    Raises CourseError for what cannot be laid out.
    """
    if any(source.iterdir()):
        raise CourseError(
            f"{source} is not empty: the website's sources are laid out in an empty folder. "
            "Build it with `make site`."
        )
    for pattern in PAGES:
        for page in REPOSITORY.glob(pattern):
            place = page.relative_to(REPOSITORY)
            _copy(page, source / ("index.md" if place == Path("docs/index.md") else place))
    for lab in REPOSITORY.glob("labs/release/*/*.ipynb"):
        _copy(lab, source / lab.relative_to(REPOSITORY))
    runs = find_runs()
    for path in sorted(REPOSITORY.glob("notebooks/*.ipynb")):
        notebook = read_notebook(path)
        execution = find_execution(path.stem, notebook, runs)
        page = source / "notebooks" / path.name
        page.parent.mkdir(exist_ok=True)
        nbformat.write(_as_a_page(notebook, execution), page)
        found = f"of {execution.run}, {_words(execution.day)}" if execution else "none"
        print(f"{path.stem}: outputs: {found}")


def find_runs() -> list[Path]:
    """Return the folders of finished runs, newest first. Raises CourseError for a wrong one."""
    named = os.environ.get("SITE_NOTEBOOKS")
    if named and not (Path(named) / "report.json").is_file():
        raise CourseError(
            f"SITE_NOTEBOOKS={named} has no report.json: name the folder of a run, "
            "as in `course run --out FOLDER`."
        )
    folders = [Path(named)] if named else [REPOSITORY / run for run in LAST_RUNS]
    runs = [folder for folder in folders if (folder / "report.json").is_file()]
    return sorted(runs, key=lambda folder: _report(folder)["started"], reverse=True)


def find_execution(name: str, notebook: NotebookNode, runs: list[Path]) -> Execution | None:
    """Return the first execution in `runs` that passed and has the cells of `notebook`."""
    for folder in runs:
        report = _report(folder)
        for run in report["notebooks"]:
            if (run["name"], run["status"]) != (name, "passed"):
                continue
            try:
                executed = read_notebook(folder / run["output"])
            except CourseError:
                continue
            own = [cell for cell in executed.cells if not _is_injected(cell)]
            if [(c.id, c.source) for c in own] != [(c.id, c.source) for c in notebook.cells]:
                continue  # the notebook has changed since: its outputs are not these
            executed.cells = own
            began = executed.metadata.papermill.start_time
            return Execution(
                executed,
                run=str(folder),
                day=datetime.fromisoformat(began).date(),
                parameters=run["parameters"],
                environment=report["environment"],
            )
    return None


def _as_a_page(notebook: NotebookNode, execution: Execution | None) -> NotebookNode:
    """Return the notebook as the website shows it: pictures for widgets, a line on its outputs."""
    if execution:
        page = as_a_still_page(execution.notebook)
        sentence = execution.sentence()
    else:
        page = nbformat.from_dict(json.loads(json.dumps(notebook)))
        sentence = "Shown without outputs: run the notebook to see them."
    for cell in page.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(MEDIA_TYPE, None)  # for programs; its text stays
            alt = output.get("metadata", {}).get("image/png", {}).get("alt")
            if alt:
                cell.metadata["mystnb"] = {"image": {"alt": alt}}
    page.cells.insert(1, nbformat.v4.new_markdown_cell(f"{{.outputs}}\n{sentence}", id="outputs"))
    return page


def _report(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise CourseError(f"{folder}/report.json is damaged: run `course run` again.") from error


def _is_injected(cell: NotebookNode) -> bool:
    return "injected-parameters" in cell.metadata.get("tags", [])


def _words(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _copy(file: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, place)


def setup(app: Sphinx) -> dict[str, bool]:
    """Lay the sources out before Sphinx looks for them."""
    try:
        stage(Path(app.srcdir))
    except CourseError as error:
        sys.exit(str(error))  # Sphinx would print a traceback
    return {"parallel_read_safe": True, "parallel_write_safe": True}
