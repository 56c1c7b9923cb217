"""From an exception to an answer: all errors get the same body, none shows internals."""

import json
import logging
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI, Request, status
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import TimeoutError as NoConnection
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.core.exceptions import DatabaseAway, DomainError

logger = logging.getLogger(__name__)

CODES = {
    status.HTTP_400_BAD_REQUEST: "bad_request",
    status.HTTP_401_UNAUTHORIZED: "not_authenticated",
    status.HTTP_403_FORBIDDEN: "forbidden",
    status.HTTP_404_NOT_FOUND: "not_found",
    status.HTTP_405_METHOD_NOT_ALLOWED: "method_not_allowed",
    status.HTTP_422_UNPROCESSABLE_CONTENT: "validation_error",
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
UNREADABLE_BODY = {"loc": ["body"], "msg": "the body cannot be read", "type": "body_unreadable"}


class ErrorResponse(JSONResponse):
    """JSON that can always be sent: a message may quote half a character (a lone surrogate)."""

    def render(self, content: Any) -> bytes:
        """Write the body; what cannot be encoded becomes a question mark."""
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "replace")


def error_response(
    request: Request,
    status_code: int,
    code: str,
    detail: str,
    headers: dict[str, str] | None = None,
    **extra: Any,
) -> JSONResponse:
    """Build the one error body; `extra` adds fields such as `errors`."""
    body = {"detail": detail, "code": code, "request_id": request.state.request_id, **extra}
    return ErrorResponse(body, status_code, headers)


async def handle_domain_error(request: Request, error: DomainError) -> JSONResponse:
    """Answer for a broken rule."""
    logger.info("%s (request %s)", error.code, request.state.request_id)
    extra = {"error": error.oauth_error} if error.oauth_error else {}
    return error_response(
        request, error.status_code, error.code, error.detail, error.headers, **extra
    )


def allowed_methods(request: Request) -> list[str]:
    """Return every method that this path knows; the framework names those of one route only."""

    def matches(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return [method for method in METHODS if matches(method)]


def raised_by_framework(error: Exception) -> bool:
    """Say whether FastAPI or Starlette raised an error, and not a route."""
    frames = [frame for frame, _line in traceback.walk_tb(error.__traceback__)]
    module = str(frames[-1].f_globals["__name__"]) if frames else ""
    return module.startswith(("fastapi.", "starlette."))


async def handle_http_exception(request: Request, error: HTTPException) -> JSONResponse:
    """Answer for an error of the framework, such as an unknown path.

    The framework says 400 only for a body that it cannot read: here that is a 422, as all
    malformed requests are. A route may say 400 for reasons of its own.
    """
    if error.status_code == status.HTTP_400_BAD_REQUEST and raised_by_framework(error):
        return validation_response(request, [UNREADABLE_BODY])
    headers = dict(error.headers or {})
    if error.status_code == status.HTTP_405_METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(allowed_methods(request))
    code = CODES.get(error.status_code, "http_error")
    return error_response(request, error.status_code, code, str(error.detail), headers)


def validation_response(request: Request, errors: Iterable[Mapping[str, Any]]) -> JSONResponse:
    """Answer for a malformed request: name the fields, but never repeat what was sent."""
    public = [{key: error[key] for key in ("loc", "msg", "type")} for error in errors]
    detail = "The request is malformed; see errors."
    return error_response(request, 422, "validation_error", detail, errors=public)


async def handle_validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
    """Answer for a request that breaks a schema."""
    return validation_response(request, error.errors())


async def handle_no_connection(request: Request, _error: NoConnection) -> JSONResponse:
    """Answer for a request that waited too long for a connection of the pool."""
    return await handle_domain_error(request, DatabaseAway())


def add_handlers(app: FastAPI) -> None:
    """Register all handlers."""
    app.exception_handler(DomainError)(handle_domain_error)
    app.exception_handler(HTTPException)(handle_http_exception)
    app.exception_handler(RequestValidationError)(handle_validation_error)
    app.exception_handler(NoConnection)(handle_no_connection)


def unexpected_error(request: Request) -> JSONResponse:
    """Answer for an exception that nobody expected: the cause is in the log, not in the body."""
    return error_response(request, 500, "internal_error", "Something went wrong on our side.")
