"""The token loop: who stops when, what it costs, and that seeds and padding mean what they say."""

import pytest
import torch
from benchmarks.decoding_equivalence import END, PAD, letter_tokenizer, tiny_model
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel

from course_utils import decoding

PROMPTS = torch.randint(2, 24, (12, 5), generator=torch.Generator().manual_seed(3))


def test_a_row_that_ends_does_not_stop_the_others():
    result = decoding.generate(tiny_model(1), PROMPTS, GenerationConfig(max_new_tokens=12))
    assert set(result.finish_reasons) == {"stop", "length"}
    for row, reason in zip(result.token_ids.tolist(), result.finish_reasons, strict=True):
        assert (END in row) == (reason == "stop")
        if END in row:
            assert set(row[row.index(END) + 1 :]) <= {PAD}


def test_generation_stops_early_when_every_row_has_ended():
    config = GenerationConfig(max_new_tokens=50, eos_token_id=list(range(24)))
    assert decoding.generate(tiny_model(1), PROMPTS, config).model_calls == 1


def test_each_new_token_costs_one_call():
    config = GenerationConfig(max_new_tokens=7, eos_token_id=[])
    result = decoding.generate(tiny_model(1), PROMPTS, config)
    assert result.model_calls == result.token_ids.shape[1] == 7


def test_a_stop_string_ends_its_row_only():
    tokenizer, model = letter_tokenizer(), tiny_model(1)
    free = decoding.generate(model, PROMPTS, GenerationConfig(max_new_tokens=6, eos_token_id=[]))
    texts = [tokenizer.decode(row) for row in free.token_ids]
    stop = texts[0][2:4]
    config = GenerationConfig(max_new_tokens=6, eos_token_id=[], stop_strings=[stop])
    result = decoding.generate(model, PROMPTS, config, tokenizer=tokenizer)
    assert result.finish_reasons[0] == "stop"
    for text, reason in zip(texts, result.finish_reasons, strict=True):
        assert reason == "stop" or stop not in text


def test_stop_strings_without_a_tokenizer_say_what_is_missing():
    config = GenerationConfig(max_new_tokens=2, stop_strings=["a"])
    with pytest.raises(ValueError, match="pass the tokenizer"):
        decoding.generate(tiny_model(1), PROMPTS, config)


def test_a_completion_is_cut_at_its_first_stop_string():
    assert decoding.cut_at_stop_string("one\n\ntwo###", ["###", "\n\n"]) == "one"
    assert decoding.cut_at_stop_string("one", ["###"]) == "one"


def test_the_same_seed_gives_the_same_tokens_and_another_seed_others():
    config = GenerationConfig(do_sample=True, top_k=0, max_new_tokens=8)

    def run(seed):
        generator = torch.Generator().manual_seed(seed)
        return decoding.generate(tiny_model(1), PROMPTS, config, generator=generator).token_ids

    assert torch.equal(run(0), run(0))
    assert run(0).tolist() != run(1).tolist()


def test_left_padding_with_its_mask_changes_nothing():
    config = GenerationConfig(max_new_tokens=8, repetition_penalty=1.3)
    padded = torch.nn.functional.pad(PROMPTS, (3, 0), value=PAD)
    mask = (padded != PAD).long()
    alone = decoding.generate(tiny_model(2), PROMPTS, config).token_ids
    assert torch.equal(
        decoding.generate(tiny_model(2), padded, config, attention_mask=mask).token_ids, alone
    )
    without_mask = decoding.generate(tiny_model(2), padded, config).token_ids
    assert without_mask.tolist() != alone.tolist()


def test_left_padding_shifts_the_positions_of_a_model_that_counts_them():
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=24, n_positions=32, n_embd=16, n_layer=1, n_head=2)
    model = GPT2LMHeadModel(config).eval()
    torch.nn.init.normal_(model.transformer.wpe.weight, std=3)
    config = GenerationConfig(max_new_tokens=8, eos_token_id=[])
    padded = torch.nn.functional.pad(PROMPTS, (3, 0), value=PAD)
    ours = decoding.generate(model, padded, config, attention_mask=(padded != PAD).long())
    assert torch.equal(ours.token_ids, decoding.generate(model, PROMPTS, config).token_ids)


def test_more_beams_find_a_completion_at_least_as_probable_as_greedy():
    model, config = tiny_model(1), GenerationConfig(max_new_tokens=6, length_penalty=0.0)
    scores = []
    for width in (1, 8):
        config.num_beams = width
        scores.append([decoding.beam_search(model, row, config)[0].score for row in PROMPTS])
    assert sum(scores[1]) > sum(scores[0])


def test_a_draft_by_the_model_itself_is_accepted_whole():
    model = tiny_model(1)
    config = GenerationConfig(max_new_tokens=12, eos_token_id=[])
    result = decoding.speculative_generate(model, model, PROMPTS[0], config, draft_length=5)
    assert result.accepted == result.drafted == 10
    assert result.target_calls == 2


def test_speculative_sampling_keeps_the_target_s_distribution():
    generator = torch.Generator().manual_seed(0)
    draft, target = torch.randn(2, 1, 5, generator=generator) * 2
    target = torch.cat([target, target])
    first = []
    for _ in range(8000):
        drafted = decoding.sample(draft, generator)
        first.append(int(decoding.verify_draft(drafted, draft, target, generator)[0]))
    observed = torch.tensor(first).bincount(minlength=5)
    expected = 8000 * target[0].softmax(-1)
    assert ((observed - expected) ** 2 / expected).sum() < 18.5  # 99.9% with 4 degrees of freedom
