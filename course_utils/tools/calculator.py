"""Arithmetic on text that nobody trusts: parsed, checked node by node, never evaluated."""

from __future__ import annotations

import ast
import math
import operator
import warnings

from course_utils.tools.calls import Tool, ToolError

MAX_CHARACTERS = 100
MAX_EXPONENT = 100
MAX_VALUE = 1e30

_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY = {ast.UAdd: operator.pos, ast.USub: operator.neg}


def calculate(expression: str) -> int | float:
    """Compute numbers, + - * / // % **, signs and brackets; nothing else.

    Raises ToolError for anything else (names, calls, strings, comparisons), for a division by
    zero, and for what is too long or too large.
    """
    if len(expression) > MAX_CHARACTERS:
        raise ToolError(f"The expression has over {MAX_CHARACTERS} characters: split it up.")
    try:
        with warnings.catch_warnings():  # "1 (2)" makes the parser warn on stderr
            warnings.simplefilter("ignore")
            tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ToolError(f"{expression!r} is not arithmetic: write such as (3 + 4) * 5.") from error
    return _value(tree.body)


def _value(node: ast.AST) -> int | float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _bounded(number)
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _UNARY:
            return _UNARY[type(sign)](_value(operand))
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _BINARY:
            return _combine(_BINARY[type(sign)], _value(left), _value(right))
    raise ToolError(
        f"{ast.unparse(node)!r} is not arithmetic: only numbers, + - * / // % ** and brackets."
    )


def _combine(compute, left: int | float, right: int | float) -> int | float:
    if compute is operator.pow and abs(right) > MAX_EXPONENT:
        raise ToolError(f"An exponent above {MAX_EXPONENT} is refused.")
    try:
        return _bounded(compute(left, right))
    except ZeroDivisionError as error:
        raise ToolError("Division by zero: change the expression.") from error
    except OverflowError as error:
        raise ToolError(f"A value exceeds {MAX_VALUE:g}: change the expression.") from error


def _bounded(number: int | float | complex) -> int | float:
    if isinstance(number, complex):
        raise ToolError("A root of a negative number is refused.")
    if not math.isfinite(number) or abs(number) > MAX_VALUE:
        raise ToolError(f"A value exceeds {MAX_VALUE:g}: change the expression.")
    return number


def _as_text(expression: str) -> str:
    return f"{calculate(expression):.15g}"


CALCULATOR = Tool(
    name="calculator",
    description="computes an arithmetic expression",
    parameters={
        "type": "object",
        "properties": {"expression": {"type": "string", "maxLength": MAX_CHARACTERS}},
        "required": ["expression"],
    },
    run=_as_text,
)
