"""A widget that is also a picture: where no front end can run it, a figure stands in its place."""

import io
from typing import TYPE_CHECKING, Any

import anywidget

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class PicturedWidget(anywidget.AnyWidget):
    """An anywidget whose output carries a picture with alt text besides the live view.

    Every viewer takes the richest form that it can show: a notebook with a kernel the widget; a
    page made by papermill, a website or a file viewer the picture.
    """

    def figure(self) -> "Figure":
        """Draw what the widget shows at first."""
        raise NotImplementedError

    def describe(self) -> str:
        """Say in a sentence or two what `figure` shows."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        import matplotlib.pyplot as plt

        data, metadata = super()._repr_mimebundle_(**kwargs)
        figure, buffer = self.figure(), io.BytesIO()
        figure.savefig(buffer, format="png", bbox_inches="tight")
        plt.close(figure)
        description = self.describe()
        data = {**data, "image/png": buffer.getvalue(), "text/plain": description}
        return data, {**metadata, "image/png": {"alt": description}}


def visible(piece: str) -> str:
    """Make the white space in a token visible: a space as a raised dot, a line break as an arrow."""
    return piece.replace(" ", "·").replace("\n", "↵").replace("\t", "⇥") or "∅"
