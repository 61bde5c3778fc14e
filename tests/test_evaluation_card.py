"""The card holds what was measured, reads back as written, and refuses what says too little."""

import json

import pytest

from course_utils.comparison import paired_difference
from course_utils.dialogues import load_dialogues
from course_utils.errors import CourseError
from course_utils.evaluation import EvaluationCard, data_hash, measure_summaries
from course_utils.evaluation.measure import METRICS
from course_utils.metrics import rouge_per_example

WITHOUT_EMBEDDINGS = [metric for metric in METRICS if metric != "similarity"]


@pytest.fixture(scope="module")
def rows():
    return list(load_dialogues()["test"])[:12]


@pytest.fixture(scope="module")
def card(rows):
    return measure_summaries(
        "first person",
        [row["references"][0] for row in rows],
        rows,
        data="course, test split",
        seed=3,
        metrics=WITHOUT_EMBEDDINGS,
        settings={"max_new_tokens": 60},
        limits=["twelve dialogues"],
        decision_rule="Better than lead-3.",
    )


def test_a_card_read_back_is_the_card_that_was_written(card, tmp_path):
    page, file = card.write(tmp_path / "new" / "folder")
    assert EvaluationCard.read(file) == card == EvaluationCard.read(tmp_path / "new" / "folder")
    assert page.read_text() == card.to_markdown()
    assert sorted(path.name for path in file.parent.iterdir()) == ["card.json", "card.md"]


def test_its_json_is_plain(card):
    report = json.loads(card.to_json())
    assert report["name"] == "first person"
    assert report["n"] == 12
    assert report["seed"] == 3
    assert {"mean", "low", "high"} <= set(report["metrics"]["rouge1"])
    assert set(report["rivals"]) == {"lead-3", "constant", "human"}
    assert report["gains"]["lead-3"]["rouge1"]["low"] > 0


def test_the_means_and_gains_are_those_of_the_scores(card, rows):
    own = rouge_per_example([row["references"][0] for row in rows], [r["references"] for r in rows])
    assert card.metrics["rouge1"]["mean"] == pytest.approx(own["rouge1"].mean(), abs=1e-3)
    assert card.gains["constant"]["rouge2"]["mean"] == pytest.approx(
        card.metrics["rouge2"]["mean"] - card.rivals["constant"]["rouge2"]["mean"], abs=2e-3
    )


def test_gains_are_paired(rows):
    from course_utils.baselines import BASELINES

    references = [row["references"] for row in rows]
    lead, constant = (
        [BASELINES[name](row["dialogue"]) for row in rows] for name in ("lead-3", "constant")
    )
    card = measure_summaries("three turns", lead, rows, data="x", seed=5, metrics=["rouge1"])
    wanted = paired_difference(
        rouge_per_example(lead, references)["rouge1"],
        rouge_per_example(constant, references)["rouge1"],
        5,
    )
    assert card.gains["constant"]["rouge1"]["low"] == pytest.approx(wanted.low, abs=1e-3)
    assert card.gains["lead-3"]["rouge1"]["mean"] == 0


def test_a_mean_over_names_counts_only_summaries_that_have_some(card, rows):
    assert card.metrics["names_supported"]["n"] < 12
    assert card.metrics["names_supported"]["mean"] == 100
    assert "names_supported" not in card.rivals["constant"]


def test_the_page_shows_scores_gains_limits_and_the_rule(card):
    page = card.to_markdown()
    for part in ("# Evaluation card: first person", "12 dialogues", card.data_sha256, "| rouge1 |",
                 "## Gains", "max_new_tokens: `60`", "- twelve dialogues", "Better than lead-3.",
                 "**Outcome.** not decided"):  # fmt: skip
        assert part in page
    assert "[0.0, 0.0] *" not in page
    assert card._repr_markdown_() == page


def test_every_row_of_a_table_has_as_many_cells_as_its_head(card):
    tables = [b.splitlines() for b in card.to_markdown().split("\n\n") if b.startswith("| ")]
    assert len(tables) == 2
    for table in tables:
        assert len({line.count("|") for line in table}) == 1


