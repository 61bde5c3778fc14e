"""A text cut into its tokens, with ids and bytes, for the learner's own text."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets

from course_utils.lessons.plots import PALETTE
from course_utils.lessons.widgets.fallback import PicturedWidget, visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from transformers import PreTrainedTokenizerBase

LONGEST_TEXT = 2000
CHARACTERS_A_LINE = 84


class TokenView(PicturedWidget):
    """Type a text and see its tokens: each in a box with its id; one token's bytes in words.

    tokenizer: any tokenizer of transformers, fast or slow.
    """

    _esm = Path(__file__).parent / "token_view.js"
    _css = Path(__file__).parent / "widgets.css"
    text = traitlets.Unicode().tag(sync=True)
    tokens = traitlets.List(traitlets.Dict()).tag(sync=True)
    """One entry per token: piece (as shown), id, bytes (written out)."""
    summary = traitlets.Unicode().tag(sync=True)

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", text: str) -> None:
        self._tokenizer = tokenizer
        super().__init__(text=text)
        self._cut()

    @traitlets.observe("text")
    def _on_text(self, _change: Any) -> None:
        self._cut()

    def _cut(self) -> None:
        text = self.text[:LONGEST_TEXT]
        self.tokens = [
            {"piece": visible(piece), "id": token, "bytes": " ".join(f"{b:02x}" for b in raw)}
            for piece, token, raw in token_pieces(self._tokenizer, text)
        ]
        self.summary = (
            f"{len(self.tokens)} tokens for {len(text)} characters ({len(text.encode())} bytes)."
        )
        if len(self.text) > LONGEST_TEXT:
            self.summary += f" Only the first {LONGEST_TEXT} characters are shown."

    def describe(self) -> str:
        """Say how the text was cut."""
        pieces = " | ".join(token["piece"] for token in self.tokens)
        return f"{self.summary} The tokens: {pieces}"

    def figure(self) -> "Figure":
        """Draw the tokens as boxes with their ids below."""
        import matplotlib.pyplot as plt

        lines = _lines(self.tokens)
        figure, axes = plt.subplots(figsize=(8.6, 0.75 * len(lines) + 0.5))
        axes.set(xlim=(0, CHARACTERS_A_LINE), ylim=(-len(lines), 0))
        axes.axis("off")
        axes.set_title(self.summary)
        for row, line in enumerate(lines):
            x = 0.0
            for token in line:
                width = _width(token)
                axes.add_patch(
                    plt.Rectangle(
                        (x + 0.15, -row - 0.62),
                        width - 0.3,
                        0.5,
                        facecolor="#EEF2F7",
                        edgecolor=PALETTE["ink"],
                        linewidth=0.8,
                    )
                )
                middle = x + width / 2
                style = {"ha": "center", "va": "center"}
                axes.text(middle, -row - 0.37, _drawable(token["piece"]), fontsize=9.5, **style)
                axes.text(
                    middle, -row - 0.77, token["id"], fontsize=6.5, color=PALETTE["grey"], **style
                )
                x += width
        return figure


def token_pieces(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[tuple[str, int, bytes]]:
    """Return the piece of text, the id and the bytes of each token.

    A token that holds only a part of a character has no piece of text of its own: it shows as
    its bytes. Works for byte-level tokenizers exactly; for others the bytes are the piece's.
    """
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    to_byte = {character: value for value, character in bytes_to_unicode().items()}
    ids = tokenizer(text, add_special_tokens=False).input_ids
    result = []
    for token, symbol in zip(ids, tokenizer.convert_ids_to_tokens(ids), strict=True):
        piece = tokenizer.decode([token], clean_up_tokenization_spaces=False)
        if all(character in to_byte for character in symbol) and "Ġ" in tokenizer.get_vocab():
            raw = bytes(to_byte[character] for character in symbol)
            piece = piece if "\ufffd" not in piece else "".join(f"<{byte:02x}>" for byte in raw)
        else:
            raw = piece.encode()
        result.append((piece, token, raw))
    return result


def _width(token: dict[str, Any]) -> float:
    """Columns that a token's box takes."""
    return max(len(_drawable(token["piece"])) * 1.15 + 1.2, len(str(token["id"])) * 0.8 + 1.0)


def _lines(tokens: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    lines: list[list[dict[str, Any]]] = [[]]
    for token in tokens:
        if lines[-1] and sum(map(_width, [*lines[-1], token])) > CHARACTERS_A_LINE:
            lines.append([])
        lines[-1].append(token)
    return lines


def _drawable(piece: str) -> str:
    """Write a piece in characters that matplotlib's own font has; others as code points."""
    known = _font_characters()
    piece = "".join(c if ord(c) in known else f"U+{ord(c):04X}" for c in piece)
    return piece.replace("$", r"\$")


@cache
def _font_characters() -> frozenset[int]:
    from matplotlib import font_manager, ft2font

    return frozenset(ft2font.FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap())
