"""The server over real HTTP, with the ordinary client: answers, refusals, and a quiet end."""

import contextlib
import json
import queue
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
from transformers import GenerationConfig

from course_utils.errors import CourseError
from course_utils.model_store import load_model
from course_utils.serving import cost_per_thousand, load_test
from course_utils.serving.limits import Limits
from course_utils.serving.listening import bind
from course_utils.serving.server import ChatServer
from course_utils.serving.service import Service

CHAT = [{"role": "user", "content": "the cat sat on a mat"}]
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def model(tiny_causal_folder):
    return load_model(str(tiny_causal_folder), dtype="float32")


class Running:
    """A server on a loopback port, in a thread with an event loop of its own."""

    def __init__(self, model, *, drain_seconds=10.0, api_key=None, **limits):
        self.service = Service(model, Limits(**limits), api_key)
        urls = queue.Queue()
        self.server = ChatServer(self.service, drain_seconds=drain_seconds, announce=urls.put)
        self.thread = threading.Thread(
            target=self.server.serve_on, args=(bind("127.0.0.1", 0),), name="server"
        )
        self.thread.start()
        self.url = urls.get(timeout=20)
        self.chat_url = f"{self.url}/v1/chat/completions"
        self.client = openai.OpenAI(
            base_url=f"{self.url}/v1", api_key=api_key or "unused", max_retries=0
        )
        self.running = threading.Event()  # cleared, it holds the model before its next step
        self.running.set()
        forward = self.service.engine._slots.forward
        self.service.engine._slots.forward = lambda *call: self.running.wait(20) and forward(*call)

    def ask(self, messages=CHAT, *, new_tokens=8, **settings):
        return self.client.chat.completions.create(
            model=self.service.name,
            messages=messages,
            max_tokens=new_tokens,
            **({"temperature": 0} | settings),
        )

    def body(self, **fields):
        return {"model": self.service.name, "messages": CHAT, "max_tokens": 8} | fields

    def post(self, **fields):
        return httpx.post(self.chat_url, json=self.body(**fields), timeout=20)

    def ended(self, status):
        """How many chat requests have ended with a status so far."""
        return self.service.metrics.registry.get_sample_value(
            "course_requests_total", {"status": str(status)}
        )

    def stop(self):
        self.running.set()
        self.client.close()
        self.server.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture(scope="module")
def server(model):
    running = Running(model)
    yield running
    running.stop()


@pytest.fixture
def start(model):
    started = []

    def start(**settings):
        started.append(Running(model, **settings))
        return started[-1]

    yield start
    for running in started:
        running.stop()


def eventually(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.002)


def quiet(server):
    """Nothing is left of any request."""
    engine = server.service.engine
    return (engine.rows, engine.waiting, server.service.open, engine._slots.rows) == (0, 0, 0, 0)


def alone(model, new_tokens=8, **settings):
    config = GenerationConfig(max_new_tokens=new_tokens, **settings)
    return model.complete([CHAT], config, cache=False)[0]


def test_the_ordinary_client_gets_what_complete_gives(server, model):
    expected = alone(model)
    answer = server.ask()
    assert answer.choices[0].message.content == expected.text
    assert answer.choices[0].finish_reason == expected.finish_reason
    assert answer.usage.prompt_tokens == expected.prompt_tokens
    assert answer.usage.completion_tokens == len(expected.token_ids)
    assert answer.model == server.service.name == server.client.models.list().data[0].id
    assert server.client.models.retrieve(answer.model).id == answer.model


def test_a_stream_adds_up_to_the_answer_and_counts_its_tokens(server, model):
    chunks = list(server.ask(stream=True, stream_options={"include_usage": True}))
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks[:-1]]
    expected = alone(model)
    assert "".join(pieces) == expected.text
    assert sum(map(bool, pieces)) > 3
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [
        *[None] * (len(chunks) - 2),
        expected.finish_reason,
    ]
    assert chunks[-1].usage.completion_tokens == len(expected.token_ids)
    raw = httpx.post(server.chat_url, json=server.body(stream=True)).text.strip().split("\n\n")
    assert raw[-1] == "data: [DONE]"
    assert all(json.loads(event.removeprefix("data: ")) for event in raw[:-1])