def test_what_the_dialogues_do_not_allow_is_left_out_and_named(rows):
    bare = [{"dialogue": r["dialogue"], "references": r["references"][:1]} for r in rows]
    card = measure_summaries(
        "talkers", ["They talk."] * 12, bare, data="x", metrics=WITHOUT_EMBEDDINGS
    )
    assert set(card.rivals) == {"lead-3", "constant"}, "one reference gives no ceiling"
    assert "facts_covered" not in card.metrics
    assert "facts_covered" in card.limits[0]
    assert "names_supported" in card.limits[0]


def test_the_hash_is_of_the_content_and_its_order(rows):
    assert data_hash(rows) == data_hash([dict(row, id="other") for row in rows])
    assert data_hash(rows) != data_hash(rows[::-1])
    changed = [dict(rows[0], dialogue=rows[0]["dialogue"] + " No."), *rows[1:]]
    assert data_hash(rows) != data_hash(changed)


@pytest.mark.parametrize(
    ("summaries", "count", "metrics", "message"),
    [
        (["a"] * 3, 3, ["rouge3"], r"Unknown metrics \['rouge3'\]: give some of rouge1"),
        (["a"] * 3, 3, [], "give some of"),
        (["a"] * 2, 3, ["rouge1"], "2 summaries but 3 dialogues"),
        (["a"], 1, ["rouge1"], "needs two at least"),
        ([], 0, ["rouge1"], "needs two at least"),
    ],
)
def test_what_cannot_be_measured_is_refused(rows, summaries, count, metrics, message):
    with pytest.raises(ValueError, match=message):
        measure_summaries("x", summaries, rows[:count], data="x", metrics=metrics)


def test_a_system_cannot_take_a_rivals_name(rows):
    with pytest.raises(ValueError, match="'constant' is the name of a rival"):
        measure_summaries("constant", ["a"] * 3, rows[:3], data="x", metrics=["rouge1"])


def test_a_mean_without_an_interval_is_no_card():
    with pytest.raises(ValueError, match="'rouge1' lacks high, low"):
        EvaluationCard("x", "x", "", 2, 0, {"rouge1": {"mean": 1.0}})
    with pytest.raises(ValueError, match="without a metric"):
        EvaluationCard("x", "x", "", 2, 0, {})


def test_a_score_that_is_not_a_number_is_never_written(tmp_path):
    nothing = {"mean": float("nan"), "low": 0.0, "high": 0.0}
    with pytest.raises(ValueError, match="JSON"):
        EvaluationCard("x", "x", "", 2, 0, {"rouge1": nothing}).write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_a_card_is_refused_with_its_path(tmp_path):
    for content in ("not json", "{}", "[]"):
        (tmp_path / "card.json").write_text(content)
        with pytest.raises(CourseError, match="is not an evaluation card"):
            EvaluationCard.read(tmp_path)
    with pytest.raises(CourseError, match="is not an evaluation card"):
        EvaluationCard.read(tmp_path / "missing.json")


def test_a_folder_that_cannot_be_written_is_told(card, tmp_path):
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(CourseError, match="Give a folder that you may write to"):
        card.write(tmp_path / "taken")


@pytest.mark.model
def test_meaning_is_measured_too_and_a_person_is_compared_with_the_others(rows):
    from course_utils.metrics import similarity_per_example

    summaries = [row["references"][0] for row in rows[:3]]
    others = similarity_per_example(summaries, [row["references"][1:] for row in rows[:3]])
    card = measure_summaries("x", summaries, rows[:3], data="x", metrics=["similarity"])
    assert card.metrics["similarity"]["mean"] > card.rivals["constant"]["similarity"]["mean"]
    assert card.rivals["human"]["similarity"]["mean"] == pytest.approx(others.mean(), abs=1e-2)


def test_importing_the_package_imports_neither_torch_nor_rouge():
    import subprocess
    import sys

    code = "import course_utils.evaluation, sys; print({'torch', 'rouge_score'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
