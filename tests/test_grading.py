"""Release, validate, grade and feedback, on a lab so small that a kernel runs it in a second."""

import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.api import Gradebook
from rich.console import Console

from course_utils.errors import CourseError
from course_utils.grading.class_table import class_table, disagreements
from course_utils.grading.feedback import feedback
from course_utils.grading.grade import grade
from course_utils.grading.labs import find_lab
from course_utils.grading.nbgrader_course import convert
from course_utils.grading.release import release
from course_utils.grading.sample_class import (
    Expected,
    expected_scores,
    read_mutant,
    write_sample_class,
)
from course_utils.grading.scores import ExerciseScore, SubmissionScore
from course_utils.grading.validate import validate

SETUP = "from course_utils.lessons.checks import Exercise"
SOLUTION = """def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION"""
TEST = """exercise = Exercise("double")
with exercise.property("doubles whole numbers", points=1, hint="Multiply by two."):
    assert [double(2), double(3)] == [4, 6]
### BEGIN HIDDEN TESTS
with exercise.property("doubles negative numbers", points=2, hint="No abs() here."):
    secret_case = -21
    assert double(secret_case) == -42
### END HIDDEN TESTS
exercise.score()"""
PROSE = "### BEGIN SOLUTION\nBecause.\n### END SOLUTION"
MUTANT = """# %% double
# score: 1
# hint: No abs()
def double(x):
    return 2 * abs(x)
"""


def marked(cell, grade_id, **marks):
    defaults = {"grade": False, "locked": False, "solution": False, "task": False}
    cell.metadata["nbgrader"] = {"schema_version": 3, "grade_id": grade_id, **defaults, **marks}
    return cell


@pytest.fixture
def labs(tmp_path) -> Path:
    """A folder of labs with one lab, `lab0_double`, not yet released."""
    folder = tmp_path / "labs"
    cells = [
        marked(new_code_cell(SETUP, id="imports"), "imports", locked=True),
        marked(new_code_cell(SOLUTION, id="double"), "double", solution=True),
        marked(new_code_cell(TEST, id="test"), "test_double", grade=True, locked=True, points=3),
        marked(new_markdown_cell(PROSE, id="why"), "why", grade=True, solution=True, points=2),
    ]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3 (ipykernel)"}
    source = folder / "source" / "lab0_double" / "lab0_double.ipynb"
    source.parent.mkdir(parents=True)
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), source)
    mutants = folder / "mutants" / "lab0_double"
    mutants.mkdir(parents=True)
    (mutants / "mutant_1.py").write_text(MUTANT)
    here = Path(__file__).parents[1] / "labs" / "nbgrader_config.py"
    settings = here.read_text().replace("c.Execute.timeout = 120", "c.Execute.timeout = 3")
    (folder / "nbgrader_config.py").write_text(settings)
    return folder


@pytest.fixture
def released(labs) -> Path:
    release("lab0_double", folder=labs)
    return labs


def written(labs, code) -> nbformat.NotebookNode:
    """The released notebook with a solution written into it."""
    notebook = nbformat.read(find_lab("lab0_double", labs).released, 4)
    notebook.cells[1].source = code
    return notebook


def test_an_unknown_lab_is_answered_with_the_closest_ones(labs):
    with pytest.raises(CourseError, match="Did you mean lab0_double"):
        find_lab("lab0", labs)
    with pytest.raises(CourseError, match="Did you mean lab0_double"):
        release("lab0_duble", folder=labs)
    with pytest.raises(CourseError, match="holds no labs"):
        find_lab("lab0_double", labs / "release")


def test_a_release_has_stubs_and_visible_checks_and_is_the_same_every_time(labs):
    assert release("lab0_double", folder=labs)
    path = labs / "release" / "lab0_double" / "lab0_double.ipynb"
    first = path.read_bytes()
    text = first.decode()
    assert "NotImplementedError" in text
    assert "doubles whole numbers" in text
    assert not re.search(r"2 \* x|Because|negative|abs\(\)|secret_case|BEGIN|END", text)
    assert not release("lab0_double", folder=labs)
    path.unlink()
    assert release("lab0_double", folder=labs)
    assert path.read_bytes() == first
    assert not list(labs.glob("release/**/.*"))
    assert not (labs / "gradebook.db").exists()


