"""Preference pairs and the reward model learned from them."""

import math

import numpy as np
import pytest
import torch

from course_utils.alignment import (
    FEATURES,
    KINDS,
    PreferencePair,
    candidate_pools,
    length_rewards,
    own_output_pairs,
    pair_accuracy,
    pair_rewards,
    preference_pairs,
    rudeness_classifier,
    summary_features,
    train_reward_model,
)
from course_utils.comparison import bootstrap_interval
from course_utils.dialogues import load_dialogues

SEEN = ("other dialogue", "cut short", "false fact")


@pytest.fixture(scope="module")
def dialogues():
    return load_dialogues("course")


@pytest.fixture(scope="module")
def reward_model(dialogues):
    return train_reward_model(preference_pairs(dialogues["train"].select(range(16)), SEEN))


@pytest.fixture(scope="module")
def held_out(dialogues):
    return dialogues["validation"].select(range(20))


def accuracy(model, pairs):
    return pair_accuracy(*pair_rewards(model, pairs))


def test_each_row_gives_one_pair_of_each_kind_and_the_seed_repeats_them(dialogues):
    rows = dialogues["train"].select(range(5))
    pairs = preference_pairs(rows, seed=1)
    assert [pair.kind for pair in pairs] == [kind for kind in KINDS for _ in range(5)]
    assert preference_pairs(rows, seed=1) == pairs
    assert preference_pairs(rows, seed=2) != pairs
    assert preference_pairs(rows, ["padded"], seed=1) == pairs[-5:]


def test_the_rejected_summary_is_what_its_kind_says(dialogues):
    rows = list(dialogues["train"].select(range(8)))
    references = [row["references"][0] for row in rows]
    for kind in KINDS:
        for row, reference, pair in zip(
            rows, references, preference_pairs(rows, [kind]), strict=True
        ):
            assert pair.dialogue == row["dialogue"]
            if kind == "false fact":
                assert sum(fact in pair.chosen for fact in row["facts"]) >= 2
                assert any(wrong in pair.rejected for wrong in row["distractors"])
                assert any(fact in pair.rejected for fact in row["facts"])
                continue
            assert pair.chosen == reference
            if kind == "other dialogue":
                assert pair.rejected in references
            if kind == "cut short":
                assert reference.startswith(pair.rejected)
            if kind == "padded":
                assert pair.rejected.startswith(reference + " #Person")


def test_a_pair_that_prefers_nothing_is_refused():
    with pytest.raises(ValueError, match="the same text"):
        PreferencePair("d", "A summary.", " A summary. ", "own output")
    with pytest.raises(ValueError, match="rejected summary is empty"):
        PreferencePair("d", "A summary.", " ", "own output")


def test_own_outputs_that_teach_nothing_are_left_out():
    rows = [{"dialogue": str(n), "references": [f"Reference {n}."]} for n in range(3)]
    pairs = own_output_pairs(rows, [" Something else. ", "", "Reference 2."])
    assert [(pair.chosen, pair.rejected) for pair in pairs] == [("Reference 0.", "Something else.")]
    with pytest.raises(ValueError, match="one for each"):
        own_output_pairs(rows, ["one"])
    with pytest.raises(ValueError, match="nothing to prefer"):
        own_output_pairs(rows[:1], ["Reference 0."])


def test_rows_and_kinds_that_cannot_give_pairs_are_refused_with_the_remedy():
    row = {"id": "x", "dialogue": "#Person1#: Tea?", "references": ["Tea is offered."]}
    with pytest.raises(ValueError, match="at least one dialogue"):
        preference_pairs([])
    with pytest.raises(ValueError, match="'louder'"):
        preference_pairs([row], ["louder"])
    with pytest.raises(ValueError, match="two dialogues at least"):
        preference_pairs([row], ["other dialogue"])
    with pytest.raises(ValueError, match="x has no facts and distractors"):
        preference_pairs([row], ["false fact"])
    with pytest.raises(ValueError, match="no pairs to learn from"):
        train_reward_model([])


