"""Run nbgrader's own converters in a course folder, one assignment and one student at a time."""

from __future__ import annotations

import glob
import os
import re
import sysconfig
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.errors import CourseError

if TYPE_CHECKING:
    from nbgrader.converters.base import BaseConverter
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

CONFIG_FILE = "nbgrader_config.py"


def read_settings(folder: Path) -> Config:
    """Read `nbgrader_config.py` of a course folder; raises CourseError if there is none."""
    from traitlets.config import PyFileConfigLoader

    if not (folder / CONFIG_FILE).exists():
        raise CourseError(f"{folder} is no nbgrader course: it has no {CONFIG_FILE}.")
    settings = PyFileConfigLoader(CONFIG_FILE, path=str(folder)).load_config()
    settings.CourseDirectory.root = str(folder.resolve())
    return settings


def open_course(settings: Config) -> CourseDirectory:
    """Return nbgrader's view of a course folder: its root, its database, its folders."""
    from nbgrader.coursedir import CourseDirectory

    return CourseDirectory(config=settings)


def convert(
    converter: type[BaseConverter],
    folder: Path,
    lab: str,
    student: str = "*",
    overrides: Mapping[str, dict] | None = None,
) -> str | None:
    """Run a converter of nbgrader in a course folder; return why it failed, or None.

    overrides: settings that win over the course's, as {"CourseDirectory": {"course_id": "x"}}.
    """
    from nbgrader.utils import capture_log
    from sqlalchemy.exc import SAWarning
    from traitlets.config import Config

    # nbgrader starts `alembic` to make a gradebook and looks for it on PATH alone.
    scripts = sysconfig.get_path("scripts")
    if scripts not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = scripts + os.pathsep + os.environ["PATH"]
    settings = read_settings(folder)
    settings.merge(Config(overrides or {}))
    course = open_course(settings)
    course.assignment_id = lab
    course.student_id = student if student == "*" else glob.escape(student)
    app = converter(coursedir=course, config=settings)
    app.force = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # nbgrader's way with SQLAlchemy 2.1, harmless
        outcome = capture_log(app)
    return None if outcome["success"] else _reason(outcome.get("log") or outcome["error"])


def _reason(log: str) -> str:
    """Pick the line that says what happened out of nbgrader's log and tracebacks."""
    errors = re.findall(r"^\s*(?:\w+\.)*\w+(?:Error|Exception)\b: *(.+)$", log, re.MULTILINE)
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return (errors or lines or ["it does not say why"])[-1]
