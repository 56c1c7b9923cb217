"""Checks of chapter 14: what the app tells, what it refuses, and how it leaves."""

import asyncio
import json
import logging
import os
import posixpath
import re
import subprocess
import sys
import threading
import time
import traceback
from contextlib import asynccontextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from time import monotonic, process_time
from types import SimpleNamespace

import httpx
import pytest
import uvicorn
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse
from prometheus_client.parser import text_string_to_metric_families

from workbook import expect
from workbook.checks import exercise
from workbook.endings import why_none

API = "/api/v1"
SENT = "checkout-7f3a9c21"
HEX = re.compile("[0-9a-f]{32}")
DASHED = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(autouse=True)
def log():
    """The records of the app's log, each with the request id of its moment in `seen`; none of them is printed."""
    kept, logger = Log(), logging.getLogger("app")
    level = logger.level
    logger.addHandler(kept)
    logger.setLevel(logging.INFO)
    yield kept
    logger.setLevel(level)
    logger.removeHandler(kept)


class Log(logging.Handler):
    """What the app logs while a check runs."""

    def __init__(self):
        super().__init__()
        self.records, self.seen = [], []

    def emit(self, record):
        """Keep a record, and the id of this moment."""
        self.records.append(record)
        context = sys.modules.get("app.core.context")
        self.seen.append(context.request_id_now.get() if context else None)


async def handed_on(layer_around, *, at, own_receive=False, own_send=True):
    """Expect a layer to hand on what it does not handle itself: scope, receive and send, for each kind of scope."""
    seen = []

    async def app(*arguments):
        seen.append(arguments)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message):
        return None

    layer = layer_around(app)
    for kind in ("lifespan", "websocket", "http"):
        http = {
            "method": "GET",
            "path": "/x",
            "headers": [],
            "scheme": "http",
            "client": ("127.0.0.1", 1),
            "query_string": b"",
        }
        scope = {"type": kind, **(http if kind == "http" else {})}
        given = {"scope": scope, "receive": receive, "send": send}
        if kind == "http":
            given = {
                name: None if mine else given[name]
                for name, mine in (("scope", False), ("receive", own_receive), ("send", own_send))
            }
        seen.clear()
        await layer(scope, receive, send)
        got = [
            name if one is given[name] or (given[name] is None and callable(one)) else expect.shown(one)
            for name, one in zip(given, seen[0] if seen else (), strict=False)
        ]
        expect.equal(
            got,
            ["scope", "receive", "send"],
            did=(
                f"what the app below is called with, for a scope of the type {kind} (a receive or send of "
                "your own counts as one)"
            ),
            why="what is below could neither read the request nor answer it",
            hint="await self.app(scope, receive, send), with what you were given, or what you put around it",
            at=at,
        )


async def until(come, *tasks):
    """Let others run until something has come, or one of the tasks has ended, whatever it came to."""
    while not come() and not any(task.done() for task in tasks):
        await asyncio.sleep(0)


def method(load, module, owner, name):
    """Return a method of the learner's, for `at=`; the class where it is missing."""
    made = getattr(load(module), owner)
    return getattr(made, name, made)


# ---------------------------------------------------------------------------------------------------------------- 14.1


@exercise("14.1")
class TestIdThatComesIn:
    def choose(self, load, sent):
        """Call the learner's function with a list; return what it gives."""
        return load("core.context").choose_request_id(sent)

    def is_new(self, load, sent, *, why, hint, exact=False):
        """Expect a new id; `exact`: of 32 hexadecimal digits, without the dashes of str(uuid4())."""
        choose = load("core.context").choose_request_id
        found = choose(list(sent))
        text = found if isinstance(found, str) and found not in sent else ""
        dashed = DASHED.fullmatch(text) is not None
        if found is None:
            hint = why_none(choose, "the id")
        elif dashed:
            why = "an id of yours has one form everywhere, and a search by it finds all its lines"
            hint = "uuid4().hex has the 32 digits and letters alone; str(uuid4()) has four dashes more"
        elif text and any(set(text) <= set(one) for one in sent):
            why = "it is no id that the client or the proxy knows, and what was cut off was there for a reason"
            hint = "do not repair what came in (strip, replace, a slice): what is no id is refused, whole"
        elif text:
            hint = "a new one is uuid4().hex"
        expect.that(
            HEX.fullmatch(text) is not None or (dashed and not exact),
            did=f"choose_request_id({expect.shown(list(sent))})",
            got=expect.shown(found),
            expected="a new id, uuid4().hex: 32 digits and letters a to f",
            why=why,
            hint=hint,
            at=choose,
        )
        return found

    def test_taken(self, load):
        """An id of 8 to 64 ASCII letters, digits, - and _ is taken as it is"""
        for sent in (SENT, "a" * 8, "Z" * 64, "0-_-_-_9", "--------", "ABCdef_123", "12345678", "f" * 32):
            found = self.choose(load, [sent])
            expect.equal(
                found,
                sent,
                did=f"choose_request_id([{sent!r}])",
                why="the proxy's log and yours could not be read together",
                hint="return the value itself, sent[0], not the list that holds it"
                if isinstance(found, list)
                else "8 to 64 characters, both included, and each of A-Z, a-z, 0-9, - and _ is allowed",
                at=load("core.context").choose_request_id,
            )

    def test_none(self, load):
        """Without a header the id is new, and another one each time"""
        hint = "without a value there is nothing to look at: ask for the number of values first"
        why = "a request without an id cannot be found in the log"
        ids = {self.is_new(load, [], why=why, hint=hint, exact=True) for _ in range(3)}
        expect.equal(
            len(ids),
            3,
            did="how many different ids three calls give",
            why="all requests would look like one",
            hint="call uuid4() in the function, each time",
            at=load("core.context").choose_request_id,
        )

    def test_length(self, load):
        """7 characters are too few, and 65 too many"""
        for sent in ("", "short", "a" * 7, "a" * 65, "a" * 10_000):
            why = "a stranger fills your disk, line by line" if sent[:64:63] else "an id that short comes twice a day"
            self.is_new(load, [sent], why=why, hint="8 to 64 characters: {8,64} in a regular expression")

    def test_characters(self, load):
        """Blanks, signs, and what ends a line or colours a terminal are refused, wherever they stand"""
        for sent in (
            "7f3a 9c21",
            "7f3a9c21.",
            "<script>alert",
            "7f3a9c21\x1b[31m",
            "a;b;c;d;e;f",
            "request/7f3a",
            " 7f3a9c21",
            "%0a%0a%0a",
            "7f3a^9c21",
            "[7f3a9c21]",
            "7f3a9c21`id`",
            "7f3a\\9c21",
        ):
            self.is_new(
                load,
                [sent],
                why="a stranger would write into your log what they like",
                hint="between Z and a stand [ \\ ] ^ _ and `: write A-Za-z, not A-z"
                if set(sent) & set("[\\]^`")
                else "every character must be one of the allowed ones: re.fullmatch looks at the whole text",
            )

    def test_line_break(self, load):
        """A line break at the end is refused"""
        for sent in ("7f3a9c21\n", "7f3a9c21\r\n", "7f3a9c21\nroot signed in"):
            self.is_new(
                load,
                [sent],
                why="what stands behind the line break looks like a line of yours",
                hint="`$` lets a line break pass: re.fullmatch does not",
            )

    def test_ascii(self, load):
        """Letters and digits of other alphabets are refused"""
        for sent in ("naïve-id-1", "приветпривет", "١٢٣٤٥٦٧٨", "ｆｕｌｌｗｉｄｔｈ", "ids-and-ſ"):
            self.is_new(
                load,
                [sent],
                why="two ids that look alike are not, and a header cannot carry them",
                hint="\\w, isalnum, isdigit and re.IGNORECASE know more alphabets; write [A-Za-z0-9_-], and no flag",
            )

    def test_two(self, load):
        """Of two values none is taken"""
        for sent in ([SENT, "another-id-22"], [SENT, SENT], ["short", SENT], [SENT, "short"]):
            self.is_new(
                load,
                sent,
                why="a stranger adds a second header, and your log and the proxy's name different requests",
                hint="take the value only if it is the only one",
            )

    def test_nothing_set(self, load):
        """Choosing is all: the variable is left alone"""
        context = load("core.context")
        context.choose_request_id([SENT])
        expect.equal(
            context.request_id_now.get(),
            "-",
            did="request_id_now, after choose_request_id",
            why="who sets it must also take it back; a function that chooses cannot",
            hint="only return the id",
            at=context.choose_request_id,
        )


# ---------------------------------------------------------------------------------------------------------------- 14.2