def test_a_stop_string_ends_the_answer_and_is_never_shown(server, model):
    words = alone(model).text.split(" ")
    stop = f"{words[2]} {words[3]}"  # ends inside a later token than it begins
    answer = server.ask(stop=[stop]).choices[0]
    assert answer.finish_reason == "stop"
    assert answer.message.content == alone(model).text.split(stop)[0]
    streamed = "".join(c.choices[0].delta.content or "" for c in server.ask(stop=stop, stream=True))
    assert streamed == answer.message.content


def test_parts_other_names_and_empty_wishes_mean_the_same_request(server):
    expected = server.ask().choices[0].message.content
    parts = [{"type": "text", "text": "the cat sat "}, {"type": "text", "text": "on a mat"}]
    body = {"model": server.service.name, "messages": [{"role": "user", "content": parts}]}
    body |= {"max_completion_tokens": 8, "temperature": 0, "n": 1, "tools": None, "user": "me"}
    answer = httpx.post(server.chat_url, json=body).json()
    assert answer["choices"][0]["message"]["content"] == expected


def test_a_seed_repeats_a_sampled_answer(server):
    hot = {"temperature": 2, "top_p": 0.95, "new_tokens": 20}
    texts = [server.ask(seed=seed, **hot).choices[0].message.content for seed in (1, 1, 2, 3, 4)]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


REFUSED = {
    "not JSON": (b"{", 400, "not JSON"),
    "not text": (b"\xff\xfe", 400, "not JSON"),
    "too deep": (b"[" * 100_000, 400, "recursion"),
    "no object": (b"[1]", 400, "object"),
    "no messages": ({"messages": []}, 400, "messages"),
    "no text": ({"messages": [{"role": "user", "content": " "}]}, 400, "no text"),
    "unknown role": ({"messages": [{"role": "robot", "content": "hi"}]}, 400, "assistant"),
    "picture": (
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, '"type": "text"'
    ),
    "half a character": (
        b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}', 400, "not JSON"
    ),
    "hot": ({"temperature": 3}, 400, "temperature"),
    "not a number": ({"temperature": float("nan")}, 400, "finite"),
    "number as text": ({"max_tokens": "8"}, 400, "max_tokens"),
    "no tokens": ({"max_tokens": 0}, 400, "max_tokens"),
    "two lengths": ({"max_completion_tokens": 9}, 400, "differ"),
    "huge seed": ({"seed": 2**70}, 400, "seed"),
    "empty stop": ({"stop": [""]}, 400, "stop"),
    "several answers": ({"n": 2}, 400, "set to 1"),
    "tools": ({"tools": [{"type": "function"}]}, 400, "not supported"),
    "misspelt": ({"temprature": 1}, 400, "temprature"),
    "unknown model": ({"model": "gpt-4o"}, 404, "this server has"),
    "over the context": ({"messages": [{"role": "user", "content": "cat " * 60}]}, 400, "window"),
    "over the limit": ({"max_tokens": 10_000}, 400, "512"),
    "oversized": (b" " * 1_100_000, 413, "1,048,576 bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "status", "phrase"), REFUSED.values(), ids=REFUSED)
def test_a_bad_request_gets_its_status_and_a_sentence(server, sent, status, phrase):
    content = sent if isinstance(sent, bytes) else json.dumps(server.body(**sent)).encode()
    answer = httpx.post(server.chat_url, content=content, headers=JSON)
    error = answer.json()["error"]
    assert answer.status_code == status
    assert phrase in error["message"]
    assert set(error) == {"message", "type", "param", "code"}
    assert server.ask(new_tokens=1).choices


def test_a_body_of_unknown_length_is_refused_when_it_has_become_too_long(server):
    answer = httpx.post(server.chat_url, content=(b" " * 65_536 for _ in range(40)), headers=JSON)
    assert answer.status_code == 413


def test_the_clients_own_exceptions_carry_the_sentence(server):
    with pytest.raises(openai.NotFoundError, match="this server has"):
        server.client.chat.completions.create(model="gpt-4o", messages=CHAT)
    with pytest.raises(openai.BadRequestError, match="context window"):
        server.ask([{"role": "user", "content": "cat " * 60}])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/chat/completions", 405), ("POST", "/v1/completions", 404), ("GET", "/", 404)],
)
def test_an_address_that_is_not_there_says_which_are(server, method, path, status):
    answer = httpx.request(method, server.url + path)
    assert answer.status_code == status
    assert "/v1/chat/completions" in answer.json()["error"]["message"]


