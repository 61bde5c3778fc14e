"""Check a learner's own copy of a lab: run it from top to bottom and tell points and reasons."""

from __future__ import annotations

import time
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.grading.labs import LABS_FOLDER, exercise_of, find_lab, read_notebook
from course_utils.grading.nbgrader_course import read_settings
from course_utils.grading.scores import SubmissionScore, exercise_scores


def validate(name_or_path: str | Path, *, folder: Path = LABS_FOLDER) -> SubmissionScore:
    """Run a copy of the learner's notebook and return what its visible checks give.

    name_or_path: the path of a notebook, or a lab's name for the copy in `release/`, where
    learners begin. The file itself is left as it is.
    Raises CourseError for an unknown lab, an unreadable notebook, one without checks, one whose
    test cells were changed (it would be graded with the original ones) and a kernel that dies.
    """
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from nbgrader.preprocessors import ClearOutput, Execute
    from nbgrader.utils import compute_checksum, is_grade, is_locked

    given = Path(name_or_path)
    path = given if given.suffix == ".ipynb" else find_lab(str(name_or_path), folder).released
    notebook = read_notebook(path)
    tests = [cell for cell in notebook.cells if is_grade(cell)]
    if not tests:
        raise CourseError(f"{path} has no test cells: is it a copy of a released lab?")
    for cell in tests:
        marks = cell.metadata.nbgrader
        if is_locked(cell) and marks.get("checksum") not in (None, compute_checksum(cell)):
            raise CourseError(
                f"The test cell of {exercise_of(marks['grade_id'])} in {path} was changed, and a submission is "
                "graded with the original: copy that cell anew from the released lab."
            )
    settings = read_settings(folder)
    started = time.perf_counter()
    resources = {"metadata": {"path": str(path.resolve().parent)}}
    try:
        for preprocessor in (ClearOutput, Execute):
            notebook, _ = preprocessor(config=settings).preprocess(notebook, resources)
    except (DeadKernelError, CellTimeoutError) as error:
        raise CourseError(
            f"{path} could not be run to its end ({str(error).strip().splitlines()[0]}): open it, "
            "choose Restart Kernel and Run All Cells, and see which cell stops."
        ) from error
    return SubmissionScore(
        path.stem, exercise_scores(notebook), seconds=time.perf_counter() - started
    )
