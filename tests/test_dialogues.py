"""Every source gives the same columns, and a bad row is named by its line."""

import csv
import json
import os
import subprocess
import sys

import datasets
import huggingface_hub
import pytest

from course_utils.dialogues import DIALOGSUM_HUB_ID, load_dialogues, same_dialogue_key
from course_utils.errors import CourseError

GREETING = "#Person1#: Good morning, is the bread ready?\n#Person2#: In ten minutes."
FAREWELL = "#Person1#: I'm off.\n#Person2#: Take the umbrella."


def dialogue(number: int) -> str:
    return f"#Person1#: What about number {number}?\n#Person2#: Leave number {number} alone."


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def as_dialogsum_dev(count):
    return [
        {
            "fname": f"dev_{i}",
            "dialogue": dialogue(i),
            "summary": f"Number {i}.",
            "topic": "numbers",
        }
        for i in range(count)
    ]


def as_dialogsum_test(number, text):
    summaries = {f"summary{i}": f"Reference {i}." for i in (1, 2, 3)}
    topics = {f"topic{i}": f"topic {i}" for i in (1, 2, 3)}
    return {"fname": f"test_{number}", "dialogue": text, **summaries, **topics}


@pytest.fixture
def dialogsum_folder(tmp_path):
    write_jsonl(tmp_path / "dev.jsonl", as_dialogsum_dev(330))
    write_jsonl(tmp_path / "test_first200.jsonl", [as_dialogsum_test(0, GREETING)])
    return tmp_path


def test_the_course_has_240_dialogues_in_three_splits_with_facts_and_distractors():
    splits = load_dialogues()
    assert {name: len(rows) for name, rows in splits.items()} == {
        "train": 140,
        "validation": 40,
        "test": 60,
    }
    assert splits["test"].column_names == [
        *("id", "dialogue", "references", "topic"),
        *("domain", "challenge", "facts", "distractors"),
    ]
    assert {len(row["references"]) for row in splits["test"]} == {3}
    assert {len(row["references"]) for row in splits["train"]} == {1}


def test_no_two_splits_of_the_course_share_a_dialogue():
    keys = [
        same_dialogue_key(row["dialogue"]) for rows in load_dialogues().values() for row in rows
    ]
    assert len(keys) == len(set(keys))


def test_dialogsum_comes_from_the_folder_that_the_environment_names(dialogsum_folder, monkeypatch):
    monkeypatch.setenv("DIALOGSUM_DIR", str(dialogsum_folder))
    splits = load_dialogues("dialogsum")
    assert {name: len(rows) for name, rows in splits.items()} == {
        "train": 320,
        "validation": 10,
        "test": 1,
    }
    assert splits["test"][0] == {
        "id": "test_0",
        "dialogue": GREETING,
        "references": ["Reference 1.", "Reference 2.", "Reference 3."],
        "topic": "topic 1",
    }


def test_a_train_file_of_dialogsum_leaves_all_of_dev_for_validation(dialogsum_folder):
    write_jsonl(
        dialogsum_folder / "dialogsum.train.jsonl",
        [{"fname": "train_0", "dialogue": FAREWELL, "summary": "#Person1# leaves."}],
    )
    splits = load_dialogues("dialogsum", folder=dialogsum_folder)
    assert len(splits["train"]) == 1
    assert len(splits["validation"]) == 330


def test_a_dialogsum_dialogue_that_recurs_stays_where_it_is_held_out(dialogsum_folder):
    spaced = dialogue(3).replace("\n", " \n").replace("?", " ?")
    write_jsonl(dialogsum_folder / "test_first200.jsonl", [as_dialogsum_test(0, spaced)])
    splits = load_dialogues("dialogsum", folder=dialogsum_folder)
    assert len(splits["train"]) == 319
    assert "dev_3" not in splits["train"]["id"]
    assert len(splits["test"]) == 1


def test_the_hubs_three_rows_a_dialogue_become_one_row_with_three_references(monkeypatch):
    rows = [
        {"id": f"test_7_{i}", "dialogue": GREETING, "summary": f"S{i}", "topic": "bread"}
        for i in (1, 2, 3)
    ]
    train = [{"id": "train_0", "dialogue": FAREWELL, "summary": "S", "topic": "rain"}]
    monkeypatch.delenv("DIALOGSUM_DIR", raising=False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: None)
    monkeypatch.setattr(datasets, "load_dataset", lambda name: {"train": train, "test": rows})
    splits = load_dialogues("dialogsum")
    assert splits["test"].to_list() == [
        {"id": "test_7", "dialogue": GREETING, "references": ["S1", "S2", "S3"], "topic": "bread"}
    ]
    assert splits["train"]["id"][0] == "train_0"


