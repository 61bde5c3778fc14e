"""Options are scored as one by one, and a judge's bias is told from its preference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.dialogues import load_dialogues
from course_utils.errors import CourseError
from course_utils.evaluation import (
    PairwiseVerdicts,
    fact_options,
    judge_pairs,
    score_options,
    win_rates,
)
from course_utils.evaluation import judges as judges_module
from course_utils.evaluation import multiple_choice as multiple_choice_module
from course_utils.language_model import Score
from course_utils.model_store import load_model

PROMPTS = ["the cat sat on a", "it rained all day and", "the"]
OPTIONS = [["mat", "house while it rained"], ["the dog ran to the house", "dog", "cat"], ["cat"]]


@pytest.fixture(scope="module", params=["causal", "seq2seq"])
def tiny(request):
    folder = request.getfixturevalue(f"tiny_{request.param}_folder")
    return load_model(str(folder), dtype="float32")


@pytest.fixture(scope="module")
def causal(tiny_causal_folder):
    return load_model(str(tiny_causal_folder), dtype="float32")


def test_options_score_as_they_do_one_by_one(tiny):
    together = score_options(tiny, PROMPTS, OPTIONS)
    for prompt, texts, scores in zip(PROMPTS, OPTIONS, together, strict=True):
        for text, score in zip(texts, scores, strict=True):
            (alone,) = tiny.score([prompt], [text])
            assert score.token_log_probabilities == pytest.approx(
                alone.token_log_probabilities, abs=1e-4
            )


def test_many_options_score_the_same_in_several_batches(causal, monkeypatch):
    options = ["mat", "house while it rained", "the dog ran", "cat", "all day long", "mat"]
    (at_once,) = score_options(causal, PROMPTS[:1], [options])
    monkeypatch.setitem(multiple_choice_module.OPTION_TOKENS_PER_BATCH, "cpu", 4)
    (in_parts,) = score_options(causal, PROMPTS[:1], [options])
    for one, other in zip(at_once, in_parts, strict=True):
        assert one.token_log_probabilities == pytest.approx(other.token_log_probabilities, abs=1e-4)


def test_a_prompt_is_read_once_for_all_its_options(causal, monkeypatch):
    read = []
    compute = multiple_choice_module.compute_prefix
    monkeypatch.setattr(
        multiple_choice_module,
        "compute_prefix",
        lambda model, ids: read.append(len(ids)) or compute(model, ids),
    )
    score_options(causal, PROMPTS[:2], [["mat", "dog", "cat", "house"]] * 2)
    assert read == [4, 4]  # all but the last token of each prompt


@pytest.mark.model
def test_the_real_model_scores_chats_with_options_as_one_by_one(smollm):
    chat = [{"role": "user", "content": "Ana takes the bus. Who takes it?"}]
    options = ["Ana takes the bus.", "A train"]
    (together,) = score_options(smollm, [chat], [options])
    alone = smollm.score([chat] * 2, options)
    assert [s.log_probability for s in together] == pytest.approx(
        [s.log_probability for s in alone], abs=1e-2
    )
    assert together[0].log_probability > together[1].log_probability


@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        (["the"], [["cat"], ["dog"]], "1 prompts but options for 2"),
        ([], [], "no prompts"),
        (["the"], [[]], "Prompt 0 has no list of options"),
        (["the"], ["cat"], "Prompt 0 has no list of options"),
        (["the"], [["cat", " "]], "Prompt 0 has an empty option"),
    ],
)
def test_options_that_cannot_be_scored_are_refused(causal, prompts, options, message):
    with pytest.raises(ValueError, match=message):
        score_options(causal, prompts, options)


def test_a_prompt_over_the_context_window_is_refused(causal):
    with pytest.raises(CourseError, match="context window of 64"):
        score_options(causal, ["the cat " * 31], [["sat on a mat and the dog ran"]])


def test_a_win_rate_is_the_share_of_pairs_that_the_right_option_wins():
    values = [[3.0, 1.0, 2.0, 0.0], [1.0, 1.0]]  # right: 3 and 1, wrong: 2 and 0 | a tie
    assert win_rates(values, [2, 1]).tolist() == [75, 50]


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_guessing_wins_half_whatever_the_number_of_options(right, wrong, seed):
    values = np.random.default_rng(seed).random((400, right + wrong)).tolist()
    assert win_rates(values, [right] * 400).mean() == pytest.approx(50, abs=10)


def test_a_question_without_a_right_or_a_wrong_option_is_refused():
    with pytest.raises(ValueError, match="Question 1 has 2 options of which 2 are right"):
        win_rates([[1.0, 2.0], [1.0, 2.0]], [1, 2])
    with pytest.raises(ValueError, match="2 lists of values but 1"):
        win_rates([[1.0], [2.0]], [1])


def test_facts_come_before_distractors_in_every_split_of_the_course():
    for split, rows in load_dialogues().items():
        options, counts = fact_options(rows)
        for row, texts, count in zip(rows, options, counts, strict=True):
            assert (texts[:count], texts[count:]) == (row["facts"], row["distractors"]), split


def test_dialogues_without_facts_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"Dialogue 0 has no facts.*load_dialogues\('course'\)"):
        fact_options([{"dialogue": "Hi", "references": ["a"]}])
    with pytest.raises(ValueError, match="no dialogues"):
        fact_options([])


def scripted_judge(monkeypatch, margin):
    """Let margin(a, b), in nats, be how far the judge prefers the letter A."""

    def answer(_model, prompts, _options):
        found = []
        for ((message,),) in zip(prompts, strict=True):
            a, b = (message["content"].split(f"Summary {x}: ")[1].split("\n")[0] for x in "AB")
            found.append([Score([margin(a, b)]), Score([0.0])])
        return found

    monkeypatch.setattr(judges_module, "score_options", answer)


FIRST, SECOND = ["a long one", "short", "{same}"], ["brief", "much longer", "{same}"]


def test_a_judge_that_always_says_a_has_no_preference(monkeypatch):
    scripted_judge(monkeypatch, lambda a, b: 2.0)
    verdicts = judge_pairs(None, ["x"] * 3, FIRST, SECOND)
    assert verdicts.share_of_a == 100
    assert not verdicts.consistent.any()
    assert verdicts.preference.tolist() == [0, 0, 0]
    assert verdicts.wins_of_first.tolist() == [50, 50, 50]


def test_averaging_both_orders_takes_the_bias_off_and_leaves_the_preference(monkeypatch):
    scripted_judge(monkeypatch, lambda a, b: 3.0 + (len(a) - len(b)) / 10)
    verdicts = judge_pairs(None, ["x"] * 3, FIRST, SECOND)
    assert verdicts.share_of_a == 100
    assert verdicts.preference == pytest.approx([0.5, -0.6, 0])
    assert verdicts.wins_of_first.tolist() == [100, 0, 50]


def test_a_judge_without_bias_is_consistent_and_says_a_half_the_time(monkeypatch):
    scripted_judge(monkeypatch, lambda a, b: float(len(a) - len(b)))
    verdicts = judge_pairs(None, ["x"] * 2, FIRST[:2], SECOND[:2])
    assert verdicts.share_of_a == 50
    assert verdicts.consistent.all()


def test_swapping_the_systems_turns_the_preference_round():
    one = PairwiseVerdicts(np.array([1.0, 0.5]), np.array([0.5, 2.0]))
    other = PairwiseVerdicts(one.second_as_a, one.first_as_a)
    assert (one.preference == -other.preference).all()


def test_a_judge_needs_pairs_and_a_question_that_shows_them():
    with pytest.raises(ValueError, match="one summary of each system"):
        judge_pairs(None, ["x"], ["a", "b"], ["c"])
    with pytest.raises(ValueError, match="no dialogues to judge"):
        judge_pairs(None, [], [], [])
    with pytest.raises(ValueError, match=r"lacks \{dialogue\}, \{b\}"):
        judge_pairs(None, ["x"], ["a"], ["b"], question="Is {a} good?")
