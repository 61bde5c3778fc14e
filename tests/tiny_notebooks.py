"""Notebooks of a few lines, for tests of what executes notebooks."""

import io
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from rich.console import Console

PARAMETERS = 'profile: str = "fast"\nseed: int = 0\ntemperature: float = 0.7'


def write_notebook(folder: Path, name: str, *cells: str, parameters: str = PARAMETERS) -> Path:
    """Write a notebook: a title, a cell `parameters`, then cells called step-1, step-2 ..."""
    settings = new_code_cell(parameters, id="parameters", metadata={"tags": ["parameters"]})
    steps = [new_code_cell(source, id=f"step-{n}") for n, source in enumerate(cells, 1)]
    for step in steps:
        if step.source.startswith("# raises"):
            step.metadata["tags"] = ["raises-exception"]
    title = new_markdown_cell("# Title", id="title")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=[title, *([settings] if parameters else []), *steps]), path)
    return path


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)
