"""Write one HTML page for each graded submission, with nbgrader's generate_feedback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.grading.labs import LABS_FOLDER, find_lab
from course_utils.grading.nbgrader_course import convert


def feedback(
    name: str,
    *,
    work: Path | None = None,
    report: Callable[[str], None] = print,
    folder: Path = LABS_FOLDER,
) -> list[Path]:
    """Write the feedback of all graded submissions of a lab and return the pages.

    work: the nbgrader course that was graded in. Hidden tests are named, never shown.
    Raises CourseError for an unknown lab and if nothing was graded yet.
    """
    from nbgrader.converters import GenerateFeedback

    lab = find_lab(name, folder)
    course = Path(work or folder).resolve()
    students = sorted(path.parent.name for path in course.glob(f"autograded/*/{lab.name}"))
    if not students:
        raise CourseError(
            f"Nothing is graded in {course} yet: run `course grade {lab.name}` first."
        )
    pages = []
    for number, student in enumerate(students, start=1):
        failure = convert(GenerateFeedback, course, lab.name, student)
        page = course / "feedback" / student / lab.name / f"{lab.name}.html"
        if failure:
            raise CourseError(f"nbgrader cannot write {page}: {failure}")
        pages.append(page)
        report(f"[{number}/{len(students)}] {page}")
    return pages