def test_without_folder_and_hub_the_error_names_what_was_tried(monkeypatch):
    def unreachable(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.delenv("DIALOGSUM_DIR", raising=False)
    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unreachable)
    with pytest.raises(CourseError) as caught:
        load_dialogues("dialogsum")
    for part in ("DIALOGSUM_DIR", DIALOGSUM_HUB_ID, "no route", "'course'"):
        assert part in str(caught.value)


def test_a_file_of_ones_own_is_one_split_called_test(tmp_path):
    rows = [{"dialogue": GREETING, "summary": "They wait for bread."}]
    splits = load_dialogues(write_jsonl(tmp_path / "mine.jsonl", rows))
    assert list(splits) == ["test"]
    assert splits["test"][0]["references"] == ["They wait for bread."]
    assert splits["test"][0]["id"] == "row_0"


def test_json_csv_and_jsonl_give_the_same_rows(tmp_path):
    rows = [{"id": "a", "dialogue": GREETING, "summary": "Bread, soon.", "topic": "bread"}]
    write_jsonl(tmp_path / "a.jsonl", rows)
    (tmp_path / "a.json").write_text(json.dumps(rows))
    with (tmp_path / "a.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    loaded = [
        load_dialogues(tmp_path / f"a.{suffix}")["test"].to_list()
        for suffix in ("jsonl", "json", "csv")
    ]
    assert loaded[0] == loaded[1] == loaded[2]
    assert loaded[0][0]["references"] == ["Bread, soon."]


def test_a_folder_of_ones_own_keeps_its_splits(tmp_path):
    write_jsonl(tmp_path / "train.jsonl", [{"dialogue": GREETING, "references": ["A", "B"]}])
    write_jsonl(tmp_path / "val.jsonl", [{"dialogue": FAREWELL, "summary": "C"}])
    splits = load_dialogues(tmp_path)
    assert list(splits) == ["train", "validation"]
    assert splits["train"][0]["references"] == ["A", "B"]


def test_splits_that_share_a_dialogue_are_refused(tmp_path):
    write_jsonl(tmp_path / "train.jsonl", [{"id": "x", "dialogue": GREETING, "summary": "A"}])
    copied = GREETING.upper().replace(" ", "  ")
    write_jsonl(tmp_path / "test.jsonl", [{"id": "y", "dialogue": copied, "summary": "B"}])
    with pytest.raises(CourseError, match="y in test is the same dialogue as x in train"):
        load_dialogues(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"summary": "S"}', r'line 2: the field "dialogue" is missing'),
        ('{"dialogue": "#Person1#: Hi."}', r'line 2: the field "summary" .* is missing'),
        ('{"dialogue": "  ", "summary": "S"}', "line 2: the dialogue is empty"),
        ('{"dialogue": "#Person1#: Hi.", "summary": ""}', r'line 2: the field "summary"'),
        ('{"dialogue": ', "line 2: not valid JSON"),
        ("[1, 2]", "line 2: found .* expected an object"),
    ],
)
def test_a_bad_row_is_named_by_its_line_and_what_it_lacks(tmp_path, line, message):
    good = json.dumps({"dialogue": GREETING, "summary": "S"})
    (tmp_path / "mine.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(CourseError, match=message):
        load_dialogues(tmp_path / "mine.jsonl")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mine.jsonl", b"", "is empty"),
        ("mine.jsonl", b'{"dialogue": "caf\xe9", "summary": "S"}', "is not UTF-8"),
        ("mine.json", b'{"dialogue": "Hi"}', "must hold a list"),
        ("mine.json", b"[", "not valid JSON"),
        ("mine.txt", b"hello", "not a .jsonl, .json or .csv file"),
    ],
)
def test_a_file_that_is_no_dataset_is_refused_with_a_sentence(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CourseError, match=message):
        load_dialogues(tmp_path / name)


def test_an_unknown_name_and_an_empty_folder_say_what_is_possible(tmp_path):
    with pytest.raises(CourseError, match="give 'course', 'dialogsum', or the path"):
        load_dialogues("dialogsumm")
    with pytest.raises(CourseError, match="has no dialogues"):
        load_dialogues(tmp_path)
    with pytest.raises(CourseError, match="goes with 'course' or 'dialogsum'"):
        load_dialogues(str(tmp_path), folder=tmp_path)


def test_two_files_for_one_split_are_refused(tmp_path):
    for name in ("dev.jsonl", "validation.jsonl"):
        write_jsonl(tmp_path / name, [{"dialogue": GREETING, "summary": "A"}])
    with pytest.raises(CourseError, match="keep one file"):
        load_dialogues(tmp_path)


def test_loading_the_course_writes_nothing_and_needs_no_network(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise OSError('no network')\n"
        "socket.socket.connect = refuse\n"
        "from course_utils.dialogues import load_dialogues\n"
        "print(len(load_dialogues()['train']))"
    )
    environment = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    environment.pop("HF_HOME", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.strip() == "140", done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
