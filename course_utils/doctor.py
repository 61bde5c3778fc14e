"""One line per need of the course: there, or missing with the remedy."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.model_cache import cache_folder, is_cached, verify
from course_utils.model_catalogue import CATALOGUE, WheelSource
from course_utils.repository import repository_root

FREE_GIGABYTES = 2


@dataclass(frozen=True)
class Finding:
    """What one check found; `remedy` is empty where all is well."""

    need: str
    found: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether the need is met."""
        return not self.remedy


def examine() -> Iterator[Finding]:
    """Yield a finding for every need, as soon as it is checked."""
    for check in (_python, _packages, _device, _models, _cache, _labs):
        yield from check()


def locked_versions(lock: Path) -> dict[str, str]:
    """Return the pins of a requirements file: package name to version."""
    lines = (line.split("#")[0].strip() for line in lock.read_text().splitlines())
    return dict(line.split("==") for line in lines if line)


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    remedy = "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer"
    yield Finding("Python 3.11 or newer", version, remedy)


def _packages() -> Iterator[Finding]:
    lock = locked_versions(repository_root() / "requirements.lock")
    wrong = [
        f"{name} {found or 'missing'}"
        for name, pin in lock.items()
        if (found := _differs(name, pin)) is not None
    ]
    yield Finding(
        "packages as pinned in requirements.lock",
        f"{len(lock) - len(wrong)} of {len(lock)}"
        + (f"; not: {', '.join(wrong[:5])}" if wrong else ""),
        "pip install -r requirements.lock" if wrong else "",
    )


def _differs(name: str, pin: str) -> str | None:
    """Return the version found where it is not the pinned one ("" if none), else None."""
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
    return None if found.split("+")[0] == pin else found


def _device() -> Iterator[Finding]:
    from course_utils.runtime import pick_device, pick_dtype

    try:
        device = pick_device()
    except ValueError as error:
        yield Finding("a device to compute on", os.environ.get("COURSE_DEVICE", ""), str(error))
        return
    dtype = str(pick_dtype(device)).removeprefix("torch.")
    yield Finding("a device to compute on", f"{device.type}, {dtype}, {os.cpu_count()} CPU cores")


def _models() -> Iterator[Finding]:
    for model in CATALOGUE.values():
        if not isinstance(model.source, WheelSource):
            continue
        need = f"model {model.name}"
        if not is_cached(model.name):
            yield Finding(need, "not pulled", f"course models pull {model.name}")
            continue
        yield _finding(need, "whole, sha256 checked", lambda name=model.name: verify(name))


def _cache() -> Iterator[Finding]:
    folder = cache_folder()
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free / 1e9
    writable = os.access(existing, os.W_OK)
    good = writable and free > FREE_GIGABYTES
    yield Finding(
        "a cache that can be written",
        f"{folder}, {free:.0f} GB free" + ("" if writable else ", read-only"),
        "" if good else f"free {FREE_GIGABYTES} GB or set COURSE_CACHE to another folder",
    )


def _labs() -> Iterator[Finding]:
    root = repository_root()
    labs = sorted(path.name for path in (root / "labs" / "source").iterdir() if path.is_dir())
    missing = [
        lab for lab in labs if not (root / "labs" / "release" / lab / f"{lab}.ipynb").exists()
    ]
    remedy = "course release" if missing else ""
    yield Finding("labs ready to hand out", ", ".join(labs) or "none", remedy)


def _finding(need: str, found: str, check: Callable[[], None]) -> Finding:
    try:
        check()
    except CourseError as error:
        return Finding(need, "damaged", str(error))
    return Finding(need, found)
