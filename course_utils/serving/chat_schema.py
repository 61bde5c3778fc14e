"""A chat request as OpenAI's clients write it: read, checked, and answered in the same form."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from course_utils.serving.api_errors import ApiError

MOST_STOPS = 4

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logprobs": (False,),
    "store": (False,),
    "response_format": ({"type": "text"},),
    "tools": ([],),
}
"""Fields that are not supported, and the values at which they ask for nothing."""

IGNORED = {"user", "metadata", "safety_identifier"}
"""Fields that describe the caller and do not touch the answer."""


class Message(BaseModel):
    """One message of the chat; `content` as text, or as a list of parts of type "text"."""

    model_config = ConfigDict(strict=True, extra="forbid")

    role: Literal["system", "developer", "user", "assistant"]
    content: str
    name: str | None = None

    @field_validator("content", mode="before")
    @classmethod
    def _join_parts(cls, content: Any) -> Any:
        if not isinstance(content, list):
            return content
        texts = [part.get("text") if isinstance(part, dict) else None for part in content]
        if not all(isinstance(text, str) for text in texts):
            raise PydanticCustomError(
                "parts", 'give a string, or parts of the form {"type": "text", "text": "..."}'
            )
        return "".join(texts)


class StreamOptions(BaseModel):
    """What a stream says besides the text."""

    model_config = ConfigDict(strict=True, extra="forbid")

    include_usage: bool | None = False


class ChatRequest(BaseModel):
    """The body of POST /v1/chat/completions.

    Left out, `temperature` and `top_p` are 1, as in OpenAI's interface; `temperature=0` is greedy.
    """

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stop: str | list[str] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None

    @field_validator("stop", mode="before")
    @classmethod
    def _list_stops(cls, stop: Any) -> Any:
        stops = [stop] if isinstance(stop, str) else stop
        if stops is None:
            return None
        right = isinstance(stops, list) and len(stops) <= MOST_STOPS
        if not right or not all(isinstance(text, str) and text for text in stops):
            raise PydanticCustomError("stops", f"give up to {MOST_STOPS} strings, none empty")
        return stops

    @model_validator(mode="after")
    def _refuse_what_would_be_ignored(self) -> ChatRequest:
        for name, value in (self.model_extra or {}).items():
            if value is None or name in IGNORED or value in NEUTRAL.get(name, ()):
                continue
            only = f", or set to {NEUTRAL[name][0]!r}" if name in NEUTRAL else ""
            raise ApiError(
                400,
                f"{name!r} is not supported by this server: it has to be left out{only}.",
                code="unsupported_parameter",
                param=name,
            )
        both = {self.max_tokens, self.max_completion_tokens} - {None}
        if len(both) > 1:
            raise ApiError(
                400,
                "max_tokens and max_completion_tokens mean the same and differ: give one of them.",
                param="max_tokens",
            )
        return self

    @property
    def new_tokens(self) -> int | None:
        """The most tokens to generate, under either of its two names."""
        return self.max_tokens or self.max_completion_tokens

    @property
    def chat(self) -> list[dict[str, str]]:
        """The messages as the chat template reads them; "developer" is the newer word for "system"."""
        roles = {"developer": "system"}
        return [
            {"role": roles.get(message.role, message.role), "content": message.content}
            for message in self.messages
        ]


def read_chat_request(body: bytes) -> ChatRequest:
    """Parse and check a request body.

    Raises ApiError (400) that names the field and what it has to be.
    """
    try:
        return ChatRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise ApiError(400, f"The body is not JSON: {first['ctx']['error']}.") from None
        param = ".".join(str(part) for part in first["loc"]) or None
        where = f"{param}: " if param else "The body is not a chat request: "
        raise ApiError(400, f"{where}{first['msg']}.", param=param) from None
