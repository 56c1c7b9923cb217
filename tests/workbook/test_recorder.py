"""Recorded requests: the exception behind a 500, and the type behind a 422 that nobody meant."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from workbook.checking.recorder import connect
from workbook.feedback.verdict import Exchange, Fault, Location

LOG = logging.getLogger("learner")
LOG.addHandler(logging.NullHandler())
LOG.propagate = False


def answer(app: FastAPI, path: str = "/", times: int = 1) -> list[Exchange]:
    """Return the exchanges of requests that are sent at once."""
    kept: list[Exchange] = []

    def explain(error: BaseException) -> Fault:
        return Fault(summary=f"{type(error).__name__}: {error}", trace=["app/main.py:3  raise"])

    async def send() -> None:
        async with connect(app, lambda _file, _line: None, kept.append, explain, raise_app_exceptions=False) as client:
            await asyncio.gather(*(client.get(f"{path}?n={number}") for number in range(times)))

    asyncio.run(send())
    return kept


def raising(prepare: Callable[[FastAPI], object] = lambda _app: None) -> FastAPI:
    """Return an app whose only route raises."""
    app = FastAPI()

    @app.get("/")
    async def root(n: int) -> None:
        raise KeyError(n)

    prepare(app)
    return app


def log_and_answer(app: FastAPI) -> None:
    """Let a handler of last resort log an exception, and answer as it likes."""

    @app.middleware("http")
    async def last_resort(request: Request, call_next: Any) -> Any:
        try:
            return await call_next(request)
        except Exception:
            LOG.exception("unexpected")
            return JSONResponse({"code": "internal_error"}, 500)


def answer_422(app: FastAPI) -> None:
    """Let the app log an exception and answer that the request is to blame."""

    @app.middleware("http")
    async def blame(_request: Request, _call_next: Any) -> Any:
        try:
            raise ValueError("no")
        except ValueError:
            LOG.exception("refused")
        return JSONResponse({}, 422)


@pytest.mark.parametrize("prepare", [lambda _app: None, log_and_answer])
def test_a_500_tells_what_raised(prepare: Callable[[FastAPI], object]) -> None:
    """The exception is found, unhandled or logged, and stands in place of the body."""
    (found,) = answer(raising(prepare))
    assert found.fault is not None
    assert found.answer_line == "500 Internal Server Error  KeyError: 0 (app/main.py:3)"


def test_requests_at_once_keep_their_own_exceptions() -> None:
    """Of several requests at the same time each tells what it raised itself."""
    found = answer(raising(log_and_answer), times=4)
    assert sorted(one.fault.summary for one in found if one.fault) == [f"KeyError: {number}" for number in range(4)]


def test_an_exception_behind_another_answer_is_not_told() -> None:
    """What the app logs while it answers with anything but a 500 is its own affair."""
    (found,) = answer(raising(answer_422))
    assert found.status == 422
    assert found.fault is None


def test_a_type_that_is_imported_for_type_checkers_only() -> None:
    """A parameter that FastAPI asks for in the address, because it cannot read its type, is named."""
    app = FastAPI()

    async def root(session: object) -> int:
        return 1

    root.__annotations__["session"] = "SessionDep"
    app.get("/")(root)
    (found,) = answer(app)
    assert found.status == 422
    assert found.fault is not None
    assert "FastAPI cannot read the type of `session`" in found.answer_line
    assert "`SessionDep` must be there when the app runs" in found.fault.hint


def test_tokens_in_a_request_are_shortened() -> None:
    """A token in an address or a body is no noise in the feedback."""
    made = Exchange(method="GET", url="/x?t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIzIiwidHlwZSI6ImFjY2VzcyJ9.c2ln")
    assert made.request_line == "GET /x?t=eyJ… (sub 3, type access)"
    assert Location(path="app/x.py", line=1).source == ""
