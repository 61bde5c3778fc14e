"""What a submission earned, exercise by exercise, with the reasons that its test cells printed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nbformat import NotebookNode

from course_utils.grading.labs import asked

_PROPERTY = re.compile(r"\+(?P<points>\d+(\.\d+)?)  (?P<text>.+)")
_TOTAL = re.compile(r".+: [\d.]+ of (?P<offered>[\d.]+) points")


@dataclass(frozen=True)
class ExerciseScore:
    """Points of one exercise; None while a person has still to read it.

    offered: the most that the checks which ran can give; in a learner's copy, which has no
    hidden tests, that is less than `max_points`.
    passed, failed: a line for each property; a failed one holds its hint.
    """

    exercise: str
    points: float | None
    max_points: float
    offered: float
    passed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


@dataclass(frozen=True)
class SubmissionScore:
    """What one learner's submission earned; `problem` says why it could not be graded."""

    student: str
    exercises: tuple[ExerciseScore, ...] = ()
    problem: str | None = None
    seconds: float = 0.0

    @property
    def points(self) -> float:
        """The points given so far, by checks and by hand."""
        return sum(exercise.points or 0 for exercise in self.exercises)

    @property
    def max_points(self) -> float:
        """The most the lab gives."""
        return sum(exercise.max_points for exercise in self.exercises)

    @property
    def to_read(self) -> list[str]:
        """The questions that a person has still to grade."""
        return [e.exercise for e in self.exercises if e.points is None]

    def __str__(self) -> str:
        if self.problem:
            return f"{self.student}: not graded: {self.problem}"
        reading = f", {' and '.join(self.to_read)} to be read" if self.to_read else ""
        return (
            f"{self.student}: {self.points:g} of {self.max_points:g} points{reading}"
            f" ({self.seconds:.1f} s)"
        )


@dataclass
class _Printed:
    offered: float | None = None
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def exercise_scores(notebook: NotebookNode) -> tuple[ExerciseScore, ...]:
    """Read the scores of an executed notebook, as nbgrader reads them, with their reasons."""
    from nbgrader.utils import determine_grade

    scores = []
    for cell in notebook.cells:
        question = asked(cell)
        if question is None:
            continue
        points, _ = determine_grade(cell)
        printed = _Printed() if question.by_hand else _read(cell)
        offered = question.points if printed.offered is None else printed.offered
        scores.append(
            ExerciseScore(
                question.name,
                points,
                question.points,
                offered,
                tuple(printed.passed),
                tuple(printed.failed),
            )
        )
    return tuple(scores)


def _read(cell: NotebookNode) -> _Printed:
    """Read the lines of a test cell: "+1  property", "+0  property: hint", "name: 1 of 2 points"."""
    printed = _Printed()
    text = "".join(o.text for o in cell.outputs if o.output_type == "stream")
    for line in text.split("\n"):
        line = line.rpartition("\r")[2]  # what a progress bar drew before it was wiped out
        if match := _PROPERTY.fullmatch(line):
            kept = printed.passed if float(match["points"]) else printed.failed
            kept.append(match["text"])
        elif match := _TOTAL.fullmatch(line):
            printed.offered = float(match["offered"])
    errors = [output for output in cell.outputs if output.output_type == "error"]
    if any(error.ename == "CellTimeoutError" for error in errors):
        printed.failed.append("the checks did not end in time: is there an endless loop?")
    elif errors:
        printed.failed.append(f"the checks broke off: {errors[0].ename}: {errors[0].evalue}")
    elif "stderr" in [o.get("name") for o in cell.outputs]:
        printed.failed.append("the test cell wrote to stderr outside its properties")
    return printed
