"""Write files whole or not at all, and say plainly when a folder cannot be written."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from course_utils.errors import CourseError


def write_whole(path: Path, content: str | bytes) -> None:
    """Write beside `path`, then rename: a reader sees the old file or the new one, never half.

    Raises CourseError when the folder cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    with writing(path.parent):
        handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            os.chmod(partial, 0o644)
            os.replace(partial, path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise


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