def test_a_release_that_differs_from_its_source_is_found_and_nothing_is_written(released):
    assert not release("lab0_double", check=True, folder=released)
    source = find_lab("lab0_double", released).source
    source.write_text(source.read_text().replace("whole numbers", "integers"))
    assert release("lab0_double", check=True, folder=released)
    assert "integers" not in find_lab("lab0_double", released).released.read_text()
    assert release("lab0_double", folder=released)


def test_a_file_that_the_source_no_longer_has_leaves_the_release(released):
    left_over = released / "release" / "lab0_double" / "old.csv"
    left_over.write_text("1")
    assert release("lab0_double", check=True, folder=released)
    assert release("lab0_double", folder=released)
    assert not left_over.exists()


def test_a_new_release_does_not_overwrite_the_answers_of_somebody_who_works_there(released):
    lab = find_lab("lab0_double", released)
    nbformat.write(written(released, "def double(x):\n    return x + x"), lab.released)
    with pytest.raises(CourseError, match="holds answers \\(in double\\)"):
        release("lab0_double", folder=released)
    assert "x + x" in lab.released.read_text()


def test_a_source_that_nbgrader_refuses_is_named_with_the_reason(labs):
    source = find_lab("lab0_double", labs).source
    source.write_text(source.read_text().replace("### END SOLUTION", "", 1))
    with pytest.raises(CourseError, match="no end solution statement found"):
        release("lab0_double", folder=labs)


def test_validate_tells_a_learner_points_and_reasons_and_leaves_the_copy_alone(released, tmp_path):
    path = tmp_path / "mine.ipynb"
    nbformat.write(written(released, "def double(x):\n    return x"), path)
    before = path.read_bytes()
    score = validate(path, folder=released)
    double, why = score.exercises
    assert (double.points, double.offered, double.max_points) == (0, 1, 3)
    assert double.failed == ("doubles whole numbers: Multiply by two.",)
    assert why.points == 0
    assert path.read_bytes() == before


def test_validate_takes_the_released_copy_for_the_name_of_a_lab(released):
    nbformat.write(
        written(released, "def double(x):\n    return 2 * x"),
        find_lab("lab0_double", released).released,
    )
    score = validate("lab0_double", folder=released)
    assert score.exercises[0].points == 1
    assert score.exercises[0].passed == ("doubles whole numbers",)


def test_validate_refuses_changed_test_cells_and_files_that_are_no_lab(released, tmp_path):
    path = tmp_path / "mine.ipynb"
    notebook = written(released, "def double(x):\n    return x")
    notebook.cells[2].source = "3"
    nbformat.write(notebook, path)
    with pytest.raises(CourseError, match=r"test cell of double in .* was changed"):
        validate(path, folder=released)
    nbformat.write(new_notebook(), path)
    with pytest.raises(CourseError, match="has no test cells"):
        validate(path, folder=released)
    with pytest.raises(CourseError, match="There is no file"):
        validate(tmp_path / "none.ipynb", folder=released)


def test_validate_says_that_the_kernel_died_instead_of_failing_itself(released, tmp_path):
    path = tmp_path / "mine.ipynb"
    nbformat.write(written(released, "import os\nos._exit(1)"), path)
    with pytest.raises(CourseError, match=r"could not be run to its end \(Kernel died\)"):
        validate(path, folder=released)


BAD_FILES = {
    "empty": (b"", "is empty"),
    "truncated": (b'{"cells": [', "not a readable notebook"),
    "merged": (b'{"cells": [\n<<<<<<< HEAD\n=======\n>>>>>>> theirs\n]}', "merge conflict"),
    "not_text": (b"\x80\xff\xfe", "cannot be read as text"),
    "a_list": (b"[1, 2]", "not a readable notebook"),
}


