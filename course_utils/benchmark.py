"""Seconds for real dialogues: the famous lab's loop against LanguageModel, in one run."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from rich.console import Console
from rich.table import Table
from transformers import GenerationConfig

from course_utils.dialogues import load_dialogues
from course_utils.errors import CourseError
from course_utils.language_model import LanguageModel, Prompt
from course_utils.language_model.prompt_tokens import render
from course_utils.model_store import load_model
from course_utils.prompts import TEMPLATES, choose_shots

NEW_TOKENS = 50


def compare_with_the_loop(dialogues: int, dtypes: Sequence[str], console: Console) -> dict:
    """Print seconds and ratios for zero-shot and three-shot summaries of DialogSum.

    dialogues: how many of the test split. dtypes: number formats of the course's side; the loop
    runs in float32, as the lab does.
    Raises CourseError if DialogSum cannot be had.
    """
    data = load_dialogues("dialogsum")
    if dialogues > len(data["test"]):
        raise CourseError(
            f"The test split has {len(data['test'])} dialogues, fewer than {dialogues}."
        )
    texts = data["test"]["dialogue"][:dialogues]
    shots = choose_shots(data["train"], texts, 3)
    template = TEMPLATES["summarize"]
    loop_model = load_model(dtype="float32")
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = ("prompt", "system", "seconds", "ratio", "texts equal to the loop's")
    for column in columns:
        table.add_column(column, justify="left" if column in columns[:2] else "right")
    results = {}
    for name, examples in (("zero-shot", []), ("three-shot", shots)):
        prompts = [template.chat(text, examples) for text in texts]
        with console.status(f"{name}: the lab's loop over {dialogues} dialogues ..."):
            _warm_up(loop_model, prompts)
            began = time.perf_counter()
            expected = loop_of_the_lab(loop_model, prompts)
            baseline = time.perf_counter() - began
        table.add_row(name, "loop, one at a time, float32", f"{baseline:.1f}", "1.0", "")
        results[name] = {"loop": baseline}
        for dtype in dtypes:
            model = loop_model if dtype == "float32" else load_model(dtype=dtype)
            with console.status(f"{name}: LanguageModel, {dtype} ..."):
                _warm_up(model, prompts)
                began = time.perf_counter()
                found = model.complete(
                    prompts, GenerationConfig(max_new_tokens=NEW_TOKENS), cache=False
                )
                seconds = time.perf_counter() - began
            equal = sum(a == b.text for a, b in zip(expected, found, strict=True))
            format_name = str(model.model.dtype).removeprefix("torch.")
            results[name][format_name] = seconds
            table.add_row(
                name,
                f"LanguageModel, {format_name}",
                f"{seconds:.1f}",
                f"{baseline / seconds:.1f}",
                f"{equal} of {dialogues}",
            )
    console.print(table)
    return results


@torch.inference_mode()
def loop_of_the_lab(model: LanguageModel, prompts: Sequence[Prompt]) -> list[str]:
    """Complete prompts as the lab does: tokenize one, generate, decode, next."""
    texts = []
    for prompt in prompts:
        text = render(prompt, model.tokenizer)
        inputs = model.tokenizer(text, return_tensors="pt").to(model.model.device)
        output = model.model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
        new = output[0, inputs.input_ids.shape[1] :]
        texts.append(model.tokenizer.decode(new, skip_special_tokens=True))
    return texts


def _warm_up(model: LanguageModel, prompts: Sequence[Prompt]) -> None:
    model.complete(prompts[:2], GenerationConfig(max_new_tokens=2), cache=False)