def test_bytes_that_are_no_http_harm_nobody(server):
    host, port = server.url.removeprefix("http://").split(":")
    for sent in (b"\x00\x01\x02\r\n\r\n", b"GET / HTTP/1.1\r\nx: " + b"y" * 300_000 + b"\r\n\r\n"):
        connection = socket.create_connection((host, int(port)), timeout=10)
        with connection, contextlib.suppress(ConnectionError):
            connection.sendall(sent)
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert server.ask().choices


def test_an_api_key_opens_the_interface_and_nothing_else_does(start):
    server = start(api_key="key-à")
    headers = {"authorization": "Bearer key-à".encode()}
    assert httpx.post(server.chat_url, json=server.body(), headers=headers).status_code == 200
    for wrong in ({}, {"authorization": "Bearer key"}, {"authorization": "key-a"}):
        answer = httpx.post(server.chat_url, json=server.body(), headers=wrong)
        assert answer.status_code == 401
        assert "Bearer" in answer.json()["error"]["message"]
    assert httpx.get(f"{server.url}/v1/models").status_code == 401
    assert httpx.get(f"{server.url}/health").status_code == 200


def test_the_server_answers_others_while_the_model_computes(start):
    server = start(max_rows=1)
    server.running.clear()
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(server.ask) for _ in range(3)]
        eventually(lambda: server.service.open == 3)
        health = httpx.get(f"{server.url}/health").json()
        assert (health["rows"], health["waiting"]) == (1, 2)
        assert httpx.get(f"{server.url}/ready").status_code == 200
        server.running.set()
        assert len({answer.result().choices[0].message.content for answer in asked}) == 1


def test_a_full_queue_says_when_to_come_back_and_loses_nobody(start):
    server = start(max_rows=2, max_queue=1)
    server.running.clear()
    with ThreadPoolExecutor() as pool:
        accepted = [pool.submit(server.ask) for _ in range(3)]
        eventually(lambda: server.service.open == 3)
        with pytest.raises(openai.RateLimitError, match="queue is full") as refusal:
            server.ask()
        assert int(refusal.value.response.headers["retry-after"]) >= 1
        server.running.set()
        assert all(answer.result().choices for answer in accepted)
    assert server.ended(429) == 1


def test_a_hundred_clients_at_once_are_all_answered_or_told_to_come_back(start, model):
    server = start(max_rows=8, max_queue=52)
    server.running.clear()
    threading.Timer(1.0, server.running.set).start()
    report = load_test(f"{server.url}/v1", [CHAT] * 100, 100, max_tokens=8, temperature=0)
    assert len(report.latencies) + report.errors["429 queue_full"] == 100
    assert len(report.latencies) >= 60
    assert {text for text in report.texts if text is not None} == {alone(model).text}
    assert server.ended(200) == len(report.latencies)
    eventually(lambda: quiet(server))


def disconnecting(server, *, stream):
    """Send a request, wait until it is being computed, and go away without reading on."""
    host, port = server.url.removeprefix("http://").split(":")
    body = json.dumps(server.body(max_tokens=40, stream=stream, temperature=0)).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
    return connection


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_client_that_leaves_frees_its_row_and_leaves_nothing_behind(start, model, stream):
    server = start(max_rows=2)
    server.ask()  # threads that live as long as the server have started
    before = threading.active_count()
    server.running.clear()
    gone = [disconnecting(server, stream=stream) for _ in range(4)]  # two rows, two in the queue
    eventually(lambda: server.service.open == 4)
    if stream:
        server.running.set()
        assert gone[0].recv(15) == b"HTTP/1.1 200 OK"
        server.running.clear()
    for connection in gone:
        connection.close()
    eventually(lambda: server.service.open == 0)  # without a step of the model
    assert server.service.engine.waiting == 0
    server.running.set()
    eventually(lambda: quiet(server))
    assert server.ask().choices[0].message.content == alone(model).text
    eventually(lambda: not server.server.server_state.tasks)
    assert threading.active_count() <= before
    assert server.ended(499) + server.ended(200) == 6
    assert server.ended(499) >= (2 if stream else 4)


