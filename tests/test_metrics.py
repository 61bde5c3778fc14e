"""Scores equal the libraries', over several references, in percent."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.baselines import (
    BASELINES,
    CONSTANT_SUMMARY,
    copy_dialogue,
    frequent_words,
    human_ceiling,
    lead_turns,
)
from course_utils.metrics import (
    ROUGE_TYPES,
    Rouge,
    SemanticSimilarity,
    rouge_per_example,
    similarity_per_example,
)

WORDS = st.lists(
    st.sampled_from(
        ["she", "sells", "selling", "sold", "the", "a", "boat", "boats", "Friday", "not"]
    ),
    max_size=12,
).map(" ".join)


def test_rouge_of_a_small_example_is_what_one_counts_by_hand():
    # "she", "a" and "boat" match: precision 3/4, recall 3/5; "a boat" is the one shared pair.
    scores = rouge_per_example(["she bought a boat"], ["she is selling a boat"])
    assert scores["rouge1"][0] == pytest.approx(100 * 2 * (3 / 4) * (3 / 5) / (3 / 4 + 3 / 5))
    assert scores["rouge2"][0] == pytest.approx(100 * 2 * (1 / 3) * (1 / 4) / (1 / 3 + 1 / 4))
    assert scores["rougeL"][0] == scores["rouge1"][0]


@given(WORDS, st.lists(WORDS, min_size=1, max_size=3), st.sampled_from(["mean", "max"]))
def test_rouge_equals_rouge_score_reduced_over_the_references(prediction, references, over):
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(ROUGE_TYPES), use_stemmer=True)
    found = rouge_per_example([prediction], [references], over=over)
    for kind in ROUGE_TYPES:
        each = [scorer.score(text, prediction)[kind].fmeasure for text in references]
        wanted = max(each) if over == "max" else sum(each) / len(each)
        assert found[kind][0] == pytest.approx(100 * wanted)


def test_stems_count_as_equal_words():
    assert rouge_per_example(["sell boats"], ["selling boat"])["rouge1"][0] == 100


def test_no_examples_give_empty_scores():
    assert {
        kind: scores.shape for kind, scores in rouge_per_example([], []).items()
    } == dict.fromkeys(ROUGE_TYPES, (0,))


@pytest.mark.parametrize("function", [rouge_per_example, similarity_per_example])
def test_lists_that_do_not_match_are_refused(function):
    with pytest.raises(ValueError, match="2 predictions but references for 1"):
        function(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="Example 1 has no reference"):
        function(["a", "b"], [["a"], []])
    with pytest.raises(ValueError, match="'mean' or 'max'"):
        function(["a"], ["a"], over="median")


def test_the_evaluate_metric_gives_the_mean_and_each_examples_score():
    predictions, references = ["a cat sat", "no"], [["a cat", "the cat sat"], ["no", "no"]]
    metric = Rouge()
    mean = metric.compute(predictions=predictions, references=references)
    each = metric.compute(predictions=predictions, references=references, per_example=True)
    wanted = rouge_per_example(predictions, references)
    for kind in ROUGE_TYPES:
        assert each[kind] == pytest.approx(wanted[kind])
        assert mean[kind] == pytest.approx(np.mean(wanted[kind]))


def test_the_evaluate_metric_takes_one_reference_and_the_best_of_several():
    metric = Rouge()
    assert metric.compute(predictions=["a b"], references=["a b"])["rouge1"] == 100
    best = metric.compute(predictions=["a b"], references=[["a b", "c"]], over="max")
    assert best["rouge1"] == 100


def test_the_evaluate_metric_fills_up_in_batches():
    metric = Rouge()
    metric.add_batch(predictions=["a"], references=[["a"]])
    metric.add_batch(predictions=["b"], references=[["c"]])
    assert metric.compute()["rouge1"] == 50


def test_importing_the_scores_does_not_import_evaluate_or_torch():
    code = "import course_utils.metrics, sys; print({'evaluate', 'torch'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.model
def test_a_paraphrase_is_nearer_than_another_subject():
    near, far = similarity_per_example(
        ["The physician is ill.", "The physician is ill."],
        ["The doctor is sick.", "They buy a red boat."],
    )
    assert far < 40 < 60 < near <= 100.01


@pytest.mark.model
def test_similarity_does_not_depend_on_what_shares_the_batch():
    predictions = ["short", "a much longer text " * 20]
    together = similarity_per_example(predictions, ["brief", "a long text"])
    alone = [
        similarity_per_example([p], [r])[0]
        for p, r in zip(predictions, ["brief", "a long text"], strict=True)
    ]
    assert together == pytest.approx(alone, abs=1e-3)


@pytest.mark.model
def test_embeddings_equal_mean_pooling_by_hand():
    import torch

    from course_utils.metrics import embed
    from course_utils.model_store import load_transformers_model

    model, tokenizer = load_transformers_model("minilm-l6-v2", dtype="float32")
    inputs = tokenizer("Renaud lends a radio.", return_tensors="pt")
    with torch.inference_mode():
        mean = model(**inputs).last_hidden_state[0].mean(dim=0)
    wanted = mean / mean.norm()
    assert torch.allclose(embed(["Renaud lends a radio."])[0], wanted, atol=1e-4)


@pytest.mark.model
def test_semantic_similarity_is_an_evaluate_metric_too():
    found = SemanticSimilarity().compute(
        predictions=["a dog barks"], references=[["a dog barks", "the sea is calm"]], over="max"
    )
    assert found["similarity"] == pytest.approx(100, abs=0.01)


def test_lead_turns_copies_the_first_turns_in_one_line():
    text = "#Person1#: One.\n#Person2#: Two.\n#Person1#: Three.\n#Person2#: Four."
    assert lead_turns(text) == "#Person1#: One. #Person2#: Two. #Person1#: Three."
    assert lead_turns(text, 1) == "#Person1#: One."
    assert lead_turns("#Person1#: Only this.") == "#Person1#: Only this."


def test_frequent_words_are_counted_without_the_speakers_and_ties_go_to_the_earlier():
    text = "#Person1#: The boiler? The Boiler.\n#Person2#: A leaking valve, a tidy boiler: tidy!"
    assert frequent_words(text) == "boiler leaking valve"
    assert frequent_words(text, 1) == "boiler"
    assert frequent_words("#Person1#: Hi.") == ""


def test_the_baselines_are_named_functions_of_the_dialogue():
    summaries = {name: baseline("#Person1#: Hi.") for name, baseline in BASELINES.items()}
    assert summaries == {
        "lead-3": "#Person1#: Hi.",
        "constant": CONSTANT_SUMMARY,
        "copy": copy_dialogue("#Person1#: Hi."),
    }


def test_human_ceiling_is_the_mean_of_each_human_against_the_others():
    references = [["a b", "a c", "a b"], ["x y", "x y"]]
    pairs = [50, 100, 50]  # ROUGE-1 of the three pairs of the first dialogue
    assert human_ceiling(references)["rouge1"] == pytest.approx([np.mean(pairs), 100])


def test_human_ceiling_needs_two_people():
    with pytest.raises(ValueError, match="Dialogue 1 has a single reference"):
        human_ceiling([["a", "b"], ["a"]])


@pytest.mark.skipif(not os.environ.get("DIALOGSUM_DIR"), reason="needs DialogSum's files")
@pytest.mark.parametrize(
    ("system", "published"),
    [("lead-3", (27.0, 6.7, 20.4)), ("constant", (24.5, 1.7, 19.6)), ("copy", (19.2, 6.0, 14.4))],
)
def test_baselines_on_dialogsum_agree_with_the_figures_measured_on_500(system, published):
    from course_utils.comparison import bootstrap_interval
    from course_utils.dialogues import load_dialogues

    test = load_dialogues("dialogsum")["test"]
    summaries = [BASELINES[system](row["dialogue"]) for row in test]
    scores = rouge_per_example(summaries, test["references"])
    for kind, figure in zip(ROUGE_TYPES, published, strict=True):
        interval = bootstrap_interval(scores[kind], level=0.99)
        assert interval.low <= figure <= interval.high
