"""Checks of chapter 14, what the app refuses: headers for browsers, large bodies, and unsafe settings."""

import asyncio
import json
import re
from contextlib import suppress

from course_checks import journal
from course_checks.layers import SENT, handed_on, until
from course_checks.members import method
from course_checks.paths import API
from workbook import expect
from workbook.checks import exercise, why_none

# fixtures
log = journal.log

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

MARK = "s3cr3t-7391"
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
