"""Indexes rank as their formulas say, recall counts rightly, and the handbook keeps its word."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.errors import CourseError
from course_utils.retrieval import (
    DenseIndex,
    HybridIndex,
    LexicalIndex,
    chunk,
    contains_answer,
    load_handbook,
    recall_at_k,
    reciprocal_rank,
    reciprocal_rank_fusion,
    stemmed_words,
)
from course_utils.retrieval.handbook import KINDS

TOY = [
    "the planer is in bay three",
    "the bandsaw is in bay two and the bandsaw is loud",
    "the kiln gets hot",
    "a red badge for the lathe",
]


def plain_words(text):
    return text.split()


def letter_counts(texts):
    """A stand-in for an encoder: two texts are alike if they use the same letters."""
    import torch

    counts = [[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]
    return torch.nn.functional.normalize(torch.tensor(counts, dtype=torch.float), dim=-1)


# ---- lexical


def bm25_by_hand(query, documents, k1=1.5, b=0.75):
    documents = [document.split() for document in documents]
    mean_length = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        score = 0.0
        for word in query.split():
            found_in = sum(word in other for other in documents)
            rarity = math.log(1 + (len(documents) - found_in + 0.5) / (found_in + 0.5))
            count = document.count(word)
            score += rarity * count / (count + k1 * (1 - b + b * len(document) / mean_length))
        scores.append(score)
    return scores


@pytest.mark.parametrize("query", ["bandsaw", "the bay", "red kiln", "the the planer", "bay zebra"])
def test_lexical_scores_are_bm25_by_hand(query):
    index = LexicalIndex(TOY, words=plain_words)
    by_hand = bm25_by_hand(query, TOY)
    assert index.scores(query) == pytest.approx(by_hand, abs=1e-6)
    ranked = [hit.index for hit in index.search([query], k=len(TOY))[0]]
    assert ranked == [n for n in np.argsort(-np.array(by_hand), kind="stable") if by_hand[n] > 0]


def test_a_text_that_shares_no_word_is_not_found():
    index = LexicalIndex(TOY, words=plain_words)
    assert [hit.index for hit in index.search(["kiln"], k=4)[0]] == [2]
    assert index.search(["zebra", ""], k=4) == [[], []]


def test_words_lose_endings_and_stop_words_but_no_digit():
    assert stemmed_words("The lathes in Bay 3") == ["lath", "bay", "3"]
    assert stemmed_words("E07") == ["e07"]


def test_an_index_of_texts_without_words_finds_nothing():
    assert LexicalIndex(["???", "the the"]).search(["planer"], k=1) == [[]]


# ---- dense


def test_dense_hits_are_cosines_in_falling_order():
    index = DenseIndex(TOY, embed=letter_counts)
    query = "hot kiln"
    cosines = (letter_counts(TOY) @ letter_counts([query]).T)[:, 0].numpy()
    hits = index.search([query], k=4)[0]
    assert [hit.index for hit in hits] == list(np.argsort(-cosines, kind="stable"))
    assert [hit.score for hit in hits] == pytest.approx(sorted(cosines, reverse=True), abs=1e-6)


def test_dense_search_takes_no_queries():
    assert DenseIndex(TOY, embed=letter_counts).search([], k=1) == []


@pytest.mark.model
def test_minilm_by_the_course_equals_sentence_transformers():
    from sentence_transformers import SentenceTransformer

    from course_utils.model_store import model_folder

    encoder = SentenceTransformer(str(model_folder("minilm-l6-v2")), device="cpu")
    index = DenseIndex(TOY)
    assert index.vectors.numpy() == pytest.approx(encoder.encode(TOY), abs=1e-5)
    assert [hit.index for hit in index.search(["What colour is the badge?"], k=1)[0]] == [3]


# ---- fusion


def test_fusion_adds_reciprocal_ranks_by_hand():
    fused = reciprocal_rank_fusion([[7, 8, 9], [9, 7]], constant=60)
    assert [hit.index for hit in fused] == [7, 9, 8]
    assert [hit.score for hit in fused] == pytest.approx([1 / 61 + 1 / 62, 1 / 63 + 1 / 61, 1 / 62])


@given(st.permutations(range(8)))
def test_fusing_a_ranking_with_itself_changes_nothing(ranking):
    assert [hit.index for hit in reciprocal_rank_fusion([ranking, ranking])] == list(ranking)


def test_a_hybrid_of_one_index_ranks_as_that_index():
    lexical = LexicalIndex(TOY, words=plain_words)
    hits = HybridIndex(lexical).search(["bandsaw bay"], k=2)[0]
    assert [hit.index for hit in hits] == [
        hit.index for hit in lexical.search(["bandsaw bay"], k=2)[0]
    ]


def test_a_hybrid_finds_what_either_index_finds():
    lexical, dense = LexicalIndex(TOY, words=plain_words), DenseIndex(TOY, embed=letter_counts)
    found = {hit.index for hit in HybridIndex(lexical, dense).search(["kiln"], k=4)[0]}
    assert found == {0, 1, 2, 3}


# ---- errors


@pytest.mark.parametrize("make", [LexicalIndex, lambda t: DenseIndex(t, embed=letter_counts)])
def test_an_index_refuses_what_it_cannot_search(make):
    with pytest.raises(ValueError, match="corpus is empty"):
        make([])
    with pytest.raises(ValueError, match="Text 1 is empty"):
        make(["a", "  "])
    with pytest.raises(ValueError, match="put it into a list"):
        make("one string")
    index = make(TOY)
    with pytest.raises(ValueError, match="k=5 passages are wanted, but only 4"):
        index.search(["a"], k=5)
    with pytest.raises(ValueError, match="k=0 asks for nothing"):
        index.search(["a"], k=0)
    with pytest.raises(ValueError, match="k=5 passages"):
        HybridIndex(index).search(["a"], k=5)


def test_a_hybrid_refuses_indexes_of_different_texts():
    with pytest.raises(ValueError, match="same texts"):
        HybridIndex(LexicalIndex(TOY), LexicalIndex(TOY[:2]))


# ---- recall


@given(st.permutations(range(10)), st.sets(st.integers(0, 9), min_size=1), st.integers(1, 12))
def test_recall_is_one_for_a_perfect_ranking_and_least_for_the_reverse(ranking, relevant, k):
    perfect = sorted(ranking, key=lambda item: item not in relevant)
    worst = perfect[::-1]
    found = recall_at_k(ranking, relevant, k)
    assert recall_at_k(perfect, relevant, k) == min(k, len(relevant)) / len(relevant)
    assert recall_at_k(worst, relevant, k) == max(0, min(k, 10) + len(relevant) - 10) / len(
        relevant
    )
    assert recall_at_k(worst, relevant, k) <= found <= recall_at_k(perfect, relevant, k)
    assert found <= recall_at_k(ranking, relevant, k + 1)


def test_reciprocal_rank_is_of_the_first_relevant_item():
    assert reciprocal_rank(["a", "b", "c"], {"c", "b"}) == 0.5
    assert reciprocal_rank(["a"], {"z"}) == 0


def test_recall_refuses_questions_without_an_answer_and_double_ranks():
    with pytest.raises(ValueError, match="Nothing is relevant"):
        recall_at_k(["a"], [], 1)
    with pytest.raises(ValueError, match="ranked twice"):
        recall_at_k(["a", "a"], ["a"], 2)
    with pytest.raises(ValueError, match="k=0"):
        recall_at_k(["a"], ["a"], 0)


# ---- chunks


@given(st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=40), st.integers(1, 9),
       st.data())  # fmt: skip
def test_chunks_cover_the_text_and_overlap_as_asked(words, size, data):
    overlap = data.draw(st.integers(0, size - 1))
    text = " ".join(words)
    pieces = chunk(text, size, overlap)
    assert all(text[piece.start : piece.end] == piece.text for piece in pieces)
    joined = pieces[0].text.split()
    for piece in pieces[1:]:
        assert joined[len(joined) - overlap :] == piece.text.split()[:overlap]
        joined += piece.text.split()[overlap:]
    assert joined == words
    assert all(len(piece.text.split()) == size for piece in pieces[:-1])


def test_chunking_refuses_an_overlap_that_never_ends():
    with pytest.raises(ValueError, match="less than words=5"):
        chunk("a b c", 5, 5)
    with pytest.raises(ValueError, match="words=0"):
        chunk("a b c", 0)


# ---- the handbook


@pytest.fixture(scope="module")
def handbook():
    return load_handbook()


def test_the_handbook_has_the_promised_size(handbook):
    kinds = [question.kind for question in handbook.questions]
    assert len(handbook.passages) == 89
    assert {kind: kinds.count(kind) for kind in KINDS} == {
        "same words": 20, "other words": 20, "numbers and codes": 20,
        "two passages": 12, "no answer": 15,
    }  # fmt: skip
    lengths = [len(passage.text.split()) for passage in handbook.passages]
    assert max(lengths) < 50


def test_no_two_passages_or_questions_are_the_same(handbook):
    for texts in ([p.text for p in handbook.passages], [q.text for q in handbook.questions]):
        assert len({text.lower() for text in texts}) == len(texts)


def test_every_gold_passage_holds_the_gold_answer_literally(handbook):
    text = {passage.id: passage.text for passage in handbook.passages}
    for question in handbook.questions:
        if question.kind == "no answer":
            continue
        gold = [text[passage] for passage in question.passages]
        assert any(question.answers[0] in passage for passage in gold), question
        assert any(contains_answer(passage, question.answers) for passage in gold), question


def test_a_question_of_two_passages_is_not_answered_by_the_first_alone(handbook):
    text = {passage.id: passage.text for passage in handbook.passages}
    for question in handbook.questions:
        assert len(question.passages) == {"two passages": 2, "no answer": 0}.get(question.kind, 1)
        if question.kind == "two passages":
            assert not contains_answer(text[question.passages[0]], question.answers), question


def test_no_answer_to_an_unanswerable_question_is_in_the_handbook(handbook):
    everything = " ".join(passage.text for passage in handbook.passages).lower()
    for question in handbook.questions:
        if question.kind == "no answer":
            assert not question.answers
            assert question.absent
            for words in question.absent:
                assert words.lower() not in everything, question


def test_a_same_words_question_shares_more_with_its_passage_than_an_other_words_one(handbook):
    text = {passage.id: passage.text for passage in handbook.passages}
    shared = {}
    for question in handbook.questions:
        if question.kind in ("same words", "other words"):
            words = set(stemmed_words(question.text))
            passage = set(stemmed_words(text[question.passages[0]]))
            shared.setdefault(question.kind, []).append(len(words & passage) / len(words))
    assert np.mean(shared["same words"]) > 0.6
    assert np.mean(shared["other words"]) < 0.2


def test_a_question_about_a_code_names_it(handbook):
    for question in handbook.questions:
        if question.kind == "numbers and codes":
            assert re.search(r"\d", question.text), question


@pytest.mark.parametrize(
    ("text", "answers", "expected"),
    [
        ("It costs £46.", ["46 pounds", "46"], True),
        ("It costs 460 pounds.", ["46"], False),
        ("The EXTRACTOR fan", ["extractor"], True),
        ("lathes", ["lathe"], False),
        ("", ["46"], False),
    ],
)
def test_an_answer_is_contained_as_whole_words(text, answers, expected):
    assert contains_answer(text, answers) is expected


def test_a_handbook_of_ones_own_is_told_what_is_wrong_with_it(tmp_path):
    with pytest.raises(CourseError, match=r"no passages\.jsonl"):
        load_handbook(tmp_path)
    passages, questions = tmp_path / "passages.jsonl", tmp_path / "questions.jsonl"
    passages.write_text('{"id": "a", "section": "s", "text": "t"}\n{"id": "b"')
    with pytest.raises(CourseError, match=r"passages.jsonl, line 2 is not a passage"):
        load_handbook(tmp_path)
    passages.write_text('{"id": "a", "section": "s"}\n')
    with pytest.raises(CourseError, match="'text'"):
        load_handbook(tmp_path)
    passages.write_text('{"id": "a", "section": "s", "text": "t"}\n' * 2)
    with pytest.raises(CourseError, match="'a' twice"):
        load_handbook(tmp_path)
    passages.write_text('{"id": "a", "section": "s", "text": "t"}\n')
    questions.write_text(
        '{"id": "q", "kind": "k", "text": "t", "answers": [], "passages": ["z"], "absent": []}\n'
    )
    with pytest.raises(CourseError, match="passage 'z'"):
        load_handbook(tmp_path)
