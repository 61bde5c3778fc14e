"""The labs of the course: where they lie and what each asks for."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_utils.errors import CourseError

LABS_FOLDER = Path(__file__).parents[2] / "labs"
TEST_PREFIX = "test_"  # the test cell of the exercise `top_k` has the grade id `test_top_k`


@dataclass(frozen=True)
class Question:
    """Something that earns points: an exercise with a test cell, or prose read by a person."""

    name: str
    points: float
    by_hand: bool


@dataclass(frozen=True)
class Lab:
    """A lab of an nbgrader course folder."""

    name: str
    folder: Path

    @property
    def source(self) -> Path:
        """The notebook written by hand, with solutions and hidden tests."""
        return self.folder / "source" / self.name / f"{self.name}.ipynb"

    @property
    def released(self) -> Path:
        """The notebook made from it, which learners start from."""
        return self.folder / "release" / self.name / f"{self.name}.ipynb"

    @property
    def mutants(self) -> list[Path]:
        """Files of wrong solutions, each a submission: see `course_utils.grading.sample_class`."""
        return sorted((self.folder / "mutants" / self.name).glob("mutant_*.py"))

    def questions(self) -> list[Question]:
        """Return what earns points, in the order of the notebook."""
        return [question for cell in read_notebook(self.source).cells if (question := asked(cell))]


def lab_names(folder: Path = LABS_FOLDER) -> list[str]:
    """Return the names of all labs, in reading order."""
    return sorted(path.parent.name for path in folder.glob("source/*/*.ipynb"))


def find_lab(name: str, folder: Path = LABS_FOLDER) -> Lab:
    """Return the lab of that name; raises CourseError that suggests the closest ones."""
    names = lab_names(folder)
    if name in names:
        return Lab(name, folder.resolve())
    close = [lab for lab in names if lab.startswith(name)] if name else []
    close = close or difflib.get_close_matches(name, names, cutoff=0.4) or names
    raise CourseError(
        f"There is no lab called {name!r}. "
        + (f"Did you mean {' or '.join(close)}?" if close else f"{folder} holds no labs at all.")
    )


def exercise_of(grade_id: str) -> str:
    """Return the exercise that a solution or test cell belongs to."""
    return grade_id.removeprefix(TEST_PREFIX)


def asked(cell: NotebookNode) -> Question | None:
    """Return the question whose points a cell carries, if it carries any."""
    marks = cell.metadata.get("nbgrader", {})
    if not marks.get("grade"):
        return None
    return Question(
        exercise_of(marks["grade_id"]), float(marks["points"]), by_hand=bool(marks["solution"])
    )


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook; raises CourseError that says in a sentence why it is none."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise CourseError(f"There is no file {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"{path} cannot be read as text: {error}.") from error
    if not text.strip():
        raise CourseError(f"{path} is empty.")
    try:
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # nbformat raises a dozen kinds for a file that is no notebook
        merge = "<<<<<<<" in text and ">>>>>>>" in text
        reason = "it holds merge conflict markers" if merge else str(error).strip().split("\n")[0]
        raise CourseError(f"{path} is not a readable notebook: {reason[:200]}") from error
    return notebook
