"""Make a model write only valid calls: we write the JSON, it fills the gaps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from course_utils.tools.calls import Tool

if TYPE_CHECKING:
    from course_utils.language_model import LanguageModel


def fill_calls(
    model: LanguageModel,
    prompts: Sequence[str],
    tools: Sequence[Tool],
    *,
    max_new_tokens: int = 24,
) -> list[str]:
    """Return for each prompt a call as JSON that fits its tool's schema.

    prompts: plain text that ends where the JSON is to begin.
    Name and enumerated arguments are chosen by likelihood among the values that the schema
    allows; an argument of type string is generated up to its closing quote. Constrained decoding
    with a grammar does the same in general: Willard and Louf 2023, "Efficient Guided Generation
    for Large Language Models".
    Raises ValueError for a tool with an argument of another kind.
    """
    for tool in tools:
        for name, schema in tool.parameters["properties"].items():
            if "enum" not in schema and schema.get("type") != "string":
                raise ValueError(
                    f"{tool.name}.{name} is neither a string nor an enumeration: only those can "
                    "be filled in."
                )
    by_name = {tool.name: tool for tool in tools}
    written = [f'{prompt}{{"name": "' for prompt in prompts]
    names = _choose(model, written, list(by_name))
    written = [f'{text}{name}", "arguments": {{' for text, name in zip(written, names, strict=True)]
    arguments: list[dict[str, Any]] = [{} for _ in prompts]
    for name, tool in by_name.items():
        rows = [row for row, chosen in enumerate(names) if chosen == name]
        for position, (field, schema) in enumerate(tool.parameters["properties"].items()):
            begun = [f'{written[row]}{", " * (position > 0)}"{field}": "' for row in rows]
            if "enum" in schema:
                values = _choose(model, begun, schema["enum"])
            else:
                values = _until_quote(model, begun, max_new_tokens, schema.get("maxLength"))
            for row, text, value in zip(rows, begun, values, strict=True):
                arguments[row][field] = value
                written[row] = f'{text}{value}"'
    return [
        json.dumps({"name": name, "arguments": values})
        for name, values in zip(names, arguments, strict=True)
    ]


def _choose(model: LanguageModel, prompts: Sequence[str], choices: Sequence[str]) -> list[str]:
    """Return for each prompt the choice that the model finds most probable, quote included."""
    if not prompts or len(choices) == 1:
        return list(choices) * len(prompts)
    from course_utils.evaluation.multiple_choice import score_options

    options = [f'{choice}"' for choice in choices]
    return [
        choices[max(range(len(choices)), key=lambda number: scores[number].log_probability)]
        for scores in score_options(model, prompts, [options] * len(prompts))
    ]


def _until_quote(
    model: LanguageModel, prompts: Sequence[str], max_new_tokens: int, max_length: int | None
) -> list[str]:
    from transformers import GenerationConfig

    config = GenerationConfig(max_new_tokens=max_new_tokens)
    completions = model.complete(prompts, config) if prompts else []
    return [completion.text.split('"')[0][:max_length] for completion in completions]
