"""A class whose scores are known: the solution, the untouched release and wrong solutions.

`labs/mutants/<lab>/mutant_1.py` and so on hold one submission each, with a section per exercise:

    # %% top_k
    # score: 2
    # hint: Keep every token that ties with the k-th
    def top_k(logits, k): ...

`score` is what the test cell must give, and `hint` a part of the first hint that it must print.
Exercises are independent, so the k-th wrong solutions of all exercises share a submission.
An exercise without a section is handed in as the solution has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat

from course_utils.errors import CourseError
from course_utils.grading.labs import LABS_FOLDER, Lab, find_lab, read_notebook
from course_utils.grading.scores import ExerciseScore
from course_utils.whole_files import write_whole

_SECTION = re.compile(
    r"^# %% (?P<name>\w+)\n# score: (?P<score>[\d.]+)\n# hint: (?P<hint>.+)\n", re.MULTILINE
)


@dataclass(frozen=True)
class Expected:
    """The points that an exercise of a sample submission must earn, and part of its first hint."""

    points: float
    hint: str = ""

    def is_met_by(self, score: ExerciseScore) -> bool:
        """Whether the points agree and the first hint printed is the one expected."""
        return score.points == self.points and self.hint in "".join(score.failed[:1])


@dataclass(frozen=True)
class WrongSolution:
    """One section of a mutant file."""

    code: str
    expected: Expected


def read_mutant(path: Path) -> dict[str, WrongSolution]:
    """Return the wrong solutions of a mutant file by exercise."""
    text = path.read_text(encoding="utf-8")
    sections = list(_SECTION.finditer(text))
    if len(sections) != len(re.findall("^# %%", text, re.MULTILINE)):
        raise CourseError(
            f"{path}: each '# %% name' needs a '# score:' and a '# hint:' line below."
        )
    ends = [section.start() for section in sections[1:]] + [len(text)]
    return {
        section["name"]: WrongSolution(
            text[section.end() : end].strip(), Expected(float(section["score"]), section["hint"])
        )
        for section, end in zip(sections, ends, strict=True)
    }


def expected_scores(name: str, folder: Path = LABS_FOLDER) -> dict[str, dict[str, Expected]]:
    """Return what each sample submission must earn: expected[student][exercise].

    Prose that a person grades is left out.
    """
    lab = find_lab(name, folder)
    full = {q.name: Expected(q.points) for q in lab.questions() if not q.by_hand}
    expected = {"solution": full, "untouched": {name: Expected(0.0) for name in full}}
    for path in lab.mutants:
        wrong = {name: found.expected for name, found in read_mutant(path).items()}
        if unknown := wrong.keys() - full.keys():
            raise CourseError(f"{path} has sections for no exercise: {', '.join(sorted(unknown))}.")
        expected[path.stem] = {**full, **wrong}
    return expected


def write_sample_class(name: str, submissions: Path, folder: Path = LABS_FOLDER) -> list[Path]:
    """Write the sample submissions as `<student>/<lab>/<lab>.ipynb` and return the files."""
    lab = find_lab(name, folder)
    solution = _solutions(lab)
    by_hand = {question.name for question in lab.questions() if question.by_hand}
    code = {name: source for name, source in solution.items() if name not in by_hand}
    answers = {"solution": solution, "untouched": {}}
    for path in lab.mutants:
        answers[path.stem] = code | {name: wrong.code for name, wrong in read_mutant(path).items()}
    return [_hand_in(lab, submissions / student, cells) for student, cells in answers.items()]


def _solutions(lab: Lab) -> dict[str, str]:
    """Return the sources of the solution cells by grade id."""
    return {
        cell.metadata.nbgrader.grade_id: cell.source
        for cell in read_notebook(lab.source).cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }


def _hand_in(lab: Lab, student: Path, answers: Mapping[str, str]) -> Path:
    """Write the released notebook with some of its solution cells filled in."""
    notebook = read_notebook(lab.released)
    for cell in notebook.cells:
        marks = cell.metadata.get("nbgrader", {})
        if marks.get("solution"):
            cell.source = answers.get(marks["grade_id"], cell.source)
    path = student / lab.name / f"{lab.name}.ipynb"
    write_whole(path, nbformat.writes(notebook).encode())
    return path
