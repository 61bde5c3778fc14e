"""How much memory a model takes, under the learner's hand: shape, dtype, context, batch, task."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from course_utils.lessons.scoping_figures import memory_figure
from course_utils.scoping.memory import BYTES_PER_VALUE, Memory, memory_bytes
from course_utils.scoping.shape import PUBLISHED_SHAPES, DecoderShape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TASK_NAMES = {"serve it": "serve", "train a LoRA adapter": "lora", "train all of it": "train"}


class MemoryCalculator(widgets.VBox):
    """A form over `memory_bytes`: change a size and see which part of the memory grows.

    shapes: name to shape, the choice of models. budget: gigabytes (10^9 bytes) that there are.
    Training in 16 bits is in mixed precision, with a float32 master copy of the weights.
    Where no widget can run (papermill, a page on the web), a picture of the first state stands in
    its place.
    """

    def __init__(
        self,
        shapes: Mapping[str, DecoderShape] = PUBLISHED_SHAPES,
        model: str = "Llama-3.2-1B",
        budget: float = 16,
    ) -> None:
        self.shapes = dict(shapes)
        wide = {"description_width": "9em"}
        self.model = widgets.Dropdown(
            options=list(self.shapes), value=model, description="Model", style=wide
        )
        self.dtype = widgets.Dropdown(
            options=list(BYTES_PER_VALUE), value="bfloat16", description="Number format", style=wide
        )
        self.budget = widgets.BoundedFloatText(
            value=budget, min=0.1, max=10_000, description="There are (GB)", style=wide
        )
        self.context = widgets.SelectionSlider(
            options=[2**power for power in range(6, 18)],
            value=1024,
            description="Tokens in a row",
            style=wide,
        )
        self.batch = widgets.SelectionSlider(
            options=[2**power for power in range(11)],
            value=8,
            description="Rows at once",
            style=wide,
        )
        self.picture = widgets.Image(format="png")
        self.words = widgets.HTML()
        choices, sizes = (self.model, self.dtype, self.budget), (self.context, self.batch)
        for control in (*choices, *sizes):
            control.observe(lambda change: self.refresh(), "value")
        super().__init__(
            [
                widgets.HBox([widgets.VBox(choices), widgets.VBox(sizes)]),
                self.picture,
                self.words,
            ]
        )
        self.refresh()

    def estimates(self) -> dict[str, Memory]:
        """Return the estimate for each task that the number format allows.

        Raises ValueError as `memory_bytes` does.
        """
        return {
            name: memory_bytes(
                self.shapes[self.model.value],
                self.dtype.value,
                self.context.value,
                self.batch.value,
                task=task,
                master_weights=self.dtype.value in ("bfloat16", "float16"),
            )
            for name, task in TASK_NAMES.items()
            if task != "train" or BYTES_PER_VALUE[self.dtype.value] >= 2
        }

    def refresh(self) -> None:
        """Draw anew; what cannot be computed is said in words."""
        try:
            self.picture.value = _png(self.figure())
            self.words.value = self.describe()
        except ValueError as error:
            self.picture.value = b""
            self.words.value = str(error)

    def describe(self) -> str:
        """Say the parts of each estimate, their sum, and whether it fits."""
        sentences = [
            f"To {name}: {memory} ({'fits' if self._fits(memory) else 'does not fit'})."
            for name, memory in self.estimates().items()
        ]
        return f"{self._setting()}, {self.budget.value:g} GB there. {' '.join(sentences)}"

    def figure(self) -> Figure:
        """Draw the parts for each task beside what there is."""
        estimates = self.estimates()
        fitting = sum(map(self._fits, estimates.values()))
        title = f"{fitting} of {len(estimates)} fit: {self._setting()}"
        return memory_figure(estimates, title, self.budget.value * 1e9)

    def _fits(self, memory: Memory) -> bool:
        return memory.total <= self.budget.value * 1e9

    def _setting(self) -> str:
        return (
            f"{self.model.value} in {self.dtype.value}, "
            f"{self.batch.value} x {self.context.value:,} tokens"
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Add a picture with its text alternative for front ends without widgets."""
        data = super()._repr_mimebundle_(**kwargs)
        pictured = {"image/png": bytes(self.picture.value), "text/plain": self.words.value}
        return {**data, **pictured}, {"image/png": {"alt": self.words.value}}


def _png(figure: Figure) -> bytes:
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", dpi=100)
    plt.close(figure)
    return buffer.getvalue()
