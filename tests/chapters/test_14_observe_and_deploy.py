"""Checks of chapter 14: what the app tells, what it refuses, and how it leaves."""

import asyncio
import json
import logging
import re
import sys
from contextlib import contextmanager

import pytest
from fastapi import BackgroundTasks
from fastapi.responses import StreamingResponse

from workbook import expect
from workbook.checks import exercise
from workbook.endings import why_none

API = "/api/v1"
SENT = "checkout-7f3a9c21"
HEX = re.compile("[0-9a-f]{32}")


@pytest.fixture(autouse=True)
def log():
    """The records of the app's log, each with the request id of its moment in `seen`; none of them is printed."""
    kept, logger = Log(), logging.getLogger("app")
    logger.addHandler(kept)
    yield kept
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

    def is_new(self, load, sent, *, why, hint):
        """Expect a new id, of 32 hexadecimal digits."""
        choose = load("core.context").choose_request_id
        found = choose(list(sent))
        expect.that(
            isinstance(found, str) and found not in sent and HEX.fullmatch(found) is not None,
            did=f"choose_request_id({expect.shown(list(sent))})",
            got=expect.shown(found),
            expected="a new id, uuid4().hex: 32 digits and letters a to f",
            why=why,
            hint=why_none(choose, "the id") or hint if found is None else hint,
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
                hint="8 to 64 characters, both included, and each of A-Z, a-z, 0-9, - and _ is allowed",
                at=load("core.context").choose_request_id,
            )

    def test_none(self, load):
        """Without a header the id is new, and another one each time"""
        hint = "without a value there is nothing to look at: ask for the number of values first"
        why = "a request without an id cannot be found in the log"
        ids = {self.is_new(load, [], why=why, hint=hint) for _ in range(3)}
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
        for sent in ("7f3a 9c21", "7f3a9c21.", "<script>alert", "7f3a9c21\x1b[31m", "a;b;c;d;e;f", "request/7f3a", " 7f3a9c21", "%0a%0a%0a"):
            self.is_new(
                load,
                [sent],
                why="a stranger would write into your log what they like",
                hint="every character must be one of the allowed ones: re.fullmatch looks at the whole text",
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
                hint="\\w, isalnum and isdigit know all alphabets; write [A-Za-z0-9_-]",
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
            hint="request_id = choose_request_id(…), with the header's values: Headers(scope=scope).getlist(REQUEST_ID_HEADER)",
            **reason,
        )
        expect.json(answer, {"now": SENT}, hint="request_id_now.set(request_id), before the app is called", **reason)

    async def test_error_body(self, load, visitor):
        """Error bodies have it too, expected ones and a 500"""

        @visitor.app.get("/broken")
        async def broken() -> None:
            raise RuntimeError("too bad")

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
                    why="what runs next would carry the id of a request that is over",
                    hint="token = request_id_now.set(…), and in a `finally`: request_id_now.reset(token)",
                    at=self.at(load),
                )
            variable.reset(token)

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
    plain = {"name": "app.shop", "levelname": "INFO", "levelno": 20, "msg": msg, "args": args, "created": 1795944600.125}
    return logging.makeLogRecord(plain | values)


def raised():
    """Return the exc_info of an exception."""
    try:
        raise RuntimeError("too bad")
    except RuntimeError:
        return sys.exc_info()


