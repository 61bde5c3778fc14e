"""A dialogue beside the summaries of several systems: what of each summary the dialogue has."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets

from course_utils.evaluation.support import INVENTIBLE, KINDS, Kind, Mention, mentions

SHOWN: dict[str, tuple[Kind, ...]] = {
    "speakers, names, numbers": INVENTIBLE,
    "every content word": KINDS,
}
_STYLE = """<style>
.course-support { display: flex; flex-wrap: wrap; gap: 1.2rem; color: #1f2937; background: #fff;
  padding: 0.6rem; line-height: 1.7; }
.course-support section { flex: 1 1 20rem; min-width: 0; }
.course-support h4 { margin: 0 0 0.2rem; }
.course-support p { margin: 0 0 0.6rem; overflow-wrap: anywhere; }
.course-support mark { color: inherit; border-radius: 3px; padding: 0 2px; }
.course-support .yes { background: #dcefff; border-bottom: 2px solid #0072b2; font-weight: 600; }
.course-support .no { background: #fff1dc; border: 2px dashed #d55e00; }
.course-support sup { font-size: 0.7em; font-weight: 700; }
.course-support small { color: #4b5563; }
%s</style>"""


class SupportView(widgets.VBox):
    """Choose a dialogue and what to mark; point at a marked word to see where it is said.

    In a summary, a solid underline marks what the dialogue has, a dashed box with a question
    mark what it has not. In the dialogue, letters say which summaries took a word up. Where no
    widget can run, a still picture of the first state stands in its place.
    """

    def __init__(
        self, dialogues: Sequence[str], systems: Mapping[str, Sequence[str]], *, number: int = 0
    ) -> None:
        """Show n dialogues beside `systems`: name to n summaries; `number` is shown first.

        Raises ValueError where there is no dialogue, no system, or not one summary for each.
        """
        if not dialogues or not systems:
            raise ValueError("There is nothing to show: give a dialogue and a system at least.")
        for name, summaries in systems.items():
            if len(summaries) != len(dialogues):
                raise ValueError(
                    f"{name}: {len(summaries)} summaries for {len(dialogues)} dialogues: "
                    "give one for each, in order."
                )
        self.dialogues = list(dialogues)
        self.systems = {name: list(summaries) for name, summaries in systems.items()}
        self.number = widgets.IntSlider(
            value=number, min=0, max=len(self.dialogues) - 1, description="Dialogue"
        )
        self.shown = widgets.ToggleButtons(options=list(SHOWN), description="Mark")
        self.page = widgets.HTML(layout=widgets.Layout(width="100%"))
        for control in (self.number, self.shown):
            control.observe(lambda change: self.refresh(), "value")
        super().__init__([widgets.HBox([self.number, self.shown]), self.page])
        self.refresh()

    def refresh(self) -> None:
        """Mark the chosen dialogue and its summaries."""
        dialogue, summaries = self._chosen()
        kinds = SHOWN[self.shown.value]
        found = {
            name: [m for m in mentions(text, dialogue) if m.kind in kinds]
            for name, text in summaries.items()
        }
        keys = list(dict.fromkeys(m.key for row in found.values() for m in row if m.supported))
        places = {key: f"k{rank}" for rank, key in enumerate(keys)}
        letters = {name: chr(ord("A") + rank) for rank, name in enumerate(summaries)}
        taken = {
            key: "".join(letters[name] for name, row in found.items() if key in _keys(row))
            for key in keys
        }
        said = [m for m in mentions(dialogue, " ".join(summaries.values())) if m.key in taken]
        self.page.value = (
            _STYLE % "\n".join(_linked(place) for place in places.values())
            + '<div class="course-support"><section><h4>Dialogue</h4><p>'
            + _marked(dialogue, said, places, taken).replace("\n", "<br>")
            + "</p></section><section>"
            + "".join(
                f"<h4>{letters[name]}: {html.escape(name)}</h4>"
                f"<p>{_marked(text, found[name], places)}<br>"
                f"<small>{_counts(found[name], kinds)}</small></p>"
                for name, text in summaries.items()
            )
            + "<small><mark class='yes'>solid underline</mark>: the dialogue has it. "
            "<mark class='no'>dashed box<sup>?</sup></mark>: it has not.</small></section></div>"
        )

    def describe(self) -> str:
        """Say in plain text what is marked: [...] what the dialogue has, {...?} what it has not."""
        dialogue, summaries = self._chosen()
        kinds = SHOWN[self.shown.value]
        lines = [f"Dialogue {self.number.value}; [in the dialogue], {{not in it?}}"]
        for name, text in summaries.items():
            found = [m for m in mentions(text, dialogue) if m.kind in kinds]
            plain = "".join(
                piece if m is None else f"[{piece}]" if m.supported else f"{{{piece}?}}"
                for piece, m in _pieces(text, found)
            )
            lines.append(f"{name} ({_counts(found, kinds)}): {plain}")
        return "\n".join(lines)

    def _chosen(self) -> tuple[str, dict[str, str]]:
        number = self.number.value
        return self.dialogues[number], {name: s[number] for name, s in self.systems.items()}

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        """Add a still picture, and its text, for front ends without widgets."""
        bundle = super()._repr_mimebundle_(**kwargs)
        return {**bundle, "text/html": self.page.value, "text/plain": self.describe()}


def _keys(found: Iterable[Mention]) -> set[str]:
    return {m.key for m in found}


def _pieces(text: str, found: Iterable[Mention]) -> Iterable[tuple[str, Mention | None]]:
    """Cut a text into what is marked and what stands between."""
    end = 0
    for mention in found:
        yield text[end : mention.start], None
        yield mention.text, mention
        end = mention.end
    yield text[end:], None


def _marked(
    text: str, found: Iterable[Mention], places: Mapping[str, str], letters: Mapping | None = None
) -> str:
    """Write a text as HTML, every mention in a mark that says what it is."""
    return "".join(
        html.escape(piece) if m is None else _mark(piece, m, places, letters)
        for piece, m in _pieces(text, found)
    )


def _mark(
    piece: str, mention: Mention, places: Mapping[str, str], letters: Mapping[str, str] | None
) -> str:
    shown = html.escape(piece)
    if letters is not None:  # the dialogue's own words
        taken = letters[mention.key]
        title = f"said in {', '.join(taken)}"
        return (
            f'<mark class="yes {places[mention.key]}" title="{title}">'
            f"{shown}<sup>{taken}</sup></mark>"
        )
    if mention.supported:
        title = f"{mention.kind}: the dialogue has it"
        return (
            f'<mark class="yes {places[mention.key]}" tabindex="0" title="{title}">{shown}</mark>'
        )
    title = f"{mention.kind}: not in the dialogue"
    return f'<mark class="no" tabindex="0" title="{title}">{shown}<sup>?</sup></mark>'


def _linked(place: str) -> str:
    """Write the rule that outlines a word everywhere while one of its places is pointed at."""
    return (
        f".course-support:has(.{place}:hover, .{place}:focus) .{place} "
        "{ outline: 3px solid #d55e00; }"
    )


def _counts(found: Sequence[Mention], kinds: Sequence[Kind]) -> str:
    rows = {kind: [m.supported for m in found if m.kind == kind] for kind in kinds}
    counts = [f"{kind}s {sum(row)} of {len(row)}" for kind, row in rows.items() if row]
    return "; ".join(counts) or "nothing of the kind is mentioned"
