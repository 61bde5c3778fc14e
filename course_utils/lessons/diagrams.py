"""Diagrams drawn by code, in one visual language for the whole course.

A box is a thing or a step, and its role gives it its fill; an arrow is what flows. The label
always says what the fill says, so nothing depends on colour alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from course_utils.lessons.plots import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Role = Literal["data", "attention", "mlp", "norm", "embedding", "output", "group"]
FILLS: dict[str, str] = {
    "data": "#FFFFFF",
    "attention": "#CFE4F3",
    "mlp": "#FBE7BF",
    "norm": "#E5E7EB",
    "embedding": "#F4DDE9",
    "output": "#C9EBDF",
    "group": "#F9FAFB",
}


@dataclass(frozen=True)
class Box:
    """A box on a diagram, by its centre and size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def top(self) -> tuple[float, float]:
        """The middle of the upper edge."""
        return self.x, self.y + self.height / 2

    @property
    def bottom(self) -> tuple[float, float]:
        """The middle of the lower edge."""
        return self.x, self.y - self.height / 2

    @property
    def left(self) -> tuple[float, float]:
        """The middle of the left edge."""
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> tuple[float, float]:
        """The middle of the right edge."""
        return self.x + self.width / 2, self.y


class Diagram:
    """A canvas without axes, in units of your choice, with boxes and arrows."""

    def __init__(self, width: float, height: float, scale: float = 1.0, title: str = "") -> None:
        """`width` and `height` are the units across and up; `scale` is inches per unit."""
        import matplotlib.pyplot as plt

        self.figure: Figure
        self.axes: Axes
        self.figure, self.axes = plt.subplots(figsize=(width * scale, height * scale))
        self.axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
        self.axes.axis("off")
        if title:
            self.axes.set_title(title)

    def box(
        self,
        x: float,
        y: float,
        label: str,
        role: Role = "data",
        width: float = 2.4,
        height: float = 0.55,
    ) -> Box:
        """Draw a box around (x, y); a group's label stands in its upper left corner."""
        import matplotlib.patches as patches

        group = role == "group"
        self.axes.add_patch(
            patches.FancyBboxPatch(
                (x - width / 2, y - height / 2),
                width,
                height,
                boxstyle="round,pad=0,rounding_size=0.12",
                facecolor=FILLS[role],
                edgecolor=PALETTE["grey"] if group else PALETTE["ink"],
                linestyle="--" if group else "-",
                linewidth=1.0,
                zorder=1 if group else 3,
            )
        )
        if group:
            place = (x - width / 2 + 0.12, y + height / 2 - 0.1)
            self.axes.text(*place, label, va="top", fontsize=9, color=PALETTE["grey"], zorder=2)
        else:
            self.axes.text(x, y, label, ha="center", va="center", fontsize=9.5, zorder=4)
        return Box(x, y, width, height)

    def arrow(
        self, start: tuple[float, float], end: tuple[float, float], label: str = "", bend: float = 0
    ) -> None:
        """Draw an arrow from a point to a point; `bend` curves it."""
        self.axes.annotate(
            "",
            xy=end,
            xytext=start,
            arrowprops={
                "arrowstyle": "-|>",
                "color": PALETTE["ink"],
                "linewidth": 1.2,
                "shrinkA": 0,
                "shrinkB": 1,
                "connectionstyle": f"arc3,rad={bend}",
            },
            zorder=2,
        )
        if label:
            middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.13
            self.note(*middle, label)

    def path(self, *points: tuple[float, float]) -> None:
        """Draw a line along the points, with an arrow at its end."""
        for start, end in pairwise(points[:-1]):
            self.axes.plot(*zip(start, end, strict=True), color=PALETTE["ink"], lw=1.2, zorder=2)
        self.arrow(points[-2], points[-1])

    def note(self, x: float, y: float, text: str, align: str = "center") -> None:
        """Write a small remark at (x, y)."""
        self.axes.text(
            x, y, text, ha=align, va="center", fontsize=8.5, color=PALETTE["grey"], zorder=5
        )

    def stack(
        self, x: float, y: float, steps: list[tuple[str, Role]], gap: float = 0.9
    ) -> list[Box]:
        """Draw boxes upwards from (x, y), each with an arrow from the one below."""
        boxes = [self.box(x, y + gap * i, label, role) for i, (label, role) in enumerate(steps)]
        for below, above in pairwise(boxes):
            self.arrow(below.top, above.bottom)
        return boxes

    def residual(self, start: Box, end: Box, side: float = 1.7) -> None:
        """Draw the stream that goes round from below `start` to above `end`."""
        x, low, high = start.x + side, start.bottom[1] - 0.17, end.top[1] + 0.17
        self.path((start.x, low), (x, low), (x, high), (start.x, high))