@pytest.fixture
def graded(released, tmp_path):
    """Grade the sample class and everything that can be wrong with a file or a kernel."""
    submissions, course = tmp_path / "class", tmp_path / "course"
    write_sample_class("lab0_double", submissions, released)
    for student, (content, _) in BAD_FILES.items():
        (submissions / f"{student}.ipynb").write_bytes(content)
    for student, code in {
        "endless": "def double(x):\n    while True:\n        pass",
        "dead": "def double(x):\n    import os\n    os._exit(1)",
        "noisy": "import warnings\ndef double(x):\n    warnings.warn('hm')\n    return 2 * x",
    }.items():
        nbformat.write(written(released, code), submissions / f"{student}.ipynb")
    solution = submissions / "solution" / "lab0_double" / "lab0_double.ipynb"
    (submissions / "marked.ipynb").write_bytes(b"\xef\xbb\xbf" + solution.read_bytes())
    misnamed = submissions / "misnamed" / "lab0_double"
    misnamed.mkdir(parents=True)
    shutil.copy(solution, misnamed / "final_version(2).ipynb")
    lines = []
    scores = grade("lab0_double", submissions, work=course, report=lines.append, folder=released)
    return {score.student: score for score in scores}, lines, course, released


def test_every_submission_of_a_class_ends_with_a_score_or_a_reason(graded, tmp_path):
    scores, lines, course, labs = graded

    # The sample class gets what it must.
    expected = expected_scores("lab0_double", labs)
    assert disagreements(expected, list(scores.values())) == []
    assert scores["solution"].points == 3
    assert scores["solution"].to_read == ["why"]
    assert scores["untouched"].to_read == []
    assert scores["mutant_1"].exercises[0].failed == ("doubles negative numbers: No abs() here.",)

    # A warning or a byte order mark costs nothing.
    assert scores["noisy"].points == 3
    assert scores["marked"].points == 3

    # Each broken file has its own reason, and nobody behind it was left out.
    for student, (_, reason) in BAD_FILES.items():
        assert reason in scores[student].problem
    assert "There is no file" in scores["misnamed"].problem
    assert "died" in scores["dead"].problem.lower()
    assert scores["endless"].problem is None
    assert scores["endless"].points == 0
    assert "endless loop" in scores["endless"].exercises[0].failed[-1]

    # Progress is a line for each.
    assert len(lines) == len(scores)
    assert lines[0].startswith(f"[1/{len(scores)}] ")
    assert any("mutant_1: 1 of 5 points" in line for line in lines)

    # The work folder is an nbgrader course with the same points in its gradebook.
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        assert gradebook.find_submission("lab0_double", "mutant_1").score == 1
        assert gradebook.find_submission("lab0_double", "solution").needs_manual_grade
    assert not list(course.glob(".release*"))

    # The labs themselves were not touched.
    assert sorted(path.name for path in labs.iterdir()) == [
        "mutants",
        "nbgrader_config.py",
        "release",
        "source",
    ]

    # Feedback shows reasons and hides the code of hidden tests.
    pages = feedback("lab0_double", work=course, report=print, folder=labs)
    page = next(page for page in pages if "mutant_1" in page.parts).read_text()
    assert "No abs() here." in page
    assert "secret_case" not in page


def test_a_mark_given_by_hand_survives_grading_again(released, tmp_path):
    submissions, course = tmp_path / "class", tmp_path / "course"
    write_sample_class("lab0_double", submissions, released)
    shutil.rmtree(submissions / "untouched")
    shutil.rmtree(submissions / "mutant_1")
    settings = {"work": course, "report": lambda line: None, "folder": released}
    grade("lab0_double", submissions, **settings)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        gradebook.find_grade("why", "lab0_double", "lab0_double", "solution").manual_score = 1.5
        gradebook.db.commit()
    submissions.rename(released / "submitted")  # where they are looked for by default
    [score] = grade("lab0_double", **settings)
    assert score.points == 4.5
    assert score.to_read == []


