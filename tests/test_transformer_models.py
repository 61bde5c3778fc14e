"""Whole models: equal to transformers, with and without cache and padding; errors in words."""

import dataclasses
import json
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM

from course_utils.errors import CourseError
from course_utils.transformer.cache import KeyValueCache
from course_utils.transformer.compare import (
    compare_minilm,
    compare_random_llamas,
    compare_smollm2,
)
from course_utils.transformer.decoder import DecoderConfig, Trace
from course_utils.transformer.encoder_decoder import EncoderDecoder
from course_utils.transformer.weights import (
    decoder_from,
    encoder_from,
    load_decoder,
    load_encoder,
)


def tiny_llama(**changes):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=32,
        **changes,
    )
    theirs = LlamaForCausalLM(config).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return theirs, config.to_dict()


def tiny_bert():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40,
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=3,
        max_position_embeddings=32,
    )
    theirs = BertModel(config).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return theirs, config.to_dict()


LLAMA, LLAMA_CONFIG = tiny_llama()
DECODER = decoder_from(LLAMA_CONFIG, LLAMA.state_dict())
BERT, BERT_CONFIG = tiny_bert()
ENCODER = encoder_from(BERT_CONFIG, BERT.state_dict())


def test_random_llamas_agree_with_transformers():
    results = list(compare_random_llamas(6, seed=1))
    assert all(result.agrees for result in results), results
    assert len({result.model.split("tied=")[1] for result in results}) == 2


@given(st.integers(1, 3), st.integers(1, 12), st.integers(0, 2**16))
@settings(max_examples=25, deadline=None)
@torch.inference_mode()
def test_the_decoder_equals_transformers_with_left_or_right_padding(batch, length, seed):
    torch.manual_seed(seed)
    ids = torch.randint(40, (batch, length))
    mask = (torch.rand(batch, length) < 0.7).long()
    mask[:, 0] = 1
    for padding in (mask.sort(dim=1).values, mask.sort(dim=1, descending=True).values):
        kept = padding.bool()
        theirs = LLAMA(ids, attention_mask=padding).logits
        torch.testing.assert_close(DECODER(ids, padding)[kept], theirs[kept], atol=1e-4, rtol=1e-4)


@given(st.integers(2, 12), st.lists(st.integers(1, 11), max_size=3))
@settings(max_examples=25, deadline=None)
@torch.inference_mode()
def test_reading_in_pieces_with_a_cache_equals_reading_at_once(length, cuts):
    ids = torch.randint(40, (2, length), generator=torch.Generator().manual_seed(length))
    edges = sorted({0, length, *(cut for cut in cuts if cut < length)})
    cache = KeyValueCache()
    pieces = [DECODER(ids[:, a:b], cache=cache) for a, b in pairwise(edges)]
    torch.testing.assert_close(torch.cat(pieces, 1), DECODER(ids), atol=1e-4, rtol=1e-4)
    assert cache.length == length


