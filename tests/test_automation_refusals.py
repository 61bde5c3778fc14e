"""What cannot be run as asked is said before any kernel starts."""

from pathlib import Path

import pytest
from filelock import FileLock
from tiny_notebooks import quiet, write_notebook

from course_utils.automation.notebooks import find_notebooks
from course_utils.automation.run import run_notebooks
from course_utils.errors import CourseError


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of three notebooks in which no kernel may start."""

    def start(*_, **__):
        raise AssertionError("a kernel was about to start")

    monkeypatch.setattr("course_utils.automation.run.execute", start)
    monkeypatch.chdir(tmp_path)
    for name in ("01_transformers", "03_prompting", "10_promises"):
        write_notebook(tmp_path / "notebooks", name, "1")
    write_notebook(tmp_path, "plain", "1", parameters="")
    return tmp_path


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"names": ["03_promting"]}, "no notebook '03_promting'. Did you mean 03_prompting"),
        ({"names": ["promting"]}, "Did you mean 03_prompting"),
        ({"names": ["7"]}, "Notebooks in notebooks: 01_transformers, 03_prompting, 10_promises"),
        ({"names": ["prom"]}, "'prom' could mean 03_prompting or 10_promises"),
        ({"names": ["03_promting.ipynb"]}, "Did you mean 03_prompting"),
        ({"names": [""]}, "no notebook ''"),
        ({"notebooks_dir": "elsewhere"}, "There is no notebook in elsewhere"),
        ({"profile": "quick"}, "no profile 'quick': choose fast or full"),
        ({"parameters": {"profile": "quick"}}, "no profile 'quick': choose fast or full"),
        ({"jobs": 0}, "--jobs 0 would run nothing"),
        ({"timeout": 0}, "--timeout 0 leaves no time"),
        ({"cell_timeout": -1}, "--cell-timeout -1 leaves no time"),
        ({"parameters": {"sed": 1}}, "None of the 3 notebooks has a parameter 'sed'. Did you mean"),
        ({"names": ["3"], "parameters": {"sed": 1}}, "03_prompting has no parameter 'sed'. Did"),
        ({"parameters": {"seed": "one"}}, "seed=one does not fit 01_transformers: seed is a int"),
        ({"names": ["plain.ipynb"], "parameters": {"seed": 1}}, "plain has no cell tagged"),
        ({"names": ["plain.ipynb"], "profile": "full"}, "plain has no parameter `profile`"),
        ({"sweep": {"seed": ["1"]}}, "A sweep takes one notebook, not 3"),
        ({"names": ["3"], "sweep": {"sed": ["1"]}}, "has no parameter 'sed'"),
        ({"names": ["3"], "sweep": {"seed": ["1", "x"]}}, "seed=x does not fit"),
        (
            {"names": ["3"], "sweep": {"seed": ["1"]}, "parameters": {"seed": "1"}},
            "seed is both swept and set",
        ),
        ({"out": "plain.ipynb/out"}, "plain.ipynb/out cannot be written (Not a directory)"),
    ],
)
def test_what_cannot_be_run_is_one_clear_sentence_before_any_kernel(course, asked, message):
    with pytest.raises(CourseError) as error:
        run_notebooks(**asked, console=quiet())
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"cells": [\n oops', "line 2 is not valid JSON"),
        (b"", "line 1 is not valid JSON"),
        (b"[1, 2]", "it breaks the notebook format"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "it has no 'cells'"),
        (b"\xff\xfe\x00", "it is not UTF-8 text"),
    ],
)
def test_a_damaged_notebook_is_named_with_what_is_wrong(course, content, reason):
    (course / "notebooks/03_prompting.ipynb").write_bytes(content)
    with pytest.raises(CourseError) as error:
        run_notebooks(console=quiet())
    assert str(error.value).startswith("03_prompting.ipynb is not a notebook: ")
    assert reason in str(error.value)


def test_two_notebooks_of_one_name_would_overwrite_each_other(course):
    twin = write_notebook(course / "other", "03_prompting", "1")
    with pytest.raises(CourseError, match="Two of the notebooks are called 03_prompting"):
        run_notebooks(["3", str(twin)], console=quiet())


def test_two_runs_do_not_write_into_one_folder(course):
    (course / "out").mkdir()
    with (
        FileLock(course / "out/.lock"),
        pytest.raises(CourseError, match="Another run is writing into"),
    ):
        run_notebooks(out=course / "out", console=quiet())


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("03_prompting", "03_prompting"),
        ("03_pr", "03_prompting"),
        ("promp", "03_prompting"),
        ("3", "03_prompting"),
        ("03", "03_prompting"),
        ("1", "01_transformers"),
        ("10", "10_promises"),
        ("notebooks/03_prompting.ipynb", "03_prompting"),
        ("03_prompting.ipynb", "03_prompting"),
        ("plain.ipynb", "plain"),
    ],
)
def test_a_notebook_is_found_by_stem_prefix_number_or_path(course, name, stem):
    assert [path.stem for path in find_notebooks([name], Path("notebooks"))] == [stem]


def test_a_notebook_named_twice_runs_once_and_the_order_given_is_kept(course):
    found = find_notebooks(["10", "3", "03_prompting"], Path("notebooks"))
    assert [path.stem for path in found] == ["10_promises", "03_prompting"]


def test_a_few_notebooks_share_all_the_cores(course, monkeypatch):
    asked = []

    def note(jobs, *, at_once, **_):
        asked.append(at_once)
        raise KeyboardInterrupt

    monkeypatch.setattr("course_utils.automation.run.execute", note)
    for names, jobs in ((["3"], 4), ([], 2)):
        with pytest.raises(KeyboardInterrupt):
            run_notebooks(names, jobs=jobs, console=quiet())
    assert asked == [1, 2]
