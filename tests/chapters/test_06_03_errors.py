"""Checks of chapter 06, errors: of the domain, in one body, and those that nobody expected."""

import asyncio
import logging

import pytest
from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse

from course_checks.logs import logged
from course_checks.modules import part_of
from course_checks.paths import USERS
from course_checks.samples import ADA
from course_checks.sign_ups import created
from workbook import expect
from workbook.checks import exercise

SECRET = "hunter2"


def error_body(answer, status, code, **reason):
    """Expect the one error body; return it."""
    expect.status(answer, status, **reason)
    body = expect.body(answer, **reason)
    keys = set(body) if isinstance(body, dict) else set()
    missing = [name for name in ("detail", "code", "request_id") if name not in keys]
    expect.that(
        not missing,
        got=f"the body lacks {', '.join(missing)}: {expect.shown(body)}",
        expected="detail, code and request_id",
        response=answer,
        **reason,
    )
    for name, right, wanted in (
        ("detail", isinstance(body["detail"], str) and bool(body["detail"]), "a text"),
        ("code", body["code"] == code, repr(code)),
        ("request_id", body["request_id"] == answer.headers.get("X-Request-ID"), "the id of the header X-Request-ID"),
    ):
        expect.that(
            right is True,
            got=f"{name}: {expect.shown(body[name])}",
            expected=f"{name}: {wanted}",
            response=answer,
            **reason,
        )
    return body


# ---------------------------------------------------------------------------------------------------------------- 6.3

NAMES = {
    "UserNotFound": ("NotFound", 404, "user_not_found", "There is no such user."),
    "UserExists": ("Conflict", 409, "user_exists", "This e-mail or user name is already taken."),
}


def made(error_class):
    """Make an error as the service does, without arguments."""
    try:
        return error_class()
    except TypeError as error:
        raise expect.Wrong(
            did=f"{error_class.__name__}()",
            got=f"a TypeError: {error}",
            expected="an error",
            why="the service says `raise UserExists`: a 500 would be the answer",
            hint="raise it without arguments: code and detail are attributes of the class, and no __init__ is needed",
            at=error_class,
            sure=True,
        ) from None


