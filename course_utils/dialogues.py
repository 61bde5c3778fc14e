"""Load dialogues with their summaries: the course's own, DialogSum, or a file of yours.

Every source ends in the same columns, `id`, `dialogue`, `references` (a list), `topic`, and,
where the source has them, `domain`, `challenge`, `facts` and `distractors`. Rows that repeat a
dialogue become one row with several references, and no two splits share a dialogue: a split by
row would put one dialogue on both sides.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.dialogue_files import (
    EXTRA_COLUMNS,
    SPLIT_FILES,
    Row,
    check_rows,
    in_rows,
    merge_rows,
    read_file,
    read_folder,
    same_dialogue_key,
)
from course_utils.errors import CourseError

if TYPE_CHECKING:
    from datasets import DatasetDict

COURSE_FOLDER = Path(__file__).parent / "data" / "dialogues"
DIALOGSUM_HUB_ID = "knkarthick/dialogsum"
DIALOGSUM_TRAIN_ROWS = 320  # of the dev file, where there is no train file


def load_dialogues(name: str | Path = "course", *, folder: str | Path | None = None) -> DatasetDict:
    """Load a set of dialogues as a `datasets.DatasetDict` whose splits share no dialogue.

    name: `course` (240 dialogues in the package, the default); `dialogsum`; or the path of a
    .jsonl, .json or .csv file (one split, `test`) or of a folder with train, validation or dev,
    and test files.
    folder: where the files of `course` or `dialogsum` lie instead of the package or the folder
    named by the environment variable DIALOGSUM_DIR. Without either, DialogSum comes from the
    Hub. Where DialogSum has only dev and test files, the first 320 dev dialogues become `train`
    and the rest `validation`. A few DialogSum dialogues recur in two of its files; they stay
    where they are held out.

    A file's rows need a `dialogue` and a `summary`, `summary1`, `summary2` ... or `references`;
    `id` (or `fname`) and `topic` may be left out.
    Raises CourseError for a source that cannot be found or reached, a row without a dialogue or
    a summary (naming its line), and splits that share a dialogue.
    """
    if name == "course":
        splits = read_folder(Path(folder or COURSE_FOLDER))
    elif name == "dialogsum":
        splits = _read_dialogsum(folder or os.environ.get("DIALOGSUM_DIR"))
    elif folder is not None:
        raise CourseError(
            f"folder={str(folder)!r} goes with 'course' or 'dialogsum': "
            f"to load a file or folder of yours, give its path as the name (got {str(name)!r})."
        )
    elif Path(name).is_dir():
        splits = read_folder(Path(name))
    elif Path(name).is_file():
        splits = {"test": read_file(Path(name))}
    else:
        raise CourseError(
            f"No dialogues called {str(name)!r}: give 'course', 'dialogsum', or the path of a "
            ".jsonl, .json or .csv file or of a folder with such files."
        )
    _refuse_shared_dialogues(splits, str(name))
    return _as_datasets(splits)


def _read_dialogsum(folder: str | Path | None) -> dict[str, list[Row]]:
    splits = read_folder(Path(folder)) if folder else _dialogsum_from_hub()
    if "train" not in splits and "validation" in splits:
        dev = splits["validation"]
        splits["train"] = dev[:DIALOGSUM_TRAIN_ROWS]
        splits["validation"] = dev[DIALOGSUM_TRAIN_ROWS:]
    return _keep_where_held_out(splits)


def _keep_where_held_out(splits: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """Drop from train, then from validation, what recurs in a split that is held out from it.

    Published files cannot be mended: four dialogues of DialogSum's dev file, for one, are also
    among its first 200 test dialogues, with other spaces.
    """
    kept, seen = {}, set()
    for split in ("test", "validation", "train"):
        if split in splits:
            rows = splits[split]
            kept[split] = [row for row in rows if same_dialogue_key(row["dialogue"]) not in seen]
            seen.update(same_dialogue_key(row["dialogue"]) for row in rows)
    return kept


def _dialogsum_from_hub() -> dict[str, list[Row]]:
    from datasets import config, load_dataset
    from huggingface_hub import HfApi

    kept = Path(config.HF_DATASETS_CACHE) / DIALOGSUM_HUB_ID.replace("/", "___")
    try:
        if not kept.is_dir():  # ask once, where load_dataset would retry for half a minute
            HfApi().dataset_info(DIALOGSUM_HUB_ID, timeout=5)
        found = load_dataset(DIALOGSUM_HUB_ID)
    except Exception as error:  # an unreachable Hub shows itself in a dozen kinds of error
        raise CourseError(
            "DialogSum could not be reached: DIALOGSUM_DIR is not set, and the Hub did not give "
            f"{DIALOGSUM_HUB_ID} ({type(error).__name__}: {str(error)[:150]}). "
            "Set DIALOGSUM_DIR to a folder with dev.jsonl and test.jsonl, or use 'course'."
        ) from error
    return {
        split: merge_rows(check_rows(in_rows(records, f"{DIALOGSUM_HUB_ID} {split}")))
        for split, records in found.items()
    }


def _refuse_shared_dialogues(splits: dict[str, list[Row]], name: str) -> None:
    owner: dict[str, str] = {}
    for split, rows in splits.items():
        for row in rows:
            here = f"{row['id']} in {split}"
            there = owner.setdefault(same_dialogue_key(row["dialogue"]), here)
            if there != here:
                raise CourseError(
                    f"{name}: {here} is the same dialogue as {there}. Keep each dialogue in one "
                    "split, or a model is tested on what it was trained on."
                )


def _as_datasets(splits: dict[str, list[Row]]) -> DatasetDict:
    from datasets import Dataset, DatasetDict, Features, List, Value

    text = Value("string")
    kinds = {"references": List(text), "facts": List(text), "distractors": List(text)}
    all_rows = [row for rows in splits.values() for row in rows]
    extras = [column for column in EXTRA_COLUMNS if all(column in row for row in all_rows)]
    columns = ["id", "dialogue", "references", "topic", *extras]
    features = Features({column: kinds.get(column, text) for column in columns})
    return DatasetDict(
        {
            split: Dataset.from_list(
                [{column: row[column] for column in columns} for row in splits[split]], features
            )
            for split in SPLIT_FILES
            if split in splits
        }
    )
