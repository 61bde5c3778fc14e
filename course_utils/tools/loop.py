"""Ask, check, run, tell: the loop around a model with tools, within limits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from course_utils.tools.calls import Call, Tool, ToolError, read_call

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Step:
    """One turn of the loop: what the model said, the call in it, and what came back.

    call: None where the text was refused; result then says why.
    """

    said: str
    call: Call | None
    result: str


@dataclass(frozen=True)
class Outcome:
    """How a loop ended. answer: the model's last words, None if a limit stopped it."""

    answer: str | None
    steps: list[Step]
    stopped: Literal["answer", "steps", "time"]


def tool_loop(
    ask: Callable[[Messages], str],
    request: str,
    tools: Sequence[Tool],
    *,
    max_steps: int = 4,
    max_seconds: float = 30.0,
    monotonic: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Let a model call tools until it answers without a call, or a limit is reached.

    ask: from the messages so far to the model's next text. A text with a JSON object is a call,
    any other text is the answer. A refused call goes back to the model with the reason.
    max_steps: calls, refused ones included; max_seconds: for all of it, each tool included.
    """
    messages: Messages = [{"role": "user", "content": request}]
    steps: list[Step] = []
    end = monotonic() + max_seconds
    while len(steps) < max_steps:
        said = ask(messages)
        if "{" not in said:
            return Outcome(said.strip(), steps, "answer")
        remaining = end - monotonic()
        if remaining <= 0:
            return Outcome(None, steps, "time")
        steps.append(_step(said, tools, remaining))
        messages += [
            {"role": "assistant", "content": said},
            {"role": "user", "content": f"Tool result: {steps[-1].result}"},
        ]
    return Outcome(None, steps, "steps")


def run_call(call: Call, tools: Sequence[Tool], timeout_seconds: float = 5.0) -> str:
    """Run a checked call; return the tool's text.

    Raises ToolError for a tool that is not among `tools`, that fails, or that takes longer than
    `timeout_seconds`: it is then left alone (a thread cannot be stopped), so give tools that
    must be stopped a process of their own.
    """
    tool = next((tool for tool in tools if tool.name == call.name), None)
    if tool is None:
        names = ", ".join(tool.name for tool in tools)
        raise ToolError(f"Unknown tool {call.name!r}: there are {names}.")
    ended: list[str | Exception] = []

    def run() -> None:
        try:
            ended.append(tool.run(**call.arguments))
        except Exception as error:  # a tool's fault must not end the loop
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout_seconds)
    if not ended:
        raise ToolError(f"{call.name} did not answer within {timeout_seconds:g} seconds.")
    if isinstance(ended[0], ToolError):
        raise ended[0]
    if isinstance(ended[0], Exception):
        raise ToolError(f"{call.name} failed: {ended[0]}.") from ended[0]
    return ended[0]


def _step(said: str, tools: Sequence[Tool], seconds: float) -> Step:
    call = None
    try:
        call = read_call(said, tools)
        return Step(said, call, run_call(call, tools, seconds))
    except ToolError as error:
        return Step(said, call, f"refused: {error}")