def block_diagram() -> Figure:
    """Draw a decoder from ids to logits, with one block opened."""
    diagram = Diagram(
        7.2, 8.2, scale=0.78, title="Every block adds to the stream; none replaces it"
    )
    diagram.box(3.2, 4.0, "block, × 30", "group", 4.6, 4.35)
    boxes = diagram.stack(
        3.2,
        0.5,
        [
            ("token ids", "data"),
            ("embedding", "embedding"),
            ("RMSNorm", "norm"),
            ("attention", "attention"),
            ("RMSNorm", "norm"),
            ("MLP", "mlp"),
            ("RMSNorm", "norm"),
            ("logits", "output"),
        ],
        gap=1.0,
    )
    diagram.residual(boxes[2], boxes[3])
    diagram.residual(boxes[4], boxes[5])
    diagram.note(5.62, 3.15, "add: from\nother tokens", "left")
    diagram.note(5.62, 5.15, "add: token\nby token", "left")
    diagram.note(5.62, 1.5, "one vector\nper token", "left")
    diagram.note(5.62, 7.5, "a score for each\npossible next token", "left")
    return diagram.figure


def encoder_decoder_diagram() -> Figure:
    """Draw the encoder-decoder of 2017."""
    diagram = Diagram(
        9.4, 7.0, scale=0.8, title="2017: one stack reads, the other writes and looks back"
    )
    diagram.box(2.2, 3.2, "encoder, × N", "group", 3.6, 2.9)
    diagram.box(6.9, 3.75, "decoder, × N", "group", 3.6, 3.8)
    reads: list[tuple[str, Role]] = [
        ("source + positions", "embedding"),
        ("self-attention", "attention"),
        ("MLP", "mlp"),
    ]
    writes: list[tuple[str, Role]] = [
        ("target so far + positions", "embedding"),
        ("causal self-attention", "attention"),
        ("cross-attention", "attention"),
        ("MLP", "mlp"),
        ("next token", "output"),
    ]
    encoder = diagram.stack(2.2, 1.0, reads, gap=1.5)
    decoder = [
        diagram.box(6.9, 1.0 + 1.3 * i, label, role) for i, (label, role) in enumerate(writes)
    ]
    for below, above in pairwise(decoder):
        diagram.arrow(below.top, above.bottom)
    top = encoder[-1].top
    level = decoder[2].y
    diagram.path(top, (top[0], 4.95), (4.45, 4.95), (4.45, level), decoder[2].left)
    diagram.note(3.3, 5.15, "memory: keys and values")
    return diagram.figure


def architectures_diagram() -> Figure:
    """Draw who may look at whom in the three architectures, as grids with crosses."""
    import matplotlib.pyplot as plt
    import numpy as np

    full, causal = np.ones((5, 5)), np.tril(np.ones((5, 5)))
    both = np.zeros((5, 5))
    both[:, :3] = 1  # the source is seen by everybody
    both[3:, 3:] = np.tril(np.ones((2, 2)))
    panels = [
        ("Encoder-only: both ways", full, list("abcde")),
        ("Encoder-decoder: read, then write", both, ["src 1", "src 2", "src 3", "tgt 1", "tgt 2"]),
        ("Decoder-only: backwards", causal, list("abcde")),
    ]
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.4))
    for axis, (title, mask, names) in zip(axes, panels, strict=True):
        axis.imshow(mask, cmap="Blues", vmin=0, vmax=2.2)
        for row, column in np.argwhere(mask):
            axis.text(column, row, "×", ha="center", va="center")
        axis.set_xticks(range(5), names)
        axis.set_yticks(range(5), names)
        axis.set(xlabel="may look at", ylabel="token")
        axis.set_title(title, fontsize=10.5)
        axis.grid(False)
    return figure
