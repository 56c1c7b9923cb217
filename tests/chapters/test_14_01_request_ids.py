"""Checks of chapter 14, request ids: one for each request, in its answer and in each line of the log."""

import asyncio
import re

from fastapi import BackgroundTasks
from fastapi.responses import StreamingResponse

from course_checks import journal
from course_checks.layers import SENT, handed_on, until
from course_checks.members import method
from course_checks.paths import API
from workbook import expect
from workbook.checks import exercise, why_none

HEX = re.compile("[0-9a-f]{32}")
DASHED = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# fixtures
log = journal.log

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
