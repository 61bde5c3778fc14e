"""Templates, shots, budget and the leakage guard."""

import pytest

from course_utils.errors import CourseError
from course_utils.prompts import TEMPLATES, Shot, check_leakage, choose_shots, fit_budget

SUMMARIZE = TEMPLATES["summarize"]
SHOTS = [Shot("#Person1#: Tea?", "Tea is offered."), Shot("#Person1#: Bye.", "Somebody leaves.")]
POOL = [
    {"dialogue": f"#Person1#: Number {n // 3}?", "references": [f"reference {n}"]}
    for n in range(12)
]  # four dialogues, each in three rows


def test_a_plain_prompt_solves_every_shot_and_leaves_the_query_open():
    prompt = SUMMARIZE.plain("#Person1#: Hello.", SHOTS)
    assert prompt.endswith("#Person1#: Hello.\n\nSummary:")
    assert prompt.index("Summary: Tea is offered.") < prompt.index("Summary: Somebody leaves.")
    assert prompt.count("Summary:") == 3


def test_a_chat_has_a_turn_of_the_assistant_for_every_shot():
    chat = SUMMARIZE.chat("#Person1#: Hello.", SHOTS)
    assert [message["role"] for message in chat] == ["user", "assistant"] * 2 + ["user"]
    assert chat[1]["content"] == "Tea is offered."


def test_shots_are_different_dialogues_and_never_the_target():
    for seed in range(20):
        shots = choose_shots(POOL, ["#person1#:  NUMBER 2 ?"], k=3, seed=seed)
        dialogues = {shot.dialogue for shot in shots}
        assert len(dialogues) == 3
        assert "#Person1#: Number 2?" not in dialogues


def test_shots_repeat_with_their_seed():
    draws = {tuple(choose_shots(POOL, [], k=2, seed=seed)) for seed in range(20)}
    assert len(draws) > 1
    assert choose_shots(POOL, [], k=2, seed=3) == choose_shots(POOL, [], k=2, seed=3)


def test_too_many_shots_are_an_error_that_counts_dialogues_not_rows():
    with pytest.raises(CourseError, match="only 3 dialogues"):
        choose_shots(POOL, [POOL[0]["dialogue"]], k=4)


def test_the_leakage_guard_compares_words():
    check_leakage(SHOTS, "#Person1#: Coffee?")
    with pytest.raises(CourseError, match="Shot 1 is the dialogue to be summarized"):
        check_leakage(SHOTS, "#PERSON1#:   bye")


def count_words(chat):
    return sum(len(message["content"].split()) for message in chat)


def test_the_budget_keeps_as_many_shots_as_fit_and_never_cuts_the_query():
    query = "#Person1#: Hello there."
    sizes = [count_words(SUMMARIZE.chat(query, SHOTS[:k])) for k in range(3)]
    for budget in range(sizes[0], sizes[2] + 3):
        kept = fit_budget(SHOTS, query, SUMMARIZE, count_words, budget)
        assert len(kept) == sum(size <= budget for size in sizes) - 1
        assert kept == SHOTS[: len(kept)]
    with pytest.raises(CourseError, match="The dialogue alone"):
        fit_budget(SHOTS, query, SUMMARIZE, count_words, sizes[0] - 1)
