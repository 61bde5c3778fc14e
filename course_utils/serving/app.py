"""The web application: its addresses, and one shape for every refusal."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from course_utils.serving.api_errors import ApiError
from course_utils.serving.chat_endpoint import ChatCompletions
from course_utils.serving.service import Service


def create_app(service: Service) -> Starlette:
    """Return the ASGI application that serves one model."""

    async def models(request: Request) -> Response:
        service.check_key(request)
        return JSONResponse({"object": "list", "data": [_model(service)]})

    async def model(request: Request) -> Response:
        service.check_key(request)
        service.check_model(request.path_params["name"])
        return JSONResponse(_model(service))

    async def health(request: Request) -> Response:
        engine = service.engine
        state = {"model": service.name, "rows": engine.rows, "waiting": engine.waiting}
        if not engine.alive:
            return JSONResponse({"status": "the engine has stopped", **state}, 503)
        return JSONResponse({"status": "alive", **state})

    async def ready(request: Request) -> Response:
        if service.draining or not service.engine.alive:
            return JSONResponse({"status": "stopping"}, 503)
        return JSONResponse({"status": "ready"})

    async def metrics(request: Request) -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    return Starlette(
        routes=[
            Route("/v1/chat/completions", ChatCompletions(service), methods=["POST"]),
            Route("/v1/models", models),
            Route("/v1/models/{name:path}", model),
            Route("/health", health),
            Route("/ready", ready),
            Route("/metrics", metrics),
        ],
        exception_handlers={
            ApiError: _refuse,
            HTTPException: _no_such_address,
            Exception: _fault,
        },
    )


def _model(service: Service) -> dict[str, Any]:
    return {
        "id": service.name,
        "object": "model",
        "created": service.created,
        "owned_by": "course",
    }


async def _refuse(request: Request, error: ApiError) -> Response:
    return error.response()


async def _no_such_address(request: Request, error: HTTPException) -> Response:
    path, method = request.url.path, request.method
    asked = f"{method} {path} is not offered: POST /v1/chat/completions, GET /v1/models, /health, "
    refusal = ApiError(error.status_code, asked + "/ready and /metrics are.", code="unknown_url")
    response = refusal.response()
    response.headers.update(error.headers or {})
    return response


async def _fault(request: Request, error: Exception) -> Response:
    return ApiError(500, "The server made a mistake; its log says which.").response()
