"""An httpx client that records what it sends and what comes back."""

from __future__ import annotations

import inspect
import logging
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from typing import Any

import httpx
from starlette.routing import Match

from workbook import expect
from workbook.base.wording import shortened
from workbook.checking.lifespan import Lifespan
from workbook.feedback import definition
from workbook.feedback.verdict import Exchange, Fault, Location

BODY = 400
BASE_URL = "http://testserver"
_SHOWN = ("authorization", "content-type", "accept", "origin", "x-request-id")
_SHOWN_BACK = ("content-type", "location", "www-authenticate", "x-total-count", "allow", "retry-after")
Locate = Callable[[str, int], Location | None]
Explain = Callable[[BaseException], Fault]


class Raised:
    """The newest exception of one request that nobody handled, or that a handler of last resort has logged."""

    def __init__(self) -> None:
        self.error: BaseException | None = None


_RAISED: ContextVar[Raised | None] = ContextVar("raised", default=None)
_make_record = logging.getLogRecordFactory()


def _noting(*args: Any, **kwargs: Any) -> logging.LogRecord:
    """Make a log record, and note the exception that it is about, for the request that is being answered."""
    record = _make_record(*args, **kwargs)
    raised = _RAISED.get()
    if raised is not None and record.exc_info and record.exc_info[1] is not None:
        raised.error = record.exc_info[1]
    return record


class Recorder(httpx.AsyncBaseTransport):
    """A transport around an ASGI app that keeps every exchange.

    Args:
        app: the ASGI app under test.
        locate: turns a file and line into a Location of the learner's code, or None when it is not theirs.
        keep: receives each Exchange as soon as the request is known.
        explain: puts the exception behind a 500 into words.
    """

    def __init__(
        self,
        app: Any,
        locate: Locate,
        keep: Callable[[Exchange], None],
        explain: Explain | None = None,
        *,
        raise_app_exceptions: bool,
    ) -> None:
        self._app, self._locate, self._keep, self._explain = app, locate, keep, explain
        self._inner = httpx.ASGITransport(self._run, raise_app_exceptions=raise_app_exceptions)
        self._scope: Any = {}
        logging.setLogRecordFactory(_noting)

    async def _run(self, scope: Any, receive: Any, send: Any) -> None:
        self._scope = scope
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            if raised := _RAISED.get():
                raised.error = error
            raise

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the app and record the exchange, also when the app raises."""
        await request.aread()
        exchange = _begin(request)
        self._keep(exchange)
        self._scope = {}
        response, raised = None, Raised()
        token = _RAISED.set(raised)
        try:
            response = await self._inner.handle_async_request(request)
        except AssertionError as error:
            if not _is_transports(error):
                raise
            raise _unanswered(exchange) from None
        finally:
            _RAISED.reset(token)
            exchange.endpoint, exchange.calls = self._endpoint()
            exchange.replay = exchange.body.encode() == request.content and _is_route(self._app, request)
            if response is not None:
                await response.aread()
                _finish(exchange, response)
                self._tell(exchange, raised)
        response.extensions["workbook.exchange"] = exchange
        return response

    def _tell(self, exchange: Exchange, raised: Raised) -> None:
        """Put the exception behind a 500 into words at once, and let go of it: it may hold a forgotten coroutine."""
        error, raised.error = raised.error, None
        if exchange.status == 422:
            exchange.fault = _unread(self._scope.get("endpoint"), exchange.endpoint)
        if error is not None and self._explain is not None and (exchange.status or 0) >= 500:
            exchange.fault = self._explain(error)
            if not exchange.fault.planted:
                exchange.response_body = exchange.fault.line

    def _endpoint(self) -> tuple[Location | None, tuple[str, ...]]:
        """Return where the newest request's endpoint is defined, and the names that it uses."""
        endpoint = self._scope.get("endpoint") if isinstance(self._scope, dict) else None
        found = definition.place(endpoint) if endpoint is not None else None
        code = getattr(inspect.unwrap(endpoint) if callable(endpoint) else None, "__code__", None)
        return self._locate(*found) if found else None, tuple(code.co_names) if code else ()