@exercise("14.3")
class TestLines:
    def fields(self, load, record):
        """Return the fields of a record, a dict."""
        module = load("core.logging")
        formatter = module.JsonFormatter()
        found = formatter.fields(record)
        expect.that(
            isinstance(found, dict),
            did="JsonFormatter().fields(record)",
            got=expect.shown(found),
            expected="a dict",
            why="there would be nothing to write",
            hint=why_none(module.JsonFormatter.fields, "the dict") or "return a dict, not a text: `format` writes it",
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
        self.has(load, found, "message", "100 % of the pens", why=why, hint="record.getMessage() knows when there are none")
        self.has(load, found, "level", "WARNING", why=why, hint="record.levelname")

    def test_time(self, load):
        """The time is the record's, in UTC, RFC 3339 with milliseconds"""
        for created, expected in (
            (1795944600.125, "2026-11-29T09:30:00.125+00:00"),
            (0.0, "1970-01-01T00:00:00.000+00:00"),
        ):
            self.has(
                load,
                self.fields(load, record_of(created=created)),
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
        expect.that(
            "exception" not in self.fields(load, record_of()),
            did="fields(record), of a record without an exception",
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
        why = "what you log on purpose would be missing"
        for name, value in extras.items():
            self.has(load, found, name, value, why=why, hint="each name in vars(record) that is not in PLAIN")

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
            written = load("core.logging").JsonFormatter().format(record_of(message, (), seen=object(), exc_info=raised()))
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

    def becomes(self, load, value, expected, *, why="this is a secret in a log", hint):
        """Expect what a value becomes."""
        cleaned = load("core.redaction").cleaned
        found = cleaned(value)
        expect.equal(
            found,
            expected,
            did=f"cleaned({expect.shown(value)})",
            why=why,
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
        found = str(cleaned(text))
        expect.that(
            MARK not in found and "[hidden]" in found,
            did=f"cleaned({text!r})",
            got=expect.shown(found),
            expected=f"[hidden] in place of {MARK}",
            why="this is a secret in a log",
            hint=hint,
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
        for text in (
            f"refresh_token={MARK}", f"token_id: {MARK}", f"new_password={MARK}", f"SECRET_KEY={MARK}", f"client_secret:{MARK}",
        ):  # fmt: skip
            self.has_no_mark(load, text, hint)

    def test_quoted(self, load):
        """Between quotation marks the whole value is hidden, blanks and all"""
        hint = "a quoted value ends at its own mark: patterns for \" and ' that stand before the one for bare values"
        for text, expected in (
            (f'{{"new_password": "Correct {MARK}", "a": 1}}', '{"new_password": "[hidden]", "a": 1}'),
            (f"{{'password': 'Correct, {MARK}', 'a': 1}}", "{'password': '[hidden]', 'a': 1}"),
            (f'token="a {MARK}"', 'token="[hidden]"'),
        ):
            self.becomes(load, text, expected, hint=hint)
        self.has_no_mark(load, json.dumps({"access_token": f"a b {MARK}", "token_type": "x"}), hint)

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
                return f"Odd(password={MARK})"

        self.has_no_mark(load, Odd(), "anything else: clean str(value)")
        self.becomes(load, Odd(), "Odd(password=[hidden])", hint="anything else: clean str(value)")
        self.has_no_mark(load, ValueError(f"token={MARK}"), "anything else: clean str(value)")

    def test_inside(self, load):
        """Dicts, lists and tuples are cleaned inside, at any depth"""
        hint = "for what is inside, call cleaned again"
        self.becomes(load, {"a": [{"b": (f"token={MARK}", 1)}]}, {"a": [{"b": ["token=[hidden]", 1]}]}, hint=hint)
        self.becomes(load, [f"Bearer {MARK}", None, {"n": 1.5}], ["Bearer [hidden]", None, {"n": 1.5}], hint=hint)
        self.becomes(load, {"a": {}, "b": []}, {"a": {}, "b": []}, hint=hint)

    def test_keys(self, load):
        """A key that contains a secret's name hides its whole value, of any kind"""
        hint = "look for each name of SECRET_NAMES in the key, in any case of the letters, before you look at the value"
        for key in ("password", "new_password", "Authorization", "Set-Cookie", "refresh_token", "SECRET_KEY", "api_key"):
            self.becomes(load, {key: MARK}, {key: "[hidden]"}, hint=hint)
        self.becomes(
            load,
            {"user": {"password": {"old": MARK}, "name": "ada"}, "tokens": [MARK], "token": 12345},
            {"user": {"password": "[hidden]", "name": "ada"}, "tokens": "[hidden]", "token": "[hidden]"},
            hint=hint,
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
        """A text of a million characters takes no longer than a blink"""
        cleaned = load("core.redaction").cleaned
        for text in ("a" * 1_000_000, "token" * 100_000, "password " * 50_000):
            found = cleaned(text)
            expect.that(found == text, did="cleaned of a long text without a secret", got="another text", expected="the same", why="", hint="", at=cleaned)
