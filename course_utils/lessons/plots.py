"""One look for every figure of the course."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.display import HTML
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart with every common form of colour blindness.
PALETTE = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "red": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "yellow": "#F0E442",
    "grey": "#6B7280",
    "ink": "#1F2937",
}
CYCLE = [PALETTE[name] for name in ("blue", "orange", "green", "red", "purple", "sky")]


def use_course_style() -> None:
    """Set matplotlib's defaults: quiet axes, readable sizes, the course's palette."""
    import matplotlib
    from cycler import cycler

    matplotlib.rcParams.update(
        {
            "figure.figsize": (7.5, 3.8),
            "figure.dpi": 100,
            "savefig.dpi": 160,
            "figure.constrained_layout.use": True,
            "font.size": 10.5,
            "axes.titlesize": 12,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.titlepad": 10,
            "axes.labelcolor": PALETTE["ink"],
            "axes.edgecolor": "#9CA3AF",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#E5E7EB",
            "grid.linewidth": 0.8,
            "axes.prop_cycle": cycler(color=CYCLE),
            "legend.frameon": False,
            "text.color": PALETTE["ink"],
            "xtick.color": PALETTE["ink"],
            "ytick.color": PALETTE["ink"],
        }
    )


def show(figure: Figure, alt: str) -> None:
    """Display a figure with its text alternative, then close it.

    alt: what the figure shows, for readers who cannot see it.
    """
    from IPython.display import display

    display(picture(figure, alt))


def picture(figure: Figure, alt: str) -> HTML:
    """Return a figure as a picture with its text alternative, ready to display; closes it."""
    import matplotlib.pyplot as plt
    from IPython.display import HTML

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    plt.close(figure)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    width = int(figure.get_figwidth() * 100)
    return HTML(
        f'<img alt="{html.escape(alt, quote=True)}" '
        f'style="max-width:100%;width:{width}px;background:white" '
        f'src="data:image/png;base64,{encoded}">'
    )


def interval_chart(
    intervals: Mapping[str, tuple[float, float, float]],
    *,
    title: str,
    label: str,
    muted: Collection[str] = (),
) -> Figure:
    """Draw a mean and its interval for each name, one above the other.

    intervals: name to (mean, low, high), such as `course_utils.comparison.Interval`.
    muted: names drawn in grey with another marker: what the others are compared with.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 0.8 + 0.42 * len(intervals)))
    for height, (name, (mean, low, high)) in enumerate(reversed(intervals.items())):
        quiet = name in muted
        colour = PALETTE["grey"] if quiet else PALETTE["blue"]
        axes.plot([low, high], [height, height], color=colour, linewidth=2.5)
        axes.plot(mean, height, marker="D" if quiet else "o", color=colour, markersize=7)
        axes.annotate(
            f"{mean:.1f}", (mean, height), (0, 7), textcoords="offset points", ha="center"
        )
    axes.set_yticks(range(len(intervals)), reversed(list(intervals)))
    axes.set_ylim(-0.6, len(intervals) - 0.2)
    axes.set_xlabel(label)
    axes.set_title(title)
    axes.grid(axis="y", visible=False)
    return figure
