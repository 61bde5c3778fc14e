"""The course's dialogues pass the validator, and the validator finds each planted fault."""

import copy

import numpy as np
import pytest

from course_utils.baselines import human_ceiling, lead_turns
from course_utils.corpus import read_corpus, validate_corpus
from course_utils.corpus_shape import CHALLENGES, CORPUS_RANGES, answers, corpus_shape
from course_utils.corpus_words import (
    ALLOWED_WORDS_FILE,
    five_word_runs,
    misspelt,
    names_in,
    numbers_in,
    words_in,
)
from course_utils.metrics import rouge_per_example


@pytest.fixture(scope="module")
def corpus():
    return read_corpus()


@pytest.fixture
def rows(corpus):
    """Give ten sound rows of each split, free to be spoilt."""
    picked = [row for row in corpus if row["id"].endswith(tuple(f"00{i}" for i in range(10)))]
    return copy.deepcopy(picked)


def row_of(rows, split):
    return next(row for row in rows if row["split"] == split)


def the_fault(rows):
    """Give the one fault that the rows have."""
    faults = validate_corpus(rows, whole=False)
    assert len(faults) == 1, "\n".join(map(str, faults))
    return faults[0]


def test_the_corpus_has_no_fault(corpus):
    assert [str(fault) for fault in validate_corpus(corpus)] == []


def test_the_sound_rows_have_no_fault(rows):
    assert len(rows) == 30
    assert validate_corpus(rows, whole=False) == []


def test_three_people_agree_as_much_as_dialogsums_do(corpus):
    references = [row["references"] for row in corpus if row["split"] == "test"]
    assert 45 <= human_ceiling(references)["rouge1"].mean() <= 60


def test_copying_three_turns_scores_what_it_does_elsewhere(corpus):
    test = [row for row in corpus if row["split"] == "test"]
    scores = rouge_per_example(
        [lead_turns(row["dialogue"]) for row in test], [row["references"] for row in test]
    )
    assert 20 <= scores["rouge1"].mean() <= 33


def test_every_challenge_is_both_trained_and_tested(corpus):
    for split in ("train", "test"):
        assert {row["challenge"] for row in corpus if row["split"] == split} == set(CHALLENGES)


def test_every_allowed_word_is_still_needed(corpus):
    lines = ALLOWED_WORDS_FILE.read_text(encoding="utf-8").splitlines()
    allowed = {line for line in lines if line and not line.startswith("#")}
    texts = [
        text
        for row in corpus
        for text in [
            row["dialogue"],
            row["topic"],
            *row["facts"],
            *row["distractors"],
            *answers(row),
        ]
    ]
    used = {word for text in texts for word in words_in(text)}
    assert allowed - used == set()


@pytest.mark.parametrize("field", ["dialogue", "topic", "domain", "facts", "distractors", "id"])
def test_a_missing_field_is_found(rows, field):
    del row_of(rows, "train")[field]
    assert f"the field '{field}' is missing" in the_fault(rows).message


def test_a_row_without_its_summary_is_found(rows):
    row_of(rows, "validation")["summary"] = ""
    assert the_fault(rows).message == "the field 'summary' is missing or empty"


def test_facts_that_are_not_a_list_are_found(rows):
    row_of(rows, "train")["facts"] = "They talk."
    assert the_fault(rows).message == "'facts' must be a list of plain text"


def test_a_leaked_dialogue_is_found(rows):
    leaked, source = row_of(rows, "test"), row_of(rows, "train")
    for field in ("dialogue", "facts", "distractors"):
        leaked[field] = source[field]
    leaked["references"] = [source["summary"], source["facts"][0], source["facts"][1]]
    fault = the_fault(rows)
    assert (fault.where, fault.kind) == (leaked["id"], "copy")
    assert f"100% of its five-word runs with {source['id']} across splits" in fault.message


def test_a_near_duplicate_is_found_though_names_and_lines_have_changed(rows):
    source = row_of(rows, "train")
    assert "Wolfram" in source["dialogue"]
    near = copy.deepcopy(source) | {"id": "train_900"}
    for field in ("dialogue", "summary"):
        near[field] = near[field].replace("Wolfram", "Ferdinand")
    for field in ("facts", "distractors"):
        near[field] = [text.replace("Wolfram", "Ferdinand") for text in near[field]]
    lines = near["dialogue"].split("\n")
    near["dialogue"] = "\n".join([*lines[:3], lines[3] + " Is that so?", *lines[4:]])
    fault = the_fault([*rows, near])
    assert (fault.where, fault.kind) == ("train_900", "copy")
    assert "across splits" not in fault.message


