"""The next-token distribution under the learner's hand: temperature, top-k, top-p, min-p."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets

from course_utils.lessons.plots import PALETTE
from course_utils.lessons.widgets.fallback import PicturedWidget, visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from course_utils.language_model import LanguageModel

BARS = 20
LONGEST_TEXT = 400


class DecodingExplorer(PicturedWidget):
    """Type a prompt, move the sliders, see which tokens stay; then draw one, or a run of them.

    The kernel computes the logits once for each token of the text and the browser keeps them, so
    that a slider redraws without a word to the kernel. Filters act in the order of transformers.
    language_model: a decoder-only one. top_k=0 keeps all. seed: of the browser's draws.
    """

    _esm = Path(__file__).parent / "decoding_explorer.js"
    _css = "".join(
        (Path(__file__).parent / name).read_text(encoding="utf-8")
        for name in ("widgets.css", "decoding_explorer.css")
    )
    prompt = traitlets.Unicode().tag(sync=True)
    temperature = traitlets.Float(1.0).tag(sync=True)
    top_k = traitlets.Int(0).tag(sync=True)
    top_p = traitlets.Float(1.0).tag(sync=True)
    min_p = traitlets.Float(0.0).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    logits = traitlets.Bytes().tag(sync=True)
    """Of the next token: float32, little-endian, one per vocabulary entry."""
    pieces = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """The texts of the most probable tokens, the first ones of the browser's histogram."""
    history = traitlets.List(traitlets.Dict()).tag(sync=True)
    """The tokens drawn so far: piece, and the probability it was drawn with."""
    ended = traitlets.Bool(False).tag(sync=True)
    chosen = traitlets.Dict().tag(sync=True)
    """Set by the browser: id and probability of the token drawn; anything else starts again."""
    problem = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, language_model: "LanguageModel", prompt: str = "The capital of France is", **settings
    ) -> None:
        self._language_model = language_model
        super().__init__(prompt=prompt, **settings)
        self._start()

    @traitlets.observe("prompt")
    def _on_prompt(self, _change: Any) -> None:
        self._start()

    @traitlets.observe("chosen")
    def _on_chosen(self, change: Any) -> None:
        token = change["new"]
        if "id" not in token:
            self._start()
        elif not self.ended:
            piece = visible(self._language_model.tokenizer.decode([token["id"]]))
            drawn = {"piece": piece, "probability": token["probability"]}
            self._read([token["id"]], [*self.history, drawn])

    def _start(self) -> None:
        token_ids = self._language_model.tokenizer(self.prompt).input_ids
        self.problem = ""
        if not token_ids:
            self.problem = "The prompt is empty: type a few words for the model to continue."
        elif len(token_ids) > LONGEST_TEXT:
            self.problem = (
                f"The prompt has {len(token_ids)} tokens: give at most {LONGEST_TEXT} of them."
            )
        else:
            self._past = None
            self._read(token_ids, history=[])

    def _read(self, token_ids: list[int], history: list[dict[str, Any]]) -> None:
        """Read tokens after those already read; publish the logits of the next, and all else."""
        import torch

        model, tokenizer = self._language_model.model, self._language_model.tokenizer
        with torch.inference_mode():
            output = model(
                input_ids=torch.tensor([token_ids], device=model.device),
                past_key_values=self._past,
                use_cache=True,
            )
        self._past = output.past_key_values
        self._logits = output.logits[0, -1].float().cpu()
        top = self._logits.topk(min(BARS, len(self._logits))).indices.tolist()
        length = self._past.get_seq_length()
        with self.hold_sync():
            self.history = history
            self.ended = token_ids[-1] == tokenizer.eos_token_id or length >= LONGEST_TEXT
            self.pieces = [visible(tokenizer.decode([token])) for token in top]
            self.logits = self._logits.numpy().astype("<f4").tobytes()

    def filtered(self) -> "tuple[Tensor, Tensor]":
        """Return the logits after temperature, and after every filter: (vocabulary,) each."""
        from course_utils.decoding import keep_min_p, keep_top_k, keep_top_p, scale_temperature

        heated = kept = scale_temperature(self._logits, self.temperature)
        if self.top_k:
            kept = keep_top_k(kept, self.top_k)
        kept = keep_top_p(kept[None], self.top_p)[0] if self.top_p < 1 else kept
        return heated, keep_min_p(kept, self.min_p)

    def describe(self) -> str:
        """Say how many tokens are kept, their mass, and the most probable one."""
        from course_utils.decoding import entropy, kept_mass

        heated, filtered = self.filtered()
        kept = int((filtered > -float("inf")).sum())
        probability = float(filtered.softmax(-1).max())
        return (
            f'After "{self.prompt}" at temperature {self.temperature:g}: kept {kept:,} of '
            f"{len(filtered):,} tokens with {float(kept_mass(heated, filtered)):.1%} of the "
            f"probability, entropy {float(entropy(filtered)):.2f} bits; first "
            f'"{self.pieces[0]}" with {probability:.1%}.'
        )

    def figure(self) -> "Figure":
        """Draw the most probable tokens: filled when kept, hatched when dropped."""
        import matplotlib.pyplot as plt

        heated, filtered = self.filtered()
        before, after = (logits.softmax(-1).numpy() for logits in (heated, filtered))
        top = self._logits.topk(min(15, len(self._logits))).indices
        figure, axes = plt.subplots(figsize=(7.5, 4.4))
        for row, token in enumerate(top.tolist()):
            kept = after[token] > 0
            axes.barh(
                row,
                after[token] if kept else before[token],
                color=PALETTE["blue"] if kept else "white",
                edgecolor=PALETTE["blue" if kept else "grey"],
                hatch=None if kept else "////",
                label="kept" if kept else "dropped",
            )
        names = [piece.replace("$", r"\$") for piece in self.pieces[: len(top)]]
        axes.set_yticks(range(len(top)), names)
        axes.invert_yaxis()
        axes.set(xlabel="probability", ylabel="next token")
        kept = int((after > 0).sum())
        axes.set_title(f"{kept:,} of {len(after):,} tokens can follow “{self.prompt[-40:]}”")
        handles, labels = axes.get_legend_handles_labels()
        by_label = dict(zip(labels, handles, strict=True))
        axes.legend(by_label.values(), by_label.keys(), loc="lower right")
        return figure
