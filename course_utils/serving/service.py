"""What the endpoints share: the model, its engine, the limits, the state."""

from __future__ import annotations

import asyncio
import hmac
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from starlette.requests import Request
from transformers import GenerationConfig

from course_utils.language_model import LanguageModel
from course_utils.serving.api_errors import ApiError
from course_utils.serving.chat_prompt import prompt_and_config
from course_utils.serving.chat_schema import ChatRequest
from course_utils.serving.engine import Engine
from course_utils.serving.limits import Limits
from course_utils.serving.metrics import ServerMetrics


class Service:
    """One served model.

    api_key: if given, requests under /v1 have to bring it as "Authorization: Bearer KEY".
    draining: whether the server finishes what it has and takes nothing new.
    open: accepted requests whose answer is not complete.
    Raises CourseError for a model that cannot be served.
    """

    def __init__(
        self, model: LanguageModel, limits: Limits | None = None, api_key: str | None = None
    ) -> None:
        self.name = Path(model.name).name if Path(model.name).is_dir() else model.name
        self.limits = limits or Limits()
        self.metrics = ServerMetrics()
        self.engine = Engine(model, self.limits, self.metrics)
        self.draining = False
        self.open = 0
        self.created = int(time.time())
        self._model = model
        self._api_key = api_key
        # One thread for all requests' tokenization: away from the event loop, and in turn.
        self._tokenizing = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")

    def close(self) -> None:
        """Stop the engine; what it has not finished fails."""
        self.engine.close()
        self._tokenizing.shutdown(cancel_futures=True)

    def check_key(self, request: Request) -> None:
        """Raise ApiError (401) unless the request brings the key, where one is asked for."""
        if self._api_key is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        # Headers are read as Latin-1, which gives back the bytes that came.
        right = hmac.compare_digest(given.encode("latin-1"), self._api_key.encode())
        if scheme.lower() != "bearer" or not right:
            raise ApiError(
                401,
                "The API key is missing or wrong: send the header Authorization: Bearer KEY.",
                code="invalid_api_key",
            )

    def check_model(self, name: str) -> None:
        """Raise ApiError (404) unless it is the served model's name."""
        if name != self.name:
            raise ApiError(
                404,
                f"There is no model {name[:80]!r} here: this server has {self.name!r}.",
                code="model_not_found",
                param="model",
            )

    async def prompt_and_config(self, chat: ChatRequest) -> tuple[list[int], GenerationConfig]:
        """Tokenize and fit a request; raises as `course_utils.serving.chat_prompt` does."""
        return await asyncio.get_running_loop().run_in_executor(
            self._tokenizing, prompt_and_config, chat, self._model, self.limits
        )
