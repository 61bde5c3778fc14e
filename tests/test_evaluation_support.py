"""What a summary says and its dialogue has: found, compared by value, counted, shown."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.corpus_words import numbers_in
from course_utils.dialogues import load_dialogues
from course_utils.evaluation import (
    coverage_per_example,
    invention_free,
    mentions,
    support_per_example,
)
from course_utils.evaluation.support import _VALUES
from course_utils.lessons.widgets.support_view import SupportView

DIALOGUE = (
    "#Person1#: Renaud, the ferry is at seven.\n#Person2#: Not on Friday. I have forty euros."
)


def found(text, source=DIALOGUE):
    return {(m.text, m.kind): m.supported for m in mentions(text, source)}


def supported(text, source):
    (mention,) = mentions(text, source)
    return mention.supported


def test_each_kind_is_found_and_looked_up_in_the_dialogue():
    marks = found("#Person2# tells Renaud that 40 euros suffice, but Ottilie pays 90.")
    assert marks == {
        ("#Person2#", "speaker"): True,
        ("tells", "word"): False,
        ("Renaud", "name"): True,
        ("40", "number"): True,
        ("euros", "word"): True,
        ("suffice", "word"): False,
        ("Ottilie", "name"): False,
        ("pays", "word"): False,
        ("90", "number"): False,
    }


@pytest.mark.parametrize(
    ("written", "said"),
    [("40", "forty"), ("forty", "40"), ("7:00", "seven"), ("1,200", "1200"), ("3rd", "third"),
     ("25", "twenty-five"), ("twenty five", "25"), ("007", "7"), ("2.50", "2.50")],
)  # fmt: skip
def test_numbers_are_compared_by_value(written, said):
    assert supported(written, said)


@pytest.mark.parametrize(
    ("written", "said"),
    [("twenty", "twenty-five"), ("41", "forty"), ("12", "1,200"), ("7:30", "7")],
)
def test_another_number_is_not_supported(written, said):
    assert not supported(written, said)


def test_every_number_word_that_is_recognized_has_a_value():
    from course_utils.corpus_words import _NUMBER_WORDS

    assert set(_VALUES) >= _NUMBER_WORDS
    assert numbers_in("one first second") == set(), "they count nothing, so they are words here"


@pytest.mark.parametrize("speaker", ["#Person1#", "Person1", "Person 1", "#person1#"])
def test_a_speaker_is_the_same_however_it_is_written(speaker):
    assert found(f"{speaker} waits") == {(speaker, "speaker"): True, ("waits", "word"): False}


def test_forms_of_a_word_are_the_same_word():
    assert supported("ferries", "the ferry")
    assert supported("Renaud's", "renaud")


def test_a_name_in_brackets_is_a_name():
    assert found("She (Mark) left", "he left") == {("Mark", "name"): False, ("left", "word"): True}


@given(st.text(max_size=60), st.text(max_size=60))
@settings(max_examples=150, deadline=None)
def test_mentions_of_any_text_stand_where_they_say_and_in_order(text, source):
    end = 0
    for mention in mentions(text, source):
        assert text[mention.start : mention.end] == mention.text
        assert mention.start >= end
        end = mention.end


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_a_text_supports_itself(text):
    assert all(mention.supported for mention in mentions(text, text))


def test_support_is_the_share_of_each_kind_and_nan_where_there_is_none():
    scores = support_per_example(["Renaud met Ottilie.", "Nothing."], [DIALOGUE, DIALOGUE])
    assert scores["name"][0] == 50
    assert scores["word"][1] == 0
    assert np.isnan(scores["number"]).all()
    assert np.isnan(scores["name"][1])


def test_one_invented_name_or_number_spoils_a_summary_and_a_new_word_does_not():
    texts = ["Renaud hesitates.", "Ottilie hesitates.", "It costs 50.", "#Person3# waits.", "No."]
    assert invention_free(texts, [DIALOGUE] * 5).tolist() == [100, 0, 0, 0, 100]


def test_a_text_that_says_nothing_invents_nothing_and_covers_nothing():
    assert invention_free(["They talk."], [DIALOGUE])[0] == 100
    assert coverage_per_example(["They talk."], [["The ferry is at seven."]])[0] == 0


def test_coverage_is_the_mean_share_of_each_fact_that_is_told():
    facts = ["The ferry is at seven.", "Renaud has forty euros."]  # ferry 7 | Renaud 40 euros
    assert coverage_per_example(["Renaud takes the ferry."], [facts])[0] == pytest.approx(
        100 * (1 / 2 + 1 / 3) / 2
    )


def test_people_name_and_count_only_what_their_own_dialogue_has():
    rows = load_dialogues()["test"]
    own, dialogues = [row["references"][0] for row in rows], rows["dialogue"]
    assert invention_free(own, dialogues).mean() > 98
    elsewhere = support_per_example(own, [*dialogues[1:], dialogues[0]])
    assert np.nanmean(elsewhere["name"]) < 20
    assert np.nanmean(elsewhere["number"]) < 30


def test_looking_words_up_cannot_tell_a_fact_from_a_distractor():
    rows = load_dialogues()["test"]
    scores = {
        column: np.mean([
            np.nanmean(support_per_example(row[column], [row["dialogue"]] * len(row[column]))["word"])
            for row in rows
        ])
        for column in ("facts", "distractors")
    }  # fmt: skip
    assert abs(scores["facts"] - scores["distractors"]) < 8


@pytest.mark.parametrize("function", [support_per_example, invention_free, coverage_per_example])
def test_lists_that_do_not_match_or_are_empty_are_refused(function):
    with pytest.raises(ValueError, match="2 summaries but 1"):
        function(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="no summaries"):
        function([], [])


@pytest.mark.parametrize("statements", [[[]], ["One sentence, not a list."]])
def test_coverage_without_facts_names_the_remedy(statements):
    with pytest.raises(ValueError, match=r"DialogSum has none; load_dialogues\('course'\) does"):
        coverage_per_example(["a"], statements)


@pytest.fixture
def view():
    return SupportView(
        [DIALOGUE, "#Person1#: Tea & <milk>?"],
        {"one": ["Renaud pays 90.", "Tea."], "two": ["Ottilie takes the ferry.", "<b>Cake</b>"]},
    )


def test_the_view_marks_what_the_dialogue_has_and_what_it_has_not(view):
    page = view.page.value
    assert 'title="name: the dialogue has it">Renaud</mark>' in page
    assert 'title="number: not in the dialogue">90<sup>?</sup></mark>' in page
    assert 'title="said in A">Renaud<sup>A</sup></mark>' in page
    assert "ferry</mark>" not in page, "words are marked only on demand"
    view.shown.value = "every content word"
    assert 'title="said in B">ferry<sup>B</sup></mark>' in view.page.value


def test_the_view_shows_another_dialogue_and_no_markup_of_its_texts(view):
    view.number.value = 1
    assert "Tea &amp; &lt;milk&gt;?" in view.page.value
    assert "<b>Cake" not in view.page.value
    assert "<milk>" not in view.page.value


def test_every_mark_is_told_apart_without_colour_and_reached_by_keyboard(view):
    page = view.page.value
    assert "dashed" in page
    assert "<sup>?</sup>" in page
    summaries = page.split("</section>")[1]
    assert summaries.count('tabindex="0"') == 3  # Renaud, 90, Ottilie


def test_the_view_carries_a_still_picture_and_a_text_for_readers_without_widgets(view):
    bundle = view._repr_mimebundle_()
    assert "course-support" in bundle["text/html"]
    assert "one (names 1 of 1; numbers 0 of 1): [Renaud] pays {90?}." in bundle["text/plain"]


@pytest.mark.parametrize(
    ("dialogues", "systems", "message"),
    [([], {"a": []}, "nothing to show"), (["x"], {}, "nothing to show"),
     (["x"], {"a": ["1", "2"]}, "2 summaries for 1 dialogues")],
)  # fmt: skip
def test_a_view_of_nothing_is_refused(dialogues, systems, message):
    with pytest.raises(ValueError, match=message):
        SupportView(dialogues, systems)
