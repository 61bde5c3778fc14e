"""Short plain texts to measure a model on."""

from importlib import resources


def read_passages() -> list[str]:
    """Return the course's passages: plain English prose, about fifty words each."""
    file = resources.files("course_utils") / "data" / "passages.txt"
    return file.read_text(encoding="utf-8").strip().split("\n\n")