@exercise("6.3")
class TestDomainErrors:
    def test_kind(self, load):
        """UserNotFound is a kind of NotFound, UserExists a kind of Conflict"""
        for name, (base, *_rest) in NAMES.items():
            found = getattr(load("users.exceptions"), name)
            expect.that(
                isinstance(found, type) and issubclass(found, getattr(load("core.exceptions"), base)),
                did=f"issubclass({name}, {base})",
                got="False",
                expected="True",
                why="the handler knows only DomainError and its kinds; and code may want to catch every NotFound",
                hint=f"class {name}({base}):",
                at=found,
            )

    def test_no_http_exception(self, load):
        """Neither is an HTTPException any more"""
        for name in NAMES:
            found = getattr(load("users.exceptions"), name)
            expect.that(
                not issubclass(found, HTTPException),
                did=f"issubclass({name}, HTTPException)",
                got="True",
                expected="False",
                why="FastAPI would answer by itself, without a code",
                hint="take HTTPException out of the brackets behind the name",
                at=found,
            )

    def test_values(self, load):
        """Each has its status, its code and its text"""
        for name, (_base, status, code, detail) in NAMES.items():
            found = getattr(load("users.exceptions"), name)
            reason = {
                "why": "clients decide by the code what to do, and show the text to people",
                "hint": "set `code` and `detail` in the class as the table has them, letter by letter; "
                "the status comes from the base class",
                "at": found,
            }
            error = made(found)
            got = tuple(getattr(error, field, "(missing)") for field in ("status_code", "code", "detail"))
            expect.equal(got, (status, code, detail), did=f"{name}(): status_code, code, detail", **reason)
            expect.equal(str(error), detail, did=f"str({name}())", **reason)

    def test_nothing_of_http(self, load):
        """An error that a script prints shows no status code"""
        for name, (_base, status, *_rest) in NAMES.items():
            found = getattr(load("users.exceptions"), name)
            shown = repr(made(found))
            expect.that(
                str(status) not in shown,
                did=f"repr({name}())",
                got=shown,
                expected=f"no {status} in it",
                why="a script has no client: it would show people a number that means nothing there",
                hint="an `__init__` is left over, which hands a status code on: take it out",
                at=found,
            )

    async def test_conflict(self, load, api):
        """A duplicate is a 409 with the code user_exists"""
        await created(api, ADA)
        error_body(
            await api.post(USERS, json=ADA),
            409,
            "user_exists",
            why="a program cannot tell this conflict from another one",
            hint='class UserExists(Conflict): with code = "user_exists"',
            at=load("users.exceptions").UserExists,
        )

    async def test_not_found(self, load, api):
        """Who raises UserNotFound anywhere gets a 404 with the code user_not_found"""

        @api.app.get("/probe")
        async def probe() -> None:
            raise load("users.exceptions").UserNotFound

        error_body(
            await api.get("/probe"),
            404,
            "user_not_found",
            why="a program cannot tell a missing user from a wrong address",
            hint='class UserNotFound(NotFound): with code = "user_not_found"',
            at=load("users.exceptions").UserNotFound,
        )

    async def test_script(self, load, db):
        """Without a server the service raises UserExists for a duplicate"""
        service, data = load("users.service").UserService(db), load("users.schemas").UserCreate(**ADA)
        await service.create(data)
        raised = None
        try:
            await service.create(data)
        except Exception as error:
            raised = type(error)
        expect.that(
            raised is load("users.exceptions").UserExists,
            did="service.create(data), a second time",
            got=f"a {raised.__name__}" if raised else "no exception",
            expected="a UserExists",
            why="a script could not tell a taken name from any other error",
            hint="raise it without arguments: code and detail are attributes of the class, and no __init__ is needed"
            if raised is TypeError
            else "keep the names of the classes: the service raises them",
            at=load("users.exceptions").UserExists,
        )


# ---------------------------------------------------------------------------------------------------------------- 6.4


@pytest.fixture
def http_handler(load):
    """The learner's answer for an HTTPException, for `at=`."""
    return part_of(load, "core.handlers", "handle_http_exception")


@pytest.fixture
def validation_handler(load):
    """The learner's answer for a malformed request, for `at=`."""
    return part_of(load, "core.handlers", "validation_response")


def list_of_errors(body, at):
    """Return `errors` of a body, each entry with a list in loc, and texts in msg and type."""
    errors = body.get("errors")
    expect.that(
        isinstance(errors, list) and all(isinstance(error, dict) for error in errors),
        did="errors in the body",
        got=expect.shown(errors) if "errors" in body else "there is none",
        expected="a list with a dict for each fault",
        why="a person would not hear which field is wrong",
        hint="hand the list to error_response by the name `errors`",
        at=at,
    )
    for error in errors:
        loc = error.get("loc")
        listed = isinstance(loc, list) and bool(loc)
        expect.that(
            listed and isinstance(error.get("msg"), str) and isinstance(error.get("type"), str),
            did="an entry of errors",
            got=expect.shown(error),
            expected="loc, a list such as ['body', 'email'], with the texts msg and type",
            why="a program finds the field by loc and decides by type, a person reads msg",
            hint='each entry needs the three keys: "loc", "msg" and "type"'
            if listed
            else "loc is a list of the steps to the field: hand it on as it is, and make no text of it",
            at=at,
        )
    return errors


