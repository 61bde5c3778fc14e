"""`course serve` against a naive server, one request at a time, on the same machine in one run.

python tests/benchmarks/serving_load.py [--model NAME] [--dtype auto] [--workload summaries]

Both are Starlette under uvicorn with the same model in the same number format, each in a process
of its own; they take turns at every concurrency. The naive one calls `model.generate` behind a
lock. Set OMP_NUM_THREADS=1 to leave a core to the load generator.
"""

import argparse
import asyncio
import sys
import time

from course_utils.dialogues import load_dialogues
from course_utils.prompts import TEMPLATES
from course_utils.serving import LoadReport, ServerProcess, load_test
from course_utils.serving.listening import bind

REQUESTS = {1: 6, 8: 24, 32: 48}  # concurrency: requests
WORKLOADS = {"summaries": 40, "answers": 100}  # name: new tokens, of at most so many
TOPICS = "bread rain maps clocks rivers glass bees wool salt trains paper bridges".split()


def main() -> None:
    """Measure both servers and print the table and the ratios."""
    options = _options()
    if options.naive:
        serve_naively(options.model, options.dtype, options.port)
        return
    words = ["--model", options.model, "--dtype", options.dtype]
    naive = ServerProcess(*words, "--naive", program=(sys.executable, __file__))
    served = ServerProcess(options.model, "--dtype", options.dtype)
    settings = {"max_tokens": WORKLOADS[options.workload], "temperature": 0}
    with naive, served:
        for server in (naive, served):  # the first request of a process is slower
            load_test(server.base_url, prompts(options.workload, 1), 1, **settings)
        print(f"{options.workload}, {options.model}, {options.dtype}")
        for concurrency, requests in REQUESTS.items():
            asked = prompts(options.workload, requests)
            one, many = (
                load_test(server.base_url, asked, concurrency, **settings)
                for server in (naive, served)
            )
            report(one, many)


def prompts(workload: str, count: int) -> list[list[dict[str, str]]]:
    """Return chats: dialogues to summarize, or short questions with long answers."""
    if workload == "summaries":
        dialogues = load_dialogues("course")["test"]["dialogue"][:count]
        return [TEMPLATES["summarize"].chat(dialogue) for dialogue in dialogues]
    asked = [f"Tell me {n + 1} things about {TOPICS[n % len(TOPICS)]}." for n in range(count)]
    return [[{"role": "user", "content": question}] for question in asked]


def report(naive: LoadReport, served: LoadReport) -> None:
    """Print both lines and what one is to the other."""
    same = sum(a == b for a, b in zip(naive.texts, served.texts, strict=True))
    print(f"  naive  {naive}\n  served {served}")
    print(
        f"         served / naive: requests/s {served.requests_per_second / naive.requests_per_second:.1f}, "
        f"p50 {served.p50 / naive.p50:.2f}, p95 {served.p95 / naive.p95:.2f}; "
        f"{same} of {len(naive.texts)} answers the same\n",
        flush=True,
    )


def serve_naively(name: str, dtype: str, port: int) -> None:
    """Serve a model the simplest way that is right: one request at a time."""
    import torch
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route
    from transformers import GenerationConfig

    from course_utils.model_store import load_transformers_model
    from course_utils.serving.chat_schema import read_chat_request

    model, tokenizer = load_transformers_model(name, dtype=dtype)
    lock = asyncio.Lock()

    def generate(chat) -> dict:
        inputs = tokenizer.apply_chat_template(
            chat.chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        prompt_tokens = inputs["input_ids"].shape[1]
        config = GenerationConfig(
            max_new_tokens=chat.new_tokens,
            do_sample=False,
            eos_token_id=model.generation_config.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        with torch.inference_mode():
            ids = model.generate(**inputs, generation_config=config)[0, prompt_tokens:]
        message = {"role": "assistant", "content": tokenizer.decode(ids, skip_special_tokens=True)}
        return {
            "id": "naive",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": name,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": len(ids),
                "total_tokens": prompt_tokens + len(ids),
            },
        }

    async def chat(request):
        asked = read_chat_request(await request.body())
        async with lock:
            return JSONResponse(await asyncio.to_thread(generate, asked))

    async def models(request):
        model = {"id": name, "object": "model", "created": 0, "owned_by": "naive"}
        return JSONResponse({"object": "list", "data": [model]})

    app = Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/models", models),
        ]
    )
    with bind("127.0.0.1", port) as taken:
        taken.listen()
        print(f"Serving {name} at http://127.0.0.1:{taken.getsockname()[1]}/v1 naively", flush=True)
        config = uvicorn.Config(app, http="h11", loop="asyncio", log_level="warning")
        uvicorn.Server(config).run(sockets=[taken])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--workload", choices=WORKLOADS, default="summaries")
    parser.add_argument("--naive", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--until-stdin-ends", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
