"""The engine: what a request gets does not depend on who else is in the batch."""

import queue
import random
import threading
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)
from word_tokenizer import WORDS, word_tokenizer

from course_utils.errors import CourseError
from course_utils.language_model import LanguageModel
from course_utils.model_store import load_model
from course_utils.serving.engine import Engine, EngineStopped, QueueFull
from course_utils.serving.limits import Limits
from course_utils.serving.metrics import ServerMetrics
from course_utils.serving.row import Failure, Generation
from course_utils.serving.text_stream import TextStream

DRAW = random.Random(0)
PROMPTS = [" ".join(DRAW.choices(WORDS, k=DRAW.randint(1, 40))) for _ in range(12)]
PROMPTS += [f"{' '.join(WORDS)} {prompt}" for prompt in PROMPTS[:6]]  # a shared beginning
OTHERS = ["the cat", "the dog", "the cat sat", " ".join(WORDS * 4)]
LENGTHS = [DRAW.randint(1, 40) for _ in PROMPTS]
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}
TOKENS = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    tokenizer = word_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=512,
        **SIZES,
        **HEADS,
        **TOKENS,
        head_dim=8,
    )
    return LanguageModel(LlamaForCausalLM(config).eval(), tokenizer, "tiny")


class Client:
    """What one request was sent, piece by piece."""

    def __init__(self, engine, model, prompt, new_tokens, *, seed=0, log=None, **settings):
        self.pieces, self.ended = [], threading.Event()
        self.times, self._log = 0, log
        config = GenerationConfig(max_new_tokens=new_tokens, **({"do_sample": False} | settings))
        ids = model.tokenizer(prompt).input_ids
        self.generation = Generation(ids, config, seed, self._receive)
        engine.submit(self.generation)

    def _receive(self, event):
        self.pieces.append(event)
        if self._log is not None:
            self._log.append(self)
        if isinstance(event, Failure) or event.finish_reason:
            self.ended.set()

    @property
    def text(self):
        assert self.ended.wait(20), "the request was never answered"
        return "".join(piece.text for piece in self.pieces)

    @property
    def answer(self):
        return self.text, self.last.finish_reason, self.last.tokens

    @property
    def last(self):
        assert self.ended.wait(20), "the request was never answered"
        return self.pieces[-1]


class Gate:
    """Lets the engine's forward passes through one by one, or all."""

    def __init__(self, engine):
        self._steps, self._open = queue.Queue(), False
        self._forward, self.calls = engine._slots.forward, []
        engine._slots.forward = self._wait

    def _wait(self, first_slot, ids, starts):
        if not self._open:
            self._steps.get(timeout=20)
        self.calls.append((first_slot, len(ids), len(ids[0])))
        return self._forward(first_slot, ids, starts)

    def let(self, steps):
        for _ in range(steps):
            self._steps.put(None)

    def open(self):
        self._open = True
        self._steps.put(None)


@pytest.fixture
def start(model):
    """Start an engine with limits; it is closed after the test."""
    engines = []

    def start(prompt_tokens_per_step=None, **limits):
        engines.append(Engine(model, Limits(**limits), ServerMetrics()))
        if prompt_tokens_per_step:
            engines[-1]._prompt_tokens_per_step = prompt_tokens_per_step
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()


def eventually(condition):
    """Wait until a condition on another thread's state holds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.002)


@pytest.fixture(scope="module")
def completions(model):
    """What LanguageModel.complete answers to every prompt, in 60 tokens: the oracle."""
    prompts = [*PROMPTS, *OTHERS]
    config = GenerationConfig(max_new_tokens=60)
    answers = model.complete(prompts, config, cache=False)
    return dict(zip(prompts, answers, strict=True))


@pytest.fixture
def alone(model, completions):
    """Return (text, finish reason, tokens) of a prompt's greedy completion of a given length."""

    def alone(prompt, new_tokens):
        whole = completions[prompt]
        ids = whole.token_ids[:new_tokens]  # greedy: a shorter completion is a beginning of it
        text = model.tokenizer.decode(ids, skip_special_tokens=True)
        return text, whole.finish_reason if ids == whole.token_ids else "length", len(ids)

    return alone


@pytest.fixture
def endless(completions):
    """Prompts whose completion does not end by itself."""
    found = [text for text in PROMPTS if completions[text].finish_reason == "length"]
    assert len(found) >= 3
    return found


@pytest.mark.parametrize(("rows", "piece"), [(1, 1000), (4, 7), (32, 1)])
def test_a_greedy_request_gets_what_complete_gives_whatever_is_in_the_batch(
    model, start, alone, piece, rows
):
    engine = start(piece, max_rows=rows, max_tokens_in_flight=rows * 100)
    clients = [Client(engine, model, *request) for request in zip(PROMPTS, LENGTHS, strict=True)]
    for client, prompt, length in zip(clients, PROMPTS, LENGTHS, strict=True):
        assert client.answer == alone(prompt, length)


