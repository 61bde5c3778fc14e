"""Change the mask and see what one token can know: directly, and through others, layer by layer."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets
import torch
from torch import Tensor

from course_utils.lessons.widgets.fallback import visible
from course_utils.transformer.attention import causal_mask

WINDOW = 2


def full_mask(length: int) -> Tensor:
    """Let each token look at every token: an encoder's mask."""
    return torch.ones(length, length, dtype=torch.bool)


def prefix_mask(length: int) -> Tensor:
    """Let the first half look at itself both ways, and the rest at that and at what came before.

    The mask of an encoder-decoder, if source and target are written in one row.
    """
    mask = causal_mask(length)
    mask[: length // 2, : length // 2] = True
    return mask


def window_mask(length: int) -> Tensor:
    """Let each token look at itself and at the one before it (Beltagy et al. 2020, Longformer)."""
    return causal_mask(length).triu(1 - WINDOW)


MASKS: dict[str, Callable[[int], Tensor]] = {
    "encoder": full_mask,
    "decoder": causal_mask,
    "encoder-decoder": prefix_mask,
    "decoder, window of 2": window_mask,
}
_STYLE = """<style>
.course-mask { display: flex; flex-wrap: wrap; gap: 1.6rem; align-items: flex-start; color: #1f2937;
  background: #fff; padding: 0.6rem; }
.course-mask table { border-collapse: collapse; }
.course-mask td, .course-mask th { width: 1.9rem; height: 1.7rem; text-align: center; padding: 0;
  font-weight: 400; background: #fff; }
.course-mask th { white-space: nowrap; padding: 0 0.4rem; }
.course-mask td { border: 1px solid #d1d5db; }
.course-mask .direct { background: #0072b2; color: #fff; }
.course-mask .through { background: #dcefff; border-bottom: 2px dashed #0072b2; }
.course-mask .asked { outline: 3px solid #d55e00; outline-offset: -2px; font-weight: 700; }
.course-mask p { flex: 1 1 16rem; min-width: 0; margin: 0; line-height: 1.9; }
.course-mask p span { border-radius: 3px; padding: 0.1rem 0.35rem; border: 1px solid #d1d5db; }
</style>"""


def reach(mask: Tensor, layers: int) -> Tensor:
    """Return whose input a token's output depends on after some layers: (length, length), bool.

    A token carries what it has seen upwards, so a chain of looks reaches further than one look.
    Row i, column j: token i's output depends on token j. Raises ValueError for layers below 1.
    """
    if layers < 1:
        raise ValueError(f"layers={layers}: give 1 or more.")
    step = mask | torch.eye(len(mask), dtype=torch.bool)  # the residual path keeps one's own
    reached = step
    for _ in range(layers - 1):
        reached = (step.float() @ reached.float()) > 0
    return reached


class MaskToggler(widgets.VBox):
    """Choose a mask, a token and a number of layers; the grid shows what the token can know.

    Where no widget can run, a still picture of the first state stands in its place.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        masks: Mapping[str, Callable[[int], Tensor]] = MASKS,
        *,
        mask: str = "decoder",
        token: int | None = None,
        layers: int = 1,
    ) -> None:
        """tokens: two to sixteen; masks: name to a function of the length, (length, length) bool.

        Raises ValueError for other numbers of tokens.
        """
        if not 2 <= len(tokens) <= 16:
            raise ValueError(f"{len(tokens)} tokens: give 2 to 16, so that the grid can be read.")
        self.tokens, self.masks = list(tokens), dict(masks)
        names = [(f"{place + 1} {visible(text)}", place) for place, text in enumerate(tokens)]
        chosen = len(tokens) // 2 if token is None else token
        self.mask = widgets.ToggleButtons(options=list(masks), value=mask, description="Mask")
        self.token = widgets.Dropdown(options=names, value=chosen, description="Token")
        self.layers = widgets.IntSlider(value=layers, min=1, max=8, description="Layers")
        self.page = widgets.HTML(layout=widgets.Layout(width="100%"))
        for control in (self.mask, self.token, self.layers):
            control.observe(lambda change: self.refresh(), "value")
        super().__init__([self.mask, widgets.HBox([self.token, self.layers]), self.page])
        self.refresh()

    def refresh(self) -> None:
        """Draw the grid of all tokens and the sentence as the chosen one knows it."""
        direct, known = self._grids()
        asked = self.token.value
        head = "".join(f"<th>{place + 1}</th>" for place in range(len(self.tokens)))
        rows = "".join(
            f"<tr><th class='{'asked' * (row == asked)}'>{row + 1} {self._text(row)}</th>"
            + "".join(
                f"<td class='{kind}'>{sign}</td>"
                for kind, sign in (
                    _kind(direct[row, column], known[row, column])
                    for column in range(len(self.tokens))
                )
            )
            + "</tr>"
            for row in range(len(self.tokens))
        )
        sentence = " ".join(
            f"<span class='{_kind(direct[asked, place], known[asked, place])[0]}"
            f"{' asked' * (place == asked)}'>{self._text(place)}</span>"
            for place in range(len(self.tokens))
        )
        self.page.value = (
            f"{_STYLE}<div class='course-mask'><table><tr><th></th>{head}</tr>{rows}</table>"
            f"<p>{sentence}<br><small>{html.escape(self.describe())}<br>● looks at it directly, "
            "○ knows of it through others. Rows look, columns are looked at.</small></p></div>"
        )

    def describe(self) -> str:
        """Say what the chosen token can know."""
        direct, known = self._grids()
        asked = self.token.value
        layers = f"{self.layers.value} layer{'s' * (self.layers.value > 1)}"
        unknown = [place for place in range(len(self.tokens)) if not known[asked, place]]
        without = (
            f"not of {', '.join(str(place + 1) for place in unknown)}" if unknown else "of all"
        )
        return (
            f"{self.mask.value}: token {asked + 1} ({visible(self.tokens[asked])}) looks at "
            f"{int(direct[asked].sum())} of {len(self.tokens)} tokens; after {layers} it knows of "
            f"{int(known[asked].sum())}, {without}."
        )

    def _grids(self) -> tuple[Tensor, Tensor]:
        direct = self.masks[self.mask.value](len(self.tokens))
        return direct, reach(direct, self.layers.value)

    def _text(self, place: int) -> str:
        return html.escape(visible(self.tokens[place]))

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        """Add a still picture, and its text, for front ends without widgets."""
        bundle = super()._repr_mimebundle_(**kwargs)
        return {**bundle, "text/html": self.page.value, "text/plain": self.describe()}


def _kind(direct: Tensor, known: Tensor) -> tuple[str, str]:
    return ("direct", "●") if direct else ("through", "○") if known else ("", "")
