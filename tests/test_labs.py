"""Every lab of the course, with nbgrader's own commands: nothing of ours between it and the labs."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from course_utils.grading.class_table import disagreements
from course_utils.grading.labs import Lab, exercise_of, find_lab, lab_names, read_notebook
from course_utils.grading.release import release
from course_utils.grading.sample_class import expected_scores, read_mutant, write_sample_class
from course_utils.grading.scores import SubmissionScore, exercise_scores

LABS = Path(__file__).parents[1] / "labs"
REGION = re.compile(r"### BEGIN (SOLUTION|HIDDEN TESTS)\n(.*?)### END \1", re.DOTALL)


def cells_of(lab: Lab, kind: str) -> dict[str, str]:
    """Sources of the code cells with that mark ("grade" or "solution"), by exercise."""
    return {
        exercise_of(cell.metadata.nbgrader.grade_id): cell.source
        for cell in read_notebook(lab.source).cells
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get(kind)
    }


def properties(source: str) -> list[ast.Call]:
    """The calls of `exercise.property` in a test cell."""
    return [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "property"
    ]


@pytest.fixture(scope="module", params=lab_names())
def lab(request) -> Lab:
    return find_lab(request.param)


def test_the_release_is_what_the_source_gives(lab):
    assert not release(lab.name, check=True)


def test_the_release_holds_no_solution_and_no_hidden_test(lab):
    released = "\n".join(cell.source for cell in read_notebook(lab.released).cells)
    source = "\n".join(cell.source for cell in read_notebook(lab.source).cells)
    shown = REGION.sub("", source)
    hidden = [line.strip() for match in REGION.finditer(source) for line in match[2].split("\n")]
    told = [line for line in hidden if len(line) > 25 and line not in shown]
    assert len(told) > 20
    assert [line for line in told if line in released] == []
    assert "BEGIN " not in released


def test_the_properties_of_an_exercise_are_worth_the_points_of_its_cell(lab):
    points = {question.name: question.points for question in lab.questions()}
    for name, source in cells_of(lab, "grade").items():
        keywords = [{k.arg: k.value for k in call.keywords} for call in properties(source)]
        assert sum(ast.literal_eval(given["points"]) for given in keywords) == points[name]
        assert all(len(ast.literal_eval(given["hint"])) > 15 for given in keywords)


def test_a_test_cell_begins_with_its_exercise_ends_with_its_score_and_shows_before_it_hides(lab):
    for name, source in cells_of(lab, "grade").items():
        assert f'exercise = Exercise("{name}")' in source
        assert source.endswith("exercise.score()")
        assert source.count("### BEGIN HIDDEN TESTS") == 1
        shown, hidden = source.split("### BEGIN HIDDEN TESTS")
        assert ".property(" in shown
        assert ".property(" in hidden


def test_exercises_do_not_call_one_anothers_functions(lab):
    solutions, tests = cells_of(lab, "solution"), cells_of(lab, "grade")
    for name in tests:
        called = {
            getattr(node.func, "id", None)
            for source in (solutions[name], tests[name])
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Call)
        }
        assert called & (tests.keys() - {name}) == set()


def test_every_exercise_has_three_wrong_solutions_that_earn_less_than_full_points(lab):
    points = {question.name: question.points for question in lab.questions()}
    wrong = [read_mutant(path) for path in lab.mutants]
    for name in cells_of(lab, "grade"):
        scores = [mutant[name].expected.points for mutant in wrong if name in mutant]
        assert len(scores) >= 3
        assert max(scores) < points[name]


def test_cell_ids_are_words_and_outputs_are_not_stored(lab):
    for path in (lab.source, lab.released):
        notebook = read_notebook(path)
        assert [c.id for c in notebook.cells if re.fullmatch(r"[0-9a-f]{8}", c.id)] == []
        assert not any(cell.get("outputs") for cell in notebook.cells)


@dataclass
class GradedClass:
    """A copy of `labs/` in which nbgrader's commands graded the sample class of a lab."""

    lab: str
    course: Path
    scores: list[SubmissionScore]


