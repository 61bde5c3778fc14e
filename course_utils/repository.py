"""Where this clone of the course lies."""

from __future__ import annotations

from pathlib import Path

from course_utils.errors import CourseError


def repository_root() -> Path:
    """Return the folder with notebooks/ and labs/: the working folder's, else the package's.

    Raises CourseError outside a clone.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).parents[1]):
        if (folder / "notebooks").is_dir() and (folder / "labs").is_dir():
            return folder
    raise CourseError(
        "There are no notebooks/ and labs/ here: run this inside a clone of the course."
    )
