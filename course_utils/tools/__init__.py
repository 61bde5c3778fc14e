"""Let a language model call functions, without trusting what it writes.

`calls` checks a call against the tools' schemas, `calculator` and `clock` are two tools that can
do no harm, `loop` runs calls within limits, `filling` makes a model write only valid calls.
"""

from course_utils.tools.calculator import CALCULATOR, calculate
from course_utils.tools.calls import Call, Tool, ToolError, read_call
from course_utils.tools.clock import clock_tool
from course_utils.tools.filling import fill_calls
from course_utils.tools.loop import Outcome, Step, run_call, tool_loop

__all__ = [
    "CALCULATOR",
    "Call",
    "Outcome",
    "Step",
    "Tool",
    "ToolError",
    "calculate",
    "clock_tool",
    "fill_calls",
    "read_call",
    "run_call",
    "tool_loop",
]
