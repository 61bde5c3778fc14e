"""The command: helpful, and a user's mistake is one sentence with exit status not 0."""

import json
import subprocess
import sys

import pytest

from course_utils.cli import _join_pairs


def course(*words):
    return subprocess.run(
        [sys.executable, "-m", "course_utils.cli", *words], capture_output=True, text=True
    )


def test_help_lists_every_verb():
    shown = course("--help").stdout
    for verb in (
        "doctor",
        "models",
        "run",
        "release",
        "validate",
        "grade",
        "feedback",
        "bench",
        "adapt",
        "serve",
    ):
        assert verb in shown


def test_the_models_are_listed_for_people_and_for_programs():
    assert "smollm2-135m-instruct" in course("models").stdout
    names = [row["name"] for row in json.loads(course("models", "--json").stdout)]
    assert "minilm-l6-v2" in names


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "03_promting"], "03_prompting"),
        (["run", "00", "-p", "sed", "3"], "seed"),
        (["run", "00", "-p", "seed", "many"], "int"),
        (["run", "00", "-p", "seed"], "NAME VALUE"),
        (["run", "00", "--profile", "quick"], "fast"),
        (["models", "pull", "smolm2"], "Did you mean"),
        (["models", "pull", "flan-t5-base"], "Hub"),
        (["validate", "lab2"], "lab2_summarize_dialogue"),
        (["grade", "lab2_sumarize"], "lab2_summarize_dialogue"),
        (["feedback", "lab2_sumarize"], "lab2_summarize_dialogue"),
        (["grade", "lab2_summarize_dialogue", "--submissions", "/nowhere"], "/nowhere"),
        (["adapt", "--epochs", "0"], "epochs=0"),
        (["adapt", "--rank", "0"], "rank=0"),
        (["adapt", "--dialogues", "/nowhere"], "/nowhere"),
        (["bench", "--dialogues", "100000"], "fewer"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_users_mistake_is_a_sentence_with_the_remedy(words, sentence, tmp_path, monkeypatch):
    folder = tmp_path / "dialogsum"
    folder.mkdir()
    row = '{"fname": "test_%d", "dialogue": "#Person1#: Hello %d.", "summary": "A greeting."}\n'
    (folder / "test.jsonl").write_text("".join(row % (n, n) for n in range(3)))
    (folder / "train.jsonl").write_text("".join(row % (n, n) for n in range(3, 9)))
    monkeypatch.setenv("DIALOGSUM_DIR", str(folder))
    done = course(*words)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert sentence in done.stderr.replace("\n", " ")
    assert done.stdout == "" or "course:" not in done.stdout


def test_a_parameter_is_a_name_and_a_value():
    assert _join_pairs(["run", "-p", "seed", "3", "-p", "n=4", "00"]) == [
        "run", "-p", "seed=3", "-p", "n=4", "00"
    ]  # fmt: skip
