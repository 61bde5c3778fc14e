"""An executed notebook as one HTML page that loads nothing from anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.automation.files import write_whole

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
        _without_widgets(notebook), resources={"metadata": {"name": page.stem}}
    )
    write_whole(page, html)


def _without_widgets(notebook: NotebookNode) -> NotebookNode:
    """Return a copy whose live widgets are replaced by their picture, HTML or a remark."""
    import nbformat

    copy = nbformat.from_dict(json.loads(json.dumps(notebook)))
    copy.metadata.pop("widgets", None)
    for cell in copy.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if data.pop(WIDGET_VIEW, None) and set(data) <= {"text/plain"}:
                data["text/plain"] = "An interactive widget: open the notebook to use it."
    return copy
