"""Scoping: candidates measured alike, and briefs that decide."""

import json
import math

import numpy as np
import pytest
from transformers import (
    GenerationConfig,
)

from course_utils.comparison import Interval
from course_utils.model_store import load_model
from course_utils.scoping.brief import Brief, Criterion
from course_utils.scoping.candidates import Run, pareto_front, run_function, run_model

# candidates


def test_the_front_are_those_that_nobody_beats():
    points = {"best": (9, 3), "fast": (5, 1), "beaten": (5, 2), "same": (5, 1), "worst": (1, 9)}
    beaten_by = pareto_front(points, ("high", "low"))
    assert [name for name, rivals in beaten_by.items() if not rivals] == ["best", "fast", "same"]
    assert beaten_by["beaten"] == ["fast", "same"]
    assert set(beaten_by["worst"]) == {"best", "fast", "beaten", "same"}
    with pytest.raises(ValueError, match="'odd' has 1 values for 2 measures"):
        pareto_front({"odd": (1,)}, ("high", "low"))


def test_a_run_gives_the_texts_of_the_model_and_times_single_ones(tiny_causal_folder):
    model = load_model(str(tiny_causal_folder), dtype="float32")
    prompts, config = (
        ["the cat", "a dog ran", "it rained all day"],
        GenerationConfig(max_new_tokens=5),
    )
    run = run_model(model, prompts, config, timed=2)
    expected = [one.text.strip() for one in model.complete(prompts, config, cache=False)]
    assert run.texts == expected
    assert run.seconds.shape == (2,)
    assert (run.seconds > 0).all()
    assert run_model(model, prompts, config, timed=3).texts == expected
    with pytest.raises(ValueError, match="timed=4 of 3 prompts"):
        run_model(model, prompts, config, timed=4)


def test_a_method_without_a_model_is_run_alike():
    run = run_function(str.upper, ["a", "b"])
    assert run.texts == ["A", "B"]
    assert Run([], np.array([1.0, 2.0, 3.0])).percentile(50) == 2


# the brief

GAIN = Criterion("gain", "points", "at least", 2, "worth the trouble")
SPEED = Criterion("p95", "s", "at most", 3, "somebody waits")


def a_brief(**changes):
    return Brief(
        **{
            "product": "Notes",
            "request": "Could AI do that?",
            "goal": "better than copying",
            "sample": "10 dialogues",
            "criteria": (GAIN, SPEED),
            "tie_break": "p95",
            "risks": ("invented facts",),
            "licences": {"model": "Apache-2.0"},
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (Interval(5, 2, 8), "met"),
        (Interval(5, 1.9, 8), "not settled"),
        (Interval(1, 0, 1.9), "missed"),
        (Interval(1, 0, 2), "not settled"),
        (2, "met"),
        (1.9, "missed"),
    ],
)
def test_an_interval_on_both_sides_of_the_threshold_is_not_settled(measured, verdict):
    assert GAIN.verdict(measured) == verdict


def test_at_most_is_held_against_the_upper_end():
    assert SPEED.verdict(3) == "met"
    assert SPEED.verdict(Interval(3, 2, 3.1)) == "not settled"
    assert SPEED.verdict(Interval(4, 3.1, 5)) == "missed"
    with pytest.raises(ValueError, match="p95: nan is not a finite number"):
        SPEED.verdict(math.nan)


def test_all_criteria_must_be_met_and_the_tie_break_chooses():
    sure = Interval(5, 4, 6)
    decision = a_brief().decide(
        {
            "slow": {"gain": sure, "p95": 2.5},
            "quick": {"gain": sure, "p95": 1.5},
            "late": {"gain": sure, "p95": 9},
            "unsure": {"gain": Interval(5, 0, 9), "p95": 1},
        }
    )
    assert decision.outcomes == {
        "slow": "go", "quick": "go", "late": "no-go", "unsure": "measure more"
    }  # fmt: skip
    assert (decision.outcome, decision.chosen) == ("go", "quick")


def test_a_tie_break_of_which_more_is_better_takes_the_highest_mean():
    decision = a_brief(tie_break="gain").decide(
        {"good": {"gain": Interval(5, 4, 6), "p95": 1}, "better": {"gain": 7.5, "p95": 2}}
    )
    assert decision.chosen == "better"


@pytest.mark.parametrize(
    ("gain", "outcome"), [(Interval(5, 0, 9), "measure more"), (Interval(-3, -5, -1), "no-go")]
)
def test_without_a_go_nothing_is_chosen(gain, outcome):
    decision = a_brief().decide({"only": {"gain": gain, "p95": 1}})
    assert (decision.outcome, decision.chosen) == (outcome, None)


def test_the_fingerprint_follows_the_rule_and_nothing_else():
    moved = Criterion("gain", "points", "at least", 1, "worth the trouble")
    assert a_brief().fingerprint == a_brief(risks=("others",)).fingerprint
    assert a_brief().fingerprint != a_brief(criteria=(moved, SPEED)).fingerprint
    assert a_brief().fingerprint != a_brief(tie_break="gain").fingerprint


def test_the_brief_is_written_for_people_and_for_programs(tmp_path):
    decision = a_brief().decide({"a|b": {"gain": Interval(5, 4, 6), "p95": 1.234}})
    page, data = decision.write(tmp_path / "new" / "folder")
    text = page.read_text()
    assert text.startswith("# Notes: go: a|b\n")
    assert "| a\\|b | 5.0 [4.0, 6.0] (met) | 1.23 (met) | go |" in text
    assert decision.brief.fingerprint in text
    assert "## Open questions" not in text
    read = json.loads(data.read_text())
    assert read["measured"]["a|b"]["gain"] == {"mean": 5, "low": 4, "high": 6}
    assert (read["outcome"], read["chosen"]) == ("go", "a|b")
    assert read["criteria"][0]["threshold"] == 2


def test_a_rule_or_a_measurement_that_does_not_hang_together_is_refused():
    with pytest.raises(ValueError, match="a name of its own"):
        a_brief(criteria=(GAIN, GAIN))
    with pytest.raises(ValueError, match="tie_break='price' is none of the criteria"):
        a_brief(tie_break="price")
    with pytest.raises(ValueError, match="no candidate"):
        a_brief().decide({})
    with pytest.raises(ValueError, match=r"'a' needs exactly one measurement for each of \['gain'"):
        a_brief().decide({"a": {"gain": 3}})