def test_a_seed_gives_the_same_text_alone_and_in_a_crowd(model, start):
    engine = start()
    hot = {"do_sample": True, "temperature": 1.5, "top_p": 0.9, "top_k": 0}
    by_itself = [Client(engine, model, PROMPTS[0], 30, seed=seed, **hot).text for seed in (1, 2)]
    crowd = [
        Client(engine, model, prompt, 30, seed=seed, **hot)
        for seed, prompt in enumerate([PROMPTS[3], PROMPTS[0], PROMPTS[0], PROMPTS[5]])
    ]
    assert [client.text for client in crowd[1:3]] == by_itself
    assert by_itself[0] != by_itself[1]


def test_a_newcomer_joins_and_leaves_while_another_goes_on(model, start, alone, endless):
    engine, order = start(), []
    gate = Gate(engine)
    long = Client(engine, model, endless[0], 40, log=order)
    gate.let(5)
    eventually(lambda: len(long.pieces) == 5)
    short = Client(engine, model, PROMPTS[1], 3, log=order)
    gate.open()
    assert long.answer == alone(endless[0], 40)
    assert short.ended.is_set()
    last_of_short = max(place for place, client in enumerate(order) if client is short)
    assert order[last_of_short:].count(long) > 20


def test_a_long_prompt_is_read_in_pieces_while_others_generate(model, start, alone):
    engine, order = start(4), []
    gate = Gate(engine)
    generating = Client(engine, model, "the cat", 40, log=order)
    gate.let(1)
    eventually(lambda: order)
    reading = Client(engine, model, PROMPTS[-1], 2, log=order)
    gate.open()
    pieces = -(-len(reading.generation.prompt_ids) // 4)
    assert reading.answer == alone(PROMPTS[-1], 2)
    assert order[: order.index(reading)].count(generating) >= pieces


def test_a_shared_beginning_is_copied_and_not_read_again(model, start, alone):
    engine = start(1000)
    gate = Gate(engine)
    clients = [Client(engine, model, prompt, 4) for prompt in PROMPTS[-2:]]
    gate.open()
    answers = [client.answer for client in clients]
    assert answers == [alone(prompt, 4) for prompt in PROMPTS[-2:]]
    lengths = [len(client.generation.prompt_ids) for client in clients]
    read = sorted(new for _, rows, new in gate.calls if rows == 1 and new > 1)
    assert sum(read) <= sum(lengths) - len(WORDS)


def test_a_cancelled_row_leaves_at_the_next_step_and_disturbs_nobody(model, start, alone, endless):
    engine = start(max_rows=3, max_queue=2)
    gate = Gate(engine)
    clients = [Client(engine, model, endless[n], 40) for n in range(3)]
    queued = Client(engine, model, PROMPTS[3], 5)
    gate.let(6)
    eventually(lambda: len(clients[2].pieces) >= 2)
    engine.cancel(queued.generation)
    assert engine.waiting == 0
    engine.cancel(clients[0].generation)
    gate.let(1)
    eventually(lambda: engine.rows == 2)
    gate.open()
    assert [client.answer for client in clients[1:]] == [alone(endless[n], 40) for n in (1, 2)]
    assert len(clients[0].pieces) < 10
    assert not queued.pieces


def test_a_row_cancelled_while_its_prompt_is_read_leaves_too(model, start, alone):
    engine = start(2)
    gate = Gate(engine)
    gone = Client(engine, model, PROMPTS[-1], 5)
    gate.let(3)
    eventually(lambda: len(gate.calls) == 3)
    engine.cancel(gone.generation)
    follower = Client(engine, model, PROMPTS[1], 5)
    gate.open()
    assert follower.answer == alone(PROMPTS[1], 5)
    assert not gone.pieces


def test_the_cache_never_exceeds_its_bound_and_a_large_request_is_not_overtaken(
    model, start, alone
):
    engine, order, sizes = start(max_rows=8, max_tokens_in_flight=160), [], []
    gate = Gate(engine)
    inner = engine._slots.forward
    engine._slots.forward = lambda *call: (
        sizes.append(engine._slots.rows * engine._slots.columns) or inner(*call)
    )
    small = [Client(engine, model, "the cat sat", 30, log=order) for _ in range(4)]
    large = Client(engine, model, OTHERS[3], 60, log=order)
    after = Client(engine, model, "the dog", 3, log=order)
    gate.open()
    assert large.answer == alone(OTHERS[3], 60)
    assert after.answer == alone("the dog", 3)
    assert all(client.answer == alone("the cat sat", 30) for client in small)
    assert max(sizes) <= 160
    assert order.index(after) > order.index(large)


def test_an_idle_engine_holds_no_cache_and_no_rows(model, start):
    engine = start()
    assert Client(engine, model, PROMPTS[0], 5).text
    eventually(lambda: engine._slots.rows == 0)
    assert engine.rows == engine.waiting == 0
    assert not any(layer.is_initialized for layer in engine._slots._cache.layers)


def test_what_a_former_row_left_does_not_reach_the_next(model, start, alone, endless):
    engine = start()
    gate = Gate(engine)
    staying = Client(engine, model, max(endless, key=len), 40)
    leaving = Client(engine, model, PROMPTS[1], 2)
    gate.let(4)
    assert leaving.ended.wait(10)
    with torch.inference_mode():
        for layer in engine._slots._cache.layers:
            layer.keys[1:], layer.values[1:] = torch.nan, torch.nan
    # It is the shorter one, so it reads columns of its slot that are not its own.
    next_one = Client(engine, model, "the cat", 10)
    gate.open()
    assert next_one.answer == alone("the cat", 10)
    assert staying.answer == alone(max(endless, key=len), 40)


def test_a_full_queue_refuses_and_everything_accepted_is_answered(model, start, alone):
    engine = start(max_rows=2, max_queue=3)
    gate = Gate(engine)
    accepted = [Client(engine, model, PROMPTS[n], 5) for n in range(5)]
    with pytest.raises(QueueFull) as refusal:
        Client(engine, model, PROMPTS[5], 5)
    assert refusal.value.seconds >= 1
    gate.open()
    assert [client.answer for client in accepted] == [alone(PROMPTS[n], 5) for n in range(5)]


@pytest.mark.parametrize("where", ["forward", "reserve"])
def test_a_fault_fails_the_rows_it_met_and_no_later_one(model, start, alone, where, caplog):
    engine = start()
    working, calls = getattr(engine._slots, where), []

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise RuntimeError("out of memory")
        return working(*arguments)

    setattr(engine._slots, where, failing)
    assert "RuntimeError" in Client(engine, model, PROMPTS[0], 5).last.message
    assert Client(engine, model, PROMPTS[0], 5).answer == alone(PROMPTS[0], 5)
    assert engine.rows == 0
    assert "out of memory" in caplog.text


def test_a_closing_engine_fails_what_it_has_and_takes_nothing_new(model, endless):
    engine = Engine(model, Limits(max_rows=1), ServerMetrics())
    gate = Gate(engine)
    clients = [Client(engine, model, endless[n], 40) for n in range(3)]
    gate.let(3)
    eventually(lambda: len(clients[0].pieces) == 3)
    closing = threading.Thread(target=engine.close)
    closing.start()
    eventually(lambda: engine._stopping)
    gate.open()
    closing.join(10)
    assert not engine.alive
    assert all(client.last.stopping for client in clients)
    with pytest.raises(EngineStopped):
        Client(engine, model, PROMPTS[0], 5)


def test_models_whose_cache_it_cannot_keep_are_refused_with_the_remedy(tiny_seq2seq_folder):
    tokenizer = word_tokenizer()
    windowed = MistralConfig(
        vocab_size=len(tokenizer), sliding_window=8, **SIZES, **HEADS, **TOKENS
    )
    biased = BloomConfig(vocab_size=len(tokenizer), hidden_size=32, n_layer=2, n_head=4)
    models = [
        load_model(str(tiny_seq2seq_folder), dtype="float32"),
        LanguageModel(MistralForCausalLM(windowed), tokenizer, "windowed"),
        LanguageModel(BloomForCausalLM(biased), tokenizer, "biased"),
    ]
    for model in models:
        with pytest.raises(CourseError, match=r"cannot be served.*LanguageModel\.complete"):
            Engine(model, Limits(), ServerMetrics())
    assert not [thread for thread in threading.enumerate() if thread.name == "engine"]


@pytest.mark.parametrize("name", ["max_rows", "max_tokens_in_flight", "request_seconds"])
def test_a_limit_that_lets_nothing_through_is_refused(name):
    with pytest.raises(CourseError, match=name):
        Limits(**{name: 0})


class Bytes:
    """A tokenizer whose tokens are bytes, so that characters come in parts."""

    def decode(self, ids, **settings):
        return bytes(ids).decode(errors="replace")


letters = st.text("ab€\n", max_size=12)


@given(letters, st.lists(st.text("ab€\n", min_size=1, max_size=4), max_size=3))
def test_pieces_are_never_taken_back_and_show_nothing_of_a_stop_string(text, stops):
    stream, shown = TextStream(Bytes(), stops), ""
    for token in text.encode():
        stream.add(token)
        shown += stream.take(final=False)
        if stream.stopped:
            break
    shown += stream.take(final=True)
    # The first stop string to be complete ends the text, where the earliest one in it begins.
    complete = next((n for n in range(len(text)) if any(s in text[:n] for s in stops)), len(text))
    found = [text.index(stop) for stop in stops if stop in text[:complete]]
    assert shown == text[: min(found, default=len(text))]
    assert stream.stopped == any(stop in text for stop in stops)
