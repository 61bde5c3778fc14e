"""Which notebooks there are, and which of them a name means."""

from __future__ import annotations

import difflib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.errors import CourseError

if TYPE_CHECKING:
    from nbformat import NotebookNode


def find_notebooks(names: Sequence[str], folder: Path) -> list[Path]:
    """Return the notebooks that `names` mean, in the order given; all in reading order for none.

    A name is a path, a file's stem (`03_prompting`), its number (`3` or `03`), or a prefix that
    only one notebook has (`03_pro`, `prompt` after the number).
    Raises CourseError for a name that means none or several, with what there is.
    """
    if not names:
        found = reading_order(folder)
        if not found:
            raise CourseError(
                f"There is no notebook in {folder}: run this in the course's own folder "
                "or name a notebook by its path."
            )
        return found
    chosen = [_find(name, folder).resolve() for name in names]
    return list(dict.fromkeys(chosen))


def reading_order(folder: Path) -> list[Path]:
    """Return the folder's notebooks sorted by name, which begins with their number."""
    return sorted(path.resolve() for path in folder.glob("[!.]*.ipynb"))


def _find(name: str, folder: Path) -> Path:
    if name.endswith(".ipynb"):
        for path in (Path(name), folder / name):
            if path.is_file():
                return path
    known = {path.stem: path for path in reading_order(folder)}
    if name in known:
        return known[name]
    if name.isdecimal():
        matches = [stem for stem in known if _number(stem) == int(name)]
    else:
        matches = [stem for stem in known if _begins(stem, name)]
    if len(matches) == 1:
        return known[matches[0]]
    if matches:
        raise CourseError(f"{name!r} could mean {' or '.join(matches)}: write more of the name.")
    words = {word: stem for stem in known for word in (stem, stem.partition("_")[2])}
    wanted = Path(name).stem if name.endswith(".ipynb") else name
    close = [words[word] for word in difflib.get_close_matches(wanted, words, n=3)]
    hint = f" Did you mean {' or '.join(dict.fromkeys(close))}?" if close else ""
    there = ", ".join(known) or "none"
    raise CourseError(f"There is no notebook {name!r}.{hint} Notebooks in {folder}: {there}.")


def _number(stem: str) -> int | None:
    digits = stem.partition("_")[0]
    return int(digits) if digits.isdecimal() else None


def _begins(stem: str, name: str) -> bool:
    """Whether `name` begins a stem, or what follows its number."""
    title = stem.partition("_")[2] if _number(stem) is not None else stem
    return bool(name) and (stem.startswith(name) or title.startswith(name))


def read_notebook(path: Path) -> NotebookNode:
    """Read and check one notebook. Raises CourseError, in a sentence, when it is not one."""
    import nbformat

    try:
        text = path.read_text(encoding="utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cells without ids are given some
            nbformat.validate(json.loads(text))
            return nbformat.reads(text, as_version=4)
    except json.JSONDecodeError as error:
        reason = f"line {error.lineno} is not valid JSON ({error.msg})"
    except UnicodeDecodeError:
        reason = "it is not UTF-8 text"
    except KeyError as error:
        reason = f"it has no {error}"
    except OSError as error:
        reason = f"it cannot be read ({error.strerror})"
    except (nbformat.ValidationError, AttributeError, TypeError) as error:
        reason = f"it breaks the notebook format ({str(error).splitlines()[0]})"
    raise CourseError(f"{path.name} is not a notebook: {reason}. Restore the file {path}.")