def test_the_features_say_what_their_names_say():
    dialogue = "#Person1#: The kettle is broken.\n#Person2#: Then we drink water."
    summaries = ["The kettle is broken.", "#Person1# broken broken zebra"]
    first, second = summary_features([dialogue] * 2, summaries)
    values = dict(zip(FEATURES, first.tolist(), strict=True))
    assert 0.3 < values["similarity"] <= 1
    assert values["supported"] == 1
    assert values["log words"] == pytest.approx(math.log(4))
    assert values["distinct"] == 1
    assert values["speaker tags"] == 0
    values = dict(zip(FEATURES, second.tolist(), strict=True))
    assert values["supported"] == pytest.approx(3 / 4)  # the tag, broken, broken; not zebra
    assert values["distinct"] == pytest.approx(3 / 4)
    assert values["speaker tags"] == pytest.approx(1 / 4)
    with pytest.raises(ValueError, match="no word"):
        summary_features([dialogue], ["..."])


def test_the_reward_model_beats_chance_and_length_on_pairs_it_has_not_seen(reward_model, held_out):
    pairs = preference_pairs(held_out, ["other dialogue"], seed=5)
    assert bootstrap_interval(accuracy(reward_model, pairs)).low > 80
    assert bootstrap_interval(pair_accuracy(*length_rewards(pairs))).high < 85


def test_it_is_always_wrong_on_the_kind_that_it_never_saw_and_better_once_it_did(
    reward_model, dialogues, held_out
):
    padded = preference_pairs(held_out, ["padded"])
    assert accuracy(reward_model, padded).mean() < 10
    rows = dialogues["train"].select(range(16))
    repaired = train_reward_model(preference_pairs(rows, (*SEEN, "padded")))
    assert accuracy(repaired, padded).mean() > 50


def test_exchanging_chosen_and_rejected_turns_every_weight_around(dialogues):
    pairs = preference_pairs(dialogues["train"].select(range(6)), ["cut short"])
    turned = [PreferencePair(p.dialogue, p.rejected, p.chosen, p.kind) for p in pairs]
    torch.testing.assert_close(
        train_reward_model(pairs).weights, -train_reward_model(turned).weights, atol=1e-4, rtol=1e-3
    )


def test_the_pools_of_candidates_begin_terse_and_are_scored_by_reward_and_truth(
    reward_model, dialogues
):
    rows = [row for row in dialogues["test"] if len(row["dialogue"].split()) > 120][:2]
    pools = candidate_pools(rows, reward_model)
    for pool in pools:
        assert pool.lengths.diff().min() > 0
        assert pool.reference.sum() == pytest.approx(1)
        assert pool.reference[0] > 0.4
        assert pool.rewards.argmax() == len(pool.texts) - 1, "the hack: everything copied"
        assert pool.truths.argmax() < len(pool.texts) - 1
    with pytest.raises(ValueError, match="not a chance"):
        candidate_pools(rows, reward_model, stop=1.0)
    with pytest.raises(ValueError, match="nothing to choose"):
        candidate_pools([{"id": "x", "dialogue": "Tea?", "references": ["Tea."]}], reward_model)


def test_the_classifiers_list_is_sorted_by_score_so_an_index_is_not_a_label():
    classify = rudeness_classifier()
    polite = classify("Thanks for coming, I am glad to see you.", top_k=None)
    rude = classify("You are such an idiot, get out.", top_k=None)
    assert (polite[0]["label"], rude[0]["label"]) == ("polite", "rude")
    assert min(polite[0]["score"], rude[0]["score"]) > 0.5, "the first entry is high for both"
    shares = [{entry["label"]: entry["score"] for entry in found} for found in (polite, rude)]
    np.testing.assert_allclose([sum(share.values()) for share in shares], 1, atol=1e-5)
