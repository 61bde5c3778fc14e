"""The parameters of a notebook: read from its `parameters` cell, checked by name and type."""

from __future__ import annotations

import ast
import difflib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from course_utils.errors import CourseError

if TYPE_CHECKING:
    from nbformat import NotebookNode

PROFILES = ("fast", "full")
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Parameter:
    """One line of a `parameters` cell: `name: type = default  # meaning`."""

    name: str
    type: str
    default: object
    meaning: str = ""

    def convert(self, value: object, notebook: str) -> object:
        """Return `value`, or the text of a value, as this parameter's type.

        Raises CourseError that names the notebook and the type expected.
        """
        annotation = _parse_type(self.type)
        try:
            return _convert(value, annotation)
        except ValueError:
            raise CourseError(
                f"{self.name}={value} does not fit {notebook}: {self.name} is a {self.type}, so "
                f"give {_describe(annotation)} (its default is {self.default!r})."
            ) from None


def read_parameters(notebook: NotebookNode, name: str) -> dict[str, Parameter] | None:
    """Return the parameters by name, or None for a notebook without a cell tagged `parameters`.

    The type is the annotation, else the type of the default. `profile` is always one of
    `PROFILES`. Raises CourseError when the cell is not plain Python.
    """
    tagged = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    cell = next(tagged, None)
    if cell is None:
        return None
    try:
        statements = ast.parse(cell.source).body
    except SyntaxError as error:
        raise CourseError(
            f"The parameters cell of {name} is not plain Python: line {error.lineno}, {error.msg}."
        ) from error
    lines = cell.source.splitlines()
    found = (_read(statement, lines) for statement in statements)
    return {parameter.name: parameter for parameter in found if parameter}


def check_names(given: Iterable[str], notebooks: Mapping[str, dict[str, Parameter] | None]) -> None:
    """Raise CourseError for a name in `given` that none of the notebooks has."""
    known = {p.name: p.type for found in notebooks.values() for p in (found or {}).values()}
    for wanted in given:
        if wanted in known:
            continue
        where = f"None of the {len(notebooks)} notebooks has a"
        if len(notebooks) == 1:
            ((notebook, parameters),) = notebooks.items()
            where = f"{notebook} has no"
            if parameters is None:
                raise CourseError(
                    f"{notebook} has no cell tagged `parameters`, so {wanted} cannot be set: tag "
                    "the cell that holds its settings, or run it without."
                )
        close = difflib.get_close_matches(wanted, known, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        listed = ", ".join(f"{name} ({type_})" for name, type_ in known.items()) or "none"
        raise CourseError(f"{where} parameter {wanted!r}.{hint} Parameters: {listed}.")


def _read(statement: ast.stmt, lines: list[str]) -> Parameter | None:
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr() as v):
            type_ = ast.unparse(annotation)
        case ast.Assign(targets=[ast.Name(id=name)], value=v):
            type_ = ""
        case _:
            return None
    try:
        default = ast.literal_eval(v)
    except ValueError:
        default = ast.unparse(v)
        type_ = type_ or "Any"
    if name == "profile":
        type_ = f"Literal{list(PROFILES)}"
    elif not type_:
        type_ = "Any" if default is None else type(default).__name__
    last_line = lines[(statement.end_lineno or 1) - 1].encode()
    rest = last_line[statement.end_col_offset or 0 :].decode()
    return Parameter(name, type_, default, rest.strip().lstrip("#").strip())


def _parse_type(text: str) -> ast.expr:
    parsed = ast.parse(text, mode="eval").body
    if isinstance(parsed, ast.Constant) and isinstance(parsed.value, str):
        return _parse_type(parsed.value)  # an annotation in quotation marks
    return parsed


def _parts(annotation: ast.expr) -> tuple[str, list[ast.expr]]:
    """Split `Name[a, b]` into its name and arguments; a union is called `|`."""
    match annotation:
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return "|", [left, right]
        case ast.Constant(value=None):
            return "None", []
        case ast.Subscript(value=outer, slice=ast.Tuple(elts=arguments)):
            return _parts(outer)[0], arguments
        case ast.Subscript(value=outer, slice=argument):
            return _parts(outer)[0], [argument]
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name, []
    return ast.unparse(annotation), []


def _convert(value: object, annotation: ast.expr) -> object:
    """Return `value` as the annotated type. Raises ValueError when it does not fit."""
    text = value.strip() if isinstance(value, str) else None
    match _parts(annotation):
        case "int", _ if text is not None:
            return int(text)
        case "int", _ if type(value) is int:
            return value
        case "float", _ if text is not None or type(value) in (int, float):
            number = float(value)
            if math.isfinite(number):
                return number
        case "bool", _ if isinstance(value, bool):
            return value
        case "bool", _ if text is not None and text.lower() in _TRUTH:
            return _TRUTH[text.lower()]
        case "str", _ if isinstance(value, str):
            return value
        case "None", _ if value is None or (text or "").lower() in ("none", "null"):
            return None
        case "Any", _:
            return value if text is None else _literal_or_text(text)
        case "Literal", options:
            for option in map(ast.literal_eval, options):
                if value == option or text == str(option):
                    return option
        case "list" | "List", items:
            item = items[0] if items else ast.Name("Any")
            return [_convert(entry, item) for entry in _entries(value)]
        case "Optional", [inner]:
            return _convert_first(value, [ast.Constant(None), inner])
        case "|", options:
            # None first: for `str | None`, "none" means no text rather than the word.
            return _convert_first(value, sorted(options, key=lambda o: _parts(o)[0] != "None"))
    raise ValueError(value)


def _convert_first(value: object, options: list[ast.expr]) -> object:
    for option in options:
        try:
            return _convert(value, option)
        except ValueError:
            continue
    raise ValueError(value)


def _entries(value: object) -> list:
    if isinstance(value, (list, tuple)):
        return list(value)
    if not isinstance(value, str):
        raise ValueError(value)
    if value.strip()[:1] not in "[(":
        return [entry.strip() for entry in value.split(",")]
    parsed = _literal_or_text(value.strip())
    if not isinstance(parsed, (list, tuple)):
        raise ValueError(value)
    return list(parsed)


def _literal_or_text(text: str) -> object:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            continue
    return text


def _describe(annotation: ast.expr) -> str:
    """Say in words what a value of the annotated type looks like."""
    match _parts(annotation):
        case "int", _:
            return "a whole number"
        case "float", _:
            return "a number"
        case "bool", _:
            return "true or false"
        case "str", _:
            return "text"
        case "Literal", options:
            return " or ".join(ast.unparse(option) for option in options)
        case "list" | "List", items:
            return f"a list, each entry {_describe(items[0])}" if items else "a list"
        case "Optional", [inner]:
            return f"{_describe(inner)} or none"
        case "|", options:
            return " or ".join(_describe(option) for option in options)
        case "None", _:
            return "none"
    return "its default: values of this type cannot be given from outside"
