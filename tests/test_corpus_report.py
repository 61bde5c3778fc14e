"""The report is a page, its pictures and the same numbers as JSON."""

import json

import pytest

from course_utils import corpus_report
from course_utils.baselines import lead_turns
from course_utils.comparison import Interval
from course_utils.corpus_report import write_corpus_report
from course_utils.errors import CourseError


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Write the report without DialogSum, with copying two turns in the model's place."""
    out = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIALOGSUM_DIR", str(out / "nowhere"))
        patch.setattr(
            corpus_report,
            "_default_model_summaries",
            lambda dialogues: [lead_turns(text, 2) for text in dialogues],
        )
        report = write_corpus_report(out, limit=12)
    return out, report


def test_the_folder_holds_a_page_its_pictures_and_the_numbers(written):
    out, _ = written
    names = {path.name for path in out.iterdir()}
    assert names == {
        *("index.html", "corpus_report.json"),
        *("lengths.png", "novelty.png", "scores.png", "challenges.png"),
    }
    page = (out / "index.html").read_text()
    for picture in out.glob("*.png"):
        assert f'src="{picture.name}"' in page
    assert page.count('alt="') == 4
    assert "http" not in page


def test_the_page_says_why_dialogsum_is_not_there(written):
    out, report = written
    assert list(report["sets"]) == ["course"]
    assert "is not a folder" in (out / "index.html").read_text()


def test_the_json_has_the_numbers_of_the_page(written):
    out, report = written
    kept = json.loads((out / "corpus_report.json").read_text())
    lead = report["sets"]["course"]["scores"]["lead-3"]["rouge1"]
    assert isinstance(lead, Interval)
    assert kept["sets"]["course"]["scores"]["lead-3"]["rouge1"]["mean"] == round(lead.mean, 2)
    assert str(lead) in (out / "index.html").read_text()


def test_the_model_is_scored_on_as_many_dialogues_as_asked(written):
    _, report = written
    scores = report["sets"]["course"]["scores"]
    assert scores["zero-shot"]["dialogues"] == 12
    assert scores["lead-3"]["dialogues"] == 60


def test_the_course_resembles_dialogsum_where_it_should(written):
    _, report = written
    course = report["sets"]["course"]
    assert 12 <= course["compression"].mean <= 24
    assert course["novel"][1].mean < course["novel"][2].mean < course["novel"][3].mean
    assert 15 <= course["novel"][1].mean <= 45


def test_without_the_model_nothing_is_completed(tmp_path, monkeypatch):
    monkeypatch.setenv("DIALOGSUM_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setattr(corpus_report, "_default_model_summaries", None)
    report = write_corpus_report(tmp_path / "out", score_model=False)
    assert "zero-shot" not in report["sets"]["course"]["scores"]


def test_a_limit_of_one_is_refused(tmp_path):
    with pytest.raises(CourseError, match="use 2 or more"):
        write_corpus_report(tmp_path, limit=1)
