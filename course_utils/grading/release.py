"""Make the learners' version of a lab from its source: no solutions, no hidden tests."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.grading.labs import LABS_FOLDER, Lab, find_lab, read_notebook
from course_utils.grading.nbgrader_course import CONFIG_FILE, convert
from course_utils.whole_files import write_whole


def release(name: str, *, check: bool = False, folder: Path = LABS_FOLDER) -> bool:
    """Make `release/<lab>` with nbgrader's generate_assignment; return whether it changed.

    The same source always gives the same bytes. With `check` nothing is written, and True
    means that the release is not what the source gives.
    Raises CourseError for an unknown lab, a source that nbgrader refuses, and a release in
    which somebody has begun to answer.
    """
    lab = find_lab(name, folder)
    goal = lab.released.parent
    made = _generated_files(lab)
    present = _files(goal)
    if check or made == present:
        return made != present
    _refuse_to_lose_answers(lab)
    for path, content in made.items():
        write_whole(goal / path, content)
    for path in present.keys() - made.keys():
        (goal / path).unlink()
    return True


def _generated_files(lab: Lab) -> dict[Path, bytes]:
    from nbgrader.converters import GenerateAssignment
    from nbgrader.preprocessors import SaveCells

    steps = [step for step in GenerateAssignment.preprocessors.default() if step is not SaveCells]
    without_gradebook = {"GenerateAssignment": {"no_database": True, "preprocessors": steps}}
    with tempfile.TemporaryDirectory(prefix="release-") as temporary:
        course = Path(temporary)
        shutil.copy(lab.folder / CONFIG_FILE, course)
        shutil.copytree(lab.source.parent, course / "source" / lab.name)
        failure = convert(GenerateAssignment, course, lab.name, overrides=without_gradebook)
        if failure:
            raise CourseError(f"nbgrader cannot release {lab.source}: {failure}")
        return _files(course / "release" / lab.name)


def _files(folder: Path) -> dict[Path, bytes]:
    """Return the contents of a folder by relative path, but for hidden files and folders."""
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return {
        path: (folder / path).read_bytes()
        for path in sorted(paths)
        if not any(part.startswith(".") for part in path.parts)
    }


def _refuse_to_lose_answers(lab: Lab) -> None:
    """Raise CourseError if a solution cell of the release is not the stub it was released as."""
    from nbgrader.utils import compute_checksum, is_solution

    if not lab.released.exists():
        return
    for cell in read_notebook(lab.released).cells:
        if is_solution(cell) and cell.metadata.nbgrader.get("checksum") != compute_checksum(cell):
            raise CourseError(
                f"{lab.released} holds answers (in {cell.metadata.nbgrader['grade_id']}), which a "
                "new release would overwrite: copy the file to another place first, then delete it."
            )