@exercise("6.4")
class TestOneBody:
    async def test_unknown_path(self, api, http_handler):
        """An unknown path is a 404 with the code not_found"""
        error_body(
            await api.get("/api/v1/nowhere"),
            404,
            "not_found",
            why="a client needs two ways to read errors, and cannot tell this one from others by its code",
            hint="answer with error_response, which builds the one body; the code comes from CODES",
            at=http_handler,
        )

    async def test_wrong_method(self, api, http_handler):
        """A wrong method is a 405 with the code method_not_allowed, and keeps its header Allow"""
        answer = await api.put(USERS)
        error_body(
            answer,
            405,
            "method_not_allowed",
            why="a client cannot tell a wrong method from a wrong address",
            hint="CODES has a code for each status",
            at=http_handler,
        )
        expect.header(
            answer,
            "Allow",
            "GET, POST",
            why="the standard asks for it: it says which methods there are",
            hint="hand `headers` on to error_response",
            at=http_handler,
        )

    async def test_any_http_exception(self, api, http_handler):
        """Any other HTTPException keeps status, text and headers, with the code http_error"""

        @api.app.get("/probe")
        async def probe() -> None:
            raise HTTPException(418, "short and stout", {"X-Tea": "green"})

        reason = {"why": "what a library wants to tell the client would be lost", "at": http_handler}
        answer = await api.get("/probe")
        hint = "the status is the error's own; for one that CODES lacks, the text names one code for all"
        body = error_body(answer, 418, "http_error", hint=hint, **reason)
        expect.equal(body["detail"], "short and stout", did="detail", hint="hand error.detail on as text", **reason)
        expect.header(
            answer, "X-Tea", "green", hint="the dict `headers` is ready: hand it on, whatever it holds", **reason
        )

    async def test_every_status(self, api, http_handler):
        """Each status has the code that CODES has for it, and http_error where CODES has none"""

        @api.app.get("/probe/{status}")
        async def probe(status: int) -> None:
            raise HTTPException(status, "a text")

        known = {401: "not_authenticated", 403: "forbidden", 404: "not_found", 422: "validation_error"}
        for status, code in {**known, 418: "http_error", 451: "http_error", 508: "http_error"}.items():
            body = error_body(
                await api.get(f"/probe/{status}"),
                status,
                code,
                why="a program decides by the code what to do",
                hint="CODES has the codes of some statuses; for all others there is one code, and nothing is stored",
                at=http_handler,
            )
            expect.equal(body["detail"], "a text", did="detail", hint="hand the detail on", at=http_handler)

    async def test_a_400_of_a_route(self, api, http_handler):
        """A 400 that a route raises is no unreadable body: it keeps its text, with the code bad_request"""

        @api.app.post("/probe")
        async def probe(data: dict[str, str]) -> None:
            raise HTTPException(400, "the shop is closed")

        answer = await api.post("/probe", json={})
        expect.status(
            answer,
            400,
            why="the client would be told that its body cannot be read, and never hear the reason",
            hint="keep the first lines of handle_http_exception as they are given",
            at=http_handler,
        )
        reason = {
            "why": "what the route wants to tell the client would be lost",
            "hint": "take the code from CODES, and the text from error.detail",
            "at": http_handler,
        }
        body = error_body(answer, 400, "bad_request", **reason)
        expect.equal(body["detail"], "the shop is closed", did="detail", **reason)

    async def test_detail_is_text(self, api, http_handler):
        """A detail that is no text becomes text, and loses nothing"""

        @api.app.get("/probe")
        async def probe() -> None:
            raise HTTPException(418, {"tea": "green"})

        reason = {
            "why": "a client would have to look at the type before it can show the detail, or would miss the reason",
            "hint": "make a text of error.detail, whatever it is: str(error.detail)",
            "at": http_handler,
        }
        body = error_body(await api.get("/probe"), 418, "http_error", **reason)
        expect.that(
            "green" in body["detail"],
            did="the detail {'tea': 'green'}",
            got=expect.shown(body["detail"]),
            expected="a text with all that stands in it",
            **reason,
        )

    async def test_validation(self, api, validation_handler):
        """A malformed request is a 422 with the code validation_error, and errors names every field"""
        body = error_body(
            await api.post(USERS, json={"email": "ada"}),
            422,
            "validation_error",
            why="a client would have to read this error in another way than all others",
            hint="answer with error_response: the table names the code, and the list of faults is one more field",
            at=validation_handler,
        )
        entries = list_of_errors(body, validation_handler)
        fields = sorted(str(error["loc"][-1]) for error in entries)
        expect.equal(
            fields,
            ["email", "password", "username"],
            did="the fields that errors names",
            why="a person would repair one field, send again, and only then hear of the next",
            hint="build the list in a loop over errors, an entry for each fault: errors=public",
            at=validation_handler,
        )

    async def test_the_password_stays_here(self, api, validation_handler):
        """A refused password is not in the answer"""
        for body in (ADA | {"password": "hunter2hunter2"}, [ADA | {"password": SECRET}]):
            answer = await api.post(USERS, json=body)
            reason = {
                "hint": "build new dicts with loc, msg and type; leave input and ctx here",
                "at": validation_handler,
            }
            expect.status(answer, 422, why="a person would not hear what to change about the password", **reason)
            expect.that(
                SECRET not in answer.text,
                got=expect.shown(answer.text),
                expected="an answer without the password",
                why="it would stand in the logs of every proxy on the way, and people use a password elsewhere too",
                response=answer,
                **reason,
            )

    async def test_unreadable(self, api, http_handler, validation_handler):
        """A body that is no JSON, or no text, is a 422 too"""
        for content, at in ((b"{", validation_handler), (b'"\xff"', http_handler), (b"", validation_handler)):
            answer = await api.post(USERS, content=content, headers={"Content-Type": "application/json"})
            error_body(
                answer,
                422,
                "validation_error",
                why="a malformed request must look the same, however it is malformed",
                hint="keep the lines that are given: they hand a 400 of the framework to validation_response",
                at=at,
            )

    async def test_half_a_character(self, api, http_handler):
        """A detail that quotes half a character can be answered"""

        @api.app.get("/probe")
        async def probe() -> None:
            raise HTTPException(418, "\ud800 is no tea")

        error_body(
            await api.get("/probe"),
            418,
            "http_error",
            why="some bytes in a request would be enough for a 500",
            hint="answer with error_response, which can write everything",
            at=http_handler,
        )

    async def test_own_errors(self, load, api):
        """Your own errors still come: 404 user_not_found, 409 user_exists"""
        reason = {
            "why": "your own errors would lose their code",
            "hint": "leave handle_domain_error as it is",
            "at": part_of(load, "core.handlers", "handle_domain_error"),
        }
        await created(api, ADA)
        error_body(await api.get(f"{USERS}/987654"), 404, "user_not_found", **reason)
        error_body(await api.post(USERS, json=ADA), 409, "user_exists", **reason)

    async def test_loc_msg_type(self, api, validation_handler):
        """Each entry of errors has loc, msg and type as they came, and no other key"""
        came = [
            {
                "loc": ("body", "price"),
                "msg": "Value error, no",
                "type": "value_error",
                "ctx": {"error": ValueError(SECRET)},
            },
            {"loc": ("body", "tags", 3), "msg": "too many", "type": "too_long", "input": SECRET, "seen": SECRET},
            {"loc": ("query", "limit"), "msg": "too small", "type": "greater_than_equal", "url": "https://e.example"},
            {"loc": ("query", "limit"), "msg": "no number", "type": "int_parsing"},
        ]

        @api.app.get("/probe")
        async def probe() -> None:
            raise RequestValidationError(came)

        for _ in "twice":
            answer = await api.get("/probe")
            body = error_body(
                answer,
                422,
                "validation_error",
                why="a fault of another kind would be a 500",
                hint="take loc, msg and type from each dict, and nothing else: what else is in it may be no JSON",
                at=validation_handler,
            )
            entries = list_of_errors(body, validation_handler)
            keys = sorted({key for error in entries for key in error} - {"loc", "msg", "type"})
            expect.that(
                not keys,
                did="the keys of the entries in errors",
                got=f"also {', '.join(keys)}",
                expected="loc, msg and type",
                why="a new version of Pydantic may add a key that must not go out; send what you name yourself",
                hint="build a new dict from the three keys; do not take keys out of the old one",
                at=validation_handler,
            )
            expect.equal(
                entries,
                [{"loc": list(error["loc"]), "msg": error["msg"], "type": error["type"]} for error in came],
                did="errors, for four faults",
                why="a program looks for the field in loc and reads type, a person reads msg",
                hint="hand on loc, msg and type as they are: the whole loc, and the words of the error"
                if len(entries) == len(came)
                else "one entry for each of these faults, and no other: begin with a new list in each call",
                at=validation_handler,
            )


