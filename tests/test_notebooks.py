"""Notebooks keep their frame, hold no outputs, and run."""

import ast
import re
from pathlib import Path
from statistics import median

import nbformat
import pytest

from course_utils.lessons.quizzes import load_quiz

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LABS = sorted((ROOT / "labs" / "source").glob("*/*.ipynb"))

notebook_files = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("path", [*NOTEBOOKS, *LABS], ids=lambda path: path.stem)
def test_a_notebook_holds_no_outputs_and_its_cells_have_readable_names(path):
    notebook = read(path)
    nbformat.validate(notebook)
    for cell in code_cells(notebook):
        assert not cell.outputs, f"{cell.id} holds outputs: clear them before you commit"
        assert cell.execution_count is None
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    for cell_id in ids:
        assert re.fullmatch(r"[a-z][a-z0-9_-]+", cell_id), cell_id
        assert not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4,})*", cell_id), (
            f"{cell_id}: name the cell"
        )
    assert notebook.metadata == {
        "kernelspec": {
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
    }


@notebook_files
def test_a_notebook_keeps_the_frame_of_every_lesson(path):
    notebook = read(path)
    text = prose(notebook)
    assert notebook.cells[0].source.startswith("# ")
    assert "**" in notebook.cells[0].source, "a one-line promise in bold"
    for part in ("will be able to", "| --- |", "minutes", "`fast`", "`full`", "Predict", "Explain"):
        assert part in text, f"{path.stem} lacks {part!r}"
    headings = re.findall(r"^##+ (.*)$", text, re.M)
    for part in ("misunderst", "Check yourself", "take along", "What comes next"):
        assert any(part in heading for heading in headings), f"{path.stem} lacks {part!r}"


@notebook_files
def test_the_parameters_are_typed_and_explained(path):
    (cell,) = [c for c in read(path).cells if "parameters" in c.metadata.get("tags", [])]
    tree = ast.parse(cell.source)
    names = {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}
    assert len(names) == len(tree.body)
    assert {"profile", "seed"} <= names
    assert all("  # " in line for line in cell.source.splitlines())


@notebook_files
def test_code_comes_in_small_steps(path):
    lengths = [len(cell.source.splitlines()) for cell in code_cells(read(path))]
    assert median(lengths) <= 12
    assert max(lengths) <= 60


@notebook_files
def test_the_quiz_says_why_an_answer_is_wrong(path):
    questions = load_quiz(path.stem)
    assert len(questions) >= 3
    for question in questions:
        answers = question["answers"]
        assert any(answer["correct"] for answer in answers)
        for answer in answers:
            assert len(answer["feedback"]) > 10, question["question"]


@notebook_files
def test_a_figure_is_shown_with_its_text_alternative(path):
    for cell in code_cells(read(path)):
        if "plt.subplots" in cell.source:
            assert "show(" in cell.source, f"{cell.id}: display figures by show(figure, alt=...)"
            assert "alt=" in cell.source
    assert "plt.show()" not in "".join(cell.source for cell in code_cells(read(path)))


@pytest.mark.slow
@notebook_files
def test_the_notebook_runs(path, tmp_path):
    """As `course run` does, in the fast profile."""
    from course_utils.automation.run import run_notebooks

    report = run_notebooks(
        [path.stem], notebooks_dir=path.parent, profile="fast", out=tmp_path, timeout=1800
    )  # two run side by side here, each on one thread: no clock is judged
    assert [(run.status, run.message) for run in report.notebooks] == [("passed", "")]
