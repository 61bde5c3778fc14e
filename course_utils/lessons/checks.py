"""The checks of a lab exercise: each property earns its own points and says why it did or not.

A test cell of a lab reads

    exercise = Exercise("top_k")
    with exercise.property("keeps the k largest", points=1, hint="Sort from high to low."):
        assert ...
    exercise.score()

nbgrader takes the value of the last line as the points of the cell, and gives 0 to a cell that
raised or that wrote anything on stderr. So a property lets neither happen.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from typing import TextIO


class Exercise:
    """The properties of one exercise, checked in the order written: from basic to subtle."""

    def __init__(self, name: str) -> None:
        """`name` is the function that the learner writes; error messages speak of it."""
        self.name = name
        self._earned = 0.0
        self._offered = 0.0

    @contextmanager
    def property(self, description: str, points: float, hint: str) -> Iterator[None]:
        """Award `points` when the block under `with` raises nothing; else print why not.

        description: what has to be true, as a short clause.
        hint: the likely mistake, told so that a learner knows what to change.

        Prints "+1  description" or "+0  description: hint (ErrorType: message)". Whatever the
        learner's code raises counts as failing, `sys.exit()` included; only an interrupt that
        comes from outside (a time limit, the stop button) ends the cell. Warnings follow, indented.
        """
        error: BaseException | None = None
        warnings = io.StringIO()
        with _stderr_kept_off(warnings), _interruptions() as interrupted:
            try:
                yield
            except BaseException as raised:
                if interrupted():
                    raise
                error = raised
        self._offered += points
        if error is None:
            self._earned += points
            print(f"+{points:g}  {description}")
        else:
            print(f"+0  {description}: {hint}{self._told(error)}")
        for line in warnings.getvalue().split("\n"):
            text = line.rpartition("\r")[2].rstrip()  # of a progress bar, what it left standing
            if text:
                print(f"    {text}")

    def score(self) -> float:
        """Print how many points were earned of those offered, and return them."""
        print(f"{self.name}: {self._earned:g} of {self._offered:g} points")
        return round(self._earned, 6)

    def _told(self, error: BaseException) -> str:
        """What was raised, and on which line of the learner's function, in parentheses."""
        if isinstance(error, NotImplementedError):
            return f" ({self.name} is not written yet)"
        if isinstance(error, NameError) and error.name == self.name:
            return f" ({self.name} is not defined: run its cell, and keep the function's name)"
        message = " ".join(str(error).split())
        if isinstance(error, AssertionError) and not message:
            return ""
        message = message if len(message) <= 300 else f"{message[:297]}..."
        what = f"{type(error).__name__}: {message}" if message else type(error).__name__
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.name == self.name]
        return f" ({what}, in line {lines[-1]} of its cell)" if lines else f" ({what})"


@contextmanager
def _stderr_kept_off(instead: TextIO) -> Iterator[None]:
    """Send warnings, log records and progress bars to `instead`, native messages to stdout.

    Log handlers keep the stream that they were made with, and native code writes to file
    descriptor 2, so replacing `sys.stderr` alone is not enough.
    """
    stderr = sys.stderr
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    handlers = [
        handler
        for logger in loggers
        for handler in getattr(logger, "handlers", [])
        if isinstance(handler, logging.StreamHandler) and vars(handler).get("stream") is stderr
    ]
    stderr.flush()
    native_stderr = os.dup(2)
    os.dup2(1, 2)
    for handler in handlers:
        handler.setStream(instead)
    try:
        with redirect_stderr(instead):
            yield
    finally:
        for handler in handlers:
            handler.setStream(stderr)
        os.dup2(native_stderr, 2)
        os.close(native_stderr)


@contextmanager
def _interruptions() -> Iterator[Callable[[], bool]]:
    """Tell a KeyboardInterrupt that came as a signal from one that the code itself raised."""
    seen: list[int] = []

    def note_and_raise(number: int, _frame: object) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, note_and_raise)
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(signal.SIGINT, before)