# ---------------------------------------------------------------------------------------------------------------- 6.5


def message_of(record):
    """Return a log record's message, or what is wrong with it."""
    try:
        return record.getMessage()
    except (TypeError, ValueError) as error:
        return f"(the message cannot be built: {error})"


def text_of(record):
    """Return a log record's message, and the values that came with it; nothing else of one that cannot be built."""
    message = message_of(record)
    return message if "cannot be built" in message else f"{message} {vars(record)}"


def id_in(answer):
    """Return the request id of an error's body; an empty text, which is in every message, where there is none."""
    body = answer.json() if "json" in answer.headers.get("content-type", "") else {}
    return str(body.get("request_id", "")) if isinstance(body, dict) else ""


def middleware_of(app):
    """Return the learner's middleware, for `at=`; None where it has another name."""
    found = [entry.cls for entry in app.user_middleware if entry.cls.__name__ == "RequestIdMiddleware"]
    return found[0].__call__ if found else None


async def visit_broken(api, path="/broken"):
    """Add routes with a bug, and visit one of them; return the answer."""

    @api.app.get("/broken")
    @api.app.get("/100%s")
    async def broken() -> None:
        raise RuntimeError(f"cannot reach postgresql://admin:{SECRET}@db")

    try:
        return await api.get(path)
    except AssertionError:  # the client's way to say that an app has sent nothing
        raise expect.Wrong(
            did="GET /broken, a route with a bug",
            got="the app ended, and no answer was sent",
            expected="500 Internal Server Error",
            why="the client waits, and then hears that the connection broke",
            hint="an answer is sent when it is called, and awaited: `await answer(scope, receive, send_with_id)`",
            at=middleware_of(api.app),
        ) from None


