"""Figures of scoping: the lifecycle, where the bytes go, who is beaten by whom."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from course_utils.lessons.diagrams import Diagram, Role
from course_utils.lessons.plots import PALETTE
from course_utils.scoping.memory import Memory, readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from course_utils.comparison import Interval

PARTS = {
    "weights": ("blue", ""),
    "adapter": ("purple", ".."),
    "kv_cache": ("orange", "//"),
    "gradients": ("sky", "\\\\"),
    "optimizer": ("green", "xx"),
    "activations": ("yellow", "oo"),
}


def lifecycle_diagram() -> Figure:
    """Draw the phases of a project, the artefact that each leaves, and the ways back."""
    diagram = Diagram(
        11.6, 4.0, scale=0.86, title="Each phase leaves something that the next one needs"
    )
    phases: list[tuple[str, Role, str]] = [
        ("05  scope", "data", "brief"),
        ("06  evaluate", "norm", "evaluation card"),
        ("07  adapt", "attention", "adapter"),
        ("08  deploy", "mlp", "served model"),
        ("09  augment", "embedding", "drift watch"),
        ("lab 4  decide", "output", "decision memo"),
    ]
    across = [1.1 + 1.88 * number for number in range(len(phases))]
    boxes = [
        diagram.box(x, 2.1, label, role, width=1.55, height=0.7)
        for x, (label, role, _) in zip(across, phases, strict=True)
    ]
    for left, right in pairwise(boxes):
        diagram.arrow(left.right, right.left)
    for x, box, (_, _, artefact) in zip(across, boxes, phases, strict=True):
        diagram.arrow(box.bottom, (x, 1.3))
        diagram.note(x, 1.1, artefact)
    diagram.path((across[2], 2.45), (across[2], 2.95), (across[1], 2.95), (across[1], 2.47))
    diagram.note((across[1] + across[2]) / 2, 3.13, "measure again")
    diagram.path((across[5], 2.45), (across[5], 3.5), (across[0], 3.5), (across[0], 2.47))
    diagram.note(
        (across[2] + across[5]) / 2, 3.68, "the world changed: is the goal still the goal?"
    )
    diagram.path((across[0] - 0.6, 1.75), (across[0] - 0.6, 0.45), (across[1] - 0.9, 0.45))
    diagram.note(across[1] - 0.8, 0.45, "no-go: the cheapest phase to stop in", "left")
    return diagram.figure


def memory_figure(
    estimates: Mapping[str, Memory], title: str, budget: float | None = None
) -> Figure:
    """Draw each estimate as one bar, cut into its parts.

    budget: bytes that there are, drawn as a line.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 1.5 + 0.5 * len(estimates)))
    longest = max(max(memory.total for memory in estimates.values()), budget or 0)
    unit, name = (1e9, "GB") if longest >= 1e9 else (1e6, "MB")
    for row, memory in enumerate(estimates.values()):
        start = 0.0
        for part, size in memory.parts().items():
            colour, hatch = PARTS[part]
            axes.barh(
                row, size / unit, left=start, height=0.6, hatch=hatch, edgecolor="white",
                color=PALETTE[colour], label=_spoken(part),
            )  # fmt: skip
            start += size / unit
        axes.annotate(
            readable(memory.total), (start, row), (5, 0), textcoords="offset points", va="center",
            zorder=3, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip
    if budget:
        axes.axvline(budget / unit, color=PALETTE["red"], linestyle="--", label="there is")
    axes.set_yticks(range(len(estimates)), list(estimates))
    axes.invert_yaxis()
    axes.set(xlabel=name, title=title, xlim=(0, 1.16 * longest / unit))
    axes.grid(axis="y", visible=False)
    handles, labels = axes.get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))
    order = [label for label in (*map(_spoken, PARTS), "there is") if label in by_label]
    figure.legend([by_label[label] for label in order], order, loc="outside lower center", ncols=4)
    return figure


def choice_figure(
    quality: Mapping[str, Interval],
    seconds: Mapping[str, float],
    front: Collection[str],
    *,
    title: str,
    limit: float,
) -> Figure:
    """Draw candidates by time and quality; those that nobody beats are filled.

    quality: mean and interval of each. seconds: its time for one summary, drawn on a log scale.
    limit: the most seconds that are allowed; what lies beyond is shaded.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 4.2))
    for name, (mean, low, high) in quality.items():
        colour = PALETTE["blue" if name in front else "grey"]
        axes.plot([seconds[name]] * 2, [low, high], color=colour, linewidth=2)
        axes.plot(
            seconds[name], mean, marker="o", markersize=9, color=colour,
            markerfacecolor=colour if name in front else "white",
        )  # fmt: skip
    slow = max(*seconds.values(), limit)
    axes.set(xscale="log", xlabel="seconds for one summary, p50 (log scale)", ylabel="ROUGE-1")
    axes.set_xlim(min(seconds.values()) / 3, slow * 8)
    axes.axvspan(limit, slow * 8, color=PALETTE["red"], alpha=0.12, linewidth=0)
    axes.annotate("too slow", (0.99, 0.02), xycoords="axes fraction", ha="right",
                  color=PALETTE["red"])  # fmt: skip
    bottom, top = axes.get_ylim()
    middle = (min(seconds.values()) * slow) ** 0.5
    for left in (True, False):  # labels of the fast ones stand to the right of them, and vice versa
        names = [name for name in quality if (seconds[name] < middle) == left]
        heights = _apart([quality[name].mean for name in names], 0.07 * (top - bottom))
        for name, height in zip(names, heights, strict=True):
            axes.annotate(
                name, (seconds[name], quality[name].mean),
                (seconds[name] * (2 if left else 0.5), height),
                va="center", ha="left" if left else "right",
                color=PALETTE["blue" if name in front else "grey"],
            )  # fmt: skip
    axes.set_title(title)
    return figure


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """Move heights up as far as need be, so that any two are `gap` apart."""
    moved, last = list(heights), float("-inf")
    for place in sorted(range(len(heights)), key=heights.__getitem__):
        last = moved[place] = max(heights[place], last + gap)
    return moved


def _spoken(part: str) -> str:
    return part.replace("_", " ").replace("kv", "KV")