def _unread(endpoint: Any, where: Location | None) -> Fault | None:
    """Return the fault of a parameter whose type FastAPI could not read, and therefore takes for a part of the address.

    That is so where the type is imported only for type checkers, and annotations are kept as texts.
    """
    function = inspect.unwrap(endpoint) if callable(endpoint) else None
    known = getattr(function, "__globals__", None)
    for name, one in inspect.signature(function).parameters.items() if function and known is not None else ():
        if isinstance(one.annotation, str):
            try:
                eval(one.annotation, known)  # as FastAPI reads it, in the process of the check
            except NameError as error:
                told = f"FastAPI cannot read the type of `{name}`, and asks for it in the address: {error}"
                hint = f"`{one.annotation}` must be there when the app runs: import it without `if TYPE_CHECKING`"
                return Fault(summary=told, hint=hint, where=where, trace=[str(where)] if where else [])
            except Exception:  # not this mistake
                continue
    return None


def _is_transports(error: AssertionError) -> bool:
    """Say whether it was the transport that failed: the app ended and had sent no answer."""
    *_, (frame, _line) = traceback.walk_tb(error.__traceback__)
    return frame.f_code is httpx.ASGITransport.handle_async_request.__code__


def _unanswered(exchange: Exchange) -> expect.Wrong:
    return expect.Wrong(
        did=exchange.request_line,
        got="no answer: the app came to its end and had sent nothing",
        expected="an answer to every request",
        why="a client would wait, and then see a broken connection",
        hint="does every way through your middleware await the next app, or send an answer of its own?",
        exchange=exchange,
    )


def _is_route(tested: Any, request: httpx.Request) -> bool:
    """Say whether `app.main:app`, which the notebook's client talks to, is the app tested or has a route for a path."""
    app = getattr(sys.modules.get("app.main"), "app", None)
    if app is None or app is tested:
        return app is not None
    scope = {"type": "http", "path": request.url.path, "method": request.method, "headers": [], "root_path": ""}
    try:
        return any(route.matches(scope)[0] is not Match.NONE for route in app.router.routes)
    except Exception:  # a router of another kind: the request is worth showing
        return True


def _begin(request: httpx.Request) -> Exchange:
    headers = {name: value for name, value in request.headers.items() if name in _SHOWN}
    path = request.url.raw_path.decode("ascii", "replace")
    return Exchange(method=request.method, url=path, headers=headers, body=_text(request.content))


def _finish(exchange: Exchange, response: httpx.Response) -> None:
    exchange.status, exchange.reason = response.status_code, response.reason_phrase
    exchange.response_body = _cut(shortened(response.content.decode("utf-8", "backslashreplace")))
    exchange.response_headers = {name: value for name, value in response.headers.items() if name in _SHOWN_BACK}


def _text(body: bytes) -> str:
    return _cut(body.decode("utf-8", "backslashreplace"))


def _cut(text: str) -> str:
    return text if len(text) <= BODY else f"{text[:BODY]}… ({len(text.encode('utf-8', 'replace'))} bytes)"


@asynccontextmanager
async def connect(
    app: Any,
    locate: Locate,
    keep: Callable[[Exchange], None],
    explain: Explain | None = None,
    *,
    raise_app_exceptions: bool = True,
    lifespan: bool = True,
) -> AsyncIterator[httpx.AsyncClient]:
    """Give a recording client on an ASGI app, its lifespan running (ASGITransport alone never runs it)."""
    async with AsyncExitStack() as stack:
        if lifespan:
            await stack.enter_async_context(Lifespan(app))
        transport = Recorder(app, locate, keep, explain, raise_app_exceptions=raise_app_exceptions)
        client = httpx.AsyncClient(transport=transport, base_url=BASE_URL)
        yield await stack.enter_async_context(client)
