"""Read files of dialogues row by row, and say exactly where a row is wrong."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from course_utils.errors import CourseError

SPLIT_FILES = {
    "train": ("train",),
    "validation": ("validation", "dev", "val"),
    "test": ("test", "test_first200"),
}
EXTRA_COLUMNS = ("domain", "challenge", "facts", "distractors")

Row = dict[str, Any]
Placed = Iterable[tuple[str, Any]]  # a place to name in an error, and the record found there


def read_folder(folder: Path) -> dict[str, list[Row]]:
    """Read the split files of a folder; DialogSum's own begin with "dialogsum."."""
    if not folder.is_dir():
        raise CourseError(f"{folder} is not a folder: name one that has train, dev or test files.")
    splits = {}
    for split, stems in SPLIT_FILES.items():
        files = sorted(
            path
            for path in folder.iterdir()
            if path.suffix in READERS and path.stem.removeprefix("dialogsum.") in stems
        )
        if len(files) > 1:
            listed = " and ".join(path.name for path in files)
            raise CourseError(f"{folder} has {listed}: keep one file for the split {split!r}.")
        if files:
            splits[split] = read_file(files[0])
    if not splits:
        raise CourseError(
            f"{folder} has no dialogues: it needs train, validation (or dev), or test "
            "files that end in .jsonl, .json or .csv."
        )
    return splits


def read_file(path: Path) -> list[Row]:
    """Read one .jsonl, .json or .csv file, with rows of the same dialogue merged."""
    if path.suffix not in READERS:
        raise CourseError(f"{path} is not a .jsonl, .json or .csv file: convert it to one of them.")
    try:
        rows = merge_rows(check_rows(READERS[path.suffix](path)))
    except UnicodeDecodeError as error:
        raise CourseError(f"{path} is not UTF-8 text: save it as UTF-8.") from error
    if not rows:
        raise CourseError(f"{path} is empty: it needs at least one dialogue with a summary.")
    return rows


def read_jsonl(path: Path) -> Placed:
    """Read one JSON object a line; blank lines are passed over."""
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield f"{path}, line {number}", json.loads(line)
                except json.JSONDecodeError as error:
                    raise CourseError(
                        f"{path}, line {number}: not valid JSON ({error}). "
                        "Put one JSON object on each line."
                    ) from error


def _read_json(path: Path) -> Placed:
    try:
        records = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise CourseError(f"{path}: not valid JSON ({error}).") from error
    if not isinstance(records, list):
        raise CourseError(f"{path}: a .json file must hold a list of objects, one per dialogue.")
    yield from in_rows(records, str(path))


def _read_csv(path: Path) -> Placed:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        for record in reader:
            yield f"{path}, line {reader.line_num}", record


READERS = {".jsonl": read_jsonl, ".json": _read_json, ".csv": _read_csv}


def in_rows(records: Iterable[Any], source: str) -> Placed:
    """Name the places of records that have no lines: "source, row 1" and so on."""
    return ((f"{source}, row {number}", record) for number, record in enumerate(records, start=1))


def check_rows(records: Placed) -> Iterator[Row]:
    """Turn each record into a row with the course's columns, or say what it lacks and where."""
    for number, (place, record) in enumerate(records):
        if not isinstance(record, dict):
            raise CourseError(f"{place}: found {record!r:.60}, expected an object with fields.")
        dialogue = record.get("dialogue")
        if dialogue is None:
            raise CourseError(f'{place}: the field "dialogue" is missing.')
        if not isinstance(dialogue, str) or not dialogue.strip():
            raise CourseError(f"{place}: the dialogue is empty; give it text or remove the row.")
        references = _references(record)
        if not references:
            raise CourseError(
                f'{place}: the field "summary" (or "summary1", "references") is missing or empty.'
            )
        row = {
            "id": str(record.get("id") or record.get("fname") or f"row_{number}"),
            "dialogue": dialogue.strip(),
            "references": references,
            "topic": str(record.get("topic") or record.get("topic1") or ""),
        }
        yield row | {column: record[column] for column in EXTRA_COLUMNS if record.get(column)}


def _references(record: Row) -> list[str]:
    texts = record.get("references") or [
        record[key] for key in sorted(record, key=str) if re.fullmatch(r"summary\d*", str(key))
    ]
    texts = [texts] if isinstance(texts, str) else texts
    return [text.strip() for text in texts if isinstance(text, str) and text.strip()]


def merge_rows(rows: Iterable[Row]) -> list[Row]:
    """Gather rows of the same dialogue into one that has all of their references."""
    merged: dict[str, Row] = {}
    for row in rows:
        first = merged.setdefault(same_dialogue_key(row["dialogue"]), row)
        if first is not row:
            first["references"] = [*first["references"], *row["references"]]
            # On the Hub "test_3_1", "test_3_2" and "test_3_3" are one dialogue: "test_3".
            if matched := re.fullmatch(r"(.+_\d+)_\d+", first["id"]):
                first["id"] = matched[1]
    return list(merged.values())


def same_dialogue_key(dialogue: str) -> str:
    """Give what two copies of a dialogue have in common: its words, without case or layout."""
    return " ".join(re.findall(r"\w+", dialogue.casefold()))
