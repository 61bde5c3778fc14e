"""One object over causal and sequence-to-sequence models: batches, caches, scores, errors."""

import warnings

import pytest
import torch
from transformers import GenerationConfig

from course_utils.errors import CourseError
from course_utils.language_model import completion_cache
from course_utils.language_model.prompt_tokens import (
    batches_by_length,
    pad_left,
    shared_prefix_length,
)
from course_utils.model_store import load_model

PROMPTS = [
    "the cat sat on a mat",
    "the dog",
    "it rained all day long and the dog ran to the house while the cat sat",
    "a house",
    "the cat sat on the dog",
]
SHARED = [
    f"the cat sat on a mat and the dog ran to the {end}"
    for end in ("house", "mat while it rained", "day and the cat sat on it all day", "dog")
]
TEN = GenerationConfig(max_new_tokens=10)


@pytest.fixture(scope="module")
def causal(tiny_causal_folder):
    return load_model(str(tiny_causal_folder), dtype="float32")


@pytest.fixture(scope="module")
def seq2seq(tiny_seq2seq_folder):
    return load_model(str(tiny_seq2seq_folder), dtype="float32")


@pytest.fixture(params=["causal", "seq2seq"])
def model(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Completions are kept per test; the default model's weights stay where they are."""
    monkeypatch.setattr(completion_cache, "cache_folder", lambda: tmp_path / "cache")


def library_greedy(model, prompt, new_tokens=10):
    """What `transformers` itself generates for one prompt: the oracle."""
    inputs = model.tokenizer(prompt, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    output = model.model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)
    begin = 1 if model.is_encoder_decoder else inputs.input_ids.shape[1]
    return output[0, begin:].tolist()


@pytest.mark.parametrize("prompts", [PROMPTS, SHARED], ids=["mixed", "shared prefix"])
@pytest.mark.parametrize("tokens_per_batch", [1, 40, 10_000])
def test_a_batch_says_what_the_library_says_one_at_a_time(model, prompts, tokens_per_batch):
    completions = model.complete(prompts, TEN, cache=False, tokens_per_batch=tokens_per_batch)
    expected = [library_greedy(model, prompt) for prompt in prompts]
    assert [completion.token_ids for completion in completions] == expected


def test_the_shared_prefix_is_computed_once(causal, monkeypatch):
    seen = []
    forward = causal.model.forward
    monkeypatch.setattr(
        causal.model,
        "forward",
        lambda *args, **kwargs: (
            seen.append(kwargs.get("input_ids", args[0] if args else None))
            or forward(*args, **kwargs)
        ),
    )
    causal.complete(SHARED, TEN, cache=False)
    shapes = [tuple(ids.shape) for ids in seen]
    prefix = shared_prefix_length(causal._tokenize(SHARED))
    assert shapes[0] == (1, prefix)
    longest = max(map(len, causal._tokenize(SHARED)))
    assert shapes[1] == (len(SHARED), longest - prefix)


@pytest.mark.slow
def test_the_default_model_in_a_batch_says_what_it_says_alone(smollm):
    from course_utils.dialogues import load_dialogues
    from course_utils.prompts import TEMPLATES

    rows = load_dialogues("course")["validation"].select(range(5))
    prompts = [TEMPLATES["summarize"].chat(text) for text in rows["dialogue"]]
    config = GenerationConfig(max_new_tokens=12)
    together = smollm.complete(prompts, config, cache=False)
    for prompt, completion in zip(prompts, together, strict=True):
        alone = smollm.complete([prompt], config, cache=False)[0]
        assert completion.token_ids == alone.token_ids


def test_a_finish_reason_tells_stopped_from_cut(causal):
    ids = library_greedy(causal, PROMPTS[0])
    stopped = GenerationConfig(max_new_tokens=10, eos_token_id=ids[2])
    completion = causal.complete([PROMPTS[0]], stopped)[0]
    assert completion.finish_reason == "stop"
    assert completion.token_ids == ids[: ids.index(ids[2]) + 1]
    assert causal.complete([PROMPTS[0]], TEN)[0].finish_reason == "length"


def test_a_stop_string_ends_one_row_and_not_the_others(smollm):
    prompts = ["1, 2, 3, 4,", "The capital of France is"]
    config = GenerationConfig(max_new_tokens=8, stop_strings=[" 6"])
    first, second = smollm.complete(prompts, config, cache=False)
    assert first.finish_reason == "stop"
    assert first.text.strip() == "5,"
    assert len(second.token_ids) == 8


def test_sampling_repeats_with_its_seed_and_leaves_the_callers_random_state(causal):
    config = GenerationConfig(max_new_tokens=10, do_sample=True, top_k=0)
    before = torch.random.get_rng_state()
    one, two, other = (causal.complete(PROMPTS, config, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert one == two
    assert one != other


def test_a_deterministic_completion_is_read_from_disk(causal, monkeypatch):
    first = causal.complete(PROMPTS, TEN)
    monkeypatch.setattr(causal.model, "generate", lambda **_: pytest.fail("computed again"))
    assert causal.complete(PROMPTS, TEN) == first


def test_changed_weights_never_read_the_former_answers(tiny_causal_folder):
    model = load_model(str(tiny_causal_folder), dtype="float32")
    before = model.complete([PROMPTS[0]], TEN)[0]
    with torch.no_grad():
        model.model.lm_head.weight.mul_(-1)
    after = model.complete([PROMPTS[0]], TEN)[0]
    assert after.token_ids != before.token_ids
    assert after.token_ids == library_greedy(model, PROMPTS[0])


def test_a_cache_that_cannot_be_written_costs_a_warning_not_the_answer(causal, monkeypatch):
    def full(file, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(completion_cache, "write_whole", full)
    with pytest.warns(UserWarning, match="Free space or set COURSE_CACHE"):
        assert causal.complete([PROMPTS[0]], TEN)[0].token_ids


def test_a_damaged_kept_completion_is_computed_again(causal, tmp_path):
    first = causal.complete([PROMPTS[0]], TEN)
    (file,) = (tmp_path / "cache").rglob("*.json")
    file.write_text('{"text": "half')
    assert causal.complete([PROMPTS[0]], TEN) == first


def test_the_log_probabilities_of_a_completion_are_those_that_score_gives(causal):
    completions = causal.complete(PROMPTS, TEN, log_probabilities=True, cache=False)
    texts = [causal.tokenizer.decode(completion.token_ids) for completion in completions]
    for completion, score in zip(completions, causal.score(PROMPTS, texts), strict=True):
        assert completion.log_probabilities == pytest.approx(
            score.token_log_probabilities, abs=1e-4
        )


@pytest.mark.parametrize("tokens_per_batch", [1, 10_000])
def test_score_equals_one_plain_forward_pass(model, tokens_per_batch):
    targets = ["the cat", "sat", "on the mat", "day", "it rained all"]
    scores = model.score(PROMPTS, targets, tokens_per_batch=tokens_per_batch)
    for prompt, target, score in zip(PROMPTS, targets, scores, strict=True):
        ids = model.tokenizer(prompt, return_tensors="pt").input_ids
        goal = model.tokenizer(target, return_tensors="pt").input_ids
        with torch.no_grad():
            if model.is_encoder_decoder:
                start = torch.tensor([[model.model.config.decoder_start_token_id]])
                decoder = torch.cat([start, goal[:, :-1]], 1)
                logits = model.model(input_ids=ids, decoder_input_ids=decoder).logits[0]
            else:
                logits = model.model(torch.cat([ids, goal], 1)).logits[0, ids.shape[1] - 1 : -1]
        expected = logits.log_softmax(-1).gather(-1, goal[0][:, None]).sum()
        assert score.log_probability == pytest.approx(expected.item(), abs=1e-4)


def test_streamed_pieces_join_to_the_completion(model):
    completion = model.complete([PROMPTS[0]], TEN, cache=False)[0]
    assert "".join(model.stream(PROMPTS[0], TEN)).strip() == completion.text.strip()


def test_closing_a_stream_stops_the_computation(causal):
    long = GenerationConfig(max_new_tokens=50)
    steps = 0
    forward = causal.model.forward

    def counted(*args, **kwargs):
        nonlocal steps
        steps += 1
        return forward(*args, **kwargs)

    causal.model.forward = counted
    try:
        stream = causal.stream("the", long)
        next(stream)
        stream.close()
    finally:
        causal.model.forward = forward
    assert steps < 50


def test_an_error_while_streaming_reaches_the_reader(causal, monkeypatch):
    def broken(**kwargs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(causal.model, "generate", broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(causal.stream("the cat", TEN))


def test_the_next_token_distribution_sums_to_one_and_names_the_likeliest(causal):
    distribution = causal.next_token_distribution("the cat sat")
    assert distribution.probabilities().sum().item() == pytest.approx(1)
    token, probability = distribution.top(1)[0]
    greedy = causal.complete(["the cat sat"], GenerationConfig(max_new_tokens=1), cache=False)[0]
    assert token.strip() == causal.tokenizer.decode(greedy.token_ids).strip()
    assert probability == pytest.approx(distribution.probabilities().max().item())


def test_attention_rows_sum_to_one_and_look_only_back(causal):
    weights = causal.attention("the cat sat on a mat")
    assert weights.shape == (2, 4, 6, 6)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 4, 6), atol=1e-5)
    assert weights.triu(1).abs().max() == 0


def test_hidden_states_begin_with_the_embeddings(causal):
    states = causal.hidden_states("the cat")
    ids = causal.tokenizer("the cat", return_tensors="pt").input_ids
    assert states.shape == (3, 2, 32)
    assert torch.allclose(states[0], causal.model.get_input_embeddings()(ids)[0])


def test_a_chat_goes_through_the_template(smollm):
    from course_utils.language_model.prompt_tokens import render

    text = render([{"role": "user", "content": "Hello"}], smollm.tokenizer)
    assert text.endswith("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n")


def test_a_chat_for_a_model_without_template_is_its_contents(seq2seq):
    from course_utils.language_model.prompt_tokens import render

    chat = [{"role": "user", "content": "the cat"}, {"role": "assistant", "content": "sat"}]
    assert render(chat, seq2seq.tokenizer) == "the cat\n\nsat"


def test_a_prompt_over_the_context_window_is_an_error_never_truncated(causal):
    with pytest.raises(CourseError, match="context window of 64 tokens"):
        causal.complete(["the cat sat " * 20], TEN)
    with pytest.raises(CourseError, match="shorten it"):
        causal.complete(["the " * 60], TEN)


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_an_empty_prompt_is_an_error(model, prompt):
    with pytest.raises(CourseError, match="Prompt 1 is empty"):
        model.complete(["the cat", prompt], TEN)


@pytest.mark.parametrize("prompts", ["the cat", [{"role": "user", "content": "the cat"}]])
def test_a_single_prompt_without_its_list_is_an_error(causal, prompts):
    with pytest.raises(ValueError, match=r"\[prompt\]"):
        causal.complete(prompts, TEN)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"do_sample": True, "top_p": 3.0}, "top_p"),
        ({"do_sample": True, "temperature": 0.0}, "temperature"),
        ({"temperature": 0.5}, "do_sample"),
        ({"num_return_sequences": 2, "do_sample": True, "top_k": 0}, "num_return_sequences"),
    ],
)
def test_a_configuration_that_would_be_ignored_is_an_error(causal, settings, names):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = GenerationConfig(max_new_tokens=5, **settings)
    with pytest.raises(ValueError, match=names):
        causal.complete(["the cat"], config)


def test_batches_hold_rows_of_like_length_within_the_bound():
    lengths = [5, 50, 6, 48, 7, 200]
    batches = list(batches_by_length(lengths, 100))
    assert batches == [[5], [1, 3], [4, 2, 0]]


def test_padding_stands_between_the_shared_prefix_and_the_rest():
    batch = pad_left([[7, 8, 1], [7, 8, 2, 3, 4]], pad_id=0, prefix=2)
    assert batch.ids.tolist() == [[7, 8, 0, 0, 1], [7, 8, 2, 3, 4]]
    assert batch.mask.tolist() == [[1, 1, 0, 0, 1], [1, 1, 1, 1, 1]]


def test_a_shared_prefix_leaves_each_row_a_token_of_its_own():
    assert shared_prefix_length([[1, 2, 3], [1, 2, 3, 4], [1, 2, 9]]) == 2
    assert shared_prefix_length([[1, 2], [1, 2]]) == 1
