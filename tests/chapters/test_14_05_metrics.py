"""Checks of chapter 14, what the app tells of itself: its numbers, and whether it is ready."""

import asyncio
import logging
from contextlib import suppress
from time import monotonic
from types import SimpleNamespace

from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from course_checks import journal
from course_checks.layers import handed_on, until
from course_checks.members import method
from workbook import expect
from workbook.checks import exercise, why_none

# fixtures
log = journal.log

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
