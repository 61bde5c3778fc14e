"""Self-check quizzes whose wrong answers say why they are wrong."""

from __future__ import annotations

import json
from importlib import resources

from course_utils.errors import CourseError


def load_quiz(notebook: str) -> list[dict]:
    """Return the questions of a notebook's quiz, in jupyterquiz's format.

    Raises CourseError if the notebook has none.
    """
    folder = resources.files("course_utils") / "data" / "quizzes"
    file = folder / f"{notebook}.json"
    if not file.is_file():
        names = sorted(quiz.name.removesuffix(".json") for quiz in folder.iterdir())
        raise CourseError(f"There is no quiz {notebook!r}. There are: {', '.join(names)}.")
    return json.loads(file.read_text(encoding="utf-8"))


def show_quiz(notebook: str) -> None:
    """Show a notebook's quiz; nothing is sent anywhere, nothing is graded."""
    from jupyterquiz import display_quiz

    display_quiz(load_quiz(notebook), border_radius=6, question_alignment="left")
