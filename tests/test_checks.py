"""What a test cell prints and returns, and that nothing it does reaches stderr."""

import logging
import os
import signal
import sys

import nbformat
import pytest
from nbgrader.preprocessors import Execute
from nbgrader.utils import determine_grade

from course_utils.lessons.checks import Exercise


def test_a_property_that_holds_earns_its_points_and_one_that_does_not_prints_its_hint(capsys):
    exercise = Exercise("double")
    with exercise.property("doubles 2", points=2, hint="Multiply by two."):
        assert 2 * 2 == 4
    with exercise.property("doubles 3", points=1, hint="Multiply by two."):
        raise ValueError("three")
    assert exercise.score() == 2.0
    assert capsys.readouterr().out == (
        "+2  doubles 2\n"
        "+0  doubles 3: Multiply by two. (ValueError: three)\n"
        "double: 2 of 3 points\n"
    )


def test_points_add_up_without_the_noise_of_binary_fractions():
    exercise = Exercise("double")
    for points in (0.1, 0.2, 0.1, 0.2, 0.1):
        with exercise.property("holds", points=points, hint=""):
            pass
    assert repr(exercise.score()) == "0.7"


def test_a_bare_assertion_adds_nothing_to_the_hint(capsys):
    with Exercise("double").property("doubles", points=1, hint="Multiply."):
        assert sys.maxsize == 0
    first = capsys.readouterr().out.split("\n")[0]
    assert first.startswith("+0  doubles: Multiply.")
    assert "NameError" not in first


def test_a_missing_function_is_a_failed_property_that_says_which(capsys):
    with Exercise("double").property("doubles", points=1, hint="Multiply."):
        double(2)  # noqa: F821
    assert "(double is not defined: run its cell, and keep" in capsys.readouterr().out


def test_a_function_that_is_not_written_yet_is_called_so(capsys):
    with Exercise("double").property("doubles", points=1, hint="Multiply."):
        raise NotImplementedError
    assert "(double is not written yet)" in capsys.readouterr().out


def test_the_line_of_the_learners_function_that_raised_is_named(capsys):
    def double(x):
        y = x
        return y["two"]

    with Exercise("double").property("doubles", points=1, hint="Multiply."):
        double({})
    line = double.__code__.co_firstlineno + 2
    assert f"(KeyError: 'two', in line {line} of its cell)" in capsys.readouterr().out


@pytest.mark.parametrize("raised", [SystemExit(0), KeyboardInterrupt(), GeneratorExit()])
def test_leaving_early_is_failing_and_the_next_property_is_still_checked(raised, capsys):
    exercise = Exercise("double")
    with exercise.property("doubles", points=1, hint="Multiply."):
        raise raised
    with exercise.property("doubles again", points=1, hint="Multiply."):
        pass
    assert exercise.score() == 1.0
    assert type(raised).__name__ in capsys.readouterr().out


def test_an_interrupt_from_outside_ends_the_cell():
    before = signal.getsignal(signal.SIGINT)
    with (
        pytest.raises(KeyboardInterrupt),
        Exercise("double").property("doubles", points=1, hint="Multiply."),
    ):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_what_goes_to_stderr_follows_the_property_on_stdout_and_leaves_stderr_empty(capfd):
    logger = logging.getLogger("a library of the learner's")
    logger.addHandler(logging.StreamHandler())
    logger.addHandler(logging.lastResort)  # its stream is sys.stderr, whatever that is now
    with Exercise("double").property("doubles", points=1, hint="Multiply."):
        logger.warning("careful")
        print("\r 50%\r100%\r      ", end="", file=sys.stderr)
        print("said", file=sys.stderr)
        os.write(2, b"native\n")
    out, err = capfd.readouterr()
    logger.warning("after")
    logger.handlers.clear()
    assert err == ""
    assert "+1  doubles\n" in out
    assert all(text in out for text in ("    careful\n", "    said\n", "native"))
    assert "50%" not in out
    assert "after" in capfd.readouterr().err


NOISE = """
import logging, os, sys, warnings
from course_utils.lessons.checks import Exercise

def double(x):
    warnings.warn("learner's")
    logging.warning("learner's")
    os.write(2, b"native")
    os.system("echo child >&2")
    print("learner's", file=sys.stderr)
    return 2 * x

exercise = Exercise("double")
with exercise.property("doubles", points=1.5, hint=""):
    assert double(2) == 4
with exercise.property("triples", points=1, hint="Not asked."):
    assert double(2) == 6
exercise.score()
"""
LOOP = NOISE.replace("return 2 * x", "while True: pass")


def test_nbgrader_gives_noisy_code_its_points_and_survives_an_endless_loop():
    cells = [nbformat.v4.new_code_cell(source) for source in (NOISE, LOOP, NOISE)]
    for cell in cells:
        cell.metadata.nbgrader = {"grade": True, "solution": False, "points": 4}
    notebook = nbformat.v4.new_notebook(cells=cells)
    executed, _ = Execute(timeout=4).preprocess(notebook, {})
    assert [determine_grade(cell)[0] for cell in executed.cells] == [1.5, 0, 1.5]
    assert [o for o in executed.cells[0].outputs if o.get("name") == "stderr"] == []
    assert executed.cells[1].outputs[-1].ename == "CellTimeoutError"
