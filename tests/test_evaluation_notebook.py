"""What notebook 06 writes out by hand equals the library, on text of any kind."""

from pathlib import Path

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "06_evaluate.ipynb"
WORDS = st.lists(
    st.sampled_from(["the", "a", "ferry", "ferries", "leaves", "not", "7"]), max_size=14
)
tokenize = DefaultTokenizer(use_stemmer=True).tokenize
scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)


@pytest.fixture(scope="module")
def by_hand():
    """Run the cells that define ROUGE, as a learner does."""
    cells = {cell.id: cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells}
    defined = {}
    for cell in ("clipped-counts", "overlap", "common-length"):
        source = "from collections import Counter\n" + cells[cell]
        exec(compile(source, cell, "exec"), defined)
    return defined


@given(WORDS.map(" ".join), WORDS.map(" ".join))
@settings(max_examples=400, deadline=None)
def test_rouge_by_hand_equals_the_library_on_hundreds_of_pairs(by_hand, summary, reference):
    library = scorer.score(reference, summary)
    words = tokenize(summary), tokenize(reference)
    for n in (1, 2):
        assert by_hand["overlap"](*words, n) == pytest.approx(library[f"rouge{n}"], abs=1e-9)
    assert by_hand["rouge_l"](*words) == pytest.approx(library["rougeL"].fmeasure, abs=1e-9)


def test_the_example_worked_by_hand_gives_the_numbers_in_the_text(by_hand):
    summary, reference = by_hand["summary"], by_hand["reference"]
    assert by_hand["overlap"](summary, reference, 1) == pytest.approx((4 / 6, 4 / 7, 8 / 13))
    assert by_hand["common_length"](summary, reference) == 3
