"""Checks of chapter 14, lines of the log: as JSON, and without a secret."""

import json
import logging
import sys
import time
import traceback
from time import process_time

import pytest

from course_checks import journal
from course_checks.layers import SENT
from workbook import expect
from workbook.checks import exercise, why_none

# fixtures
log = journal.log

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

MARK = "Correct-horse-7"


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