@exercise("14.2")
class TestIdOfNow:
    def at(self, load):
        """Return the method that is asked for."""
        return method(load, "core.middleware", "RequestIdMiddleware", "__call__")

    def now(self, load):
        """Return the id that the variable has now."""
        return load("core.context").request_id_now.get()

    def look(self, load, app, path="/look"):
        """Add a route that tells which id the variable has."""

        @app.get(path)
        async def look() -> dict[str, str]:
            return {"now": self.now(load)}

    async def test_comes_in(self, load, visitor):
        """An id that comes in is the request's: in the header of the answer, and in the variable"""
        self.look(load, visitor.app)
        answer = await visitor.get("/look", headers={"X-Request-ID": SENT})
        reason = {"why": "the proxy's log and yours could not be read together", "at": self.at(load)}
        expect.header(
            answer,
            "X-Request-ID",
            SENT,
            hint=(
                "request_id = choose_request_id(…), with the header's values: "
                "Headers(scope=scope).getlist(REQUEST_ID_HEADER)"
            ),
            **reason,
        )
        expect.json(answer, {"now": SENT}, hint="request_id_now.set(request_id), before the app is called", **reason)

    async def test_error_body(self, load, visitor):
        """Error bodies have it too, expected ones and a 500"""

        @visitor.app.get("/broken")
        async def broken() -> None:
            raise RuntimeError("too bad")

        seen = []

        async def below(scope, _receive, _send):
            seen.append(scope.get("state", {}).get("request_id"))

        scope = {"type": "http", "path": "/", "headers": [(b"x-request-id", SENT.encode())]}
        await load("core.middleware").RequestIdMiddleware(below)(scope, None, None)
        expect.equal(
            seen,
            [SENT],
            did='scope["state"]["request_id"], when the app below is called',
            why="error bodies take their id from there",
            hint='scope.setdefault("state", {})["request_id"] = request_id, as in 6.5',
            at=self.at(load),
        )
        for path in (f"{API}/nowhere", "/broken", f"{API}/users/me"):
            answer = await visitor.get(path, headers={"X-Request-ID": SENT})
            expect.equal(
                expect.body(answer).get("request_id"),
                SENT,
                did=f"the request_id in the body of GET {path}",
                why="this is what a client tells you",
                hint='scope["state"]["request_id"] has the id too, as in 6.5',
                at=self.at(load),
            )

    async def test_own(self, load, visitor):
        """Without one, with a bad one or with two, the variable and the header have one new id"""
        self.look(load, visitor.app)
        for headers in ([], [("X-Request-ID", "bad id")], [("X-Request-ID", SENT), ("X-Request-ID", "another-id-22")]):
            answer = await visitor.get("/look", headers=headers)
            found = answer.headers.get("X-Request-ID", "")
            expect.that(
                HEX.fullmatch(found) is not None,
                did=f"GET /look, with {headers or 'no header'}",
                got=f"X-Request-ID: {found}",
                expected="a new id",
                why="what a stranger sends is checked, or it is in your log",
                hint="hand all values of the header to choose_request_id: getlist, not get",
                at=self.at(load),
            )
            expect.json(
                answer,
                {"now": found},
                why="the log and the answer would name different ids",
                hint="choose once, and use this one everywhere",
                at=self.at(load),
            )

    async def test_log_of_an_error(self, load, visitor, log):
        """The line of a 500 is written while the variable still has the id"""

        @visitor.app.get("/broken")
        async def broken() -> None:
            raise RuntimeError("too bad")

        await visitor.get("/broken", headers={"X-Request-ID": SENT})
        errors = [seen for record, seen in zip(log.records, log.seen, strict=True) if record.exc_info]
        expect.equal(
            errors,
            [SENT],
            did="request_id_now, when the error of GET /broken was logged",
            why="of all lines, this is the one that you will look for",
            hint="reset in a `finally` behind the `except`, not inside the `try`, and not before the log",
            at=self.at(load),
        )

    async def test_taken_back(self, load, visitor):
        """Afterwards the variable has its old value: after an answer, an error, a break and a cancelled request"""

        async def parts():
            yield b"half"
            raise RuntimeError("too late")

        @visitor.app.get("/broken")
        async def broken() -> None:
            raise RuntimeError("too bad")

        @visitor.app.get("/stream")
        async def stream() -> StreamingResponse:
            return StreamingResponse(parts())

        @visitor.app.get("/cancelled")
        async def cancelled() -> None:
            raise asyncio.CancelledError

        variable = load("core.context").request_id_now
        for before in ("-", "outer-id-1"):
            token = variable.set(before)
            for path in ("/health", f"{API}/nowhere", "/broken", "/stream", "/cancelled"):
                try:
                    await visitor.get(path)
                except BaseException:  # what comes out is for other checks
                    if asyncio.current_task().cancelling():
                        raise
                found = variable.get()
                expect.equal(
                    found,
                    before,
                    did=f"request_id_now, after GET {path}",
                    why="who set an id before, such as a job that asks the app, would lose it"
                    if found == "-"
                    else "what runs next would carry the id of a request that is over",
                    hint="token = request_id_now.set(…), and in a `finally`: request_id_now.reset(token)",
                    at=self.at(load),
                )
            variable.reset(token)

    async def test_handed_on(self, load):
        """The app below gets scope, receive and send, for each kind of scope"""
        await handed_on(lambda app: load("core.middleware").RequestIdMiddleware(app), at=self.at(load))

    async def test_too_late(self, load):
        """An error after the answer has begun goes on: there is no second answer, and the log has it"""

        async def app(_scope, _receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise RuntimeError("too late")

        sent, raised = [], "nothing"

        async def send(message):
            sent.append(message["type"])

        scope = {"type": "http", "method": "GET", "path": "/x", "headers": [], "query_string": b""}
        try:
            await load("core.middleware").RequestIdMiddleware(app)(scope, None, send)
        except RuntimeError as error:
            raised = type(error).__name__
        expect.equal(
            (sent, raised),
            (["http.response.start"], "RuntimeError"),
            did="an app that begins its answer and raises then: what was sent, and what came out",
            why="two answers to one request are none; the server must close the connection",
            hint="note in your send that the answer has begun; then `raise`, as in 6.5",
            at=self.at(load),
        )

    async def test_at_the_same_time(self, load, visitor):
        """Requests that run in turns have each their own id, from beginning to end"""
        gate, waiting = asyncio.Event(), []

        @visitor.app.get("/wait")
        async def wait() -> dict[str, str]:
            waiting.append(1)
            if len(waiting) == 5:
                gate.set()
            await gate.wait()
            return {"now": self.now(load)}

        ids = [f"request-{n}-of-5" for n in range(5)]
        answers = await asyncio.gather(*(visitor.get("/wait", headers={"X-Request-ID": one}) for one in ids))
        expect.equal(
            [(expect.body(answer).get("now"), answer.headers["X-Request-ID"]) for answer in answers],
            [(one, one) for one in ids],
            did="five requests at the same time, and the ids that each of them saw",
            why="lines of one request would stand under another one's id",
            hint="keep nothing on `self`: it is one for all requests",
            at=self.at(load),
        )

    async def test_errors_at_the_same_time(self, load):
        """A request that fails gets its 500, also while another one's answer has begun"""
        begun, over, sent = asyncio.Event(), asyncio.Event(), []

        async def app(scope, _receive, send):
            if scope["path"] == "/slow":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                begun.set()
                await over.wait()
                await send({"type": "http.response.body", "body": b""})
                return
            await begun.wait()
            raise RuntimeError("too bad")

        async def send(message):
            if message["type"] == "http.response.start":
                sent.append(message["status"])

        layer = load("core.middleware").RequestIdMiddleware(app)
        scope = {"type": "http", "method": "GET", "path": "/slow", "headers": [], "query_string": b""}
        broken = asyncio.create_task(layer(scope | {"path": "/broken"}, None, send))
        await asyncio.sleep(0)
        slow = asyncio.create_task(layer(scope, None, send))
        await until(begun.is_set, slow, broken)
        begun.set()
        await asyncio.wait({broken})
        over.set()
        await asyncio.gather(slow, broken, return_exceptions=True)
        expect.equal(
            sent,
            [200, 500],
            did="two requests at the same time, one fails after the other's answer has begun: the statuses sent",
            why="a visitor would get no answer because of another one",
            hint="keep nothing on `self`: whether an answer has begun is a variable of the function",
            at=self.at(load),
        )

    async def test_after_the_answer(self, load, visitor):
        """What the app does after the answer still has the id"""
        seen = []

        @visitor.app.get("/later")
        async def later(background: BackgroundTasks) -> None:
            background.add_task(lambda: seen.append(self.now(load)))

        await visitor.get("/later", headers={"X-Request-ID": SENT})
        expect.equal(
            seen,
            [SENT],
            did="request_id_now in a background task of the request",
            why="a mail that fails could not be connected with the sign-up that asked for it",
            hint="reset when `self.app` is done, not when the answer is sent",
            at=self.at(load),
        )

    async def test_other_kinds(self, load):
        """What is no HTTP goes through as it is, without an id"""
        asked = []

        async def inner(scope, _receive, _send):
            asked.append((scope, self.now(load)))

        for kind in ("lifespan", "websocket"):
            await load("core.middleware").RequestIdMiddleware(inner)({"type": kind}, None, None)
            expect.equal(
                asked.pop(),
                ({"type": kind}, "-"),
                did=f"what the app below is asked, for the type {kind}, and the variable",
                why="the app could not start",
                hint="only a scope of the type http has headers",
                at=self.at(load),
            )


# ---------------------------------------------------------------------------------------------------------------- 14.3


def record_of(msg="sold %s pens", args=(3,), **values):
    """Make a log record."""
    plain = {
        "name": "app.shop",
        "levelname": "INFO",
        "levelno": 20,
        "msg": msg,
        "args": args,
        "created": 1795944600.125,
    }
    made = plain | values
    return logging.makeLogRecord({"msecs": made["created"] % 1 * 1000} | made)


def raised():
    """Return the exc_info of an exception."""
    try:
        raise RuntimeError("too bad")
    except RuntimeError:
        return sys.exc_info()


@pytest.fixture
def tokyo(monkeypatch):
    """A machine whose clock shows the time of Tokyo, where the system knows how."""
    monkeypatch.setenv("TZ", "JST-9")
    if hasattr(time, "tzset"):
        time.tzset()
    yield
    monkeypatch.undo()
    if hasattr(time, "tzset"):
        time.tzset()


def why_it_raised(error, record):
    """Return what the mistake was, where an exception of `fields` tells it; otherwise an empty text."""
    if isinstance(error, TypeError) and "format string" in str(error):
        return "record.getMessage() puts the arguments in, and knows when there are none"
    places = {frame.name for frame in traceback.extract_tb(error.__traceback__)}
    if "formatException" in places and not record.exc_info:
        return "call self.formatException only if there is an exception: `if record.exc_info:`"
    return ""


@exercise("14.3")
@pytest.mark.usefixtures("tokyo")
class TestLines:
    def fields(self, load, record):
        """Return the fields of a record, a dict."""
        module = load("core.logging")
        formatter = module.JsonFormatter()
        try:
            found = formatter.fields(record)
        except (TypeError, AttributeError) as error:
            if hint := why_it_raised(error, record):
                raise expect.Wrong(
                    did=f"fields(record), with msg={record.msg!r}, args={record.args!r}, exc_info={record.exc_info!r}",
                    got=f"{type(error).__name__}: {error}",
                    expected="a dict",
                    why="logging drops a line that it cannot write",
                    hint=hint,
                    at=module.JsonFormatter.fields,
                ) from None
            raise
        expect.that(
            isinstance(found, dict),
            did="JsonFormatter().fields(record)",
            got=expect.shown(found),
            expected="a dict",
            why="there would be nothing to write",
            hint=why_none(module.JsonFormatter.fields, "the dict")
            if found is None
            else "return a dict, not a text: `format` writes it",
            at=module.JsonFormatter.fields,
        )
        return found

    def has(self, load, found, key, expected, **reason):
        """Expect a value under a key."""
        expect.equal(
            found.get(key, "(no such key)"),
            expected,
            did=f"fields(record)[{key!r}]",
            at=load("core.logging").JsonFormatter.fields,
            **reason,
        )

    def test_known(self, load):
        """A line has level, logger and the message with its arguments"""
        found = self.fields(load, record_of())
        why = "a program that reads the log looks for this key"
        self.has(load, found, "level", "INFO", why=why, hint="record.levelname")
        self.has(load, found, "logger", "app.shop", why=why, hint="record.name")
        self.has(load, found, "message", "sold 3 pens", why=why, hint="record.getMessage() puts the arguments in")
        found = self.fields(load, record_of("100 % of the pens", (), levelname="WARNING"))
        self.has(
            load, found, "message", "100 % of the pens", why=why, hint="record.getMessage() knows when there are none"
        )
        self.has(load, found, "level", "WARNING", why=why, hint="record.levelname")

    def test_time(self, load):
        """The time is the record's, in UTC, RFC 3339 with milliseconds"""
        for created, expected in (
            (1795944600.125, "2026-11-29T09:30:00.125+00:00"),
            (0.0, "1970-01-01T00:00:00.000+00:00"),
        ):
            found = self.fields(load, record_of(created=created))
            if found.get("time") == expected.replace("+00:00", "Z"):  # the same, by RFC 3339
                continue
            self.has(
                load,
                found,
                "time",
                expected,
                why="lines of two machines could not be put in order",
                hint='datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")',
            )

    def test_id(self, load):
        """The request's id is in it, and - outside of a request"""
        variable = load("core.context").request_id_now
        for id in ("-", SENT):
            token = variable.set(id)
            try:
                found = self.fields(load, record_of())
            finally:
                variable.reset(token)
            self.has(load, found, "request_id", id, why="no line could be found by its id", hint="request_id_now.get()")

    def test_exception(self, load):
        """A traceback is in it as a text, and only where there is one"""
        found = self.fields(load, record_of(exc_info=raised())).get("exception")
        at = load("core.logging").JsonFormatter.fields
        expect.that(
            isinstance(found, str) and "Traceback" in found and "RuntimeError: too bad" in found and "line" in found,
            did='fields(record)["exception"], of a RuntimeError("too bad")',
            got=expect.shown(found),
            expected="the traceback, a text",
            why="you would know that something failed, and not where",
            hint="self.formatException(record.exc_info)",
            at=at,
        )
        for record in (record_of(), record_of(exc_info=False)):
            expect.that(
                "exception" not in self.fields(load, record),
                did=f"fields(record), of a record whose exc_info is {record.exc_info}",
                got="it has the key exception",
                expected="no such key",
                why='a search for "lines with an exception" would find all of them',
                hint="add the key only if record.exc_info is there",
                at=at,
            )

    def test_extras(self, load):
        """What came with extra= is in it, whatever its value"""
        extras = {"seconds": 0.02, "status": 200, "nothing": None, "zero": 0, "empty": ""}
        found = self.fields(load, record_of(**extras))
        for name, value in extras.items():
            why, hint = "what you log on purpose would be missing", "each name in vars(record) that is not in PLAIN"
            if name in found:
                why, hint = "a program could not compute with it", "keep the value as it is: `format` writes it"
            self.has(load, found, name, value, why=why, hint=hint)

    def test_nothing_else(self, load):
        """Of what every record has, nothing more is in it"""
        found = set(self.fields(load, record_of(seconds=1))) - {"seconds"}
        record = record_of()
        record.message, record.asctime = "sold 3 pens", "now"
        found |= set(self.fields(load, record)) - {"seconds"}
        expect.equal(
            sorted(found),
            ["level", "logger", "message", "request_id", "time"],
            did="the keys of a line, without an extra",
            why="twenty keys of which nobody reads fifteen make the log three times as large",
            hint="leave out what is in PLAIN",
            at=load("core.logging").JsonFormatter.fields,
        )

    def test_no_forgery(self, load):
        """No extra takes the place of a known key"""
        for key, value in (("level", "DEBUG"), ("time", "yesterday"), ("request_id", "forged-id"), ("logger", "x")):
            found = self.fields(load, record_of(**{key: value}))
            expect.that(
                found.get(key) != value,
                did=f"fields(record), of a record with extra={{{key!r}: {value!r}}}",
                got=f"{key}: {value}",
                expected="the record's own",
                why="a line could say of itself what is not true, and no search would find it",
                hint="the known keys win: `extras | known`",
                at=load("core.logging").JsonFormatter.fields,
            )

    def test_one_line(self, load):
        """Whatever the message holds, it is one line of JSON"""
        for message in ("two\nlines", 'a "quote"', "half \ud800 a letter", "\x1b[31mred", "é"):
            written = (
                load("core.logging").JsonFormatter().format(record_of(message, (), seen=object(), exc_info=raised()))
            )
            try:
                read = json.loads(written)
            except ValueError:
                read = {}
            expect.that(
                "\n" not in written and read.get("message") == message,
                did=f"the line of the message {message!r}",
                got=expect.shown(written),
                expected="one line of JSON, with this message",
                why="a program reads line after line",
                hint="give values, and let `format` write them",
                at=load("core.logging").JsonFormatter.fields,
            )

    def test_unchanged(self, load):
        """The record stays as it was: other handlers get it too"""
        record = record_of(seconds=1)
        before = dict(vars(record))
        self.fields(load, record)
        expect.that(
            vars(record) == before,
            did="the record, after fields(record)",
            got="it has changed",
            expected="it is as it was",
            why="the next handler would write something else",
            hint="build a new dict; vars(record) is the record itself",
            at=load("core.logging").JsonFormatter.fields,
        )


# ---------------------------------------------------------------------------------------------------------------- 14.4

MARK = "s3cr3t-7391"


@exercise("14.4")
class TestNoSecret:
    def clean(self, load, value):
        """Clean a value."""
        return load("core.redaction").cleaned(value)

    def becomes(self, load, value, expected, *, why="", hint):
        """Expect what a value becomes; the call is shown as it was made, also if the value is changed on the way."""
        cleaned, did = load("core.redaction").cleaned, f"cleaned({value!r})"
        found = cleaned(value)
        expect.equal(
            found,
            expected,
            did=did,
            why="this is a secret in a log"
            if MARK in str(found)
            else why or "the line would not say what happened, or not in the form in which a program looks for it",
            hint=(why_none(cleaned, "the value") if found is None and value is not None else None) or hint,
            at=cleaned,
        )

    def test_ready_ones(self, load):
        """Addresses, JWTs and cookies are hidden, in any case of the letters"""
        for text, expected in (
            (f"cannot reach postgresql://shop:{MARK}@db/shop", "cannot reach postgresql://shop:[hidden]@db/shop"),
            (f"redis://:{MARK}@cache:6379 is away", "redis://:[hidden]@cache:6379 is away"),
            ("sent eyJhbGciOi.eyJzdWIiOi.c2ln-_ twice", "sent [hidden] twice"),
            (f"Cookie: session={MARK}; theme=dark", "Cookie: [hidden]"),
        ):
            self.becomes(load, text, expected, hint="apply every pattern of PATTERNS, with flags=re.IGNORECASE")

    def test_schemes(self, load):
        """What follows Bearer or Basic is hidden"""
        for text, expected in (
            (f"sent Bearer {MARK} twice", "sent Bearer [hidden] twice"),
            (f"basic {MARK}", "basic [hidden]"),
            (f"Bearer a[{MARK}", "Bearer [hidden]"),
            (f"BEARER   {MARK}", None),
            (f"Authorization: Bearer {MARK}", None),
            (f"authorization=Basic {MARK}", None),
            (f"{{'Authorization': 'Bearer {MARK}'}}", None),
        ):
            hint = "a pattern for bearer|basic, blanks, and what is no blank behind them"
            if expected:
                self.becomes(load, text, expected, hint=hint)
            self.has_no_mark(load, text, hint)

    def has_no_mark(self, load, text, hint):
        """Expect that the secret is gone, and that something says so."""
        cleaned = load("core.redaction").cleaned
        given = cleaned(text)
        found = str(given)
        expect.that(
            MARK not in found and "[hidden]" in found,
            did=f"cleaned({text!r})" if isinstance(text, str) else f"cleaned of an object whose text is {str(text)!r}",
            got=expect.shown(found),
            expected=f"[hidden] in place of {MARK}",
            why="this is a secret in a log" if MARK in found else "nobody would see that something was hidden",
            hint=(why_none(cleaned, "the value") if given is None else None) or hint,
            at=cleaned,
        )

    def test_names(self, load):
        """What a name says to be a secret is hidden: up to a blank, &, a comma, a semicolon or a quotation mark"""
        hint = "a name of SECRET_NAMES, perhaps more letters, a quotation mark, blanks, then = or :"
        for text, expected in (
            (f"GET /confirm?token={MARK}&next=/ failed", "GET /confirm?token=[hidden]&next=/ failed"),
            (f"password: {MARK}, name: ada", "password: [hidden], name: ada"),
            (f"api_key={MARK};x=1", "api_key=[hidden];x=1"),
            (f"secret = {MARK} was refused", "secret = [hidden] was refused"),
            (f"PASSWORD={MARK}", "PASSWORD=[hidden]"),
            (f"token=a{MARK} password=b{MARK}", "token=[hidden] password=[hidden]"),
        ):
            self.becomes(load, text, expected, hint=hint)
        for text, expected in (
            (f"password=a[{MARK}", "password=[hidden]"),
            (f"password: [{MARK}] is weak", "password: [hidden] is weak"),
        ):
            ends = "a bare value ends at a blank, &, a comma, a semicolon or a quotation mark, and nowhere else"
            self.becomes(load, text, expected, hint=ends)
        for text in (
            f"refresh_token={MARK}", f"token_id: {MARK}", f"new_password={MARK}",
            f"SECRET_KEY={MARK}", f"client_secret:{MARK}",
        ):  # fmt: skip
            self.has_no_mark(load, text, hint)

    def test_quoted(self, load):
        """Between quotation marks the whole value is hidden, blanks and all"""
        hint = "a quoted value ends at its own mark: patterns for \" and ' that stand before the one for bare values"
        for text, expected in (
            (f'{{"new_password": "Correct {MARK}", "a": 1}}', '{"new_password": "[hidden]", "a": 1}'),
            (f"{{'password': 'Correct, {MARK}', 'a': 1}}", "{'password': '[hidden]', 'a': 1}"),
            (f'token="a {MARK}"', 'token="[hidden]"'),
            (f'{{"password": "it\'s {MARK}", "a": 1}}', '{"password": "[hidden]", "a": 1}'),
            (f"{{'password': 'say \"hi\" {MARK}', 'a': 1}}", "{'password': '[hidden]', 'a': 1}"),
        ):
            self.becomes(load, text, expected, hint=hint)
        hint = 'all up to the mark belongs to the value, a line break too: `.` does not know it, [^"] does'
        for text, expected in (
            (f'{{"password": "Correct\n{MARK}", "a": 1}}', '{"password": "[hidden]", "a": 1}'),
            (f"token='Correct\r\n{MARK}'", "token='[hidden]'"),
        ):
            self.becomes(load, text, expected, hint=hint)
        hint = "a quoted value ends at its own mark: patterns for \" and ' that stand before the one for bare values"
        self.has_no_mark(load, json.dumps({"access_token": f"a b {MARK}", "token_type": "x"}), hint)

    def test_several(self, load):
        """A text with several secrets loses all of them, of whatever kind"""
        hint = "every pattern is applied, one after the other, to what the one before has left"
        for text in (
            f"Bearer {MARK} password={MARK}",
            f"postgresql://shop:{MARK}@db refused token={MARK}",
            f'{{"password": "{MARK}", "token": \'{MARK}\'}} secret={MARK} basic {MARK}',
        ):
            self.has_no_mark(load, text, hint)

    def test_harmless(self, load):
        """What names no secret stays as it is"""
        for text in (
            "three tokens were spent",
            "the password was changed (request 7f3a9c21)",
            "GET /api/v1/auth/password 204",
            "token_expired (request checkout-7f3a9c21)",
            "sold 3 pens: 2 blue, 1 red",
            "https://shop.example:8443/items?sort=-price",
            "ada@example.com",
            "",
        ):
            self.becomes(
                load,
                text,
                text,
                why="a log of which half is hidden helps nobody",
                hint="a name alone is no secret: = or : must follow",
            )

    def test_kinds(self, load):
        """Numbers, True, False and None stay, anything else becomes a clean text"""
        for value in (3, 0, 2.5, True, False, None):
            self.becomes(
                load, value, value, why="a program could not compute with it", hint="give these back first, as they are"
            )

        class Odd:
            def __str__(self):
                return f"Odd(password={MARK} )"

        self.has_no_mark(load, Odd(), "anything else: clean str(value)")
        self.has_no_mark(load, ValueError(f"token={MARK}"), "anything else: clean str(value)")
        self.has_no_mark(load, {f"token={MARK}"}, "a set is anything else: clean str(value)")

    def test_inside(self, load):
        """Dicts, lists and tuples are cleaned inside, at any depth"""
        hint = "for what is inside, call cleaned again"
        self.becomes(load, {"a": [{"b": (f"token={MARK}", 1)}]}, {"a": [{"b": ["token=[hidden]", 1]}]}, hint=hint)
        self.becomes(load, [f"Bearer {MARK}", None, {"n": 1.5}], ["Bearer [hidden]", None, {"n": 1.5}], hint=hint)
        self.becomes(load, {"a": {}, "b": []}, {"a": {}, "b": []}, hint=hint)

    def test_keys(self, load):
        """A key that contains a secret's name hides its whole value, of any kind"""
        hint = "look for each name of SECRET_NAMES in the key, in any case of the letters, before you look at the value"
        for key in (
            "password",
            "new_password",
            "Authorization",
            "Set-Cookie",
            "refresh_token",
            "SECRET_KEY",
            "api_key",
        ):
            self.becomes(load, {key: MARK}, {key: "[hidden]"}, hint=hint)
        self.becomes(
            load,
            {"user": {"password": {"old": MARK}, "name": "ada"}, "tokens": [MARK], "token": 12345},
            {"user": {"password": "[hidden]", "name": "ada"}, "tokens": "[hidden]", "token": "[hidden]"},
            hint=hint,
        )
        try:
            found = load("core.redaction").cleaned({1: f"token={MARK}", None: 2, ("token", 3): MARK})
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        expect.equal(
            list(found.values()) if isinstance(found, dict) else found,
            ["token=[hidden]", 2, "[hidden]"],
            did=f"the values of cleaned({{1: 'token={MARK}', None: 2, ('token', 3): '{MARK}'}})",
            why="this is a secret in a log" if MARK in str(found) else "logging drops a line that it cannot write",
            hint="a key can be a number or None too: look for the names in str(key)",
            at=load("core.redaction").cleaned,
        )

    def test_unchanged(self, load):
        """What it was given stays as it was"""
        value = {"password": MARK, "list": [f"token={MARK}"]}
        before = json.dumps(value)
        self.clean(load, value)
        expect.equal(
            json.dumps(value),
            before,
            did="the dict, after cleaned(dict)",
            why="the app would go on with [hidden] in place of the password",
            hint="build new dicts and lists",
            at=load("core.redaction").cleaned,
        )

    def test_long(self, load):
        """A long text is cleaned in the blink of an eye, whatever stands in it"""
        cleaned = load("core.redaction").cleaned
        for text in (
            ("secret" if piece == " " else "") + piece * (number // part)
            for piece, number in (
                ("a", 300_000),
                ("token", 4_000),
                ("password ", 20_000),
                ("eyJ", 10_000),
                (" ", 20_000),
            )
            for part in (12, 4, 1)  # a slow pattern is found at a short text, before it takes half a minute
        ):
            began = process_time()
            found = cleaned(text)
            seconds = process_time() - began
            expect.that(
                found == text and seconds < 0.7,
                did=f"cleaned of a long text of {len(text)} characters, {text[:12]}…",
                got=f"{seconds:.1f} s of work" if found == text else "another text",
                expected="the same text, at once",
                why="a stranger sends one request, and your app thinks for hours",
                hint="\\w* in the middle of a pattern tries every length at every place: give it a bound, \\w{0,20}",
                at=cleaned,
            )


# ---------------------------------------------------------------------------------------------------------------- 14.5


def series(metrics):
    """Return the learner's numbers: a value for each (name, labels)."""
    found = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


def answers_in(metrics):
    """Return how many answers were counted, for each (method, route, status)."""
    return {
        (labels["method"], labels["route"], labels["status"]): int(value)
        for (name, pairs), value in series(metrics).items()
        if name == "http_requests_total" and (labels := dict(pairs))
    }


def flying(metrics):
    """Return how many requests are in flight."""
    return series(metrics)["http_requests_in_flight", ()]


@exercise("14.5")
class TestNumbers:
    def at(self, load, name="__call__"):
        """Return what is asked for."""
        module = load("core.metrics")
        return module.labels_of if name == "labels_of" else method(load, "core.metrics", "MetricsMiddleware", name)

    def around(self, load, app):
        """Put a MetricsMiddleware of its own around an app; return it and its numbers."""
        module = load("core.metrics")
        metrics = module.Metrics()
        return module.MetricsMiddleware(app, metrics), metrics

    def counted(self, load, metrics, expected, *, did, why, hint, name="__call__", by_route=True):
        """Expect how many answers were counted; where the route is for other checks, by status alone."""
        found = answers_in(metrics)
        if not by_route:
            found = {status: sum(n for labels, n in found.items() if labels[2] == status) for *_, status in found}
        if by_route and found != expected and {labels[:2] for labels in found} == {labels[:2] for labels in expected}:
            why = "no alarm could tell errors from answers"
            hint = "the status is that of http.response.start; a function inside changes it only with `nonlocal status`"
            name = "__call__"
        if found == {labels: 2 * number for labels, number in expected.items()}:
            hint, name = "note is called twice for each request: once is enough, in the `finally`", "__call__"
        expect.equal(found, expected, did=did, why=why, hint=hint, at=self.at(load, name))

    def shop(self, load, connect, **options):
        """Make a small app with the layer around it; return a client's opener, and the numbers."""
        app = FastAPI()

        @app.get("/items/{item_id}")
        async def read(item_id: int) -> int:
            return item_id

        @app.get("/broken")
        async def broken() -> None:
            raise RuntimeError("too bad")

        @app.delete("/items/{item_id}", status_code=204)
        async def remove(item_id: int) -> None:
            return None

        layer, metrics = self.around(load, app)
        return app, connect(layer, raise_app_exceptions=False, lifespan=False), metrics

    async def test_template(self, load, connect):
        """A route is named by its template: /items/7 and /items/8 are one"""
        _app, opened, metrics = self.shop(load, connect)
        async with opened as client:
            for id in (7, 8, "x"):
                await client.get(f"/items/{id}")
            await client.delete("/items/7")
        self.counted(
            load,
            metrics,
            {
                ("GET", "/items/{item_id}", "200"): 2,
                ("GET", "/items/{item_id}", "422"): 1,
                ("DELETE", "/items/{item_id}", "204"): 1,
            },
            did="GET /items/7, /items/8 and /items/x, DELETE /items/7: the answers, by method, route and status",
            why="a series for each item fills the memory",
            hint='scope.get("route") has the template in path_format; it is there only after the app was called',
            name="labels_of"
            if load("core.metrics").labels_of({"type": "http", "method": "GET", "path": "/x"}) != ("GET", "(none)")
            else "__call__",
        )

    def test_labels(self, load):
        """labels_of gives (none) without a route, and OTHER for a method that is not in METHODS"""
        labels_of, route = load("core.metrics").labels_of, SimpleNamespace(path_format="/x/{y}", path="/x/{y:int}")
        for scope, expected in (
            ({"method": "GET", "route": route}, ("GET", "/x/{y}")),
            ({"method": "OPTIONS", "route": route}, ("OPTIONS", "/x/{y}")),
            ({"method": "HEAD"}, ("HEAD", "(none)")),
            ({"method": "HACK"}, ("OTHER", "(none)")),
            ({"method": "get", "route": route}, ("OTHER", "/x/{y}")),
            ({"method": "POST", "route": object()}, ("POST", "(none)")),
            ({"method": "PATCH", "endpoint": print}, ("PATCH", "(none)")),
        ):
            found = labels_of({"type": "http", "path": "/wp-login.php", "headers": [], **scope})
            known = (
                {key: value for key, value in scope.items() if key == "method"} | {"route": "…"}
                if "route" in scope
                else scope
            )
            expect.equal(
                tuple(found) if isinstance(found, list | tuple) else found,
                expected,
                did=f"labels_of, for the scope {expect.shown(known)}",
                why="what a stranger chooses must not become a label",
                hint=why_none(labels_of, "the pair")
                if found is None
                else 'use .get("route") and getattr with "(none)"; a method counts if it is in METHODS',
                at=labels_of,
            )

    async def test_strangers(self, load, connect):
        """Forty unknown paths and forty invented methods make two series"""
        _app, opened, metrics = self.shop(load, connect)
        async with opened as client:
            for number in range(40):
                await client.get(f"/wp-{number}.php")
                await client.request(f"HACK{number}", "/nothing")
        self.counted(
            load,
            metrics,
            {("GET", "(none)", "404"): 40, ("OTHER", "(none)", "404"): 40},
            did="40 unknown paths and 40 invented methods: the answers, by method, route and status",
            why="a stranger fills the memory of your app, and of Prometheus",
            hint="bounded labels: labels_of, for each request",
            name="labels_of",
        )

    async def test_error(self, load, connect):
        """An exception counts as 500, and goes on"""
        app, _opened, metrics = self.shop(load, connect)
        layer, metrics = self.around(load, app)
        async with connect(layer, lifespan=False) as client:
            try:
                await client.get("/broken")
                raised = False
            except RuntimeError:
                raised = True
        expect.that(
            raised,
            did="GET /broken, a route with a bug",
            got="no exception",
            expected="the RuntimeError goes on to the layer outside, which logs it",
            why="errors would vanish",
            hint="`finally` lets an exception pass; `except` without `raise` does not",
            at=self.at(load),
        )
        self.counted(
            load,
            metrics,
            {"500": 1},
            did="GET /broken: the answers, by status",
            why="the requests that went wrong are those that you want to see",
            hint="note in a `finally`; until an answer has begun, the status is 500",
            by_route=False,
        )

        async def silent(_scope, _receive, _send):
            raise RuntimeError("too bad")

        layer, metrics = self.around(load, silent)
        with suppress(RuntimeError):
            await layer({"type": "http", "method": "GET", "path": "/", "headers": []}, None, None)
        self.counted(
            load,
            metrics,
            {"500": 1},
            did="an app that raises before it has answered: the answers, by status",
            why="an error that nobody answered would count as a success",
            hint="until an answer has begun, the status is 500",
            by_route=False,
        )

    async def test_in_flight(self, load):
        """in_flight is one higher while a request is handled, until its answer is complete, and then as before"""
        seen = []

        async def app(_scope, _receive, send):
            seen.append(flying(metrics))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            seen.append(flying(metrics))
            await send({"type": "http.response.body", "body": b""})

        async def send(_message):
            pass

        layer, metrics = self.around(load, app)
        await layer({"type": "http", "method": "GET", "path": "/", "headers": []}, None, send)
        expect.equal(
            [*seen, flying(metrics)],
            [1.0, 1.0, 0.0],
            did="in_flight: when the app is called, in the middle of its answer, and afterwards",
            why="you could not see that your app is drowning",
            hint="inc() before the app is called, dec() when it is done",
            at=self.at(load),
        )

    async def test_however_it_ends(self, load):
        """Whether a request fails, is cancelled, or its client is gone: in_flight goes back, and it is counted once"""

        async def app(scope, _receive, send):
            if scope["path"] == "/gone":
                await send({"type": "http.response.start", "status": 200, "headers": []})
            raise {"/error": RuntimeError, "/cancelled": asyncio.CancelledError, "/gone": OSError}[scope["path"]]

        async def send(_message):
            raise OSError("the client is gone")

        layer, metrics = self.around(load, app)
        for number, path in enumerate(("/error", "/cancelled", "/gone"), 1):
            with suppress(RuntimeError, OSError, asyncio.CancelledError):
                await layer({"type": "http", "method": "GET", "path": path, "headers": []}, None, send)
            expect.equal(
                (flying(metrics), sum(answers_in(metrics).values())),
                (0.0, number),
                did=f"in_flight, and the number of answers counted, after a request that ended so: {path}",
                why="the gauge climbs for ever, and shows a load that nobody has",
                hint="dec() and note stand in a `finally`",
                at=self.at(load),
            )

    async def test_status(self, load):
        """The status is that of the answer once it has begun; before, 500, also for a cancelled request"""

        async def app(scope, _receive, send):
            kind, _, when = scope["path"][1:].partition("-")
            if when == "later":
                await send({"type": "http.response.start", "status": 201, "headers": []})
            raise {"error": RuntimeError, "cancelled": asyncio.CancelledError}[kind]

        async def send(_message):
            pass

        for path, expected, did in (
            ("/error-before", "500", "an error before the answer began"),
            ("/cancelled-before", "500", "a request that is cancelled before its answer began"),
            ("/error-later", "201", "an error after the answer began, with the status 201"),
            ("/cancelled-later", "201", "a request that is cancelled after its answer began, with the status 201"),
        ):
            layer, metrics = self.around(load, app)
            with suppress(RuntimeError, asyncio.CancelledError):
                await layer({"type": "http", "method": "GET", "path": path, "headers": []}, None, send)
            self.counted(
                load,
                metrics,
                {expected: 1},
                did=f"{did}: the answers, by status",
                why="a request without an answer has failed, and the numbers would not show it"
                if expected == "500"
                else "this status was sent, and the numbers would tell of an answer that nobody got",
                hint="let the status be 500 at first, and change it in your `send` only: no `except` is needed",
                by_route=False,
            )

    async def test_in_turns(self, load):
        """Two requests that run in turns are counted each with its own status"""
        begun, over = asyncio.Event(), asyncio.Event()

        async def app(scope, _receive, send):
            status = 201 if scope["path"] == "/slow" else 404
            await send({"type": "http.response.start", "status": status, "headers": []})
            if status == 201:
                begun.set()
                await over.wait()

        async def send(_message):
            pass

        layer, metrics = self.around(load, app)
        scope = {"type": "http", "method": "GET", "path": "/slow", "headers": []}
        slow = asyncio.create_task(layer(scope, None, send))
        await until(begun.is_set, slow)
        quick = asyncio.create_task(layer(scope | {"path": "/quick"}, None, send))
        await asyncio.wait({quick})
        over.set()
        await asyncio.wait({slow})
        slow.result(), quick.result()
        self.counted(
            load,
            metrics,
            {"201": 1, "404": 1},
            did="two requests at the same time, answered with 201 and 404: the answers, by status",
            why="one visitor's error would be counted as another one's",
            hint="keep nothing of a request on `self`, which is one for all; use variables of the function",
            by_route=False,
        )

    async def test_seconds(self, load):
        """The time is that of the whole request, in seconds"""

        async def app(_scope, _receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await asyncio.sleep(0.06)

        async def send(_message):
            pass

        layer, metrics = self.around(load, app)
        await layer({"type": "http", "method": "GET", "path": "/", "headers": []}, None, send)
        labels = (("method", "GET"), ("route", "(none)"))
        found = series(metrics).get(("http_request_seconds_sum", labels), -1.0)
        expect.that(
            0.05 <= found < 50,
            did="the seconds of a request that takes 0.06 s, most of them after its answer began",
            got=f"{found:.3f}",
            expected="a little more than 0.06",
            why="a slow stream would look quick" if 0 <= found < 50 else "nobody could read the numbers",
            hint="perf_counter() before and after, and the difference, in seconds: the later one minus the earlier one",
            at=self.at(load),
        )

    async def test_other_kinds(self, load):
        """What is no HTTP goes through, and is not counted"""
        asked = []

        async def app(scope, _receive, _send):
            asked.append(scope["type"])

        layer, metrics = self.around(load, app)
        for kind in ("lifespan", "websocket"):
            await layer({"type": kind}, None, None)
        expect.equal(
            (asked, answers_in(metrics)),
            (["lifespan", "websocket"], {}),
            did="what the app below was asked, and what was counted",
            why="the start of the app is no request, and has no method",
            hint='ask for scope["type"] first',
            at=self.at(load),
        )

    async def test_handed_on(self, load):
        """The app below gets scope, receive and send, for each kind of scope"""
        await handed_on(lambda app: self.around(load, app)[0], at=self.at(load))

    async def test_a_line(self, load, log):
        """Each request leaves one line in the log, with method, route, status and seconds"""

        async def app(_scope, _receive, send):
            await send({"type": "http.response.start", "status": 201, "headers": []})

        async def send(_message):
            pass

        layer, _metrics = self.around(load, app)
        await layer({"type": "http", "method": "POST", "path": "/a?token=x", "headers": []}, None, send)
        lines = [
            (getattr(one, "method", ""), getattr(one, "route", ""), getattr(one, "status", 0)) for one in log.records
        ]
        expect.equal(
            lines,
            [("POST", "(none)", 201)],
            did="the log's lines of one request: method, route and status",
            why="you could not tell what happened before an error",
            hint="self.metrics.note does it; call it once",
            at=self.at(load),
        )


# ---------------------------------------------------------------------------------------------------------------- 14.6


class Look:
    """A look at the database, which can be slow, fail, or hang."""

    def __init__(self, *, error=None):
        self.looks, self.error, self.gate, self.ended = 0, error, asyncio.Event(), 0

    async def __call__(self):
        """Look, until the gate opens."""
        self.looks += 1
        try:
            await self.gate.wait()
        finally:
            self.ended += 1
        if self.error:
            raise self.error


@exercise("14.6")
class TestReady:
    def at(self, load):
        """Return the method that is asked for."""
        return method(load, "core.health", "Readiness", "check")

    def make(self, load, look, seconds=30.0):
        """Return a Readiness of the learner's."""
        return load("core.health").Readiness(look, seconds)

    async def settled(self):
        """Let everything run that can."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def test_answers(self, load):
        """True when the look is done, False when it fails with any exception"""
        for error, expected in (
            (None, True),
            (OSError("away"), False),
            (TimeoutError(), False),
            (KeyError("x"), False),
        ):
            look = Look(error=error)
            look.gate.set()
            readiness = self.make(load, look)
            try:
                found = await readiness.check()
            except Exception as raised:
                found = f"it raised {type(raised).__name__}"
            expect.equal(
                found,
                expected,
                did=f"check(), when the look {'raises ' + type(error).__name__ if error else 'is done'}",
                why="the load balancer needs a yes or a no",
                hint="`except Exception` around the look, and a `return` in both ways",
                at=self.at(load),
            )

    async def test_logged(self, load, log):
        """A failure is in the log, as a warning"""
        look = Look(error=OSError("away"))
        look.gate.set()
        with suppress(OSError):
            await self.make(load, look).check()
        expect.that(
            any(record.levelno == logging.WARNING for record in log.records),
            did="check(), when the look fails: the log",
            got=", ".join(record.levelname for record in log.records) or "nothing",
            expected="a warning",
            why="the database may be back in a minute, and an error calls somebody at night"
            if any(record.levelno > logging.WARNING for record in log.records)
            else "nobody would know why no request comes any more",
            hint='logger.warning("not ready", exc_info=True)',
            at=self.at(load),
        )

    async def test_hanging(self, load):
        """A look that hangs is given up after the seconds"""
        look = Look()
        began = monotonic()
        try:
            async with asyncio.timeout(5):
                found = await self.make(load, look, 0.05).check()
        except TimeoutError:
            found = "it waits for ever" if monotonic() - began > 4 else "it raised TimeoutError"
        expect.equal(
            found,
            False,
            did="check(), when the look hangs, and the seconds are 0.05",
            why="a network that swallows packets gives no error, and the balancer waits",
            hint="async with asyncio.timeout(self.seconds), inside of the `try`",
            at=self.at(load),
        )
        expect.equal(
            look.ended,
            1,
            did="how many hanging looks were ended",
            why="each keeps a connection",
            hint="asyncio.timeout ends what is inside",
            at=self.at(load),
        )

    async def test_seconds(self, load, monkeypatch):
        """A look may take as long as the seconds say, and no longer"""
        loop, late = asyncio.get_running_loop(), 0.0
        clock = loop.time
        monkeypatch.setattr(loop, "time", lambda: clock() + late)
        for seconds in (20.0, 400.0):
            late, found = 0.0, []
            asking = asyncio.create_task(self.make(load, Look(), seconds).check())
            await self.settled()
            for share in (0.6, 2):
                late = share * seconds  # the clock goes forward; nobody waits
                await self.settled()
                found.append(asking.done())
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking
            expect.equal(
                found,
                [False, True],
                did=f"whether check() is done after {0.6 * seconds:g} s and after {2 * seconds:g} s, "
                f"when the look hangs, and the seconds are {seconds:g}",
                why="who runs the app sets how long a look may take",
                hint="asyncio.timeout(self.seconds), not a number of your own",
                at=self.at(load),
            )

    async def test_one_look(self, load):
        """Ten who ask at the same moment get ten answers from one look"""
        for error in (None, OSError("away")):
            look = Look(error=error)
            readiness = self.make(load, look)
            asking = [asyncio.create_task(readiness.check()) for _ in range(10)]
            await self.settled()
            look.gate.set()
            found = await asyncio.gather(*asking, return_exceptions=True)
            expect.equal(
                (look.looks, found),
                (1, [error is None] * 10),
                did="ten check() at the same moment: how many looks, and the answers",
                why="ten balancers would take ten connections, from those who wait for one",
                hint="keep the task in self.looking; who finds one that is not done() waits for it",
                at=self.at(load),
            )

    async def test_again(self, load):
        """Who asks afterwards gets a new look, with its own answer"""
        look = Look()
        look.gate.set()
        readiness = self.make(load, look)
        found = [await readiness.check()]
        look.error = OSError("away")
        found.append(await readiness.check())
        look.error = None
        found.append(await readiness.check())
        expect.equal(
            (found, look.looks),
            ([True, False, True], 3),
            did="check() while the database is there, away, and back: the answers, and how many looks",
            why="an old answer is a wrong one: requests would go to a process that cannot serve, or to none",
            hint="a task that is done() counts as none",
            at=self.at(load),
        )

    async def test_hangs_up(self, load):
        """When the one who began hangs up, the look goes on, and the others get its answer"""
        look = Look()
        readiness = self.make(load, look)
        first = asyncio.create_task(readiness.check())
        await self.settled()
        second = asyncio.create_task(readiness.check())
        await self.settled()
        first.cancel()
        await self.settled()
        look.gate.set()
        [found] = await asyncio.gather(second, return_exceptions=True)
        with suppress(asyncio.CancelledError):
            await first
        expect.that(
            first.cancelled(),
            did="a check() that is cancelled while the look runs",
            got="it goes on, as if nobody had cancelled it",
            expected="it ends as cancelled",
            why="who stops your app, or gives up waiting, cancels: a task that swallows this never ends",
            hint="let asyncio.CancelledError pass: `except Exception` does not catch it, BaseException does",
            at=self.at(load),
        )
        expect.equal(
            (repr(found) if isinstance(found, BaseException) else found, look.looks),
            (True, 1),
            did="the answer of the second check(), after the first one was cancelled, and how many looks",
            why="one balancer that hangs up would make you not ready for all others",
            hint="await asyncio.shield(self.looking): the cancellation stays with the one who waits",
            at=self.at(load),
        )

    async def test_joins(self, load):
        """Who asks after somebody has hung up, while the look still runs, begins no second one"""
        for others in (0, 1):
            look = Look()
            readiness = self.make(load, look)
            asking = [asyncio.create_task(readiness.check()) for _ in range(1 + others)]
            await self.settled()
            gone = asking[-1]  # the one who began, or one who waits for the same look
            gone.cancel()
            await self.settled()
            late = asyncio.create_task(readiness.check())
            await self.settled()
            looks = look.looks
            look.gate.set()
            found = await asyncio.gather(late, *asking, return_exceptions=True)
            expect.equal(
                (looks, repr(found[0]) if isinstance(found[0], BaseException) else found[0]),
                (1, True),
                did=(
                    "one hangs up while the look runs, then another one asks: how many looks by then, and the "
                    "answer of the other one"
                ),
                why="a balancer that hangs up and asks again takes one connection more each time",
                hint="what self.looking holds is over when the task is done(), not when somebody stops waiting for it",
                at=self.at(load),
            )

    async def test_route(self, load, visitor):
        """GET /health/ready is 200 while the app serves, and 503 with the error body while the database is away"""
        answer = await visitor.get("/health/ready")
        if answer.status_code == 404:  # the given cell behind this exercise puts the route into the app
            load("core.health").add_health(visitor.app, visitor.app.state.settings)
            answer = await visitor.get("/health/ready")
        expect.status(answer, 200, why="no request would ever come", hint="", at=self.at(load))
        readiness = visitor.app.state.readiness
        look, readiness.look = readiness.look, Look(error=OSError("away"))
        readiness.look.gate.set()
        answer = await visitor.get("/health/ready")
        expect.status(answer, 503, why="the load balancer reads the status", hint="False is a no", at=self.at(load))
        expect.equal(
            expect.body(answer).get("code"), "not_ready", did="the code of the 503", why="", hint="", at=self.at(load)
        )
        readiness.look, visitor.app.state.ready = Look(), False
        try:
            answer = await visitor.get("/health/ready")
            asked = readiness.look.looks
        finally:
            readiness.look, visitor.app.state.ready = look, True
        expect.equal(
            (answer.status_code, asked),
            (503, 0),
            did="the status while the app stops, and how many looks",
            why="the balancer would hear it late",
            hint="",
            at=self.at(load),
        )


# ---------------------------------------------------------------------------------------------------------------- 14.7

SAFE = {"x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer"}
HSTS = "max-age=31536000; includeSubDomains"


@exercise("14.7")
class TestSecurityHeaders:
    def at(self, load):
        """Return the method that is asked for."""
        return method(load, "core.security_headers", "SecurityHeadersMiddleware", "__call__")

    async def answer(
        self, load, connect, path="/x", *, base="http://test", headers=None, own=None, proxies="", status=200
    ):
        """Ask a small app with the layer around it; return the answer."""

        async def app(scope, _receive, send):
            start = [(b"content-type", b"text/plain"), *(own or [])]
            await send({"type": "http.response.start", "status": status, "headers": start})
            await send({"type": "http.response.body", "body": b"hello"})

        settings = load("core.config").Settings(trusted_proxies=proxies)
        layer = load("core.security_headers").SecurityHeadersMiddleware(app, settings)
        async with connect(layer, lifespan=False) as client:
            return await client.get(f"{base}{path}", headers=headers or {})

    async def test_all(self, load, connect):
        """Every answer has the three headers, whatever its path and status"""
        for path, status in (("/x", 200), ("/docs", 200), ("/nothing", 404), ("/x", 500), ("/", 204)):
            answer = await self.answer(load, connect, path, status=status)
            for name, value in SAFE.items():
                expect.header(
                    answer,
                    name,
                    value,
                    why="a browser is helpful, until it is told not to be",
                    hint="a send of your own: MutableHeaders(scope=message) in http.response.start",
                    at=self.at(load),
                )

    async def test_policy(self, load, connect):
        """The policy is API_POLICY, and DOCS_POLICY for the two paths of the documents"""
        module = load("core.security_headers")
        for path, expected in (
            ("/api/v1/items", module.API_POLICY),
            ("/docs", module.DOCS_POLICY),
            ("/redoc", module.DOCS_POLICY),
            ("/docs-of-ada", module.API_POLICY),
            ("/api/v1/docs", module.API_POLICY),
            ("/", module.API_POLICY),
        ):
            expect.header(
                await self.answer(load, connect, path),
                "content-security-policy",
                expected,
                why="the documents stay white"
                if expected == module.DOCS_POLICY
                else "what an API sends loads nothing, so nothing is allowed",
                hint='DOCS_POLICY if scope["path"] in DOCS else API_POLICY',
                at=self.at(load),
            )

    async def test_https(self, load, connect):
        """Strict-Transport-Security comes over HTTPS only: to us, or to a proxy that the settings name"""
        told = {"X-Forwarded-Proto": "https"}
        for expected, options in (
            (None, {}),
            (HSTS, {"base": "https://test"}),
            (None, {"headers": told}),
            (HSTS, {"headers": told, "proxies": "127.0.0.1"}),
            (None, {"headers": {"X-Forwarded-Proto": "http"}, "proxies": "127.0.0.1", "base": "https://test"}),
        ):
            expect.header(
                await self.answer(load, connect, **options),
                "strict-transport-security",
                expected,
                why="over plain HTTP it means nothing, and on localhost it shuts out other apps"
                if expected is None
                else "without it a first request goes over http, for all to read",
                hint="is_https(scope, self.settings) says it; the value stands in the text",
                at=self.at(load),
            )

    async def test_in_turns(self, load, connect):
        """Two requests that run in turns have each their own headers"""
        gate, waiting = asyncio.Event(), []

        async def app(_scope, _receive, send):
            waiting.append(1)
            if len(waiting) == 2:
                gate.set()
            await gate.wait()
            await answer_with(send, b"hello")

        module, settings = load("core.security_headers"), load("core.config").Settings()
        async with connect(module.SecurityHeadersMiddleware(app, settings), lifespan=False) as client:
            asked = [asyncio.create_task(client.get(url)) for url in ("http://test/docs", "https://test/x")]
            await until(gate.is_set, *asked)
            gate.set()
            await asyncio.wait(asked)
        docs, api = (one.result() for one in asked)
        for answer, expected in ((docs, (module.DOCS_POLICY, None)), (api, (module.API_POLICY, HSTS))):
            names = ("content-security-policy", "strict-transport-security")
            expect.equal(
                tuple(answer.headers.get(name) for name in names),
                expected,
                did=f"two requests at the same time: {' and '.join(names)} of GET {answer.request.url}",
                why="one visitor would get another one's headers",
                hint="keep nothing of a request on `self`, which is one for all; use a variable of the function",
                at=self.at(load),
            )

    async def test_own(self, load, connect):
        """A header that the app has set stays, once"""
        own = [(b"x-frame-options", b"SAMEORIGIN"), (b"content-security-policy", b"default-src 'self'")]
        answer = await self.answer(load, connect, own=own)
        for name, value in own:
            expect.equal(
                answer.headers.get_list(name.decode()),
                [value.decode()],
                did=f"the headers {name.decode()} of an answer that has one already",
                why="a route that knows better could not say so, and two policies are not one",
                hint="setdefault leaves what is there",
                at=self.at(load),
            )
        expect.header(
            answer,
            "content-type",
            "text/plain",
            why="the rest must stay",
            hint="change only what is asked for",
            at=self.at(load),
        )
        expect.header(
            answer,
            "x-content-type-options",
            "nosniff",
            why="one header of the app's own is no reason to leave out others",
            hint="each header for itself",
            at=self.at(load),
        )

    async def test_body(self, load, connect):
        """The body arrives as it was"""
        answer = await self.answer(load, connect)
        expect.equal(
            answer.text,
            "hello",
            did="the body of an answer",
            why="all messages must pass",
            hint="await send(message), for every message",
            at=self.at(load),
        )

    async def test_handed_on(self, load):
        """The app below gets scope, receive and send, for each kind of scope"""
        module, settings = load("core.security_headers"), load("core.config").Settings()
        await handed_on(lambda app: module.SecurityHeadersMiddleware(app, settings), at=self.at(load))

    async def test_other_kinds(self, load):
        """What is no HTTP goes through as it is"""
        asked = []

        async def app(scope, _receive, send):
            asked.append((scope["type"], send))

        layer = load("core.security_headers").SecurityHeadersMiddleware(app, load("core.config").Settings())
        for kind in ("lifespan", "websocket"):
            await layer({"type": kind}, None, print)
        expect.equal(
            [kind for kind, _send in asked],
            ["lifespan", "websocket"],
            did="what the app below was asked",
            why="the app could not start",
            hint='ask for scope["type"] first: the lifespan has no path',
            at=self.at(load),
        )


# ---------------------------------------------------------------------------------------------------------------- 14.8


class Wire:
    """One request to the learner's layer, with messages in hand.

    Args:
        chunks: the body.
        app: what lies below; by default it reads all, and answers with the number of bytes.
    """

    def __init__(self, load, chunks, app=None, *, limit=10, headers=(), kind="http"):
        self.chunks, self.sent, self.read, self.called, self.error = list(chunks), [], 0, 0, None
        self.ended = 0
        self.app = app or self.reader
        self.layer = load("core.body_limit").BodyLimitMiddleware(self.inner, max_bytes=limit)
        self.scope = {
            "type": kind,
            "method": "POST",
            "path": "/x",
            "headers": list(headers),
            "query_string": b"",
            "state": {"request_id": SENT},
        }

    async def inner(self, scope, receive, send):
        """Be the app below."""
        self.called += 1
        await self.app(scope, receive, send)

    @staticmethod
    async def reader(_scope, receive, send):
        """Read all, and answer."""
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        await answer_with(send, str(size).encode())

    async def receive(self):
        """Give the next chunk."""
        self.read += 1
        if not self.chunks:
            self.ended += 1
            if self.ended > 100:  # or a loop that waits for more would never end
                raise RuntimeError("receive was called a hundred times after the end of the body")
            return {"type": "http.disconnect"}
        body = self.chunks.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(self.chunks)}

    async def send(self, message):
        """Keep a message."""
        self.sent.append(message)

    async def run(self):
        """Send the request; return self."""
        try:
            async with asyncio.timeout(5):
                await self.layer(self.scope, self.receive, self.send)
        except Exception as error:
            self.error = error
        return self

    @property
    def statuses(self):
        """Return the status of each answer that was begun."""
        return [message["status"] for message in self.sent if message["type"] == "http.response.start"]

    @property
    def body(self):
        """Return all that was sent."""
        return b"".join(message.get("body", b"") for message in self.sent)


async def answer_with(send, body, status=200):
    """Send an answer."""
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


def length(number):
    """Return the header Content-Length."""
    return [(b"content-length", str(number).encode())]


@exercise("14.8")
class TestBodyLimit:
    def at(self, load):
        """Return the method that is asked for."""
        return method(load, "core.body_limit", "BodyLimitMiddleware", "__call__")

    def gives(self, load, wire, statuses, *, did, why, hint):
        """Expect these answers, and no exception."""
        got = f"it raised {type(wire.error).__name__}" if wire.error else wire.statuses
        if "'NoneType'" in str(wire.error):
            got, hint = (
                "the app was given None in place of a message",
                "your `receive` must also return the message that it has counted",
            )
        literal = re.fullmatch("invalid literal for int.*'(.+)'", str(wire.error or ""))
        if literal and literal[1].isdigit():
            hint = (
                "int() does not read all that isdigit() takes for digits, such as ²: isdecimal() knows the difference"
            )
        expect.equal(got, statuses, did=did, why=why, hint=hint, at=self.at(load))
        if statuses == [413]:
            try:
                code = json.loads(wire.body).get("code")
            except ValueError:
                code = expect.shown(wire.body)
            expect.equal(
                code,
                "body_too_large",
                did=f"{did}: the code in the body",
                why="a client reads one body for all errors, and nothing else",
                hint="self.refuse sends it",
                at=self.at(load),
            )

    async def test_announced(self, load):
        """A Content-Length above the limit is refused at once: nothing is read, and the app is not called"""
        for number in (11, 10**6, 10**30):
            wire = await Wire(load, [b"x" * 11], headers=length(number)).run()
            self.gives(
                load,
                wire,
                [413],
                did=f"Content-Length: {number}, with a limit of 10",
                why="a stranger sends as much as they like",
                hint="compare it before the app is called",
            )
            expect.equal(
                (wire.read, wire.called),
                (0, 0),
                did=f"Content-Length: {number}: how often `receive` and the app were called",
                why="what is refused need not be read",
                hint="refuse, and return",
                at=self.at(load),
            )

    async def test_exact(self, load):
        """A body of exactly the limit passes, announced or not, whole or in parts"""
        for chunks in ([b"x" * 10], [b"x"] * 10, [b"", b"x" * 10, b""], [b"x"], [b""]):
            size = sum(map(len, chunks))
            for headers in ([], length(size)):
                wire = await Wire(load, chunks, headers=headers).run()
                self.gives(
                    load,
                    wire,
                    [200],
                    did=f"a body of {size} bytes in {len(chunks)} parts, with a limit of 10",
                    why="what is allowed must work",
                    hint="more than the limit is too much, not the limit itself",
                )
                expect.equal(
                    wire.body,
                    str(size).encode(),
                    did="how many bytes the app has read",
                    why="a part is lost on the way",
                    hint="return the message that `receive` gave",
                    at=self.at(load),
                )

    async def test_chunked(self, load):
        """A body without an announcement is counted, over all its parts"""
        for chunks in ([b"x" * 11], [b"x" * 6] * 2, [b"x"] * 11, [b"x" * 5, b"", b"x" * 6]):
            wire = await Wire(load, chunks).run()
            self.gives(
                load,
                wire,
                [413],
                did=(
                    f"a body of {sum(map(len, chunks))} bytes in {len(chunks)} parts, not announced, with a limit of 10"
                ),
                why="chunks need no announcement, and an attacker knows that",
                hint="a `receive` of your own adds up the lengths, and raises BodyTooLarge",
            )

    async def test_stops_reading(self, load):
        """As soon as it is too much, nothing more is read"""
        wire = await Wire(load, [b"x" * 6] * 50).run()
        expect.that(
            wire.read <= 3,
            did="50 parts of 6 bytes, with a limit of 10: how many were read",
            got=str(wire.read),
            expected="2: the second one is too much",
            why="counting 4 GB is nothing, keeping them is your memory",
            hint="a `receive` of your own adds up the lengths, and raises BodyTooLarge"
            if wire.read == 50
            else "raise BodyTooLarge in `receive`, so that the app cannot go on",
            at=self.at(load),
        )

    async def test_lying(self, load):
        """An announcement that is too small, or no number, changes nothing"""
        for value in (b"3", b"-5", b"abc", b"1e1", b"", "٣".encode(), b"0x5", b"\xb2", b"1\xb9"):
            wire = await Wire(load, [b"x" * 20], headers=[(b"content-length", value)]).run()
            self.gives(
                load,
                wire,
                [413],
                did=f"Content-Length: {value!r}, and a body of 20 bytes, with a limit of 10",
                why="who attacks does not tell the truth",
                hint="count all bodies, whatever was announced; a text that is no number announces nothing",
            )
            wire = await Wire(load, [b"x" * 5], headers=[(b"content-length", value)]).run()
            self.gives(
                load,
                wire,
                [200],
                did=f"Content-Length: {value!r}, and a body of 5 bytes, with a limit of 10",
                why="this layer says only what is too large",
                hint="a text that is no number announces nothing",
            )

    async def test_whatever_the_app_answers(self, load):
        """The app catches the exception and answers by itself, or raises another: the client gets the 413 only"""

        async def catching(_scope, receive, send):
            try:
                await receive()
            except Exception:
                await answer_with(send, b"cannot parse", 400)

        async def changing(_scope, receive, _send):
            try:
                await receive()
            except Exception as error:
                raise ValueError("cannot parse") from error

        async def silent(_scope, receive, _send):
            with suppress(Exception):
                await receive()

        for app, does in (
            (catching, "answers 400 by itself"),
            (changing, "raises another exception instead"),
            (silent, "catches the exception and does not answer"),
        ):
            wire = await Wire(load, [b"x" * 11], app).run()
            self.gives(
                load,
                wire,
                [413],
                did=f"a body that is too large, for an app that {does}",
                why="two answers to one request are none",
                hint=(
                    "note that it is too large; drop what the app sends then; refuse when the app is "
                    "done, also when it raised"
                ),
            )

    async def test_raises(self, load):
        """What is too much never reaches the app: its `receive` raises BodyTooLarge"""
        for chunks in ([b"x" * 11], [b"x" * 6] * 2):
            seen = []

            async def noting(_scope, receive, _send, seen=seen):
                for _ in range(2):
                    try:
                        message = await receive()
                    except Exception as error:
                        seen.append(type(error).__name__)
                        raise
                    seen.append(f"{message['type']} with {len(message.get('body', b''))} bytes")

            await Wire(load, chunks, noting).run()
            expect.equal(
                seen,
                [*["http.request with 6 bytes"] * (len(chunks) - 1), "BodyTooLarge"],
                did=f"what the app gets from `receive`, for {len(chunks)} parts of {len(chunks[0])} bytes "
                "and a limit of 10",
                why="an app that gets a body that was cut, or none, stores half of it as if it were whole",
                hint="a `receive` of your own adds up the lengths, and raises BodyTooLarge"
                if seen[-1:] == [f"http.request with {len(chunks[-1])} bytes"]
                else "raise BodyTooLarge in your `receive`, in place of a message",
                at=self.at(load),
            )

    async def test_the_apps_own_error(self, load):
        """An exception that has nothing to do with it goes on"""

        async def broken(_scope, receive, _send):
            await receive()
            raise RuntimeError("too bad")

        wire = await Wire(load, [b"x" * 5], broken).run()
        expect.that(
            isinstance(wire.error, RuntimeError) and not wire.sent,
            did="a small body, and a route with a bug",
            got=repr(wire.error) if wire.error else str(wire.statuses),
            expected="the RuntimeError goes on",
            why="the layer outside logs it, and nobody else does",
            hint="only what comes from a body that is too large is yours",
            at=self.at(load),
        )

    async def test_begun(self, load):
        """An answer that has begun gets no second one"""

        async def early(_scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await receive()
            await receive()
            await send({"type": "http.response.body", "body": b""})

        wire = await Wire(load, [b"x" * 6] * 2, early).run()
        expect.equal(
            wire.statuses,
            [200],
            did="a body that is too large, for an app that answers before it has read: the answers",
            why="the client would find a second answer inside the first",
            hint="note in your `send` that something was sent, and then refuse no more",
            at=self.at(load),
        )
        expect.equal(
            type(wire.error).__name__,
            "BodyTooLarge",
            did="the same: the exception that comes out",
            why="without it the server ends half an answer as if it were whole",
            hint="what the app raises goes on when its answer has begun: `if begun or not too_large: raise`",
            at=self.at(load),
        )

        async def stubborn(_scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            with suppress(Exception):
                await receive()
            await send({"type": "http.response.body", "body": b"the end"})

        wire = await Wire(load, [b"x" * 11], stubborn).run()
        expect.that(
            wire.error is not None or wire.body == b"the end",
            did="the same, for an app that catches the exception and goes on",
            got=f"{wire.body!r}, and no exception",
            expected="the whole answer, or a break",
            why="a client would take half of an answer for all of it",
            hint="drop messages only while nothing has begun",
            at=self.at(load),
        )

    async def test_not_read(self, load):
        """A body that the app does not read is none of this layer's business"""

        async def deaf(_scope, _receive, send):
            await answer_with(send, b"no thanks")

        wire = await Wire(load, [b"x" * 50], deaf).run()
        self.gives(
            load,
            wire,
            [200],
            did="a large body, for an app that does not read it",
            why="reading it would be the harm",
            hint="read nothing by yourself",
        )
        expect.equal(
            wire.read,
            0,
            did="how often `receive` was called",
            why="reading it would be the harm",
            hint="read nothing by yourself",
            at=self.at(load),
        )

    async def test_two_requests(self, load):
        """Each request is counted for itself"""
        for _ in range(3):
            wire = await Wire(load, [b"x" * 8]).run()
            self.gives(
                load,
                wire,
                [200],
                did="three requests of 8 bytes, with a limit of 10",
                why="the second visitor would be refused for the first",
                hint="count in a variable of the function, not on self",
            )
        layer = wire.layer
        for _ in range(2):
            again = Wire(load, [b"x" * 8])
            layer.app = again.inner
            again.layer = layer
            await again.run()
            self.gives(
                load,
                again,
                [200],
                did="two requests of 8 bytes through one layer, with a limit of 10",
                why="the second visitor would be refused for the first",
                hint="count in a variable of the function, not on self",
            )

    async def test_in_turns(self, load):
        """Two requests that run in turns are counted each for itself"""

        async def app(_scope, receive, send):
            more = True
            while more:
                more = (await receive()).get("more_body", False)
                await asyncio.sleep(0)
            await answer_with(send, b"read")

        layer = load("core.body_limit").BodyLimitMiddleware(app, max_bytes=10)
        for size, expected in ((4, 200), (6, 413)):
            wires = [Wire(load, [b"x" * 4] * 2, app), Wire(load, [b"x" * size] * 2, app)]
            for wire in wires:
                wire.layer = layer
            small, other = await asyncio.gather(*(wire.run() for wire in wires))
            for wire, statuses, number in ((small, [200], 8), (other, [expected], 2 * size)):
                self.gives(
                    load,
                    wire,
                    statuses,
                    did=f"{number} bytes in two parts, while another request is read, with a limit of 10",
                    why="one visitor would be refused for another one, or be let in",
                    hint="count in a variable of the function, not on `self`, which is one for all requests",
                )

    async def test_handed_on(self, load):
        """The app below gets scope, receive and send, for each kind of scope"""
        await handed_on(
            lambda app: load("core.body_limit").BodyLimitMiddleware(app, 10), at=self.at(load), own_receive=True
        )

    async def test_no_body(self, load):
        """A message without a body has no bytes"""
        got = []

        async def app(_scope, receive, _send):
            got.extend([await receive() for _ in range(4)])

        async def receive():
            return {"type": "http.request", "more_body": True}

        scope = {"type": "http", "method": "GET", "path": "/x", "headers": []}
        try:
            await load("core.body_limit").BodyLimitMiddleware(app, 10)(scope, receive, None)
        except Exception as error:
            got.append(type(error).__name__)
        expect.equal(
            [one if isinstance(one, str) else "a message" for one in got],
            ["a message"] * 4,
            did="four messages without the key body, with a limit of 10: what the app below gets",
            why="a server may leave the key out: that is an empty body",
            hint='message.get("body", b"")',
            at=self.at(load),
        )

    async def test_other_kinds(self, load):
        """What is no HTTP goes through as it is"""

        async def app(_scope, _receive, _send):
            pass

        for kind in ("lifespan", "websocket"):
            wire = Wire(load, [], app, kind=kind)
            wire.scope = {"type": kind}
            await wire.run()
            expect.equal(
                (wire.called, repr(wire.error)),
                (1, "None"),
                did=f"a scope of the type {kind}",
                why="the app could not start",
                hint='ask for scope["type"] first',
                at=self.at(load),
            )

    async def test_in_the_app(self, load, visitor, people):
        """In the whole app too: a JSON body in chunks gets the 413 with its id, and the next request works"""
        load("core.body_limit")
        if not any(entry.cls.__name__ == "BodyLimitMiddleware" for entry in visitor.app.user_middleware):
            return
        ada = await people.add("ada")

        async def parts():
            yield b'{"title": "'
            for _ in range(30):
                yield b"x" * 50_000
            yield b'", "price": "1"}'

        headers = ada.headers | {"Content-Type": "application/json", "X-Request-ID": SENT}
        answer = await visitor.post(f"{API}/items", content=parts(), headers=headers)
        expect.status(answer, 413, why="1.5 MB of JSON would be kept in memory", hint="", at=self.at(load))
        expect.equal(
            expect.body(answer).get("request_id"),
            SENT,
            did="the id in the body",
            why="the log could not be searched for it",
            hint="",
            at=self.at(load),
        )
        answer = await visitor.post(f"{API}/items", json={"title": "Pen", "price": "1"}, headers=ada.headers)
        expect.status(answer, 201, why="one bad request must not harm the next", hint="", at=self.at(load))


# ---------------------------------------------------------------------------------------------------------------- 14.9

STRONG = "k8Jd72hLq09ZxC4vBn6MwE3rTy5UiOpA"
GOOD = {
    "stage": "production",
    "secret_key": STRONG,
    "database_url": "postgresql://shop:Xq7pw@db/shop",
    "mail_host": "smtp.example.com",
    "mail_reset_url": "https://shop.example/reset",
}
BAD = [
    ("DATABASE_URL", {"database_url": "sqlite:///shop.db"}),
    ("DATABASE_URL", {"database_url": "sqlite+aiosqlite://"}),
    ("HTTPS_ONLY", {"https_only": False}),
    ("RATE_LIMIT_ENABLED", {"rate_limit_enabled": False}),
    ("TRUSTED_PROXIES", {"trusted_proxies": "0.0.0.0/0"}),
    ("TRUSTED_PROXIES", {"trusted_proxies": "::/0"}),
    ("TRUSTED_PROXIES", {"trusted_proxies": "10.0.0.1, ::/0, 0.0.0.0/0"}),
    ("CORS_ORIGINS", {"cors_origins": "http://shop.example"}),
    ("CORS_ORIGINS", {"cors_origins": "https://a.example, http://b.example, http://c.example"}),
    ("MAIL_HOST", {"mail_host": None}),
    ("MAIL_START_TLS", {"mail_start_tls": False, "mail_password": MARK}),
    ("MAIL_RESET_URL", {"mail_reset_url": "http://shop.example/reset"}),
    ("MAIL_RESET_URL", {"mail_reset_url": "httpsx://shop.example/reset"}),
    ("METRICS_TOKEN", {"metrics_token": MARK}),
    ("METRICS_TOKEN", {"metrics_token": "a1" * 20}),
    ("METRICS_TOKEN", {"metrics_token": f"changeme-{STRONG}"}),
    ("FIRST_ADMIN_PASSWORD", {"first_admin_password": "Correct-hor"}),
    ("FIRST_ADMIN_PASSWORD", {"first_admin_password": "Größe-Äpfel"}),
]
HINTS = {
    "MAIL_RESET_URL": "https://, with the colon and both strokes: a scheme httpsx is another one",
    "METRICS_TOKEN": "weak_secret_reason knows more than a length: ask it",
    "FIRST_ADMIN_PASSWORD": "fewer than 12 characters: len() of the text, not of its bytes",
}
FINE = [
    {},
    {"mail_start_tls": False},
    {"mail_password": MARK},
    {"metrics_token": STRONG},
    {"first_admin_password": "Correct horse"[:12]},
    {"first_admin_password": "Größe-Äpfel1"},
    {"trusted_proxies": "10.0.0.1, 10.1.0.0/16, fd00::/8"},
    {"cors_origins": "https://a.example, https://b.example"},
    {"docs_enabled": True},
    {"redis_url": "redis://cache"},
    {"database_url": "postgresql+asyncpg://sqlite@sqlite/sqlite"},
]


@exercise("14.9")
class TestUnsafe:
    def reasons(self, load, **values):
        """Return the learner's reasons against settings, a list of texts."""
        unsafe = load("core.safety").unsafe_settings
        found = unsafe(load("core.config").Settings(**{"rate_limit_enabled": True, **GOOD, **values}))
        expect.that(
            isinstance(found, list) and all(isinstance(one, str) for one in found),
            did=f"unsafe_settings, for {self.shown(values)}",
            got=expect.shown(found),
            expected="a list of texts",
            why="the one who starts the app reads them",
            hint=why_none(unsafe, "the list") if found is None else "a list, also for one reason or none",
            at=unsafe,
        )
        return found

    @staticmethod
    def shown(values):
        """Name settings as a person would."""
        return (
            "safe settings"
            if not values
            else "safe settings with " + ", ".join(f"{key.upper()}={value}" for key, value in values.items())
        )

    def names(self, load, expected, *, hint, why, **values):
        """Expect the names of the variables, each once."""
        found = self.reasons(load, **values)
        names = [one.partition(":")[0] for one in found]
        if set(names) == set(expected) and len(names) > len(expected):
            why, hint = "a reason that is said twice looks like two", "one reason for each variable"
        expect.equal(
            sorted(names),
            sorted(expected),
            did=f"the variables that unsafe_settings names, for {self.shown(values)}",
            why=why,
            hint=hint,
            at=load("core.safety").unsafe_settings,
        )
        return found

    def test_safe(self, load):
        """Safe settings have no reason against them"""
        for values in FINE:
            self.names(
                load,
                [],
                why="the app could not start at all",
                hint="compare the condition with the table, word by word",
                **values,
            )

    def test_each(self, load):
        """Each unsafe variable is named, and no other"""
        for name, values in BAD:
            self.names(
                load,
                [name],
                why="it would start, and nobody would notice for a long time",
                hint=HINTS.get(name, "compare the condition with the table, word by word"),
                **values,
            )

    def test_all_at_once(self, load):
        """All reasons come at once, each variable once"""
        everything = {}
        for _name, values in BAD:
            everything |= values
        found = [one.partition(":")[0] for one in self.reasons(load, **everything)]
        wanted = {name for name, _values in BAD}
        missing, twice = sorted(wanted - set(found)), sorted({one for one in found if found.count(one) > 1})
        strange = sorted(set(found) - wanted)
        wrong = (("missing", missing), ("more than once", twice), ("unknown", strange))
        expect.that(
            not missing and not twice and not strange,
            did="unsafe_settings, for settings of which all ten variables are unsafe",
            got="; ".join(f"{what}: {', '.join(names)}" for what, names in wrong if names),
            expected="a reason for each of the ten, once",
            why="a reason that is said twice looks like two"
            if not missing and not strange
            else "who repairs one a day has the app running next week",
            hint="collect, and return at the end: one reason for each variable",
            at=load("core.safety").unsafe_settings,
        )

    def test_elsewhere(self, load):
        """In development and staging nothing is unsafe"""
        for stage in ("development", "staging"):
            for name, values in BAD:
                if name != "CORS_ORIGINS":
                    self.names(
                        load,
                        [],
                        why="on your machine SQLite and plain HTTP are right",
                        hint="return [] unless the stage is production",
                        **{**values, "stage": stage},
                    )

    def test_no_values(self, load):
        """A reason says what can happen, and shows no value"""
        for name, values in BAD:
            found = self.reasons(load, **values)
            text = " ".join(found)
            shown = [str(value) for value in values.values() if isinstance(value, str) and value in text]
            expect.that(
                not shown and all(len(one.partition(":")[2].split()) >= 2 for one in found),
                did=f"the reason of {name}, for {self.shown(values)}",
                got=expect.shown(found),
                expected="the name, a colon, some words, and no value"
                if shown
                else "the name, a colon, and two words or more",
                why="the reason is printed where others read it"
                if shown
                else "who starts the app would not know what can happen",
                hint=f"a fixed text for each variable, in which {shown[0]} does not stand" if shown else "",
                at=load("core.safety").unsafe_settings,
            )

    def test_refused(self, load):
        """refuse_unsafe raises one error with all of them, and none for safe settings"""
        module, config = load("core.safety"), load("core.config")
        module.refuse_unsafe(config.Settings(**{"rate_limit_enabled": True, **GOOD}))
        try:
            module.refuse_unsafe(config.Settings(**{**GOOD, "rate_limit_enabled": False, "https_only": False}))
            said = "nothing"
        except module.UnsafeSettings as error:
            said = str(error)
        expect.that(
            "HTTPS_ONLY" in said and "RATE_LIMIT_ENABLED" in said,
            did="refuse_unsafe, with HTTPS_ONLY and RATE_LIMIT_ENABLED off",
            got=said,
            expected="an UnsafeSettings that names both",
            why="the app would start",
            hint="",
            at=module.unsafe_settings,
        )

    def test_fresh(self, load):
        """Reasons of earlier settings are not remembered"""
        self.reasons(load, https_only=False)
        self.names(load, [], why="safe settings would be refused for those of before", hint="a new list for each call")


# --------------------------------------------------------------------------------------------------------------- 14.10


class Door:
    """The learner's server on a small app; what happens is noted in `events`, in its order."""

    def __init__(self, load, drain):
        self.module, self.events, self.gate = load("serve"), [], asyncio.Event()
        self.app = FastAPI(lifespan=self.lifespan)

        @self.app.get("/quick")
        async def quick() -> str:
            return "quick"

        @self.app.get("/slow")
        async def slow() -> str:
            self.events.append("slow begins")
            await self.gate.wait()
            return "slow"

        config = uvicorn.Config(self.app, port=0, log_config=None, timeout_graceful_shutdown=20)
        self.server = self.module.DrainingServer(config, drain, leave=lambda: self.events.append("leave"))
        self.running = None

    @asynccontextmanager
    async def lifespan(self, _app):
        """Note the end of the app."""
        yield
        self.events.append("closed")

    async def __aenter__(self):
        """Start it."""
        self.running = asyncio.create_task(self.server.serve())
        while not self.server.started:
            await asyncio.sleep(0.01)
            if self.running.done():
                await self.running
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)
        return self

    async def __aexit__(self, *_):
        """Stop it, whatever happened."""
        self.gate.set()
        self.server.should_exit = self.server.force_exit = True
        await self.http.aclose()
        with suppress(Exception):
            async with asyncio.timeout(5):
                await self.running
        lifespan = getattr(self.server, "lifespan", None)
        if lifespan and "closed" not in self.events:  # a forced exit leaves it open, and its end would be printed
            with suppress(Exception):
                async with asyncio.timeout(5):
                    await lifespan.shutdown()

    async def until(self, condition, seconds=5.0):
        """Wait for something; say whether it came."""
        ends = monotonic() + seconds
        while not condition() and monotonic() < ends:
            await asyncio.sleep(0.01)
        return condition()

    async def get(self, path):
        """Return the status, or the name of what went wrong; each on a connection of its own."""
        try:
            return (await self.http.get(path, headers={"Connection": "close"})).status_code
        except httpx.HTTPError as error:
            return type(error).__name__


MANY = 3000  # steps, of a wait of two seconds


class Hurry(Exception):
    """Somebody sleeps without end."""


class SleepClock:
    """A clock that sleeping moves: nobody waits, and the lengths are noted in `steps`."""

    def __init__(self):
        self.steps, self.passed = [], 0.0

    def install(self, monkeypatch, module, loop):
        """Let asyncio.sleep move the clocks that a module can look at."""
        sleep = asyncio.sleep

        async def moved(delay, result=None):
            self.steps.append(delay)
            self.passed += delay
            if len(self.steps) >= MANY:
                raise Hurry
            return await sleep(0, result)

        monkeypatch.setattr(asyncio, "sleep", moved)
        names = ("monotonic", "perf_counter", "time")
        clocks = {getattr(time, name): self.ahead(getattr(time, name)) for name in names}
        for name, value in list(vars(module).items()):
            if callable(value) and value in (*clocks, sleep):
                monkeypatch.setattr(module, name, moved if value is sleep else clocks[value])
        for name in names:
            monkeypatch.setattr(time, name, clocks[getattr(time, name)])
        monkeypatch.setattr(loop, "time", self.ahead(loop.time))

    def ahead(self, clock):
        """Return a clock that is ahead by what was slept."""
        return lambda: clock() + self.passed


@exercise("14.10", limit=25)
class TestLeaving:
    def at(self, load):
        """Return the method that is asked for."""
        return method(load, "serve", "DrainingServer", "shutdown")

    async def test_first_leave(self, load):
        """When it is told to stop, it says at once that it leaves, once"""
        async with Door(load, 0.4) as door:
            door.server.should_exit = True
            came = await door.until(lambda: door.events, 3)
            expect.that(
                bool(came) and not door.running.done(),
                did="the server is told to stop",
                got=f"after a moment: {door.events or 'nothing was said'}",
                expected="self.leave() was called, before all else",
                why="the load balancer would go on sending requests",
                hint="self.leave() is the first line",
                at=self.at(load),
            )
            await door.until(door.running.done, 10)
            expect.equal(
                door.events,
                ["leave", "closed"],
                did="what happened, in its order",
                why="the app says that it leaves, serves on, and is closed at the end",
                hint="leave, wait, then await super().shutdown(sockets)",
                at=self.at(load),
            )

    async def test_serves_on(self, load):
        """While it drains, new connections are served"""
        async with Door(load, 3.0) as door:
            door.server.should_exit = True
            await door.until(lambda: door.events, 3)
            await asyncio.sleep(0.25)
            found = [await door.get("/quick") for _ in range(5)]
            expect.equal(
                found,
                [200] * 5,
                did="five requests after the server was told to stop, while it drains",
                why="the load balancer asks every few seconds, and sends requests until it hears the no",
                hint=(
                    "wait before super().shutdown, which closes the door; and wait by asyncio.sleep, "
                    "which lets others run"
                ),
                at=self.at(load),
            )
            door.server.force_exit = True

    async def test_time(self, load):
        """It waits as long as it was told, and then closes its door"""
        async with Door(load, 0.5) as door:
            door.server.should_exit = True
            await door.until(lambda: door.events, 3)
            began = monotonic()
            ended = await door.until(door.running.done, 12)
            took = monotonic() - began
            expect.that(
                ended and took > 0.35,
                did="the server is told to stop, with drain_seconds 0.5",
                got=f"it ended after {took:.1f} s" if ended else "it did not end",
                expected="it ends after 0.5 s and a little more",
                why="too early, and requests are lost; never, and it is killed",
                hint="self.drain_seconds are to be waited: should_exit is true by then, and only force_exit ends the "
                "waiting; then await super().shutdown(sockets)",
                at=self.at(load),
            )
            expect.equal(
                await door.get("/quick"),
                "ConnectError",
                did="a request afterwards",
                why="the process must end",
                hint="await super().shutdown(sockets)",
                at=self.at(load),
            )

    async def test_under_way(self, load):
        """Requests that are under way are answered, also when they take longer than the draining"""
        async with Door(load, 0.2) as door:
            asking = [asyncio.create_task(door.get("/slow")) for _ in range(20)]
            await door.until(lambda: door.events.count("slow begins") == 20)
            door.server.should_exit = True
            await door.until(lambda: "leave" in door.events, 3)
            await asyncio.sleep(0.6)
            door.gate.set()
            found = await asyncio.gather(*asking)
            expect.equal(
                found,
                [200] * 20,
                did="20 requests that were under way when the server was told to stop",
                why="an order that was accepted must be answered",
                hint="uvicorn waits for them: await super().shutdown(sockets)",
                at=self.at(load),
            )
            await door.until(door.running.done, 10)
            expect.equal(
                door.events[-1],
                "closed",
                did="the last thing that happened",
                why="the pool is closed when nobody needs it",
                hint="await super().shutdown(sockets)",
                at=self.at(load),
            )

    async def test_second_time(self, load):
        """Who forces the exit does not wait for the draining"""
        async with Door(load, 9.0) as door:
            door.server.should_exit = True
            await door.until(lambda: door.events, 3)
            door.server.force_exit = True
            ended = await door.until(door.running.done, 6)
            expect.that(
                bool(ended),
                did="the exit is forced, while the server drains for 9 s",
                got="it still waits",
                expected="it ends at once",
                why="you press Ctrl+C twice, and then look for the process to kill it",
                hint="wait in small steps, and look at self.force_exit between them",
                at=self.at(load),
            )

    async def test_small_steps(self, load, monkeypatch):
        """It waits the seconds it was told, in steps of a tenth of a second at most, and not without a pause"""
        module, loop, clock = load("serve"), asyncio.get_running_loop(), SleepClock()
        clock.install(monkeypatch, sys.modules[module.DrainingServer.__module__], loop)

        async def shutdown(_self, sockets=None):
            return None

        monkeypatch.setattr(uvicorn.Server, "shutdown", shutdown)
        for drain in (0.2, 2.0):
            clock.steps.clear()
            server = module.DrainingServer(uvicorn.Config(FastAPI(), log_config=None), drain, leave=lambda: None)
            with suppress(Hurry):
                await server.shutdown()
            did, steps = f"the asyncio.sleep while it drains for {drain} s", clock.steps
            reason = {"did": did, "at": self.at(load)}
            expect.that(
                len(steps) < MANY,
                got=f"{len(steps)} of them, and no end",
                expected="some, of a tenth of a second at most",
                why="a loop without a pause takes the processor from the requests that are still under way",
                hint="await asyncio.sleep(0.05), or 0.1; not 0",
                **reason,
            )
            expect.that(
                max(steps, default=0) <= 0.1,
                got=f"{max(steps, default=0)} s at once",
                expected="0.1 s at most",
                why="you press Ctrl+C twice, and nothing happens",
                hint="wait in small steps, and look at self.force_exit between them",
                **reason,
            )
            expect.that(
                sum(steps) < drain + 0.3,
                got=f"{sum(steps):.1f} s together",
                expected=f"{drain} s, and a little more",
                why="who runs the app knows how often the load balancer asks, and sets it",
                hint="self.drain_seconds, not a number of your own",
                **reason,
            )

    async def test_sockets(self, load):
        """Uvicorn gets the sockets that it was given"""
        module, given = load("serve"), []

        async def shutdown(_self, sockets=None):
            given.append(sockets)

        real = uvicorn.Server.shutdown
        uvicorn.Server.shutdown = shutdown
        try:
            for sockets, forced in ((["socket"], False), (None, False), (["forced"], True)):
                drain = 9 if forced else 0
                server = module.DrainingServer(uvicorn.Config(FastAPI(), log_config=None), drain, leave=lambda: None)
                server.force_exit = forced
                await server.shutdown(sockets)
        finally:
            uvicorn.Server.shutdown = real
        expect.equal(
            given,
            [["socket"], None, ["forced"]],
            did='what uvicorn\'s own shutdown was given, after shutdown(["socket"]) and shutdown(None), and after '
            'shutdown(["forced"]) when the exit is forced',
            why="who hands sockets to uvicorn wants them closed, and the door would stay open",
            hint="hand `sockets` on, in any case: a forced exit ends the waiting, not uvicorn's part"
            if given[:2] == [["socket"], None]
            else "hand `sockets` on",
            at=self.at(load),
        )


# --------------------------------------------------------------------------------------------------------------- 14.11


HEREDOC = re.compile(r"^RUN <<-?['\"]?(\w+)['\"]?\s*\n(.*?)\n\1\s*$", re.DOTALL | re.MULTILINE)


class Instructions:
    """A Dockerfile, read: stages, each a list of (instruction, rest)."""

    def __init__(self, text):
        text = HEREDOC.sub(lambda one: f"RUN {' && '.join(one[2].strip().splitlines())}", text)
        joined = re.sub(
            r"\\\s*\n\s*", " ", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
        )
        self.stages, self.all, named, outside = [], [], {}, {}
        for line in joined.splitlines():
            word, _, rest = line.strip().partition(" ")
            if not word:
                continue
            pair = (word.upper(), rest.strip())
            if pair[0] == "FROM":
                self.stages.append([])
                named = dict(outside)
            if pair[0] not in ("ENV", "ARG"):
                pair = (pair[0], filled_in(pair[1], named))
            elif given := re.findall(r"(\w+)[= ]\"?([^\s\"]+)", pair[1]):
                pair = (pair[0], filled_in(pair[1], named))
                named |= given
                outside |= {} if self.stages else given
            if self.stages:
                self.stages[-1].append(pair)
            self.all.append(pair)

    def rests(self, word, stage=None):
        """Return what follows each instruction of a kind, in all stages or in one."""
        return [rest for found, rest in (self.all if stage is None else self.stages[stage]) if found == word]


def filled_in(text, values):
    """Put the values of ENV and ARG in the place of their names."""
    return re.sub(r"\$\{?(\w+)\}?", lambda one: values.get(one[1], one[0]), text)


def operands(rest):
    """Return what a COPY names, its sources and at the end its target; in the list form too."""
    while match := re.match(r"--\S+\s+", rest):
        rest = rest[match.end() :]
    return form(rest) or rest.split()


def source(word):
    """Return a source of a COPY without ./ and / around it."""
    return word.removeprefix("./").strip("/")


def python_of(image):
    """Return the version of Python in an image's name as "3.13", where it is told, and its kind of C library."""
    found = re.search(r"python[:-]?v?(\d+\.\d+)", image)
    return (found[1] if found else None), "alpine" if "alpine" in image else "glibc"


def brought(words, target, places):
    """Return where the code lies after a COPY from a stage in which it lies at these places."""
    for one in (posixpath.normpath(posixpath.join("/", word)).rstrip("/") for word in words[:-1]):
        for place in places:
            if f"{place}/".startswith(f"{one}/"):
                yield posixpath.normpath(target + place[len(one) :])


def places_of_code(file):
    """Return where the folder app lies in the last stage, and the WORKDIR in which its CMD runs."""
    stages = {}
    for number, lines in enumerate(file.stages):
        first = next(word for word in lines[0][1].split() if not word.startswith("--"))
        name = re.search(r"(?i)\sas\s+(\S+)", lines[0][1])
        folder, code = stages.get(first.lower(), ("/", set()))
        for word, rest in lines[1:]:
            words = operands(rest)
            if word == "WORKDIR":
                folder = posixpath.join(folder, rest.strip("\"'"))
            elif word in ("COPY", "ADD") and len(words) > 1:
                target = posixpath.normpath(posixpath.join(folder, words[-1]))
                origin = re.search(r"--from=(\S+)", rest)
                here = {target} if any(source(one) == "app" for one in words[:-1]) else set()
                there = stages.get(origin[1].lower(), ("", set()))[1] if origin else set()
                code = code | (set(brought(words, target, there)) if origin else here)
        stages[str(number)] = stages[name[1].lower() if name else ""] = folder, code
    return code, posixpath.normpath(folder)


def form(rest):
    """Return the list of an instruction in its list form, or None."""
    try:
        found = json.loads(rest)
    except ValueError:
        return None
    return found if isinstance(found, list) and all(isinstance(one, str) for one in found) else None


class Healthy(BaseHTTPRequestHandler):
    """Answers 200 for /health, and 404 for all else."""

    def do_GET(self):
        """Answer."""
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')

    def log_message(self, *_arguments):
        """Write nothing."""


@exercise("14.11")
class TestBox:
    def file(self, load):
        """Read the learner's Dockerfile."""
        module = load("deploy.dockerfile")
        text = module.DOCKERFILE
        expect.that(
            isinstance(text, str) and "FROM" in text.upper(),
            did="DOCKERFILE",
            got=expect.shown(text),
            expected="a text with FROM",
            why="there would be no image",
            hint="a text between three quotation marks",
            at=(module, "DOCKERFILE"),
        )
        return Instructions(text)

    def rule(self, load, condition, *, did, got, expected, why, hint):
        """Expect a rule to hold."""
        expect.that(
            bool(condition),
            did=did,
            got=got,
            expected=expected,
            why=why,
            hint=hint,
            at=(load("deploy.dockerfile"), "DOCKERFILE"),
        )

    def test_stages(self, load):
        """Two stages: the first is called build, and the last one copies /venv from it"""
        file = self.file(load)
        names = [re.search(r"(?i)\sas\s+(\S+)", rest) for rest in file.rests("FROM")]
        first = names[0][1].lower() if names[0] else None
        copied = [rest for rest in file.rests("COPY", -1) if re.search(r"--from=(build|0)\b", rest) and "/venv" in rest]
        self.rule(
            load,
            len(file.stages) >= 2 and first == "build" and copied,
            did="the stages of the Dockerfile",
            got=(
                f"{len(file.stages)} stage(s), the first is called {first}, the last one copies "
                f"{copied or 'nothing from build'}"
            ),
            expected="FROM … AS build, then FROM …, with COPY --from=build /venv /venv in it",
            why="pip, its cache and whatever was needed to build would be delivered too",
            hint="FROM begins a stage, and AS gives it a name",
        )

    def test_versions(self, load):
        """Every base image has a version"""
        for rest in self.file(load).rests("FROM"):
            image = next(word for word in rest.split() if not word.startswith("--"))
            tag = image.partition("@")[2] or image.rpartition("/")[2].partition(":")[2]
            self.rule(
                load,
                image == "build" or re.search(r"\d", tag),
                did=f"FROM {rest}",
                got=f"the version {tag or '(none)'}",
                expected="a version with a number, such as python:3.13-slim",
                why="the same file makes another box next month, with a Python that you did not test",
                hint="in both stages",
            )
            minor = "sha256" in tag or re.search(r"\d\.\d", tag) or not re.search(r"(^|/)python[:@]", image)
            self.rule(
                load,
                minor,
                did=f"FROM {rest}",
                got=f"the version {tag}",
                expected="one with two numbers, such as python:3.13-slim",
                why="python:3 is another Python next year, and /venv/lib has a folder for one of them",
                hint="in both stages",
            )

    def test_same_python(self, load):
        """Both stages have the same Python"""
        file = self.file(load)
        names = [re.search(r"(?i)\sas\s+(\S+)", rest) for rest in file.rests("FROM")]
        stages = {name[1].lower() for name in names if name}
        images = [next(word for word in rest.split() if not word.startswith("--")) for rest in file.rests("FROM")]
        told = [python_of(image) for image in images if image.lower() not in stages]
        versions = sorted({version for version, _library in told if version})
        self.rule(
            load,
            len(versions) <= 1,
            did="the Python of the stages",
            got=" and ".join(versions),
            expected="one version in all stages",
            why=f"the packages lie in /venv/lib/python{(versions or [''])[0]}, where another one does not look",
            hint="the same image in both lines FROM",
        )
        self.rule(
            load,
            len({library for _version, library in told}) <= 1,
            did="the base images of the stages",
            got=", ".join(images),
            expected="alpine in all stages, or in none",
            why="packages with parts in C are built for one C library, and alpine has another one",
            hint="the same image in both lines FROM",
        )

    def test_lock(self, load):
        """The lock is installed with hashes and without resolving, before the code is copied"""
        file = self.file(load)
        installs = [
            (n, rest)
            for n, (word, rest) in enumerate(file.all)
            if word == "RUN" and re.search(r"pip3?\s.*install|uv\s+(pip\s+)?(install|sync)", rest)
        ]
        installs = [one for one in installs if "requirements" in one[1]] or installs
        text = " ".join(rest for _n, rest in installs)
        self.rule(
            load,
            installs and "requirements" in text,
            did="the RUN lines",
            got="none installs requirements.lock",
            expected="RUN … pip install … -r …requirements.lock",
            why="the app would have no packages",
            hint="-r names the file",
        )
        for option, why in (
            ("--require-hashes", "a package that was changed on its way would be installed"),
            ("--no-deps", "what runs must be what the lock says, and nothing that a resolver adds"),
        ):
            self.rule(
                load,
                option in text,
                did="RUN … pip install",
                got=f"no {option}",
                expected=option,
                why=why,
                hint=f"add {option}",
            )
        copies = [(n, rest) for n, (word, rest) in enumerate(file.all) if word in ("COPY", "ADD")]
        locks = [n for n, rest in copies if "requirements.lock" in rest]
        codes = [
            n for n, rest in copies if any(source(one) == "app" for one in operands(rest)[:-1]) and "--from" not in rest
        ]
        self.rule(
            load,
            locks and codes and locks[0] < installs[0][0] < codes[0],
            did="the order of the lines",
            got="no line copies app"
            if not codes
            else "no line copies requirements.lock"
            if not locks
            else "the packages are installed before the lock is copied"
            if installs[0][0] < locks[0]
            else "the code, or all of the folder, is copied before the packages are installed",
            expected="COPY requirements.lock, then pip install, then COPY app",
            why="a change of one line of your code would install everything anew",
            hint="what changes often comes last",
        )

    def test_into_venv(self, load):
        """The packages are installed into /venv, in the first stage"""
        first = self.file(load).stages[0]
        before, found, made = "", None, False
        for word, rest in first:
            if word == "ENV":
                before += f" {rest}"
            if word != "RUN":
                continue
            made = made or re.search(r"(venv|virtualenv)\b[^&;|]*[\s\"']/venv\b", rest) is not None
            for command in re.split(r"&&|;", rest):
                if re.search(r"activate\b", command) and "/venv" in command:
                    before += " PATH=/venv/bin"
                if "requirements" not in command or not re.search(r"\b(install|sync)\b", command):
                    continue
                uses = r"(PATH|VIRTUAL_ENV|UV_PROJECT_ENVIRONMENT|PIP_PREFIX|UV_PYTHON)[= ]\"?/venv"
                goes = re.search(r"(^|\s)\"?/venv/bin/|--(python|prefix|root|target)[= ]\"?/venv", command)
                found = goes or re.search(uses, f"{before} {command}") or found
                made = made or re.search(r"--prefix[= ]\"?/venv", command) is not None
        self.rule(
            load,
            found and made,
            did="RUN … pip install, in the first stage: where the packages go",
            got="to the Python of the base image, not to /venv" if made else "nowhere: no line makes /venv",
            expected="to /venv, which the second stage copies",
            why="the second stage would copy a /venv without packages, and the app could not start",
            hint="python -m venv /venv makes it; /venv/bin/pip installs into it, and pip alone does not",
        )

    def test_place_of_code(self, load):
        """The code lies where `python -m app.serve` finds it: a folder app in the WORKDIR"""
        file = self.file(load)
        code, folder = places_of_code(file)
        paths = re.findall(r"PYTHONPATH[= ]\"?([^\s\"]+)", " ".join(file.rests("ENV", -1)))
        wanted = {posixpath.join(one, "app") for one in (folder, *":".join(paths).split(":"))}
        self.rule(
            load,
            code & wanted,
            did="where the code lies in the last stage",
            got=f"serve.py is in {', '.join(sorted(code)) or 'no folder: app is not copied'}",
            expected=f"in {posixpath.join(folder, 'app')}, for the WORKDIR is {folder}",
            why="python -m app.serve looks for a folder app in the WORKDIR: no module named app",
            hint="COPY puts what is *in* app into its target: call the target app too; WORKDIR is the one above",
        )

    def test_only_what_is_needed(self, load):
        """Only the lock and app/ are copied from the folder"""
        for rest in self.file(load).rests("COPY") + self.file(load).rests("ADD"):
            words = operands(rest)
            if "--from" in rest:
                continue
            strange = [word for word in words[:-1] if source(word) not in ("requirements.lock", "app")]
            self.rule(
                load,
                not strange,
                did=f"COPY {rest}",
                got=f"copies {', '.join(strange)}",
                expected="requirements.lock and app only",
                why=(
                    ".env, the database and the git history lie in the same folder, and go to everybody "
                    "who has the image"
                ),
                hint="name what you copy",
            )

    def test_no_secret(self, load):
        """No ENV or ARG holds a secret, and no RUN either"""
        names = r"(?i)(secret|password|token|database_url|redis_url|api_key)\w*\s*[= ]"
        for word in ("ENV", "ARG", "RUN", "LABEL"):
            for rest in self.file(load).rests(word):
                found = (
                    re.search(names, rest + " ")
                    if word != "RUN"
                    else re.search(r"(?i)\b(SECRET_KEY|\w*PASSWORD|\w*TOKEN|DATABASE_URL)=", rest)
                )
                self.rule(
                    load,
                    not found,
                    did=f"{word} {rest.split('=')[0].split(' ')[0]} …",
                    got="a setting that is a secret",
                    expected="none: settings come when it is started",
                    why="a layer can be read by everybody who has the image, for ever",
                    hint="take the line out",
                )

    def test_nobody(self, load):
        """The process that runs is not root"""
        file = self.file(load)
        users = file.rests("USER", -1)
        user = users[-1].split(":")[0].strip() if users else "root"
        made = (
            user.isdecimal()
            or any(re.search(rf"(useradd|adduser)\b.*\b{re.escape(user)}\b", rest) for rest in file.rests("RUN", -1))
            or user in ("nobody", "www-data")
        )
        self.rule(
            load,
            user not in ("root", "0") and made,
            did="USER, in the last stage",
            got=f"{user}{'' if made or user in ('root', '0') else ', whom no line makes'}",
            expected="a user of its own",
            why="who breaks into the app could do everything in the box",
            hint="RUN useradd …, and later USER",
        )
        words = [word for word, _rest in file.stages[-1]]
        late = (
            [
                rest
                for word, rest in file.stages[-1][words.index("USER") :]
                if word == "RUN" and re.search("useradd|adduser|apt", rest)
            ]
            if users
            else []
        )
        self.rule(
            load,
            not late,
            did="the lines below USER",
            got=f"RUN {late[0] if late else ''}",
            expected="what needs root stands above USER",
            why="the image cannot be built",
            hint="USER comes after all that needs root",
        )

    def test_health(self, load):
        """A health check asks /health by Python: it succeeds while the app answers, and fails when nobody does"""
        checks = self.file(load).rests("HEALTHCHECK", -1)
        text = checks[-1] if checks else "none"
        self.rule(
            load,
            checks
            and re.search(r"\b8000\b", text)
            and "/health" in text
            and "python" in text
            and "CMD" in text
            and not re.search("curl|wget", text),
            did="HEALTHCHECK, in the last stage",
            got=text,
            expected="one that asks http://127.0.0.1:8000/health by Python",
            why="a process that hangs looks alive, and a tool that is not in the box makes a healthy one look ill",
            hint="HEALTHCHECK … CMD, and a list that starts python -c with urllib.request",
        )
        self.rule(
            load,
            "/health/ready" not in text,
            did="HEALTHCHECK",
            got="it asks /health/ready",
            expected="/health",
            why="the box would be killed while the database is away",
            hint="alive, not ready",
        )
        command = text.partition("CMD")[2].strip()
        self.rule(
            load,
            form(command) is not None or not command.startswith("["),
            did="the list of the health check",
            got=command,
            expected="a list as JSON has it, with double quotation marks around each part",
            why="what is no list goes to a shell, which finds no such command: the box would look ill for ever",
            hint='["python", "-c", "…"], and single quotation marks only inside of the program',
        )
        healthy, said = self.asked(command, answers=True)
        self.rule(
            load,
            healthy,
            did="the health check, while GET /health is 200",
            got=f"it fails: {said}",
            expected="it succeeds",
            why="the box would look ill for ever",
            hint="run its program once yourself: python -c '…'",
        )
        self.rule(
            load,
            not self.asked(command, answers=False)[0],
            did="the health check, while nobody answers",
            got="it succeeds",
            expected="it fails",
            why="a process that hangs looks alive",
            hint="let the program end with the exception that it gets, and put no `|| true` behind it",
        )

    def asked(self, command, *, answers):
        """Run a health check against a small server, or against none; say whether it succeeds, and its last line."""
        server = HTTPServer(("127.0.0.1", 0), Healthy)
        port = server.server_address[1]
        if answers:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        else:
            server.server_close()
        parts = form(command) or ["/bin/sh", "-c", command]
        if re.fullmatch(r"(\S*/)?python3?(\.\d+)?", parts[0]):
            parts = [sys.executable, *parts[1:]]
        folder = posixpath.dirname(sys.executable)
        try:
            done = subprocess.run(
                [re.sub(r"\b8000\b", str(port), part).replace("/venv/bin", folder) for part in parts],
                env=os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"},
                capture_output=True,
                text=True,
                timeout=8,
                check=False,
            )
            lines = done.stderr.strip().splitlines()
            return done.returncode == 0, lines[-1] if lines else f"it ends with {done.returncode}"
        except (OSError, subprocess.TimeoutExpired) as error:
            return False, f"{type(error).__name__}: {error}"
        finally:
            if answers:
                server.shutdown()
                server.server_close()

    def test_command(self, load):
        """CMD is a list, and starts app.serve for all addresses of the box"""
        commands = self.file(load).rests("CMD", -1)
        found = form(commands[-1]) if commands else None
        self.rule(
            load,
            found is not None,
            did="CMD, in the last stage",
            got=commands[-1] if commands else "none",
            expected='a list: CMD ["python", "-m", …]',
            why="a shell would get the SIGTERM, and your app would be killed with all its requests",
            hint="square brackets, and double quotation marks",
        )
        program, words = (found or [""])[0], [*(found or []), "", ""]
        pairs = list(pairwise(words))
        hint = "--host 0.0.0.0 behind app.serve"
        if any(" " in word.strip() for word in found or []):
            hint = "each word is a text of its own in the list; and no shell, which does not hand the SIGTERM on"
        elif ("-m", "app.serve") not in pairs:
            hint = "app.serve drains when it is told to stop; uvicorn alone does not"
        self.rule(
            load,
            re.fullmatch(r"(\S*/)?python3?(\.\d+)?", program)
            and ("-m", "app.serve") in pairs
            and (("--host", "0.0.0.0") in pairs or "--host=0.0.0.0" in words),
            did="CMD",
            got=json.dumps(found),
            expected='["python", "-m", "app.serve", "--host", "0.0.0.0"]',
            why="uvicorn alone would not drain; and an app on 127.0.0.1 of its box cannot be reached from outside",
            hint=hint,
        )
        reset = self.file(load).rests("ENTRYPOINT", -1)
        self.rule(
            load,
            not reset,
            did="ENTRYPOINT",
            got=str(reset),
            expected="none: the same box runs the migrations with another command",
            why="`docker run … python -m app.db.migrate upgrade` would start the app",
            hint="CMD alone",
        )

    def test_python_is_found(self, load):
        """The Python that runs is the one of /venv"""
        file = self.file(load)
        command = (form(file.rests("CMD", -1)[-1]) if file.rests("CMD", -1) else None) or [""]
        path = " ".join(file.rests("ENV", -1))
        copied = [operands(rest) for rest in file.rests("COPY", -1) if "--from" in rest]
        venv = next((posixpath.normpath(words[-1]) for words in copied if source(words[0]) == "venv"), "/venv")
        self.rule(
            load,
            command[0].startswith(f"{venv}/") or re.search(rf"PATH[= ]\"?{re.escape(venv)}/bin", path),
            did=f"which python the CMD starts, with /venv copied to {venv}",
            got=command[0],
            expected=f"{venv}/bin/python, by PATH or by its name",
            why="the Python of the base image has none of your packages",
            hint="COPY --from=build /venv /venv, and ENV PATH=/venv/bin:$PATH",
        )


# --------------------------------------------------------------------------------------------------------------- 14.12

MARK = "Correct-horse-7"
PAGE = {
    "type": "http",
    "method": "GET",
    "path": f"/items/{MARK}",
    "query_string": f"token={MARK}".encode(),
    "headers": [(b"cookie", MARK.encode())],
}


class Broken(Exception):
    """An error of an app's own."""

    class Inner(Exception):
        """One whose class stands in another class."""


def fail(error, password=MARK):
    """Raise an error, in a function that knows a secret."""
    raise error


def caught(error):
    """Call a function that raises an error; return it as an `except` sees it, with two lines behind it."""
    try:
        fail(error)
    except Exception as raised:
        return raised


def caught_by_another(error):
    """Call the same function from another place."""
    try:
        fail(error)
    except Exception as raised:
        return raised


def caught_elsewhere(error):
    """Raise an error in another place."""
    try:
        raise error
    except Exception as raised:
        return raised


class Clock:
    """A clock that stands still until a check moves it."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        """Return the time in seconds."""
        return self.now


@exercise("14.12")
class TestErrorReports:
    def page(self):
        """Return the scope of a request that met a route."""
        return PAGE | {"route": SimpleNamespace(path_format="/items/{item_id}")}

    def report(self, load, error, scope=None):
        """Call the learner's function; return the report."""
        report_of = load("core.error_reports").report_of
        found = report_of(error, scope or self.page())
        expect.that(
            isinstance(found, dict),
            did=f"report_of, for an error of the class {type(error).__name__}",
            got=expect.shown(found),
            expected="a dict with the six keys",
            why="the tracker is sent a JSON object",
            hint=why_none(report_of, "the dict") if found is None else "return a dict",
            at=report_of,
        )
        return found

    def equal(self, load, found, expected, *, did, why, hint, name="report_of"):
        """Expect two values to be equal; the fault is in the function with this name."""
        module = load("core.error_reports")
        at = module.report_of if name == "report_of" else method(load, "core.error_reports", "ErrorReports", name)
        expect.equal(found, expected, did=did, why=why, hint=hint, at=at)

    def test_type(self, load):
        """Type is the class with its module"""
        for error, expected in (
            (KeyError("x"), "builtins.KeyError"),
            (json.JSONDecodeError("x", "y", 0), "json.decoder.JSONDecodeError"),
            (httpx.ReadTimeout("x"), "httpx.ReadTimeout"),
            (Broken.Inner("x"), f"{Broken.__module__}.Broken.Inner"),
        ):
            self.equal(
                load,
                self.report(load, caught(error)).get("type"),
                expected,
                did=f'report_of(error, scope)["type"], for a {type(error).__qualname__}',
                why="five packages have a class TimeoutError: which one was it?",
                hint="type(error).__module__ and type(error).__qualname__, with a dot between them",
            )

    def test_request(self, load):
        """method, route and request_id are those of this request: the template, and bounded"""
        now = load("core.context").request_id_now
        for scope, expected in (
            (self.page(), ("GET", "/items/{item_id}", SENT)),
            (PAGE | {"method": "HACK"}, ("OTHER", "(none)", SENT)),
        ):
            token = now.set(SENT)
            try:
                found = self.report(load, caught(KeyError("x")), scope)
            finally:
                now.reset(token)
            self.equal(
                load,
                tuple(found.get(key) for key in ("method", "route", "request_id")),
                expected,
                did="method, route and request_id of a report",
                why="with the id you find the request in the log; the path has ids and tokens of people in it",
                hint="method, route = labels_of(scope), and request_id_now.get()",
            )

    def test_frames(self, load):
        """Frames are those of frames_of"""
        error = caught(Broken("x"))
        self.equal(
            load,
            self.report(load, error).get("frames"),
            load("core.error_reports").frames_of(error),
            did='report_of(error, scope)["frames"]',
            why="without the lines nobody can repair it",
            hint="frames_of(error)",
        )

    def test_nothing_else(self, load):
        """No message, no value, no address: the six keys and nothing else"""
        error = Broken(f"password {MARK}")
        error.__cause__ = ValueError(MARK)
        error.add_note(MARK)
        found = self.report(load, caught(error))
        said = [key for key, value in found.items() if MARK in str(value)]
        self.equal(
            load,
            said,
            [],
            did=(
                f"the keys with {MARK} in them; it stands in the message, a note, the cause, a variable, "
                "the path, the query and a header"
            ),
            why="a password goes to another company",
            hint=(
                "tell what you chose: class, template, id, lines. str(error), repr(error) and "
                "format_exception quote values"
            ),
        )
        self.equal(
            load,
            sorted(found),
            ["frames", "group", "method", "request_id", "route", "type"],
            did="the keys of a report",
            why="what is not in the table was not thought about",
            hint="the six keys of the table; `tell` adds count to those that it sends",
        )

    def test_same_group(self, load):
        """Two errors of one class and one place have one group, whatever message, request and time"""
        now = load("core.context").request_id_now
        groups = []
        for number, method in enumerate(("GET", "POST", "GET")):
            token = now.set(f"request-{number}")
            route = SimpleNamespace(path_format=f"/route-{number}")
            scope = self.page() | {"path": f"/{number}", "method": method, "route": route}
            groups.append(self.report(load, caught(KeyError(f"no pen {number}")), scope).get("group"))
            now.reset(token)
        expect.that(
            isinstance(groups[0], str) and bool(groups[0]) and len(set(groups)) == 1,
            did="the groups of three errors of one class from one line, with other messages, routes and request ids",
            got=expect.shown(groups),
            expected="one text, three times",
            why="each request would be an error of its own: 10,000 calls at night",
            hint="a digest of class and frames; message, id, method and route have no part in it",
            at=load("core.error_reports").report_of,
        )

    def test_other_group(self, load):
        """Another class, or other frames, are another group"""
        groups = [
            self.report(load, caught(KeyError("x"))).get("group"),
            self.report(load, caught(IndexError("x"))).get("group"),
            self.report(load, caught_elsewhere(KeyError("x"))).get("group"),
            self.report(load, caught_by_another(KeyError("x"))).get("group"),
        ]
        self.equal(
            load,
            len(set(map(str, groups))),
            4,
            did="how many groups: a KeyError, an IndexError from the same line, a KeyError from another function, "
            "and one from the first line, which another function has called",
            why="a new error hides behind an old one, and nobody is called",
            hint="both have a part in the digest: the class, and all frames",
        )

    def test_each_process(self, load, monkeypatch):
        """A group is the same in each process of the app"""
        load("core.error_reports")
        module, asked = sys.modules["app.core.error_reports"], []

        def salted(value):
            asked.append(value)
            return 7

        monkeypatch.setattr(module, "hash", salted, raising=False)
        monkeypatch.setattr(module, "id", salted, raising=False)
        self.report(load, caught(KeyError("x")))
        self.equal(
            load,
            len(asked),
            0,
            did="how often report_of calls hash() or id(), whose numbers are others in each process",
            why="four workers would be four errors, and a restart makes them new",
            hint="sha256(text.encode()).hexdigest()",
        )

    def reports(self, load, *, quiet=60.0, send=True):
        """Make ErrorReports with a list of what is sent, and a clock."""
        sent, clock = [], Clock()
        clock.now = 0.0  # a clock may begin there
        return load("core.error_reports").ErrorReports(sent.append if send else None, quiet, clock), sent, clock

    def tell(self, load, reports, error, times=1):
        """Tell an error some times."""
        for _ in range(times):
            reports.tell(error, self.page())

    def test_first(self, load):
        """The first of its group is sent at once: the report, with count 1"""
        reports, sent, _clock = self.reports(load)
        error = caught(KeyError("x"))
        self.tell(load, reports, error)
        self.equal(
            load,
            sent,
            [self.report(load, error) | {"count": 1}],
            did="what is sent, after tell with an error that is new",
            why="the first one is the news",
            hint='self.send(report | {"count": 1})',
            name="tell",
        )

    def test_flood(self, load):
        """A thousand in the quiet time: one is sent. The next one after it says how many there were"""
        reports, sent, clock = self.reports(load)
        error = caught(KeyError("x"))
        self.tell(load, reports, error, 1000)
        clock.now += 59.75
        self.tell(load, reports, error)
        self.equal(
            load,
            [one.get("count") for one in sent],
            [1],
            did="the counts that are sent, for 1001 errors of one group within 59.75 s",
            why="the tracker drowns, and so do those who are called",
            hint="less than quiet_seconds since the last one that was sent: count it, and return",
            name="tell",
        )
        clock.now += 0.5
        self.tell(load, reports, error)
        clock.now += 60
        self.tell(load, reports, error, 3)
        counts = [one.get("count") for one in sent]
        hint = "the count begins anew with each one that is sent, and the quiet time too"
        if counts == [1]:
            hint = "ask self.clock() for the time, not another clock"
        elif counts == [1, 1001]:
            hint = "exactly quiet_seconds after the last one is late enough: <, not <="
        self.equal(
            load,
            counts,
            [1, 1001, 1],
            did="the counts that are sent: 1001 errors within 59.75 s, one after 60.25 s, and three at 60 s after that",
            why="one, or ten thousand? It decides who gets up at night",
            hint=hint,
            name="tell",
        )

    def test_apart(self, load):
        """Each group has its own time and number"""
        reports, sent, clock = self.reports(load)
        first, second = caught(KeyError("x")), caught(IndexError("x"))
        self.tell(load, reports, first, 3)
        clock.now += 30
        self.tell(load, reports, second, 2)
        clock.now += 30
        self.tell(load, reports, first)
        self.tell(load, reports, second)
        self.equal(
            load,
            [(one.get("type"), one.get("count")) for one in sent],
            [("builtins.KeyError", 1), ("builtins.IndexError", 1), ("builtins.KeyError", 3)],
            did="what is sent: 3 KeyErrors, 30 s later 2 IndexErrors, 30 s later one of each",
            why="a loud error would hide a quiet one",
            hint="a dict by group: when it was sent last, and how many came since then",
            name="tell",
        )

    def test_objects_apart(self, load):
        """Two apps count for themselves"""
        error = caught(KeyError("x"))
        told = []
        for _ in range(2):
            reports, sent, _clock = self.reports(load)
            self.tell(load, reports, error)
            told.append(len(sent))
        self.equal(
            load,
            told,
            [1, 1],
            did="how many reports two new ErrorReports send, for the same error",
            why="what one app told, another one has not",
            hint="the dict belongs to the object: make it in __init__, not in the class or the module",
            name="tell",
        )

    def test_tracker_away(self, load, log):
        """While the tracker is away tell raises nothing, and leaves a warning"""
        module = load("core.error_reports")

        def away(_report):
            raise OSError("away")

        reports = module.ErrorReports(away, 60, Clock())
        try:
            self.tell(load, reports, caught(KeyError("x")))
            found = "nothing"
        except Exception as error:
            found = f"it raised {type(error).__name__}"
        self.equal(
            load,
            found,
            "nothing",
            did="tell, when send raises an OSError: what comes out",
            why="the request would get no answer, because somebody else's machine is away",
            hint="`except Exception` around self.send(…)",
            name="tell",
        )
        self.equal(
            load,
            [record.levelname for record in log.records],
            ["WARNING"],
            did="the log, after send raised",
            why="nobody would notice that nothing is told any more",
            hint="logger.warning(…), without what the error quotes",
            name="tell",
        )

    def test_nobody(self, load):
        """Without send nothing happens"""
        reports, _sent, _clock = self.reports(load, send=False)
        try:
            self.tell(load, reports, caught(KeyError("x")), 2)
            found = "nothing"
        except Exception as error:
            found = f"it raised {type(error).__name__}"
        self.equal(
            load,
            found,
            "nothing",
            did="tell, without a send: what comes out",
            why="in development there is no tracker",
            hint="if self.send is None: return",
            name="tell",
        )

    def test_nobody_is_warned(self, load, log):
        """Without send nothing is logged either"""
        reports, _sent, _clock = self.reports(load, send=False)
        with suppress(Exception):
            self.tell(load, reports, caught(KeyError("x")))
        self.equal(
            load,
            [record.levelname for record in log.records],
            [],
            did="the log, after tell without a send",
            why="a warning for each error, that says nothing",
            hint="if self.send is None: return",
            name="tell",
        )

    async def test_in_an_app(self, load, connect):
        """In an app: the error is told once, with the route's template, and goes on"""
        module, app = load("core.error_reports"), FastAPI()

        @app.get("/items/{item_id}")
        async def read(item_id: str) -> str:
            raise Broken(item_id)

        reports, sent, _clock = self.reports(load)
        raised = 0
        async with connect(
            module.ErrorReportsMiddleware(app, reports), raise_app_exceptions=True, lifespan=False
        ) as client:
            for number in range(5):
                try:
                    await client.get(f"/items/{number}")
                except Broken:
                    raised += 1
        self.equal(
            load,
            ([one.get("route") for one in sent], raised),
            (["/items/{item_id}"], 5),
            did="GET /items/0 to /items/4, a route with a bug: the routes that are told, and how many errors go on",
            why="one fault is one report, and each visitor still gets a 500",
            hint="the template of the route, not its path",
            name="tell",
        )


# --------------------------------------------------------------------------------------------------------------- 14.13


class Asked:
    """A request that takes as long as a check wants."""

    def __init__(self):
        self.begun, self.flying, self.most, self.gates = 0, 0, 0, []

    async def __call__(self):
        """Wait for the gate; give its status, or raise."""
        gate = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        self.begun, self.flying = self.begun + 1, self.flying + 1
        self.most = max(self.most, self.flying)
        try:
            return await gate
        finally:
            self.flying -= 1


@exercise("14.13")
class TestFastEnough:
    def result(self, load, values, percent):
        """Call the learner's percentile, with values and a percent that are right."""
        percentile = load("deploy.load").percentile
        try:
            return percentile(values, percent)
        except ValueError as error:
            raise expect.Wrong(
                did=f"percentile({expect.shown(list(values))}, {percent})",
                got=f"ValueError: {error}",
                expected="one of the values",
                why="whoever asks for the slowest one gets an error",
                hint="a percent is right if it is above 0 and at most 100: 0 < percent <= 100",
                at=percentile,
            ) from None

    def test_rank(self, load):
        """Percentile is the smallest value that at least so many percent do not exceed"""
        four, hundred = [0.3, 0.1, 0.2, 0.4], [float(number) for number in range(100, 0, -1)]
        for values, percent, expected in (
            (four, 50, 0.2),
            (four, 51, 0.3),
            (four, 25, 0.1),
            (four, 100, 0.4),
            (four, 0.1, 0.1),
            ((5.0,), 1, 5.0),
            ((5.0,), 100, 5.0),
            (hundred, 99, 99.0),
            (hundred, 99.5, 100.0),
            ([1.0] * 9 + [9.0], 90, 1.0),
            ([1.0] * 9 + [9.0], 91, 9.0),
            ([2.0, 2.0, 3.0], 50, 2.0),
        ):
            percentile, found = load("deploy.load").percentile, self.result(load, values, percent)
            named = expect.shown(list(values)) if len(values) < 20 else "100 values, 1.0 to 100.0"
            expect.equal(
                found,
                expected,
                did=f"percentile({named}, {percent})",
                why="a number that nobody has seen is no promise",
                hint=why_none(percentile, "the value")
                if found is None
                else "ceil(number of values * percent / 100) is the rank, from 1, among the sorted values",
                at=percentile,
            )

    def test_exact(self, load):
        """The rank is exact where a product of decimals is not: 7 % of 100 values is the 7th"""
        values = [float(number) for number in range(1, 101)]
        wrong = [percent for percent in range(1, 101) if self.result(load, values, percent) != float(percent)]
        expect.equal(
            wrong,
            [],
            did="the percents from 1 to 100 for which percentile of 1.0, 2.0, … 100.0 is another value",
            why="0.07 * 100 is 7.000000000000001, and ceil makes 8 of it",
            hint="first times, then divided: len(values) * percent / 100",
            at=load("deploy.load").percentile,
        )

    def test_unchanged(self, load):
        """The values keep their order"""
        values = [0.3, 0.1, 0.2]
        self.result(load, values, 50)
        expect.equal(
            values,
            [0.3, 0.1, 0.2],
            did="the list, after percentile",
            why="the caller's list is not yours",
            hint="sorted(values) makes a new list, values.sort() changes the old one",
            at=load("deploy.load").percentile,
        )

    def test_refused(self, load):
        """Without values, and for a percent that is not above 0 and at most 100: ValueError"""
        percentile = load("deploy.load").percentile
        for values, percent in (
            ([], 50),
            ((), 99),
            ([1.0, 2.0], 0),
            ([1.0, 2.0], -5),
            ([1.0, 2.0], 100.1),
            ([1.0], 101),
        ):
            try:
                found = expect.shown(percentile(values, percent))
            except Exception as error:
                found = type(error).__name__
            expect.equal(
                found,
                "ValueError",
                did=f"percentile({list(values)}, {percent}): what it raises, or gives",
                why="a wrong call would look like a good number",
                hint="if not values or not 0 < percent <= 100: raise ValueError(…)",
                at=percentile,
            )

    async def settled(self):
        """Let everything run that can."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def finish(self, asked, running):
        """Open every gate until the load is over."""
        while not running.done():
            for gate in asked.gates:
                if not gate.done():
                    gate.set_result(200)
            await self.settled()

    def start(self, load, asked, total, at_once):
        """Begin the learner's load."""
        return asyncio.create_task(load("deploy.load").send_load(asked, total, at_once))

    async def test_total(self, load):
        """Ask is called exactly `total` times"""
        for total, at_once in ((10, 3), (3, 10), (1, 1), (7, 7), (0, 2)):
            calls = 0

            async def ask():
                nonlocal calls
                calls += 1
                await asyncio.sleep(0)
                return 200

            found = await load("deploy.load").send_load(ask, total, at_once)
            expect.that(
                found is not None,
                did=f"send_load(ask, {total}, {at_once})",
                got="None",
                expected="a Load",
                why="there is nothing to look at",
                hint=why_none(load("deploy.load").send_load, "the Load"),
                at=load("deploy.load").send_load,
            )
            expect.equal(
                (calls, len(found.seconds), found.failed),
                (total, total, 0),
                did=f"send_load(ask, {total}, {at_once}): how many calls, times and failures",
                why="who measures must know how much they have measured",
                hint="what is left to do belongs to all visitors together: one iterator, `for _ in left`",
                at=load("deploy.load").send_load,
            )

    async def test_at_once(self, load):
        """`at_once` requests are under way: as soon as one is done, the next one begins"""
        asked = Asked()
        running = self.start(load, asked, 6, 3)
        await self.settled()
        if not asked.gates:
            running.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await running
        expect.that(
            bool(asked.gates),
            did="send_load(ask, 6, 3): how many requests have begun",
            got="none",
            expected="3",
            why="without a request there is no load",
            hint="`ask()` makes a coroutine, which does nothing yet: `await ask()`",
            at=load("deploy.load").send_load,
        )
        begun = [asked.begun]
        for number in range(3):  # always the one that began last: the first two hang
            asked.gates[min(2 + number, len(asked.gates) - 1)].done() or asked.gates[
                min(2 + number, len(asked.gates) - 1)
            ].set_result(200)
            await self.settled()
            begun.append(asked.begun)
        await self.finish(asked, running)
        await running
        expect.equal(
            (begun, asked.most),
            ([3, 4, 5, 6], 3),
            did=(
                "send_load(ask, 6, 3) while two requests hang: how many have begun, at first and after "
                "each one that is done; the most at once"
            ),
            why="a slow answer would take the load from your app, just when it counts",
            hint="no batches: each visitor asks again as soon as its answer is there",
            at=load("deploy.load").send_load,
        )

    async def test_failed(self, load):
        """A status of 500 or more, or an exception, is failed: no time, and the load goes on"""
        todo, asked = iter([200, 500, 404, OSError("away"), 503, 301, TimeoutError(), 499, 599]), []

        async def ask():
            await asyncio.sleep(0)
            asked.append(1)
            next_one = next(todo, 200)
            if isinstance(next_one, Exception):
                raise next_one
            return next_one

        try:
            found = await load("deploy.load").send_load(ask, 9, 3)
            if len(asked) > 9:  # too many calls are for the check above
                return
            numbers = (len(found.seconds), found.failed)
        except (OSError, TimeoutError) as error:
            numbers = f"it raised {type(error).__name__}"
        expect.equal(
            numbers,
            (4, 5),
            did="answers 200, 500, 404, 503, 301, 499, 599, and two exceptions: how many times, how many failed",
            why="an app that fails at once has the best times of all",
            hint="count `failed` for status >= 500 and in `except Exception`; a time only otherwise",
            at=load("deploy.load").send_load,
        )

    async def test_goes_on(self, load):
        """A visitor whose request fails asks again"""
        for error in (OSError("away"), TimeoutError()):
            calls = []

            async def ask(calls=calls, error=error):
                calls.append(1)
                await asyncio.sleep(0)
                if len(calls) <= 2:
                    raise error
                return 200

            with suppress(OSError):
                await load("deploy.load").send_load(ask, 5, 1)
            expect.equal(
                len(calls),
                5,
                did=f"send_load(ask, 5, 1), where the first two requests raise {type(error).__name__}: how many calls",
                why="just when your app fails, the load would stop",
                hint="after an exception the visitor goes on with the next request: `continue`, not `return`",
                at=load("deploy.load").send_load,
            )

    async def test_stopped(self, load):
        """A load that is cancelled ends, and is no failure"""
        asked = Asked()
        running = self.start(load, asked, 6, 2)
        await self.settled()
        running.cancel()
        await self.settled()
        ended = running.done() and running.cancelled()
        await self.finish(asked, running)
        with suppress(asyncio.CancelledError):
            await running
        expect.that(
            ended,
            did="send_load(ask, 6, 2), cancelled while two requests are under way",
            got="it goes on",
            expected="it ends as cancelled",
            why="you press Ctrl+C, and the load goes on",
            hint="`except Exception` lets a cancellation pass; `except BaseException`, or a bare `except`, does not",
            at=load("deploy.load").send_load,
        )

    async def test_seconds(self, load, monkeypatch):
        """A time begins when its request begins, and ends with its answer"""
        module, clock = load("deploy.load"), Clock()
        monkeypatch.setattr(sys.modules["app.deploy.load"], "perf_counter", clock, raising=False)
        monkeypatch.setattr("time.perf_counter", clock)

        async def ask():
            await asyncio.sleep(0)
            clock.now += 0.5
            return 200

        found = await module.send_load(ask, 4, 1)
        expect.equal(
            [round(one, 3) for one in found.seconds],
            [0.5] * 4,
            did="send_load(ask, 4, 1), when each request takes 0.5 s: the times",
            why="waiting for one's turn is the visitor's time, and no fault of the app",
            hint="began = perf_counter() just before `await ask()`, behind every wait",
            at=module.send_load,
        )


# --------------------------------------------------------------------------------------------------------------- 14.14


class Heavy:
    """Work that counts how many do it at once, and waits for a gate."""

    def __init__(self):
        self.lock, self.gate = threading.Lock(), threading.Event()
        self.begun, self.now, self.most, self.threads = [], 0, 0, set()

    def __call__(self, number):
        """Work, until the gate opens."""
        with self.lock:
            self.begun.append(number)
            self.now += 1
            self.most = max(self.most, self.now)
            self.threads.add(threading.get_ident())
        self.gate.wait(5)
        with self.lock:
            self.now -= 1
        return number * 2


@exercise("14.14")
class TestTurns:
    def at(self, load):
        """Return the function that is asked for."""
        return load("core.turns").in_turns

    async def until(self, done):
        """Wait until something is done by the threads, or for a second."""
        ends = monotonic() + 1
        while not done() and monotonic() < ends:
            await asyncio.sleep(0.005)

    async def test_result(self, load):
        """It returns what the work returns, with named arguments too, and raises what it raises"""
        in_turns = self.at(load)
        found = await in_turns(divmod, 17, 5), await in_turns(sorted, [1, 3, 2], reverse=True)
        expect.that(
            not any(isinstance(one, asyncio.Future) or asyncio.iscoroutine(one) for one in found),
            did="in_turns(divmod, 17, 5)",
            got="a Future, of which the result is not known yet",
            expected=expect.shown((3, 2)),
            why="whoever asks wants the answer",
            hint="put `await` before what gives the Future: it waits for the result",
            at=in_turns,
        )
        expect.equal(
            found,
            ((3, 2), [3, 2, 1]),
            did="in_turns(divmod, 17, 5) and in_turns(sorted, [1, 3, 2], reverse=True)",
            why="whoever asks wants the answer",
            hint=why_none(in_turns, "the answer")
            if None in found
            else "partial(work, *args, **kwargs) brings all arguments along",
            at=in_turns,
        )
        try:
            await in_turns(int, "no number")
            raised = "nothing"
        except Exception as error:
            raised = type(error).__name__
        expect.equal(
            raised,
            "ValueError",
            did='in_turns(int, "no number"): what it raises',
            why="an error that nobody sees is a wrong answer",
            hint="await what the pool gives: it raises by itself",
            at=in_turns,
        )

    async def test_in_threads(self, load):
        """The work runs in another thread, and the event loop goes on"""
        heavy, ticks = Heavy(), 0
        working = asyncio.create_task(self.at(load)(heavy, 1))
        await self.until(lambda: heavy.begun)
        for _ in range(3):
            await asyncio.sleep(0)
            ticks += 1
        heavy.gate.set()
        result = await working
        expect.equal(
            (threading.get_ident() in heavy.threads, ticks, result),
            (False, 3, 2),
            did=(
                "whether the work ran in the event loop's thread, how often others had their turn "
                "meanwhile, and the result"
            ),
            why="0.2 s of hashing would stop every other request",
            hint="a pool of threads, and the loop's run_in_executor",
            at=self.at(load),
        )

    async def test_at_most(self, load, monkeypatch):
        """TURNS of them run at once: not more, not fewer, and all are done"""
        monkeypatch.setattr("os.cpu_count", lambda: 4)  # as on a machine with four cores
        module, heavy = load.fresh("core.turns"), Heavy()
        turns = module.TURNS
        asked = [asyncio.create_task(module.in_turns(heavy, number)) for number in range(turns + 4)]
        await self.until(lambda: len(heavy.begun) >= turns)
        await asyncio.sleep(0.05)
        begun = len(heavy.begun)
        heavy.gate.set()
        results = await asyncio.gather(*asked)
        expect.equal(
            (begun, heavy.most, results),
            (turns, turns, [2 * number for number in range(turns + 4)]),
            did=(
                f"{turns + 4} at the same moment, with TURNS = {turns}: how many begin at once, the most "
                "at any time, and the results"
            ),
            why="each one more takes the machine from everybody else; one less, and a core is idle",
            hint="ThreadPoolExecutor(TURNS), made once, in the module: a new pool for each call has no turns",
            at=module.in_turns,
        )

    async def test_together(self, load):
        """Different work takes turns together"""
        module, first, second = load("core.turns"), Heavy(), Heavy()
        turns = module.TURNS
        asked = [
            asyncio.create_task(module.in_turns(one, number)) for number in range(turns + 1) for one in (first, second)
        ]
        await self.until(lambda: len(first.begun) + len(second.begun) >= turns)
        await asyncio.sleep(0.05)
        begun = len(first.begun) + len(second.begun)
        first.gate.set()
        second.gate.set()
        await asyncio.gather(*asked)
        expect.equal(
            begun,
            turns,
            did=f"two kinds of work, {turns + 1} of each, with TURNS = {turns}: how many begin at once",
            why="signing up and signing in share the same cores",
            hint="one pool for all",
            at=module.in_turns,
        )

    async def test_hangs_up(self, load):
        """Who waits and hangs up takes nobody's turn: the work is not begun, and the next one is"""
        module, heavy = load("core.turns"), Heavy()
        turns = module.TURNS
        running = [asyncio.create_task(module.in_turns(heavy, number)) for number in range(turns)]
        await self.until(lambda: len(heavy.begun) >= turns)
        waiting = [asyncio.create_task(module.in_turns(heavy, number)) for number in (100, 101)]
        await asyncio.sleep(0.02)
        waiting[0].cancel()
        await asyncio.sleep(0.02)
        heavy.gate.set()
        await asyncio.gather(*running, *waiting, return_exceptions=True)
        expect.equal(
            (100 in heavy.begun, waiting[0].cancelled(), None if waiting[1].cancelled() else waiting[1].result()),
            (False, True, 202),
            did=(
                "of two who wait the first hangs up: whether its work was begun, whether it is cancelled, "
                "and what the second one gets"
            ),
            why="a crowd that has gone home would keep your cores busy",
            hint=(
                "run_in_executor takes work out of the queue when its future is cancelled; a turn that is "
                "taken by hand is given back in a `finally`"
            ),
            at=module.in_turns,
        )

    async def test_cancelled(self, load):
        """Who hangs up while the work runs gives nobody the turn: the thread works on"""
        module, heavy = load("core.turns"), Heavy()
        turns = module.TURNS
        running = [asyncio.create_task(module.in_turns(heavy, number)) for number in range(turns)]
        await self.until(lambda: len(heavy.begun) >= turns)
        waiting = asyncio.create_task(module.in_turns(heavy, 100))
        await asyncio.sleep(0.02)
        running[0].cancel()
        await asyncio.sleep(0.1)
        begun = 100 in heavy.begun
        heavy.gate.set()
        await asyncio.gather(*running, waiting, return_exceptions=True)
        expect.equal(
            (begun, heavy.most, None if waiting.cancelled() else waiting.result()),
            (False, turns, 200),
            did=f"TURNS = {turns}, and one hangs up whose work runs: whether the next one begins before a thread is "
            "done, the most at once, and what the next one gets",
            why="a thread cannot be stopped: one more would work beside it, and more with each who hangs up",
            hint="the turn ends with the work, not with the waiting: a pool of TURNS threads knows that",
            at=module.in_turns,
        )

    def test_two_loops(self, load):
        """Two event loops, one after the other, can use it, also when it is crowded"""
        module = load("core.turns")

        async def crowd():
            return await asyncio.gather(
                *(module.in_turns(abs, -number) for number in range(3 * module.TURNS)), return_exceptions=True
            )

        found = []
        for _ in range(2):
            answers = asyncio.run(crowd())
            found.append(
                next((f"{type(one).__name__}: {one}" for one in answers if isinstance(one, Exception)), "all answered")
            )
        expect.equal(
            [one[:80] for one in found],
            ["all answered", "all answered"],
            did="a crowd in one event loop, and then a crowd in another",
            why="each of your tests has a loop of its own",
            hint=(
                "an asyncio.Semaphore of the module belongs to the loop that first waited for it; a pool "
                "of threads belongs to none"
            ),
            at=module.in_turns,
        )

    async def test_context(self, load):
        """The work sees the context variables of the request that asked"""
        now = load("core.context").request_id_now

        async def request(name):
            now.set(name)
            return await self.at(load)(now.get)

        found = await asyncio.gather(*(asyncio.create_task(request(f"request-{number}")) for number in range(4)))
        expect.equal(
            found,
            [f"request-{number}" for number in range(4)],
            did="what request_id_now says in the work of four requests",
            why="a log line from a thread would have no id, or somebody else's",
            hint="copy_context().run(work, …) in the thread; asyncio.to_thread does the same",
            at=self.at(load),
        )
