"""What a model cannot know: the time. It is a parameter, so that a run can be repeated."""

from __future__ import annotations

from datetime import datetime

from course_utils.tools.calls import Tool

_FORMATS = {"time": "%H:%M", "date": "%Y-%m-%d", "weekday": "%A"}


def clock_tool(now: datetime) -> Tool:
    """Return a tool that tells the time, date or weekday of `now`."""
    return Tool(
        name="clock",
        description="tells the present time, date or weekday",
        parameters={
            "type": "object",
            "properties": {"part": {"enum": list(_FORMATS)}},
            "required": ["part"],
        },
        run=lambda part: now.strftime(_FORMATS[part]),
    )
