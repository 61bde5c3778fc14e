"""Hold the folder of a report, and say plainly when it cannot be written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.whole_files import write_whole


def write_out(path: Path, content: str | bytes) -> None:
    """Write a file of the report whole. Raises CourseError when the folder cannot be written."""
    with writing(path.parent):
        write_whole(path, content)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a failure to write below `folder` into one clear sentence."""
    try:
        yield
    except OSError as error:
        raise CourseError(
            f"The folder {folder} cannot be written ({error.strerror or error}): "
            "free it or name another one with --out."
        ) from error


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Make `folder` and hold it for one run at a time. Raises CourseError when another has it."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise CourseError(
                f"Another run is writing into {folder}: wait for it or name another folder "
                "with --out."
            ) from None
    try:
        yield
    finally:
        lock.release()
