"""Checks of chapter 14, reports of errors: one for each kind, and without a secret."""

import json
import sys
from contextlib import suppress
from types import SimpleNamespace

import httpx
from fastapi import FastAPI

from course_checks import journal
from course_checks.clocks import Clock
from course_checks.layers import SENT
from course_checks.members import method
from workbook import expect
from workbook.checks import exercise, why_none

# fixtures
log = journal.log

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
        for number, verb in enumerate(("GET", "POST", "GET")):
            token = now.set(f"request-{number}")
            route = SimpleNamespace(path_format=f"/route-{number}")
            scope = self.page() | {"path": f"/{number}", "method": verb, "route": route}
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
