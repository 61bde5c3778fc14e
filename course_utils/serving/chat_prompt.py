"""From a chat request to what the engine is given: token ids and a generation configuration."""

from __future__ import annotations

import jinja2
from transformers import GenerationConfig

from course_utils.errors import CourseError
from course_utils.language_model import LanguageModel
from course_utils.language_model.prompt_tokens import tokenize
from course_utils.serving.api_errors import ApiError
from course_utils.serving.chat_schema import ChatRequest
from course_utils.serving.limits import Limits

GREEDY_BELOW = 1e-4  # a temperature this low draws the most probable token, or overflows


def prompt_and_config(
    chat: ChatRequest, model: LanguageModel, limits: Limits
) -> tuple[list[int], GenerationConfig]:
    """Return the prompt's token ids and the settings of its completion.

    Raises ApiError (400) for messages that the model's chat template refuses, that are empty, or
    that with their completion exceed the model's context window or the server's limits.
    """
    try:
        ids = tokenize([chat.chat], model.tokenizer, room=None, new_tokens=0)[0]
    except jinja2.TemplateError as error:
        reason = f"The model's chat template refuses these messages: {error}."
        raise ApiError(400, reason, param="messages") from None
    except CourseError:
        reason = "messages: there is no text in them, so nothing to answer."
        raise ApiError(400, reason, param="messages") from None
    sampled = chat.temperature is None or chat.temperature >= GREEDY_BELOW
    shape = {"temperature": chat.temperature or 1.0, "top_p": chat.top_p or 1.0, "top_k": 0}
    return ids, GenerationConfig(
        max_new_tokens=_new_tokens(chat, len(ids), model.context_window, limits),
        do_sample=sampled,
        stop_strings=chat.stop,
        **(shape if sampled else {}),
    )


def _new_tokens(
    chat: ChatRequest, prompt_tokens: int, context_window: int | None, limits: Limits
) -> int:
    most = limits.max_new_tokens
    if chat.new_tokens is not None and chat.new_tokens > most:
        raise ApiError(
            400,
            f"max_tokens={chat.new_tokens:,} is more than this server generates for one request: "
            f"ask for {most:,} at most.",
            param="max_tokens",
        )
    bounds = {
        "the model's context window": context_window,
        "the server's cache": limits.max_tokens_in_flight,
    }
    for whose, bound in bounds.items():
        wanted = prompt_tokens + (chat.new_tokens or 1)
        if bound is not None and wanted > bound:
            raise ApiError(
                400,
                f"The messages have {prompt_tokens:,} tokens, with the completion {wanted:,}; "
                f"{whose} holds {bound:,}: shorten the messages or lower max_tokens.",
                code="context_length_exceeded",
                param="messages",
            )
        if bound is not None and chat.new_tokens is None:
            most = min(most, bound - prompt_tokens)
    return chat.new_tokens or most
