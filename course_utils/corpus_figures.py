"""Draw the pictures of the corpus report; each title states what the numbers show."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import numpy as np

from course_utils.lessons.plots import PALETTE, use_course_style

LABELS = {"course": "course", "dialogsum": "DialogSum"}
COLOURS = {"course": PALETTE["blue"], "dialogsum": PALETTE["orange"]}
_TITLE = {"x": 0.01, "ha": "left", "weight": "bold", "fontsize": 11}
MARKERS = {"course": "o", "dialogsum": "s"}


class ReportFigure(NamedTuple):
    """A picture for the page: its file name, PNG bytes and text alternative."""

    file: str
    png: bytes
    alt: str


def draw_figures(report: dict[str, Any]) -> list[ReportFigure]:
    """Draw lengths, new wording, scores and challenges of a report of `corpus_report`."""
    import matplotlib
    from matplotlib.figure import Figure

    drawn = []
    with matplotlib.rc_context():
        use_course_style()
        for name, draw, size in (
            ("lengths", _lengths, (7.5, 3.2)),
            ("novelty", _novelty, (7.5, 3.2)),
            ("scores", _scores, (7.5, 3.6)),
            ("challenges", _challenges, (7.5, 3.9)),
        ):
            figure = Figure(figsize=size)
            alt = draw(figure, report)
            picture = io.BytesIO()
            figure.savefig(picture, format="png", dpi=160)
            drawn.append(ReportFigure(f"{name}.png", picture.getvalue(), alt))
    return drawn


def _lengths(figure, report: dict[str, Any]) -> str:
    axes = figure.subplots(1, 3)
    bins = {"words": (0, 400, 20), "turns": (0, 30, 2), "summary words": (0, 60, 3)}
    for panel, (column, (low, high, step)) in zip(axes, bins.items(), strict=True):
        for name, measured in report["sets"].items():
            values = np.clip(measured[column], low, high - 1)
            panel.hist(
                values,
                bins=np.arange(low, high + step, step),
                weights=np.full(len(values), 100 / len(values)),
                histtype="step" if name == "dialogsum" else "stepfilled",
                color=COLOURS[name],
                alpha=1 if name == "dialogsum" else 0.45,
                linewidth=1.8,
                label=LABELS[name],
            )
        panel.set_xlabel({"words": "words of a dialogue"}.get(column, column))
    axes[0].set_ylabel("percent")
    axes[0].legend(loc="upper right", fontsize=9)
    medians = {
        LABELS[name]: [np.median(measured[column]) for column in bins]
        for name, measured in report["sets"].items()
    }
    words = ", ".join(f"{words:g} in {name}" for name, (words, _, _) in medians.items())
    figure.suptitle(f"Words of the median dialogue: {words}", **_TITLE)
    parts = [f"{name}: {w:g}, {t:g} and {s:g}" for name, (w, t, s) in medians.items()]
    return (
        "Histograms of words and turns per dialogue and words per summary. "
        f"Medians, {'; '.join(parts)}."
    )


def _novelty(figure, report: dict[str, Any]) -> str:
    panel = figure.subplots()
    width = 0.8 / len(report["sets"])
    parts = []
    for place, (name, measured) in enumerate(report["sets"].items()):
        intervals = list(measured["novel"].values())
        x = np.arange(len(intervals)) + (place - (len(report["sets"]) - 1) / 2) * width
        means = [interval.mean for interval in intervals]
        panel.bar(x, means, 0.94 * width, color=COLOURS[name], label=LABELS[name])
        panel.errorbar(x, means, _arms(intervals), fmt="none", ecolor=PALETTE["ink"], capsize=3)
        parts.append(f"{means[0]:.0f}% in {LABELS[name]}")
    panel.set_xticks(range(4), ["words", "pairs", "runs of three", "runs of four"])
    panel.set_ylabel("percent new")
    panel.set_ylim(0, 100)
    panel.legend(loc="upper left")
    title = f"New words in the references: {', '.join(parts)}"
    figure.suptitle(title, **_TITLE)
    return f"Bars of the share of new runs of one to four words in the references. {title}."


def _scores(figure, report: dict[str, Any]) -> str:
    panel = figure.subplots()
    systems = list(report["sets"]["course"]["scores"])
    parts = []
    for place, (name, measured) in enumerate(report["sets"].items()):
        intervals = [measured["scores"][system]["rouge1"] for system in systems]
        y = np.arange(len(systems))[::-1] - 0.16 * (place - (len(report["sets"]) - 1) / 2) * 2
        panel.errorbar(
            [interval.mean for interval in intervals],
            y,
            xerr=_arms(intervals),
            fmt=MARKERS[name],
            color=COLOURS[name],
            capsize=3,
            label=LABELS[name],
        )
        parts.append(
            f"{LABELS[name]}: "
            + ", ".join(f"{s} {i}" for s, i in zip(systems, intervals, strict=True))
        )
    panel.set_yticks(np.arange(len(systems))[::-1], systems)
    panel.set_xlabel("ROUGE-1 with 95% interval, mean over three references")
    panel.set_xlim(0, 65)
    panel.legend(loc="lower right")
    shown = report["sets"]["course"]["scores"]
    ceiling, lead = (shown[system]["rouge1"].mean for system in ("references", "lead-3"))
    title = f"Between three copied turns ({lead:.0f}) and the references' agreement ({ceiling:.0f})"
    figure.suptitle(f"{title} there is room", **_TITLE)
    return f"ROUGE-1 by system with intervals. {'. '.join(parts)}."


def _challenges(figure, report: dict[str, Any]) -> str:
    panel = figure.subplots()
    counts = sorted(report["challenges"].items(), key=lambda pair: (pair[1], pair[0]))
    names = [name.replace("_", " ") for name, _ in counts]
    bars = panel.barh(names, [count for _, count in counts], color=COLOURS["course"])
    panel.bar_label(bars, padding=3)
    panel.grid(visible=False, axis="y")
    panel.set_xlabel("dialogues of the course")
    everything = sum(report["challenges"].values())
    hard = everything - report["challenges"].get("none", 0)
    title = f"{hard} of {everything} dialogues are hard to summarize for a reason of their own"
    figure.suptitle(title, **_TITLE)
    parts = [f"{name} {count}" for name, (_, count) in zip(names, counts, strict=True)]
    return f"Bars of how many dialogues have each challenge: {', '.join(parts[::-1])}."


def _arms(intervals) -> np.ndarray:
    """Give what errorbar wants: the distances from the means to both bounds, (2, n)."""
    return np.array([[i.mean - i.low for i in intervals], [i.high - i.mean for i in intervals]])
