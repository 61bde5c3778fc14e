"""Remember which runs passed and of what, so that the same is not run again."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_utils.automation.files import write_out
from course_utils.automation.runs import NotebookRun

if TYPE_CHECKING:
    from nbformat import NotebookNode

STATE_FILE = "state.json"


def fingerprint(notebook: NotebookNode, parameters: Mapping[str, Any], profile: str) -> str:
    """Return a digest of all that decides what a run computes.

    That is the source of the cells, the parameters, the profile, the course's own source and
    the versions of what it runs on; outputs and cell ids are left out.
    """
    cells = [
        (cell.cell_type, cell.source, sorted(cell.metadata.get("tags", [])))
        for cell in notebook.cells
    ]
    content = [cells, dict(parameters), profile, environment(), _own_source()]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def environment() -> dict[str, str]:
    """Return the versions of Python, the course and the libraries its numbers depend on."""
    found = {"python": platform.python_version()}
    for package in ("llm-course", "torch", "transformers"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@cache
def _own_source() -> str:
    """Return a digest of every file of the installed package `course_utils`."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


class State:
    """The runs in an output folder that passed, each with its fingerprint."""

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            self.runs = json.loads((folder / STATE_FILE).read_text())["passed"]
        except (OSError, ValueError, KeyError, TypeError):
            self.runs = {}  # none yet, or damaged: everything runs again

    def passed(self, name: str, digest: str) -> NotebookRun | None:
        """Return the earlier run if it passed, was of the same, and its files are still there."""
        entry = self.runs.get(name)
        if not entry or entry["fingerprint"] != digest:
            return None
        run = NotebookRun.from_dict(entry["run"])
        if not all(path and (self.folder / path).exists() for path in (run.output, run.page)):
            return None
        run.reused = True
        return run

    def remember(self, run: NotebookRun, digest: str) -> None:
        """Write down a run that passed; strike out one that did not."""
        self.runs.pop(run.name, None)
        if run.status == "passed":
            self.runs[run.name] = {"fingerprint": digest, "run": asdict(run)}
        write_out(self.folder / STATE_FILE, json.dumps({"passed": self.runs}, indent=1))
