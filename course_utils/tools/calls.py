"""A tool, and a call of it: JSON that is checked before anything runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from course_utils.errors import CourseError


class ToolError(CourseError):
    """A call that was refused or failed; the message can be handed back to the model."""


@dataclass(frozen=True)
class Tool:
    """A function that a model may call.

    parameters: the JSON Schema of the arguments, an object; what it does not name is refused.
    run: takes the arguments by name, returns text, raises ToolError.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    run: Callable[..., str]


class Call(NamedTuple):
    """A call that fits its tool's schema."""

    name: str
    arguments: dict[str, Any]


def read_call(text: str, tools: Sequence[Tool]) -> Call:
    """Read the first JSON object of a text as a call: {"name": ..., "arguments": {...}}.

    Nothing is repaired and nothing is guessed. Raises ToolError for text without JSON, JSON that
    cannot be read, an unknown tool, and arguments against the schema; it names the field.
    """
    start = text.find("{")
    if start < 0:
        raise ToolError('There is no JSON object: write {"name": ..., "arguments": {...}}.')
    try:
        value, _end = json.JSONDecoder().raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise ToolError(f"Malformed JSON at character {error.pos}: {error.msg}.") from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, 5,000 brackets
        raise ToolError("The JSON is too large to be a call.") from error
    _check(value, _CALL, "")
    by_name = {tool.name: tool for tool in tools}
    if value["name"] not in by_name:
        raise ToolError(f"Unknown tool {value['name']!r}: there are {', '.join(by_name)}.")
    _check(value["arguments"], {"additionalProperties": False, **by_name[value["name"]].parameters},
           "arguments")  # fmt: skip
    return Call(value["name"], value["arguments"])


_CALL = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "arguments": {"type": "object"}},
    "required": ["name", "arguments"],
    "additionalProperties": False,
}


def _check(value: Any, schema: dict[str, Any], place: str) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema).iter_errors(value))
    if error is not None:
        path = ".".join(str(part) for part in [*([place] if place else []), *error.absolute_path])
        raise ToolError(f"{path or 'the call'}: {error.message[:200]}.")