def add_stream(app):
    """Add a route that fails when half of the answer is sent."""

    async def parts():
        yield b"half"
        raise RuntimeError("too late")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(parts())


async def raw_get(app, path, send=None):
    """Send a GET without a client in between; return the messages and the exception that came out.

    Args:
        send: takes the messages in place of the list.
    """
    sent = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }

    waiting = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        return waiting.pop() if waiting else await asyncio.Event().wait()

    async def note(message):
        sent.append(message)

    try:
        await app(scope, receive, send or note)
    except Exception as error:
        return sent, error
    return sent, None


@exercise("6.5")
class TestUnexpected:
    async def test_one_body(self, api):
        """An unexpected exception is a 500 with the body of every error, code internal_error, and the id as a header"""
        answer, at = await visit_broken(api), middleware_of(api.app)
        past = "json" in answer.headers.get("content-type", "") and "X-Request-ID" not in answer.headers
        expect.that(
            not past,
            got="no header X-Request-ID",
            expected="the header X-Request-ID, with the id that stands in the body",
            why="who reads headers only, such as a proxy or a log, cannot connect the answer with your log",
            hint="the answer went past the function that adds the header: which of the two `send` was it given?",
            response=answer,
            at=at,
        )
        error_body(
            answer,
            500,
            "internal_error",
            why="a client cannot read a bare text as JSON, and has no id to ask about",
            hint="make the answer with unexpected_error, and send it in the `except` block: call it, and await it",
            at=at,
        )

    async def test_the_exception_ends_here(self, open_api):
        """When an answer was sent, the exception is over: it does not rise out of the app a second time"""
        async with open_api() as api:

            @api.app.get("/broken")
            async def broken() -> None:
                raise RuntimeError("too bad")

            sent, error = await raw_get(api.app, "/broken")
        starts = [message["status"] for message in sent if message["type"] == "http.response.start"]
        expect.that(
            error is None or starts != [500],
            did="GET /broken, a route with a bug",
            got=f"the answer {starts}, and then {type(error).__name__} rose out of the app",
            expected="the answer, and nothing behind it",
            why="the server logs the same fault a second time, and may cut the connection under the answer",
            hint="raise only if the answer has started before you; who has sent an answer is done",
            at=middleware_of(api.app),
        )

    async def test_nothing_leaks(self, api):
        """Neither body nor headers show anything of the exception"""
        answer = await visit_broken(api)
        said = f"{answer.text} {dict(answer.headers)}"
        shown = [word for word in (SECRET, "RuntimeError", "Traceback", "postgresql") if word in said]
        expect.that(
            not shown and answer.status_code == 500,
            got=f"{answer.status_code} with {', '.join(shown)}",
            expected="500 without a word of the exception",
            why="messages of exceptions hold addresses, passwords and statements",
            hint="answer with unexpected_error, which has a text of its own",
            at=middleware_of(api.app),
            response=answer,
        )

    async def test_log(self, api):
        """The log has one error with the request id, the path and the traceback"""
        with logged() as records:
            answer = await visit_broken(api)
        errors = [record for record in records if record.levelno >= logging.ERROR]
        reason = {
            "hint": "`logger.exception` of this module takes a text with a %s for each value: method, path, request_id",
            "response": answer,
            "at": middleware_of(api.app),
        }
        lost = "the client can tell you an id, and you find nothing under it"
        expect.that(len(errors) == 1, got=f"{len(errors)} errors in the log", expected="one error", why=lost, **reason)
        record, request_id = errors[0], answer.headers.get("X-Request-ID") or id_in(answer)
        text = text_of(record)
        which = "you would not know which request it was that failed"
        for what, word, why in (("request id", request_id, lost), ("path", "/broken", which), ("method", "GET", which)):
            expect.that(
                word in text,
                got=f"the message: {message_of(record)}",
                expected=f"the {what}, {word}",
                why=why,
                **reason,
            )
        with logged() as records:
            answer = await visit_broken(api, "/100%25s")
        found = [text_of(record) for record in records if record.levelno >= logging.ERROR]
        expect.that(
            any("/100%s" in one for one in found),
            did="GET /100%25s, a path with a percent sign, and a bug",
            got=", ".join(message_of(record) for record in records) or "no error in the log",
            expected="the path, /100%s",
            why="a stranger chooses the path, and with it what your log loses",
            **reason,
        )
        cause = record.exc_info[1] if record.exc_info else None
        expect.that(
            isinstance(cause, RuntimeError),
            got="the record has no traceback",
            expected="the traceback of the exception",
            why="you would know that it failed, and not where",
            hint="logger.exception in the except block adds the traceback; logger.error does not",
            response=answer,
            at=middleware_of(api.app),
        )

    async def test_the_client_is_gone(self, open_api):
        """When the answer cannot be sent any more, the log has the exception all the same"""
        async with open_api() as api:

            @api.app.get("/broken")
            async def broken() -> None:
                raise RuntimeError("too bad")

            async def gone(_message):
                raise OSError("the client is gone")

            with logged() as records:
                await raw_get(api.app, "/broken", gone)
        expect.that(
            any(record.exc_info and "too bad" in str(record.exc_info[1]) for record in records),
            did="GET /broken, a route with a bug, while the client hangs up",
            got="no error in the log",
            expected="the error of the route",
            why="whoever finds a fault and hangs up would leave no trace of it",
            hint="the order of the text: first the log, then the answer",
            at=middleware_of(api.app),
        )

    async def test_a_cancelled_request(self, open_api):
        """A request that is cancelled is no error of the app: it stays cancelled, and nothing is answered"""
        async with open_api() as api:

            @api.app.get("/broken")
            async def broken() -> None:
                raise asyncio.CancelledError

            sent, error = [], None
            try:
                sent, error = await raw_get(api.app, "/broken")
            except asyncio.CancelledError as cancelled:
                error = cancelled
        expect.that(
            isinstance(error, asyncio.CancelledError) and not sent,
            did="GET /broken, a request that the server cancels",
            got="a 500" if sent else repr(error),
            expected="the CancelledError goes on",
            why="a server that stops could not end its requests",
            hint="catch Exception: what is above it, such as CancelledError, is not for you",
            at=middleware_of(api.app),
        )

    async def test_a_stream_breaks_off(self, open_api):
        """When the answer has begun, the exception goes on, and no second answer is sent"""
        async with open_api() as api:
            add_stream(api.app)
            with logged() as records:
                sent, error = await raw_get(api.app, "/stream")
        starts = [message["status"] for message in sent if message["type"] == "http.response.start"]
        expect.that(
            error is not None and starts == [200],
            did="GET /stream, a route that fails when half of the answer is sent",
            got=f"{'an exception' if error else 'no exception'}, and the answers {starts}",
            expected="an exception, and the answers [200]",
            why="the client would take half of a file for the whole, or find a second answer inside the first",
            hint="when the answer has started, the only way left is to raise",
            at=middleware_of(api.app),
        )
        expect.that(
            "too late" in str(error),
            did="GET /stream, the exception that goes on to the server",
            got=f"{type(error).__name__}: {error}",
            expected="the exception of the route, RuntimeError: too late",
            why="the server's log would name another fault than the one that happened",
            hint="`raise` without a name raises the same exception again",
            at=middleware_of(api.app),
        )
        expect.that(
            any(record.levelno >= logging.ERROR for record in records),
            did="GET /stream, the log",
            got="no error",
            expected="an error",
            why="nobody would ever hear of it",
            hint="log first, then look at `started`",
            at=middleware_of(api.app),
        )

    async def test_expected_errors(self, api):
        """Errors that the app means to give stay as they are, and are no errors in the log"""
        reason = {
            "why": "a client would hear that the server is broken, where the request was wrong",
            "hint": "leave the handlers alone: only what they did not handle arrives at the middleware",
            "at": middleware_of(api.app),
        }
        with logged() as records:
            error_body(await api.get(f"{USERS}/987654"), 404, "user_not_found", **reason)
            error_body(await api.get("/api/v1/nowhere"), 404, "not_found", **reason)
            error_body(await api.post(USERS, json={}), 422, "validation_error", **reason)
        errors = [message_of(record) for record in records if record.levelno >= logging.ERROR]
        expect.that(not errors, did="the log", got=", ".join(errors), expected="no error", **reason)

    async def test_success(self, api):
        """A request that works is answered as before, with its own request id"""
        first, second = await api.get("/health"), await api.get("/health")
        at = middleware_of(api.app)
        expect.json(
            first, {"status": "ok"}, why="nothing would work any more", hint="change only the except block", at=at
        )
        expect.that(
            "X-Request-ID" in first.headers and first.headers["X-Request-ID"] != second.headers.get("X-Request-ID"),
            got="no id, or the same id twice",
            expected="an id of its own for each request",
            why="the id that a client tells you would lead to nothing, or to somebody else's request",
            hint="change only the except block",
            response=second,
            at=at,
        )
