"""Write a prompt, see what the model really reads, count its tokens, run and score it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from course_utils.errors import CourseError
from course_utils.language_model.prompt_tokens import render
from course_utils.metrics import rouge_per_example
from course_utils.prompts import TEMPLATES, PromptTemplate, Shot

if TYPE_CHECKING:
    from transformers import GenerationConfig

    from course_utils.language_model import LanguageModel

BUDGET = 1024  # tokens shown as a full bar


class PromptWorkbench(widgets.VBox):
    """A form over one dialogue: template, chat or plain, number of shots, run, score.

    Where no widget can run (papermill, a page on the web), a still picture of the first state
    stands in its place.
    """

    def __init__(
        self,
        model: LanguageModel,
        dialogue: str,
        references: Sequence[str],
        shots: Sequence[Shot],
        config: GenerationConfig,
    ) -> None:
        self.model, self.references = model, list(references)
        self.shots, self.config = list(shots), config
        wide = widgets.Layout(width="100%")
        self.template = widgets.Dropdown(
            options=list(TEMPLATES), value="summarize", description="Template"
        )
        self.instruction = widgets.Text(
            value=TEMPLATES["summarize"].instruction, description="Instruction", layout=wide
        )
        self.form = widgets.ToggleButtons(
            options=["chat", "plain"], description="Form", tooltips=["chat template", "bare text"]
        )
        self.count = widgets.IntSlider(min=0, max=len(self.shots), description="Shots")
        self.dialogue = widgets.Textarea(
            value=dialogue, description="Dialogue", rows=8, layout=wide
        )
        self.rendered = widgets.HTML()
        self.tokens = widgets.HTML()
        self.run = widgets.Button(description="Run and score", button_style="primary")
        self.answer = widgets.HTML()
        self.template.observe(self._take_instruction, "value")
        for control in (self.instruction, self.form, self.count, self.dialogue):
            control.observe(lambda change: self.refresh(), "value")
        self.run.on_click(lambda button: self.complete())
        super().__init__(
            [
                widgets.HBox([self.template, self.form, self.count]),
                self.instruction,
                self.dialogue,
                self.tokens,
                self.rendered,
                self.run,
                self.answer,
            ]
        )
        self.refresh()

    def prompt(self) -> str | list[dict[str, str]]:
        """Return the prompt as the form stands: a chat or a plain string."""
        chosen = TEMPLATES[self.template.value]
        template = PromptTemplate(self.instruction.value, chosen.before, chosen.after)
        make = template.chat if self.form.value == "chat" else template.plain
        return make(self.dialogue.value, self.shots[: self.count.value])

    def refresh(self) -> None:
        """Show the text that the model would read, and how many tokens it has."""
        prompt = self.prompt()
        text = render(prompt, self.model.tokenizer)
        tokens = len(self.model.tokenizer(text, verbose=False).input_ids)
        share = min(100, 100 * tokens / BUDGET)
        self.tokens.value = (
            f"<div><b>{tokens:,} tokens</b> of a budget of {BUDGET:,}; the context window has "
            f"{self.model.context_window or 'no fixed number of'} tokens.</div>"
            '<div style="height:8px;background:#E5E7EB;border-radius:4px">'
            f'<div style="height:8px;width:{share:.0f}%;border-radius:4px;'
            f'background:{"#D55E00" if tokens > BUDGET else "#0072B2"}"></div></div>'
        )
        self.rendered.value = _pre(text, "What the model reads")

    def complete(self) -> None:
        """Run the model on the prompt and score the answer against the references."""
        self.run.disabled = True
        try:
            completion = self.model.complete([self.prompt()], self.config)[0]
            scores = rouge_per_example([completion.text], [self.references])
            verdict = " / ".join(f"{scores[kind][0]:.1f}" for kind in scores)
            cut = "; cut at max_new_tokens" if completion.finish_reason == "length" else ""
            self.answer.value = _pre(
                completion.text.strip(), f"Completion (R1 / R2 / RL {verdict}{cut})"
            )
        except (CourseError, ValueError) as error:
            self.answer.value = _pre(str(error), "Not run")
        finally:
            self.run.disabled = False

    def _take_instruction(self, change: dict) -> None:
        self.instruction.value = TEMPLATES[change["new"]].instruction
        self.refresh()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        """Add a still picture for front ends without widgets."""
        bundle = super()._repr_mimebundle_(**kwargs)
        bundle["text/html"] = (
            '<div style="border:1px solid #9CA3AF;border-radius:6px;padding:0.8em">'
            f"{self.tokens.value}{self.rendered.value}{self.answer.value}"
            "<small>A still picture: open the notebook in JupyterLab to change it.</small></div>"
        )
        return bundle


def _pre(text: str, title: str) -> str:
    return (
        f"<div><b>{html.escape(title)}</b></div>"
        '<pre style="white-space:pre-wrap;max-height:22em;overflow:auto;background:#F3F4F6;'
        f'color:#1F2937;padding:0.6em;border-radius:4px">{html.escape(text)}</pre>'
    )