def test_a_passage_lifted_into_another_dialogue_is_found(rows):
    taker, source = row_of(rows, "validation"), row_of(rows, "train")
    passage = source["dialogue"].split("\n")[2].partition(": ")[2]
    taker["dialogue"] += f" {passage}"
    fault = the_fault(rows)
    assert fault.kind == "copy"
    assert source["id"] in str(fault)


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ("The hedge is 37 feet high.", "the number '37'"),
        ("It costs seventy pounds.", "the number 'seventy'"),
        ("#Person1# rings Leopold.", "the name 'leopold'"),
        ("Zdenka rings #Person1#.", "the name 'zdenka'"),
        ("#Person4# rings #Person1#.", "#Person4# does not speak"),
    ],
)
def test_a_fact_with_a_wrong_number_name_or_speaker_is_found(rows, wrong, what):
    row_of(rows, "train")["facts"][-1] = wrong
    [fault] = [fault for fault in validate_corpus(rows, whole=False) if fault.kind == "support"]
    assert what in fault.message


def test_a_reference_with_a_wrong_number_is_found(rows):
    row = row_of(rows, "test")
    row["references"][1] += " It takes 990 minutes."
    assert "the number '990' is not in the dialogue" in the_fault(rows).message


def test_a_copied_reference_is_found(rows):
    row = row_of(rows, "test")
    row["references"][2] = row["references"][0]
    assert the_fault(rows).kind == "references"


def test_a_reference_changed_by_one_word_is_found(rows):
    row = row_of(rows, "test")
    words = row["references"][1].split()
    row["references"][2] = " ".join([*words[:-1], "today."])
    assert "two are nearly the same" in the_fault(rows).message


def test_two_references_are_too_few(rows):
    row_of(rows, "test")["references"].pop()
    assert the_fault(rows).message == "needs three references, has 2"


def test_a_distractor_that_somebody_says_is_found(rows):
    row = row_of(rows, "train")
    assert "Third year waiting." in row["dialogue"]
    row["distractors"][0] = "Third year waiting"
    assert "literally in the dialogue" in the_fault(rows).message


def test_a_distractor_that_is_a_fact_is_found(rows):
    row = row_of(rows, "train")
    row["distractors"][0] = row["facts"][1].lower()
    assert "is also a fact" in the_fault(rows).message


def test_a_misspelt_word_is_found(rows):
    row = row_of(rows, "validation")
    row["dialogue"] += " Definately."
    fault = the_fault(rows)
    assert fault.kind == "spelling"
    assert "'Definately'" in fault.message


def test_an_id_used_twice_is_found(rows):
    rows[1]["id"] = rows[0]["id"]
    assert the_fault(rows).message == "the id is used 2 times"


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        ("And then?", "a turn must begin"),
        ("#Person1#:and then?", "a turn must begin"),
        ("#Person7#: And then?", "speakers must be numbered"),
    ],
)
def test_a_turn_of_the_wrong_form_is_found(rows, turn, message):
    row_of(rows, "train")["dialogue"] += f"\n{turn}"
    assert message in the_fault(rows).message


def test_an_unknown_challenge_is_found(rows):
    row_of(rows, "train")["challenge"] = "irony"
    assert the_fault(rows).message == "'irony' is not a known challenge"


def test_what_is_too_long_or_too_short_is_found(rows):
    row = row_of(rows, "train")
    row["summary"] = "They talk."
    row["facts"] = row["facts"][:2]
    found = {fault.message for fault in validate_corpus(rows, whole=False)}
    assert found == {"2 facts, expected 3 to 6", "2 summary words, expected 6 to 42"}


def test_a_corpus_that_lost_rows_or_variety_is_found(corpus):
    poorer = copy.deepcopy(corpus)
    poorer.remove(row_of(poorer, "test"))
    for row in poorer[:60]:
        row["domain"] = "shops and markets"
    messages = " / ".join(fault.message for fault in validate_corpus(poorer))
    assert "59 sound test rows, expected 60" in messages
    assert "dialogues of the largest domain" in messages


def test_the_shape_measures_everything_that_has_a_range(corpus):
    shape = corpus_shape(corpus)
    assert shape.keys() == CORPUS_RANGES.keys()
    assert shape["median words"] == np.median([len(row["dialogue"].split()) for row in corpus])


def test_names_are_capitals_inside_a_sentence_and_strangers_that_begin_one():
    assert names_in("Renaud's aunt lends Ann a radio. The radio hums.") == {"renaud", "ann"}
    assert names_in("#Person1# asks Mrs. Lindqvist whether I am late.") == {"mrs", "lindqvist"}


def test_numbers_are_taken_as_they_are_written():
    text = "#Person1# pays 1,200 at 7:25 for forty-two, on the third."
    assert numbers_in(text) == {"1,200", "7:25", "forty", "two", "third"}


def test_five_word_runs_leave_the_speakers_out():
    assert five_word_runs("#Person1#: One two three.\n#Person2#: Four five six.") == {
        "one two three four five",
        "two three four five six",
    }


def test_names_and_endings_are_not_misspellings():
    assert misspelt(["#Person1#: Zosia's late, isn't she?", "That'll be Zosia."]) == []
    assert misspelt(["We recieve it."]) == ["recieve"]