def test_a_class_without_submissions_is_an_error_that_says_where_they_belong(released, tmp_path):
    (tmp_path / "nobody").mkdir()
    with pytest.raises(CourseError, match=r"no submissions of lab0_double in .*nobody"):
        grade("lab0_double", tmp_path / "nobody", work=tmp_path / "course", folder=released)
    with pytest.raises(CourseError, match=r"no submissions of lab0_double in .*labs.submitted"):
        grade("lab0_double", work=tmp_path / "course", folder=released)
    with pytest.raises(CourseError, match="Nothing is graded"):
        feedback("lab0_double", work=tmp_path / "course", folder=released)


def test_a_gradebook_of_other_exercises_is_not_overwritten(released, tmp_path):
    submissions, course = tmp_path / "class", tmp_path / "course"
    write_sample_class("lab0_double", submissions, released)
    for student in ("untouched", "mutant_1"):
        shutil.rmtree(submissions / student)
    grade("lab0_double", submissions, work=course, folder=released)
    source = find_lab("lab0_double", released).source
    source.write_text(source.read_text().replace('"why"', '"because"'))
    with pytest.raises(CourseError, match=r"cannot be entered into .*gradebook.db: Cannot add"):
        grade("lab0_double", submissions, work=course, folder=released)


def test_scores_are_plain_enough_for_json_and_say_themselves_in_a_line():
    exercises = (
        ExerciseScore("double", 1.0, 3.0, 3.0, ("a",), ("b: c",)),
        ExerciseScore("why", None, 2.0, 2.0),
    )
    score = SubmissionScore("ada", exercises, seconds=1.23)
    assert str(score) == "ada: 1 of 5 points, why to be read (1.2 s)"
    assert json.loads(json.dumps(asdict(score)))["exercises"][0]["failed"] == ["b: c"]
    assert str(SubmissionScore("bob", problem="it is empty")) == "bob: not graded: it is empty"


def test_a_class_table_says_where_a_score_or_a_hint_is_not_as_expected(capsys):
    expected = {"solution": {"double": Expected(3)}, "mutant_1": {"double": Expected(1, "No abs")}}
    right = SubmissionScore("solution", (ExerciseScore("double", 3, 3, 3),))
    wrong = SubmissionScore("mutant_1", (ExerciseScore("double", 1, 3, 3, (), ("Multiply.",)),))
    assert len(disagreements(expected, [right])) == 1
    told = disagreements(expected, [right, wrong])
    assert len(told) == 1
    assert "No abs" in told[0]
    Console(width=80).print(class_table(expected, [right, wrong]))
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 of 2 scores and hints are as expected" in shown


def test_a_class_of_six_fits_eighty_columns_with_every_name_whole(capsys):
    students = ["solution", "untouched", *(f"mutant_{n}" for n in range(1, 5))]
    exercise = "softmax_with_temperature"
    expected = {student: {exercise: Expected(5)} for student in students}
    given = [SubmissionScore(name, (ExerciseScore(exercise, 5, 5, 5),)) for name in students]
    Console(width=80).print(class_table(expected, given))
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert {"solution", "untouched", "mutant", exercise} <= set(shown.split())


def test_a_mutant_section_without_score_or_hint_or_for_no_exercise_is_refused(labs):
    path = labs / "mutants" / "lab0_double" / "mutant_1.py"
    path.write_text(MUTANT.replace("# hint: No abs()\n", ""))
    with pytest.raises(CourseError, match="needs a '# score:' and a '# hint:'"):
        read_mutant(path)
    path.write_text(MUTANT.replace("%% double", "%% triple"))
    with pytest.raises(CourseError, match="for no exercise: triple"):
        expected_scores("lab0_double", labs)


def test_a_folder_that_is_no_nbgrader_course_is_named(tmp_path):
    with pytest.raises(CourseError, match="is no nbgrader course"):
        convert(None, tmp_path, "lab0_double")
