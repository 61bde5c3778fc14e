"""Byte-pair encoding: learned as the library learns it, and never losing a character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from course_utils.transformer.tokenization import merge_pair, train_bpe

TEXT = "low lower lowest new newer newest wide wider widest " * 3
TOKENIZER = train_bpe([TEXT], merges=20)


@given(st.text(max_size=60))
def test_decoding_what_was_encoded_gives_the_text_back(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


@given(st.lists(st.text("abc", min_size=1, max_size=6), min_size=1, max_size=30))
def test_training_learns_the_merges_that_the_library_learns(words):
    text = "\n".join(words)  # each word by itself, no spaces in front
    ours = train_bpe(words, merges=15)
    library = Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(vocab_size=1000, min_frequency=2, show_progress=False)
    library.train_from_iterator([text], trainer)
    merges = [ours.pieces[256 + rank].decode() for rank in range(len(ours.merges))]
    expected = sorted(library.get_vocab().items(), key=lambda item: item[1])
    expected = [piece for piece, _ in expected if len(piece) > 1][:15]
    assert merges == expected
    word = words[0]
    if len(ours.merges) < 15:
        pieces = [ours.pieces[token].decode() for token in ours.encode(word)]
        assert pieces == library.encode(word).tokens


def test_the_most_frequent_pair_is_merged_first():
    tokenizer = train_bpe(["aab aab aab bb"], merges=1)
    assert tokenizer.pieces[256] == b"aa"


def test_overlapping_pairs_are_merged_from_the_left():
    assert merge_pair((1, 1, 1), (1, 1), 9) == (9, 1)


def test_training_more_never_makes_the_text_longer():
    lengths = [len(train_bpe([TEXT], merges).encode(TEXT)) for merges in (0, 5, 10, 20)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == len(TEXT.encode()) > lengths[-1]


def test_training_stops_when_no_pair_occurs_twice():
    assert train_bpe(["abcdef"], merges=10).merges == []
    assert train_bpe([], merges=10).merges == []


def test_an_unknown_id_is_named_with_the_valid_range():
    with pytest.raises(ValueError, match=r"Token id 999 is not in the vocabulary.*0 to 255"):
        train_bpe([], merges=0).decode([999])


def test_a_negative_number_of_merges_is_refused():
    with pytest.raises(ValueError, match="merges=-1 is negative"):
        train_bpe(["a"], merges=-1)
