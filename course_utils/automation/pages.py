"""An executed notebook as one HTML page that loads nothing from anywhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.automation.files import write_out

if TYPE_CHECKING:
    from nbformat import NotebookNode

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

# The template's own blocks for scripts that it fetches: require.js, MathJax, Mermaid, widgets.
_OFFLINE = """{% extends 'index.html.j2' %}
{% block html_head_js %}{% endblock %}
{% block jupyter_widgets %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
"""


def write_page(notebook: NotebookNode, page: Path) -> None:
    """Write an executed notebook as `page`. Formulas stay TeX; widgets show their fallback."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(raw_template=_OFFLINE)
    html, _ = exporter.from_notebook_node(
        as_a_still_page(notebook), resources={"metadata": {"name": page.stem}}
    )
    write_out(page, html)


def as_a_still_page(notebook: NotebookNode) -> NotebookNode:
    """Return a copy with pictures or a remark for live widgets, and no overwritten progress."""
    import nbformat

    copy = nbformat.from_dict(json.loads(json.dumps(notebook)))
    copy.metadata.pop("widgets", None)
    for cell in copy.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if data.pop(WIDGET_VIEW, None) and set(data) <= {"text/plain"}:
                data["text/plain"] = "An interactive widget: open the notebook to use it."
        if cell.cell_type == "code":
            cell.outputs = _as_read(cell.outputs)
    return copy


def _as_read(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join a stream's pieces, and keep of each line what its last carriage return left."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    for output in joined:
        if output.output_type == "stream":
            output.text = re.sub(r"[^\n]*\r(?!\n)", "", output.text)
    return joined
