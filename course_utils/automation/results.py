"""Numbers that a notebook publishes, so that runs of it can be compared.

They travel in the executed notebook's own outputs, under a media type of ours.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

MEDIA_TYPE = "application/vnd.course.result+json"

Scalar = int | float | str | bool | None


def record(**scalars: object) -> None:
    """Publish named results of this notebook, such as `record(rouge1=27.4)`.

    Takes ints, floats, text, truth values, and arrays or tensors of one element. A float that
    is not finite is kept as missing. A name recorded again replaces the earlier value.
    Raises ValueError for anything else.
    """
    from IPython.display import display

    values = plain(scalars)
    text = ", ".join(f"{name} = {value}" for name, value in values.items())
    display({MEDIA_TYPE: values, "text/plain": f"recorded {text}"}, raw=True)


def read_results(notebook: NotebookNode) -> dict[str, Scalar]:
    """Return all that an executed notebook recorded, in order of first mention."""
    found: dict[str, Scalar] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            found |= output.get("data", {}).get(MEDIA_TYPE, {})
    return found


def plain(scalars: Mapping[str, object]) -> dict[str, Scalar]:
    """Return named scalars as JSON data, or raise ValueError as `record` does."""
    return {name: _scalar(name, value) for name, value in scalars.items()}


def _scalar(name: str, value: object) -> Scalar:
    if hasattr(value, "item"):  # NumPy and torch
        with contextlib.suppress(RuntimeError, ValueError):
            value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(
        f"{name} is a {type(value).__name__}: record one number, text or truth value, "
        "for instance its mean."
    )
