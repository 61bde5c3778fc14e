"""The scores of a sample class beside the scores that it must get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from course_utils.grading.sample_class import Expected
from course_utils.grading.scores import SubmissionScore

if TYPE_CHECKING:
    from rich.table import Table


def disagreements(
    expected: Mapping[str, Mapping[str, Expected]], given: Sequence[SubmissionScore]
) -> list[str]:
    """Say, in a sentence each, where a sample class was not given what it must get."""
    scores = {score.student: score for score in given}
    told = []
    for student, goals in expected.items():
        score = scores.get(student)
        if score is None or score.problem:
            told.append(f"{student} was not graded: {score.problem if score else 'not handed in'}")
            continue
        found = {exercise.exercise: exercise for exercise in score.exercises}
        for name, goal in goals.items():
            exercise = found.get(name)
            if exercise is None:
                told.append(f"{student}: {name} was not graded.")
            elif not goal.is_met_by(exercise):
                told.append(
                    f"{student}: {name} was given {exercise.points} and told "
                    f"{exercise.failed[:1] or 'nothing'}, but {goal.points} was expected"
                    + (f" with the hint {goal.hint!r}." if goal.hint else ".")
                )
    return told


def class_table(
    expected: Mapping[str, Mapping[str, Expected]], given: Sequence[SubmissionScore]
) -> Table:
    """Return a row per exercise and a column per submission: points, and what is wrong in red."""
    from rich import box
    from rich.table import Table

    scores = {
        (score.student, exercise.exercise): exercise
        for score in given
        for exercise in score.exercises
    }
    wrong = len(disagreements(expected, given))
    cells = sum(len(goals) for goals in expected.values())
    table = Table(
        title="Points given to the sample class",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        collapse_padding=True,
        caption=f"{cells - wrong} of {cells} scores and hints are as expected."
        if wrong
        else f"All {cells} scores and first hints are as expected.",
    )
    table.add_column("exercise", no_wrap=True)
    for student in expected:
        words = student.split("_")
        table.add_column("\n".join(words), justify="right", min_width=max(map(len, words)))
    for name in expected["solution"]:
        row = []
        for student, goals in expected.items():
            score, goal = scores.get((student, name)), goals[name]
            if score is not None and goal.is_met_by(score):
                row.append(f"{goal.points:g}")
            else:
                points = "none" if score is None else f"{score.points:g}"
                row.append(f"[red]{points}, not {goal.points:g}[/red]")
        table.add_row(name, *row)
    totals = [f"{sum(goal.points for goal in goals.values()):g}" for goals in expected.values()]
    table.add_row("expected in all", *totals, style="bold")
    return table
