"""Grade a class with nbgrader's autograder, one submission after another; nobody stops the rest."""

from __future__ import annotations

import codecs
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.grading.labs import LABS_FOLDER, Lab, exercise_of, find_lab, read_notebook
from course_utils.grading.nbgrader_course import CONFIG_FILE, convert, open_course, read_settings
from course_utils.grading.scores import ExerciseScore, SubmissionScore, exercise_scores
from course_utils.whole_files import write_whole


def grade(
    name: str,
    submissions: Path | None = None,
    *,
    work: Path | None = None,
    report: Callable[[str], None] = print,
    folder: Path = LABS_FOLDER,
) -> list[SubmissionScore]:
    """Grade every submission of a lab into nbgrader's gradebook and return the scores.

    submissions: a folder with `<student>/<lab>/<lab>.ipynb` or `<student>.ipynb`, copied into
    the course first; by default `submitted/` of the labs.
    work: the nbgrader course to grade in, made from `folder` where it is another one; open the
    formgrader there. By default the labs themselves.
    report: called with a line after each submission.
    A submission that cannot be graded gets a `problem` and no points, and the others go on.
    Marks given by hand in the formgrader are kept. Raises CourseError for an unknown lab, no
    submissions, or a gradebook made from other exercises than the source now has.
    """
    lab = find_lab(name, folder)
    course = Path(work or folder).resolve()
    submissions = submissions or folder / "submitted"
    students = _collect(lab, submissions, course / "submitted")
    if not students:
        raise CourseError(
            f"There are no submissions of {lab.name} in {submissions}: put them there as "
            f"<student>/{lab.name}/{lab.name}.ipynb, or name another folder with --submissions."
        )
    _prepare(lab, course)
    scores = []
    for number, student in enumerate(students, start=1):
        scores.append(_grade_one(lab, course, student))
        report(f"[{number}/{len(students)}] {scores[-1]}")
    return scores


def _prepare(lab: Lab, course: Path) -> None:
    """Make the course folder if need be, and enter the lab into its gradebook."""
    from nbgrader.converters import GenerateAssignment

    if course != lab.folder:
        source = course / "source" / lab.name
        shutil.rmtree(source, ignore_errors=True)
        shutil.copytree(lab.source.parent, source)
        write_whole(course / CONFIG_FILE, (lab.folder / CONFIG_FILE).read_bytes())
    with tempfile.TemporaryDirectory(dir=course, prefix=".release-") as unused:
        elsewhere = {"CourseDirectory": {"release_directory": Path(unused).name}}
        failure = convert(GenerateAssignment, course, lab.name, overrides=elsewhere)
    if failure:
        raise CourseError(
            f"{lab.name} cannot be entered into {course / 'gradebook.db'}: {failure} "
            "To keep that gradebook, grade into another folder."
        )


def _collect(lab: Lab, submissions: Path, submitted: Path) -> list[str]:
    """Copy submissions, in either layout, to where nbgrader looks for them; return the students."""
    found = {path.stem: path for path in submissions.glob("*.ipynb")}
    for place in submissions.glob(f"*/{lab.name}"):
        if place.is_dir():
            found[place.parent.name] = place / f"{lab.name}.ipynb"
    for student, path in found.items():
        goal = submitted / student / lab.name / f"{lab.name}.ipynb"
        if path.resolve() != goal:
            shutil.rmtree(goal.parent, ignore_errors=True)
            goal.parent.mkdir(parents=True)
            if path.is_file():
                write_whole(goal, path.read_bytes().removeprefix(codecs.BOM_UTF8))
    return sorted(found)


def _grade_one(lab: Lab, course: Path, student: str) -> SubmissionScore:
    from nbgrader.converters import Autograde

    notebook = f"{lab.name}/{lab.name}.ipynb"
    started = time.perf_counter()
    try:
        read_notebook(course / "submitted" / student / notebook)
        problem = convert(Autograde, course, lab.name, student)
    except CourseError as unreadable:
        problem = str(unreadable)
    if problem:
        return SubmissionScore(student, problem=problem)
    graded = read_notebook(course / "autograded" / student / notebook)
    exercises = _with_marks(exercise_scores(graded), lab, course, student)
    return SubmissionScore(student, exercises, seconds=time.perf_counter() - started)


def _with_marks(
    exercises: tuple[ExerciseScore, ...], lab: Lab, course: Path, student: str
) -> tuple[ExerciseScore, ...]:
    """Take the points from the gradebook, where a person may have changed or added some."""
    from nbgrader.api import Gradebook

    settings = open_course(read_settings(course))
    with Gradebook(settings.db_url, settings.course_id) as gradebook:
        graded = gradebook.find_submission_notebook(lab.name, lab.name, student)
        points = {
            exercise_of(mark.name): mark.score
            for mark in graded.grades
            if mark.auto_score is not None or mark.manual_score is not None
        }
    return tuple(replace(score, points=points.get(score.exercise)) for score in exercises)