def environment() -> dict[str, str]:
    """The environment of somebody who has activated this Python's environment."""
    path = sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"]
    return os.environ | {"PATH": path}


@pytest.fixture(scope="module")
def graded(lab, tmp_path_factory) -> GradedClass:
    course = tmp_path_factory.mktemp(lab.name)
    shutil.copy(LABS / "nbgrader_config.py", course)
    for step in ("source", "release"):
        shutil.copytree(LABS / step / lab.name, course / step / lab.name)
    write_sample_class(lab.name, course / "submitted")
    for command in (
        ["generate_assignment", lab.name, "--force"],
        ["autograde", lab.name],
        ["generate_feedback", lab.name],
    ):
        done = subprocess.run(
            ["nbgrader", *command], cwd=course, env=environment(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    scores = [
        SubmissionScore(path.parts[-3], exercise_scores(read_notebook(path)))
        for path in sorted(course.glob(f"autograded/*/{lab.name}/*.ipynb"))
    ]
    return GradedClass(lab.name, course, scores)


@contextmanager
def jupyter(course: Path, runtime: Path) -> Iterator[Callable[[str], HTTPResponse]]:
    """Run Jupyter in a course folder, on a free port of this machine; yield a function to get a page."""
    command = [sys.executable, "-m", "jupyter", "server", "--no-browser", "--allow-root"]
    command += ["--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", "--IdentityProvider.token=test"]
    server = subprocess.Popen(
        command,
        cwd=course,
        env=environment() | {"JUPYTER_RUNTIME_DIR": str(runtime)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.addheaders = [("Authorization", "token test")]
    try:
        told = runtime / f"jpserver-{server.pid}.json"  # written once the server listens
        deadline = time.monotonic() + 120
        while not told.exists():
            assert server.poll() is None, "Jupyter did not start"
            assert time.monotonic() < deadline, "Jupyter did not listen within two minutes"
            time.sleep(0.2)
        address = json.loads(told.read_text())["url"]
        yield lambda page: opener.open(address + page, timeout=60)
    finally:
        server.terminate()
        server.wait(timeout=60)


@pytest.mark.model
@pytest.mark.slow
def test_nbgrader_gives_solution_release_and_wrong_solutions_their_scores_and_hints(graded):
    assert disagreements(expected_scores(graded.lab), graded.scores) == []


@pytest.mark.model
@pytest.mark.slow
def test_the_gradebook_holds_the_same_points(graded):
    with Gradebook(f"sqlite:///{graded.course / 'gradebook.db'}") as gradebook:
        for score in graded.scores:
            assert gradebook.find_submission(graded.lab, score.student).score == score.points


@pytest.mark.model
@pytest.mark.slow
def test_nbgraders_own_release_is_the_committed_one(graded):
    path = Path("release") / graded.lab / f"{graded.lab}.ipynb"
    assert (graded.course / path).read_bytes() == (LABS / path).read_bytes()


@pytest.mark.model
@pytest.mark.slow
def test_feedback_pages_tell_hints_and_hide_the_code_of_hidden_tests(graded):
    for path in find_lab(graded.lab).mutants:
        page = graded.course / "feedback" / path.stem / graded.lab / f"{graded.lab}.html"
        text = page.read_text()
        assert "+0  " in text
        assert "HIDDEN TESTS" not in text


@pytest.mark.model
@pytest.mark.slow
def test_the_formgrader_shows_the_class(graded, tmp_path):
    lab = graded.lab
    with jupyter(graded.course, tmp_path) as get:
        for page in ("gradebook", f"gradebook/{lab}/{lab}", f"manage_submissions/{lab}"):
            assert get(f"formgrader/{page}").status == 200
        shown = json.load(get(f"formgrader/api/submissions/{lab}"))
    assert {each["student"]: each["score"] for each in shown} == {
        score.student: score.points for score in graded.scores
    }
