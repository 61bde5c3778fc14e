"""A training curve that grows in the notebook while the model learns."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from course_utils.lessons.plots import PALETTE, picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from course_utils.adaptation.training import Step

SECONDS_BETWEEN_DRAWINGS = 1.5
SHARE_OF_DRAWING = 0.05  # of the time; on a busy machine a drawing takes long, so there are fewer


class LiveCurve:
    """Draw the loss while training goes on; give it to `fine_tune` as `watch`, then `finish` it.

    smoothing: share of the former mean kept at each step, as the loss of four rows jumps about.
    """

    def __init__(self, steps: int, *, smoothing: float = 0.9) -> None:
        self._total = steps
        self._keep = smoothing
        self._steps: list[Step] = []
        self._display = None
        self._next_drawing = 0.0

    def __call__(self, step: Step) -> None:
        """Note the step, and draw if the last drawing is a moment ago."""
        self._steps.append(step)
        if time.monotonic() >= self._next_drawing:
            self.finish()

    def finish(self) -> None:
        """Draw all steps so far, in place of the last drawing."""
        from IPython.display import display

        if not self._steps:
            return
        began = time.monotonic()
        drawing = picture(self._figure(), alt=self._in_words())
        if self._display is None:
            self._display = display(drawing, display_id=True)
        else:
            self._display.update(drawing)
        drawn = time.monotonic()
        pause = max(SECONDS_BETWEEN_DRAWINGS, (drawn - began) / SHARE_OF_DRAWING)
        self._next_drawing = drawn + pause

    def smooth(self) -> list[float]:
        """Return the running mean of the loss, one value a step, in nats."""
        mean, values = 0.0, []
        for count, step in enumerate(self._steps, start=1):
            mean = self._keep * mean + (1 - self._keep) * step.loss
            values.append(mean / (1 - self._keep**count))  # corrects for the start at zero
        return values

    def _figure(self) -> Figure:
        import matplotlib.pyplot as plt

        smooth, numbers = self.smooth(), [step.step for step in self._steps]
        figure, axes = plt.subplots(figsize=(7.5, 3.2))
        axes.plot(numbers, [s.loss for s in self._steps], color=PALETTE["grey"], alpha=0.35, lw=1)
        axes.plot(numbers, smooth, color=PALETTE["blue"], lw=2.2, label="training, running mean")
        held_out = [(s.step, s.validation) for s in self._steps if s.validation is not None]
        if held_out:
            axes.plot(
                *zip(*held_out, strict=True), "D-", color=PALETTE["orange"], label="validation"
            )
        axes.set_xlim(0, self._total + 1)
        axes.set_xlabel("step")
        axes.set_ylabel("loss (nats a token)")
        last = self._steps[-1]
        axes.set_title(
            f"From {smooth[0]:.2f} to {smooth[-1]:.2f} nats in {last.step} of {self._total} steps, "
            f"{last.seconds:.0f} s"
        )
        axes.legend()
        return figure

    def _in_words(self) -> str:
        smooth = self.smooth()
        held_out = [s.validation for s in self._steps if s.validation is not None]
        words = f"Training loss falls from {smooth[0]:.2f} to {smooth[-1]:.2f} nats a token"
        if held_out:
            words += (
                f"; validation loss after each epoch: {', '.join(f'{v:.2f}' for v in held_out)}"
            )
        return f"{words}, over {len(self._steps)} steps."
