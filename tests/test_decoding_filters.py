"""Filters, penalties and measures by hand: small numbers that can be checked on paper."""

import math

import pytest
import torch
from transformers import GenerationConfig

from course_utils import decoding

FOUR_TOKENS = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()


def kept(logits):
    return (logits[0] > -math.inf).nonzero().flatten().tolist()


def test_the_token_that_crosses_top_p_is_kept():
    assert kept(decoding.keep_top_p(FOUR_TOKENS, 0.6)) == [0, 1]
    assert kept(decoding.keep_top_p(FOUR_TOKENS, 0.4)) == [0]


def test_min_p_is_relative_to_the_most_probable_token():
    assert kept(decoding.keep_min_p(FOUR_TOKENS, 0.25)) == [0, 1, 2]


def test_typical_can_drop_the_most_probable_token():
    logits = torch.tensor([[0.3] + [0.05] * 14]).log()
    assert 0 not in kept(decoding.keep_typical(logits, 0.2))


def test_tokens_tied_at_the_edge_of_top_k_all_stay():
    assert kept(decoding.keep_top_k(torch.tensor([[2.0, 1.0, 1.0, 0.0]]), 2)) == [0, 1, 2]


def test_the_order_of_temperature_and_top_p_changes_what_is_kept():
    hot_first = decoding.keep_top_p(decoding.scale_temperature(FOUR_TOKENS, 10.0), 0.6)
    hot_last = decoding.scale_temperature(decoding.keep_top_p(FOUR_TOKENS, 0.6), 10.0)
    assert kept(hot_first) != kept(hot_last)


@pytest.mark.parametrize(
    ("strategy", "value"),
    [
        (decoding.scale_temperature, 0),
        (decoding.scale_temperature, math.nan),
        (decoding.keep_top_k, 0),
        (decoding.keep_top_p, 3),
        (decoding.keep_top_p, 0),
        (decoding.keep_min_p, 1.5),
        (decoding.keep_typical, 1),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(strategy, value):
    with pytest.raises(ValueError, match=f"={value} "):
        strategy(FOUR_TOKENS, value)


def test_sampling_without_top_k_uses_the_library_s_fifty():
    logits = torch.zeros(1, 60).index_fill(1, torch.arange(50), 1.0)
    silent = decoding.reshape_logits(logits, GenerationConfig(do_sample=True))
    assert len(kept(silent)) == 50
    assert (
        len(kept(decoding.reshape_logits(logits, GenerationConfig(do_sample=True, top_k=0)))) == 60
    )


def test_the_three_penalties_on_a_token_seen_twice():
    logits, counts = torch.tensor([[2.0, -2.0, 1.0]]), torch.tensor([[2, 2, 0]])
    assert decoding.repetition_penalty(logits, counts, 2.0).tolist() == [[1.0, -4.0, 1.0]]
    assert decoding.frequency_penalty(logits, counts, 0.5).tolist() == [[1.0, -3.0, 1.0]]
    assert decoding.presence_penalty(logits, counts, 0.5).tolist() == [[1.5, -2.5, 1.0]]


def test_samples_follow_the_probabilities():
    generator = torch.Generator().manual_seed(0)
    draws = decoding.sample(FOUR_TOKENS.expand(20_000, -1), generator)
    observed = draws.bincount(minlength=4)
    expected = 20_000 * torch.tensor([0.5, 0.3, 0.15, 0.05])
    chi_square = ((observed - expected) ** 2 / expected).sum()
    assert chi_square < 16.3  # the 99.9% quantile with 3 degrees of freedom


def test_entropy_is_in_bits():
    assert decoding.entropy(torch.zeros(1, 8)).item() == pytest.approx(3)
    assert decoding.entropy(torch.tensor([[0.0, -math.inf]])).item() == 0


def test_nucleus_size_counts_what_top_p_keeps():
    logits = torch.randn(20, 50, generator=torch.Generator().manual_seed(0)) * 3
    counted = decoding.nucleus_size(logits, 0.9)
    assert counted.tolist() == (decoding.keep_top_p(logits, 0.9) > -math.inf).sum(-1).tolist()


def test_kept_mass_is_what_the_filter_left():
    filtered = decoding.keep_top_k(FOUR_TOKENS, 2)
    assert decoding.kept_mass(FOUR_TOKENS, filtered).item() == pytest.approx(0.8)
