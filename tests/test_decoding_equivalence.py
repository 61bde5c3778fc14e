"""Our strategies against the library's: seeded random cases, then hypothesis looks for trouble."""

import math

import pytest
import torch
from benchmarks.decoding_equivalence import STRATEGIES, equal_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    GenerationConfig,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)
from transformers.generation.logits_process import LogitsProcessorList

from course_utils import decoding

SLOW_PER_CASE = {"beam search", "speculative greedy"}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_random_case_equals_the_library(strategy):
    cases = 80 if strategy in SLOW_PER_CASE else 200
    assert STRATEGIES[strategy](cases, seed=10) == cases


few_values = st.sampled_from([-math.inf, -3.0, 0.0, 0.5, 0.5000001, 2.0, 80.0])
any_value = st.floats(-100, 100, width=32) | st.just(-math.inf)
rows_of_logits = (
    st.lists(few_values | any_value, min_size=1, max_size=12)
    .filter(lambda row: max(row) > -math.inf)
    .map(lambda row: torch.tensor([row]))
)
probability = st.floats(0, 1, exclude_min=True) | st.sampled_from([1.0, 0.5, 1e-7, 1 - 1e-7])
FAST = settings(max_examples=150, deadline=None)


@FAST
@given(rows_of_logits, st.floats(0.01, 100))
def test_temperature_equals_the_library(logits, value):
    assert_equal(decoding.scale_temperature(logits, value), TemperatureLogitsWarper(value), logits)


@FAST
@given(rows_of_logits, st.integers(1, 20))
def test_top_k_equals_the_library_with_ties_and_k_over_the_vocabulary(logits, value):
    assert_equal(decoding.keep_top_k(logits, value), TopKLogitsWarper(value), logits)


@FAST
@given(rows_of_logits, probability)
def test_top_p_equals_the_library_up_to_one(logits, value):
    assert_equal(decoding.keep_top_p(logits, value), TopPLogitsWarper(value), logits)


@FAST
@given(rows_of_logits, st.floats(0, 1))
def test_min_p_equals_the_library(logits, value):
    assert_equal(decoding.keep_min_p(logits, value), MinPLogitsWarper(value), logits)


@FAST
@given(rows_of_logits, probability.filter(lambda value: value < 1))
def test_typical_equals_the_library(logits, value):
    assert_equal(decoding.keep_typical(logits, value), TypicalLogitsWarper(value), logits)


@FAST
@given(rows_of_logits, st.floats(0.1, 10), st.data())
def test_repetition_penalty_equals_the_library_and_leaves_out_padding(logits, value, data):
    vocabulary = logits.shape[-1]
    used = data.draw(st.lists(st.integers(0, vocabulary - 1), min_size=1, max_size=6))
    padding = data.draw(st.integers(0, len(used) - 1))
    token_ids = torch.tensor([used])
    mask = (torch.arange(len(used)) >= padding).long()[None]
    ours = decoding.repetition_penalty(
        logits, decoding.token_counts(token_ids, vocabulary, mask), value
    )
    theirs = RepetitionPenaltyLogitsProcessor(value, torch.tensor([padding]))(token_ids, logits)
    assert equal_rows(ours, theirs) == 1


@FAST
@given(rows_of_logits, st.floats(0.1, 3), st.integers(1, 12), probability)
def test_filters_are_applied_in_the_library_s_order(logits, temperature, top_k, top_p):
    config = GenerationConfig(do_sample=True, temperature=temperature, top_k=top_k, top_p=top_p)
    theirs = LogitsProcessorList(
        [TemperatureLogitsWarper(temperature), TopKLogitsWarper(top_k)]
        + ([TopPLogitsWarper(top_p)] if top_p < 1 else [])
    )
    assert_equal(decoding.reshape_logits(logits, config), theirs, logits)


def assert_equal(ours, warper, logits):
    theirs = warper(None, logits)
    assert equal_rows(ours, theirs) == 1, f"ours {ours.tolist()}, the library {theirs.tolist()}"