def test_time_is_limited_before_the_first_token_and_within_a_stream(start):
    server = start(request_seconds=1, max_rows=1)
    server.running.clear()
    with pytest.raises(openai.InternalServerError, match="within 1 s") as late:
        server.ask()
    assert late.value.status_code == 504
    server.running.set()
    eventually(lambda: quiet(server))
    stream = server.ask(stream=True, new_tokens=40)
    assert next(stream).choices
    server.running.clear()
    with pytest.raises(openai.APIError, match="within 1 s"):
        list(stream)
    server.running.set()
    eventually(lambda: quiet(server))
    assert server.ended(504) == 2
    assert server.ask().choices


def test_a_fault_of_the_model_is_a_500_and_the_server_lives_on(start):
    server = start()
    working = server.service.engine._slots.forward
    server.service.engine._slots.forward = lambda *call: 1 / 0
    with pytest.raises(openai.InternalServerError, match="ZeroDivisionError"):
        server.ask()
    server.service.engine._slots.forward = working
    assert server.ask().choices


def test_the_metrics_count_requests_tokens_and_batches(start):
    server = start()
    answer = server.ask()
    server.post(temperature=9)
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    shown = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(shown['course_requests_total{status="200"}']) == 1
    assert float(shown['course_requests_total{status="400"}']) == 1
    assert float(shown["course_completion_tokens_total"]) == answer.usage.completion_tokens
    assert float(shown["course_prompt_tokens_total"]) == answer.usage.prompt_tokens
    assert float(shown["course_time_to_first_token_seconds_count"]) == 1
    assert float(shown["course_request_seconds_count"]) == 1
    assert float(shown["course_batch_size_count"]) == answer.usage.completion_tokens - 1
    assert float(shown["course_queue_length"]) == 0


def test_a_stopping_server_refuses_the_new_and_finishes_the_accepted(start, model):
    server = start(max_rows=1)
    server.running.clear()
    with ThreadPoolExecutor() as pool:
        accepted = [pool.submit(server.ask) for _ in range(4)]
        eventually(lambda: server.service.open == 4)
        server.server.stop()
        assert httpx.get(f"{server.url}/ready").status_code == 503
        assert httpx.get(f"{server.url}/health").status_code == 200
        with pytest.raises(openai.InternalServerError, match="stopping") as refusal:
            server.ask()
        assert refusal.value.status_code == 503
        server.running.set()
        assert {a.result().choices[0].message.content for a in accepted} == {alone(model).text}
    server.thread.join(20)
    assert server.server.lost == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/health")


def test_what_cannot_be_finished_in_time_is_told_so_and_counted(start):
    server = start(max_rows=1, drain_seconds=0.2)
    server.running.clear()
    with ThreadPoolExecutor() as pool:
        accepted = [pool.submit(server.ask, new_tokens=40) for _ in range(3)]
        eventually(lambda: server.service.open == 3)
        server.server.stop()
        eventually(lambda: server.service.engine._stopping)
        server.running.set()
        for answer in accepted:
            with pytest.raises(openai.InternalServerError, match="stopping"):
                answer.result()
    server.thread.join(20)
    assert server.server.lost == 3


def test_a_port_that_is_taken_is_one_sentence_with_the_remedy():
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(CourseError, match=r"is in use.*--port"):
            bind("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(CourseError, match="--host"):
        bind("192.0.2.1", 0)
    with pytest.raises(CourseError, match="0 to 65535"):
        bind("127.0.0.1", 70_000)


def test_a_load_report_has_the_percentiles_of_what_was_answered(server):
    report = load_test(f"{server.url}/v1", [CHAT] * 6, 3, max_tokens=4, temperature=0)
    assert len(report.latencies) == 6
    assert min(report.latencies) <= report.p50 <= report.p95 <= max(report.latencies)
    assert report.completion_tokens <= 24
    assert report.seconds >= max(report.latencies)
    assert not report.errors
    with pytest.raises(ValueError, match="prompt"):
        load_test(f"{server.url}/v1", [], 1)


def test_the_cost_of_a_thousand_answers_by_hand():
    # 36 tokens an answer at 100 a second: 0.36 s each, 1000 take a tenth of an hour.
    assert cost_per_thousand(36, 100, 2.0) == pytest.approx(0.20)
    assert cost_per_thousand(36, 100, 2.0, busy=0.25) == pytest.approx(0.80)
    with pytest.raises(ValueError, match="busy"):
        cost_per_thousand(36, 100, 2.0, busy=1.5)
