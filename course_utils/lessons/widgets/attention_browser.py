"""All heads of a model at a glance, one of them large, for the learner's own text."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import traitlets

from course_utils.errors import CourseError
from course_utils.lessons.plots import PALETTE
from course_utils.lessons.widgets.fallback import PicturedWidget, visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

LONGEST = 64
STEPS = 65_535  # attention weights travel to the browser as 16-bit numbers


class AttentionBrowser(PicturedWidget):
    """A grid of all heads; one head large; a token's row of weights in numbers.

    read: takes a text and returns its tokens and the attention weights over them, a tensor of
    (layers, heads, tokens, tokens) whose rows sum to 1. It is called again for the learner's text.
    Raises ValueError if tokens and weights do not fit, or for more than 64 tokens.
    """

    _esm = Path(__file__).parent / "attention_browser.js"
    _css = Path(__file__).parent / "widgets.css"
    text = traitlets.Unicode().tag(sync=True)
    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    layers = traitlets.Int().tag(sync=True)
    heads = traitlets.Int().tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)
    layer = traitlets.Int(0).tag(sync=True)
    head = traitlets.Int(0).tag(sync=True)
    problem = traitlets.Unicode().tag(sync=True)
    """Why the last text could not be read; empty if it could."""

    def __init__(
        self,
        read: Callable[[str], "tuple[list[str], Annotated[Tensor, 'layers heads tokens tokens']]"],
        text: str,
        layer: int = 0,
        head: int = 0,
    ) -> None:
        self._read = read
        super().__init__(text=text, layer=layer, head=head)
        self._show(text)
        if not (0 <= layer < self.layers and 0 <= head < self.heads):
            raise ValueError(
                f"There is no layer {layer}, head {head}: layers go from 0 to {self.layers - 1}, "
                f"heads from 0 to {self.heads - 1}."
            )
        self.observe(self._on_text, "text")

    def _on_text(self, change: Any) -> None:
        try:
            self._show(change["new"])
        except (ValueError, CourseError) as error:
            self.problem = str(error)

    def _show(self, text: str) -> None:
        tokens, attention = self._read(text)
        if len(tokens) > LONGEST:
            raise ValueError(f"{len(tokens)} tokens are too many to draw: give {LONGEST} at most.")
        if attention.dim() != 4 or attention.shape[2:] != (len(tokens), len(tokens)):
            raise ValueError(
                f"Attention of shape {tuple(attention.shape)} does not fit {len(tokens)} tokens: "
                "expected (layers, heads, tokens, tokens)."
            )
        self._attention = attention.detach().float().cpu()
        self.layers, self.heads = attention.shape[:2]
        self.tokens = [visible(token) for token in tokens]
        self.problem = ""
        self.weights = (self._attention * STEPS).round().numpy().astype("<u2").tobytes()

    def describe(self) -> str:
        """Say what the large head looks at most."""
        weights = self._attention[self.layer, self.head]
        last = weights[-1]
        most = int(last.argmax())
        return (
            f"Attention of {self.layers} layers with {self.heads} heads over the tokens "
            f"{' | '.join(self.tokens)}. Large: layer {self.layer}, head {self.head}; its last "
            f"token gives {float(last[most]):.0%} of its attention to token {most + 1}, "
            f"'{self.tokens[most]}'."
        )

    def figure(self) -> "Figure":
        """Draw every head small, and the chosen head large with its numbers."""
        import matplotlib.pyplot as plt
        import torch

        attention, count = self._attention, len(self.tokens)
        figure, (grid, large) = plt.subplots(
            1, 2, figsize=(10, 6), width_ratios=[self.heads / self.layers * 1.2 + 0.25, 1]
        )
        framed = torch.nn.functional.pad(attention, (0, 1, 0, 1), value=float("nan"))
        montage = framed.permute(0, 2, 1, 3).reshape(self.layers * (count + 1), -1)
        colours = plt.get_cmap("Blues").with_extremes(bad="#9CA3AF")
        grid.imshow(
            montage.numpy(), cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="none"
        )
        centres = [(count + 1) * (i + 0.5) for i in range(max(self.layers, self.heads))]
        grid.set_xticks(centres[: self.heads], range(self.heads))
        every = max(1, self.layers // 10)
        grid.set_yticks(centres[: self.layers : every], range(0, self.layers, every))
        grid.set(xlabel="head", ylabel="layer", title="Every head")
        grid.add_patch(
            plt.Rectangle(
                (self.head * (count + 1) - 0.5, self.layer * (count + 1) - 0.5),
                count,
                count,
                fill=False,
                edgecolor=PALETTE["red"],
                linewidth=2,
            )
        )
        chosen = attention[self.layer, self.head]
        large.imshow(chosen.numpy(), cmap="Blues", vmin=0, vmax=1)
        size = 9 if count <= 16 else 6.5
        labels = [token.replace("$", r"\$") for token in self.tokens]
        large.set_xticks(range(count), labels, rotation=90, fontsize=size)
        large.set_yticks(range(count), labels, fontsize=size)
        large.set(xlabel="looks at", ylabel="token", title=f"Layer {self.layer}, head {self.head}")
        for axes in (grid, large):
            axes.grid(False)
        if count <= 24:
            for row, column in (chosen >= 0.1).nonzero().tolist():
                value = float(chosen[row, column])
                large.text(
                    column,
                    row,
                    f"{value * 100:.0f}",
                    ha="center",
                    va="center",
                    fontsize=7 if count <= 16 else 5.5,
                    color="white" if value > 0.5 else PALETTE["ink"],
                )
        return figure
