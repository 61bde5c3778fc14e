"""Measure the decoding explorer in a browser: from a slider's input to the redrawn picture.

Run `python tests/benchmarks/slider_latency.py`. The distribution is random and of the default
model's size, so no weights are needed. "to the picture" ends two animation frames after the
input, by when the browser has painted; "recomputed" is our own work alone.
"""

import argparse
import statistics
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from browser.widget_page import shown

from course_utils.lessons.widgets.decoding_explorer import BARS, DecodingExplorer

VOCABULARY = 49_152
SYNCED = "prompt temperature top_k top_p min_p seed logits pieces history ended chosen problem"
MOVE = """async ([label, value]) => {
    const input = document.querySelector(`input[aria-label^="${label}"]`);
    const began = performance.now();
    input.value = value;
    input.dispatchEvent(new Event("input"));
    const recomputed = performance.now() - began;
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    return [recomputed, performance.now() - began];
}"""


class FixedDistribution(DecodingExplorer):
    """An explorer of random logits, for a measurement without a model."""

    def _start(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self._logits = torch.randn(VOCABULARY, generator=generator) * 3
        self.pieces = [f"token {rank}" for rank in range(BARS)]
        self.logits = self._logits.numpy().astype("<f4").tobytes()


def main() -> None:
    """Move every slider `--moves` times and print the median and the 95th percentile."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moves", type=int, default=40, help="moves of each slider")
    parser.add_argument("--screenshot", type=Path, help="where to save a picture of the widget")
    options = parser.parse_args()
    ends = {"Temperature": (0.05, 3), "Top-k": (0, 100), "Top-p": (0.05, 1), "Min-p": (0, 0.5)}
    print(f"{'slider':12} {'':14} {'median':>9} {'95%':>9}")
    with shown(FixedDistribution(None), SYNCED.split()) as page:
        for label, (low, high) in ends.items():
            values = [low + (high - low) * i / options.moves for i in range(options.moves)]
            times = [page.evaluate(MOVE, [label, value]) for value in values]
            names, columns = ("recomputed", "to the picture"), zip(*times, strict=True)
            for name, column in zip(names, columns, strict=True):
                last = statistics.quantiles(column, n=20)[-1]
                print(f"{label:12} {name:14} {statistics.median(column):6.1f} ms {last:6.1f} ms")
            page.evaluate(MOVE, [label, high if label in ("Top-p",) else low])
        if options.screenshot:
            page.screenshot(path=options.screenshot)


if __name__ == "__main__":
    main()