def test_generating_with_and_without_cache_equals_transformers():
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    expected = LLAMA.generate(
        ids, max_new_tokens=10, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    assert torch.equal(DECODER.generate(ids, 10), expected)
    assert torch.equal(DECODER.generate(ids, 10, use_cache=False), expected)


@given(st.integers(1, 3), st.integers(1, 12))
@settings(max_examples=20, deadline=None)
@torch.inference_mode()
def test_the_encoder_equals_transformers_with_padding_and_segments(batch, length):
    torch.manual_seed(length)
    ids, segments = torch.randint(40, (batch, length)), torch.randint(2, (batch, length))
    mask = torch.ones(batch, length, dtype=torch.long)
    mask[0, length // 2 + 1 :] = 0
    kept = mask.bool()
    theirs = BERT(ids, attention_mask=mask, token_type_ids=segments).last_hidden_state
    ours = ENCODER(ids, mask, segments)
    torch.testing.assert_close(ours[kept], theirs[kept], atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_a_trace_holds_the_states_and_attentions_that_transformers_reports():
    trace, ids = Trace(), torch.tensor([[3, 1, 4, 1, 5]])
    DECODER(ids, trace=trace)
    LLAMA.set_attn_implementation("eager")
    theirs = LLAMA(ids, output_attentions=True, output_hidden_states=True)
    for ours, expected in zip(trace.attentions, theirs.attentions, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)
    for ours, expected in zip(trace.states[:-1], theirs.hidden_states[:-1], strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)
    last = DECODER.norm(trace.states[-1])  # transformers reports the last one normed
    torch.testing.assert_close(last, theirs.hidden_states[-1], atol=1e-4, rtol=1e-4)


def test_the_encoder_decoder_writes_without_seeing_the_future_or_padding():
    torch.manual_seed(0)
    model = EncoderDecoder(20, width=16, heads=2, layers=2).eval()
    source, target = torch.randint(20, (2, 5)), torch.randint(20, (2, 4))
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    before = model(source, target, mask)
    target[:, -1] = (target[:, -1] + 1) % 20
    source[0, 3:] = 7
    after = model(source, target, mask)
    torch.testing.assert_close(before[:, :-1], after[:, :-1])
    source[:, 0] = (source[:, 0] + 1) % 20
    assert not torch.allclose(model(source, target, mask)[:, 0], after[:, 0])


def test_the_encoder_decoder_generates_what_its_logits_say():
    torch.manual_seed(0)
    model = EncoderDecoder(20, width=16, heads=2, layers=1).eval()
    source = torch.randint(20, (3, 5))
    written = model.generate(source, start=1, max_new_tokens=4)
    assert written.shape == (3, 5)
    assert torch.equal(model(source, written[:, :-1]).argmax(-1), written[:, 1:])


@pytest.mark.parametrize("model", [DECODER, ENCODER], ids=["decoder", "encoder"])
@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (torch.zeros(1, 0, dtype=torch.long), "sequence is empty"),
        (torch.zeros(1, 33, dtype=torch.long), "33 tokens do not fit the context window of 32"),
        (torch.tensor([[3, 40]]), "Token id 40 is not in the vocabulary of 40"),
        (torch.tensor([[3, -1]]), "Token id -1 is not in the vocabulary of 40"),
        (torch.tensor([3, 4]), r"shape \(2,\): give \(batch, length\)"),
    ],
)
def test_ids_that_cannot_be_read_are_refused_in_words(model, ids, message):
    with pytest.raises(ValueError, match=message):
        model(ids)


def test_a_cache_counts_towards_the_context_window():
    cache = KeyValueCache()
    DECODER(torch.zeros(1, 30, dtype=torch.long), cache=cache)
    with pytest.raises(ValueError, match="33 tokens do not fit"):
        DECODER(torch.zeros(1, 3, dtype=torch.long), cache=cache)


def test_a_single_token_is_a_sequence():
    assert DECODER(torch.tensor([[7]])).shape == (1, 1, 40)
    assert ENCODER(torch.tensor([[7]])).shape == (1, 1, 24)


def test_a_text_of_padding_only_is_refused():
    with pytest.raises(ValueError, match="Row 1 of the attention mask is padding only"):
        DECODER(torch.zeros(2, 3, dtype=torch.long), torch.tensor([[1, 1, 1], [0, 0, 0]]))


def test_a_checkpoint_of_another_family_is_named():
    with pytest.raises(CourseError, match=r"'bert' family.*load_encoder"):
        decoder_from(BERT_CONFIG, BERT.state_dict())
    with pytest.raises(CourseError, match=r"'llama' family.*load_decoder"):
        encoder_from(LLAMA_CONFIG, LLAMA.state_dict())


def test_unknown_missing_and_misshapen_weights_are_named():
    weights = LLAMA.state_dict()
    with pytest.raises(CourseError, match=r"Unknown weights \(1\): model.adapter"):
        decoder_from(LLAMA_CONFIG, {**weights, "model.adapter": torch.ones(1)})
    fewer = {name: weight for name, weight in weights.items() if "layers.1" not in name}
    with pytest.raises(CourseError, match=r"Missing weights \(9\): blocks.1"):
        decoder_from(LLAMA_CONFIG, fewer)
    weights["model.norm.weight"] = torch.ones(5)
    with pytest.raises(CourseError, match=r"'model.norm.weight' has shape \(5,\).*\(24,\)"):
        decoder_from(LLAMA_CONFIG, weights)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(CourseError, match="is not a checkpoint"):
        load_decoder(tmp_path)


def test_a_sharded_checkpoint_is_read_whole(tmp_path):
    names = list(BERT.state_dict())
    (tmp_path / "config.json").write_text(json.dumps(BERT_CONFIG))
    for part, keys in enumerate([names[:9], names[9:]]):
        save_file({key: BERT.state_dict()[key] for key in keys}, tmp_path / f"{part}.safetensors")
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(load_encoder(tmp_path)(ids), ENCODER(ids))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rope_parameters": {"rope_type": "yarn"}}, "'yarn' are not built"),
        ({"hidden_act": "relu"}, "'relu' is not built"),
        ({"num_key_value_heads": 4}, "4 key-value heads do not divide 6"),
    ],
)
def test_a_config_beyond_the_decoder_is_refused_in_words(change, message):
    with pytest.raises(ValueError, match=message):
        DecoderConfig.from_transformers({**LLAMA_CONFIG, **change})


def test_an_older_config_without_rope_parameters_is_read():
    old = {k: v for k, v in LLAMA_CONFIG.items() if k not in ("rope_parameters", "head_dim")}
    config = DecoderConfig.from_transformers({**old, "rope_theta": 1e5, "rope_scaling": None})
    expected = DecoderConfig.from_transformers(LLAMA_CONFIG)
    assert config == dataclasses.replace(expected, rope_theta=1e5)


@pytest.mark.model
def test_smollm2_agrees_with_transformers_on_every_argmax():
    from course_utils.model_store import model_folder

    assert compare_smollm2(model_folder("smollm2-135m-instruct")).agrees


@pytest.mark.model
def test_minilm_agrees_with_transformers():
    from course_utils.model_store import model_folder

    assert compare_minilm(model_folder("minilm-l6-v2")).agrees
