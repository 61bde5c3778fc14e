"""`course serve` as a process: it starts, stops in order, and never outlives its starter."""

import re
import signal
import subprocess
import sys
import threading
import time

import httpx
import psutil
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from word_tokenizer import word_tokenizer

from course_utils.errors import CourseError
from course_utils.serving import ServerProcess, load_test
from course_utils.serving.listening import bind

CHAT = [{"role": "user", "content": "the cat sat on a mat"}]


@pytest.fixture(scope="module")
def endless_folder(tmp_path_factory):
    """A tiny model with a long context that never ends a text by itself."""
    torch.manual_seed(0)
    folder, tokenizer = tmp_path_factory.mktemp("served") / "endless", word_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048,
        pad_token_id=0, eos_token_id=None, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_sigterm_under_load_answers_everything_accepted_and_exits_with_0(
    endless_folder, monkeypatch
):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a notebook's kernel
    server = ServerProcess(str(endless_folder), "--max-rows", "8", "--max-queue", "12").start()
    reports = []
    users = threading.Thread(
        target=lambda: reports.append(
            load_test(server.base_url, [CHAT] * 60, 30, max_tokens=200, temperature=0)
        )
    )
    users.start()
    while httpx.get(f"{server.url}/health").json()["rows"] < 8:
        time.sleep(0.01)
    status = server.stop()
    users.join(30)
    (report,) = reports
    assert status == 0, server.log
    assert len(report.latencies) >= 8
    assert report.completion_tokens == 200 * len(report.latencies)
    # Whoever got no answer was told why, or came when nobody listened any more.
    told = {"429 queue_full", "503 stopping", "APIConnectionError"}
    assert set(report.errors) <= told, report.errors
    assert report.errors.total() + len(report.latencies) == 60
    assert "every accepted request was answered" in server.log
    assert re.search(r"^Serving endless at http://127\.0\.0\.1:\d+/v1 ", server.log, re.M)
    assert f"curl {server.url}/v1/chat/completions" in server.log


def test_the_server_stops_when_its_starter_is_killed(endless_folder):
    starter = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time\n"
            "from course_utils.serving import ServerProcess\n"
            f"print(ServerProcess({str(endless_folder)!r}).start().pid, flush=True)\n"
            "time.sleep(100)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    with starter:
        server = psutil.Process(int(starter.stdout.readline()))
        assert server.is_running()
        starter.send_signal(signal.SIGKILL)
    server.wait(20)


def test_a_server_that_cannot_start_says_why_in_a_sentence(tmp_path):
    with pytest.raises(CourseError, match=r"stopped: course: There is no folder .*nowhere"):
        ServerProcess(str(tmp_path / "nowhere")).start()
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "course_utils.cli", "serve", "any", "--port", port],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert "is in use" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
