"""The checks of chapter 00."""

import gc
import inspect
import logging
import sys
from collections import deque

import httpx
from fastapi.exceptions import ResponseValidationError

from workbook import expect
from workbook.checks import exercise

CONTAINERS = (list, dict, set, deque)
TIMES = 30
AGAIN = "a monitor asks every few seconds, for months; one wrong answer counts as: the app is down"
NOTHING_KEPT = "let the function return the dict each time, whatever was asked before"
WORDS = "return a dict with one key and one value, both of them text, both in small letters and in quotes"
HINTS = {
    type(None): "the function returned None: is `return` missing before the dict? `print` only shows it to you",
    list: "return only the dict: unlike Flask, FastAPI takes a tuple for a list; 200 comes by itself",
    tuple: "return only the dict: unlike Flask, FastAPI takes a tuple for a list; 200 comes by itself",
    set: "there is a comma between key and value: a dict has a colon there",
    str: "you wrote JSON by hand: return the dict itself, without quotes around it, and FastAPI makes the JSON",
}


async def ask(client):
    """Send GET /health; a function that returns no dict of texts, or forgets the quotes, is told so."""
    try:
        return await client.get("/health")
    except ResponseValidationError as error:
        if inspect.iscoroutine(error.body):
            raise
        raise expect.Wrong(
            did="GET /health",
            got=f"your function returned {expect.shown(error.body)}",
            expected='the dict {"status": "ok"}',
            why="`dict[str, str]` promises a dict of texts; FastAPI sends nothing else, and the client gets an error",
            hint=HINTS.get(type(error.body), WORDS),
            at=endpoint(),
        ) from None
    except UnboundLocalError as error:
        raise read_too_early(error) from None
    except NameError as error:
        if error.name not in ("status", "ok"):
            raise
        raise expect.Wrong(
            did="GET /health",
            got=f"NameError: {error}",
            expected='the dict {"status": "ok"}',
            why=f"without quotes `{error.name}` is the name of a variable, and there is none",
            hint=f'put quotes around `{error.name}`: it is a text, "{error.name}"',
            error=error,
            sure=True,
        ) from None


def read_too_early(error):
    """Return a wrong answer for a name that the function reads before it gives it a value."""
    name = str(error).split("'")[1] if "'" in str(error) else "the name"
    return expect.Wrong(
        did="GET /health",
        got=f"UnboundLocalError: {error}",
        expected='the dict {"status": "ok"}',
        why=f"a function that assigns to `{name}` on any line has a `{name}` of its own, and here it is read too early",
        hint=f"give `{name}` its first value inside the function, above the line that reads it",
        error=error,
        sure=True,
    )


def endpoint():
    """Return the learner's function that answers /health."""
    routes = getattr(sys.modules["app.main"].app, "routes", [])
    return next((route.endpoint for route in routes if getattr(route, "path", "") == "/health"), None)


def says_ok(response, why="", hint="", did=""):
    """Expect the body {"status": "ok"}; by default, say why and what to do by what came instead."""
    body = expect.body(response, hint="return a dict; FastAPI makes JSON of it")
    said = body.get("status") if isinstance(body, dict) else None
    action = HINTS.get(type(body), 'the key is "status" and the value is "ok", both in small letters')
    if isinstance(said, str) and said.lower() == "ok" and said != "ok":
        reason = "programs compare letter by letter: for them OK, Ok and ok are three answers"
    elif said == "ok":
        reason, action = "whoever may ask sees it, and anybody may ask", "take the other keys out of the dict"
    else:
        reason = 'a monitor looks for "status" and its "ok"; whatever it does not find counts as: the app is down'
    expect.that(
        expect.same(body, {"status": "ok"}),
        did=did,
        got=f"the body {expect.shown(body)}",
        expected='the body {"status": "ok"}',
        why=why or reason,
        hint=hint or action,
        response=response,
        at=endpoint(),
    )
    expect.that(
        response.headers.get("content-type", "").startswith("application/json"),
        did=did,
        got=f"the header content-type: {response.headers.get('content-type')}",
        expected="the header content-type: application/json",
        why="a program that is told `text` does not read it as JSON",
        hint="return the dict itself: FastAPI makes JSON of it, and says so in the header",
        response=response,
        at=endpoint(),
    )


def sizes(module):
    """Return (container, length) by id for all that the process holds, and the sizes of the module's own values."""
    found = {}
    for one in gc.get_objects():
        for held in (one, *(gc.get_referents(one) if inspect.isfunction(one) else ())):
            for box in (held, *(held if type(held) is tuple else ())):
                if type(box) in CONTAINERS:
                    found[id(box)] = (box, len(box))
    return found, {name: len(value) for name, value in named(module).items()}


def named(module):
    """Return what has a size and a name: the module's own values and those of `app.state`."""
    state = getattr(getattr(module.app, "state", None), "_state", {})
    values = {**vars(module), **{f"app.state.{name}": value for name, value in state.items()}}
    return {name: value for name, value in values.items() if isinstance(value, (*CONTAINERS, tuple, str))}


def holder_of(box):
    """Say in words where a nameless container lives, and return the function that holds it, if one does."""
    for function in filter(inspect.isfunction, gc.get_objects()):
        defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        if any(one is box for one in defaults):
            return f"the default value of a parameter of `{function.__name__}`", function
    return f"a {type(box).__name__} that lives outside the function", endpoint()


@exercise("0.1")
class TestFirstRoute:
    async def test_health_answers(self, client):
        """GET /health gives 200 and says {"status": "ok"}"""
        response = await ask(client)
        expect.status(
            response,
            200,
            why="whoever watches the app reads any other status code as: the app is down",
            hint='the route needs @app.get("/health"), and its function returns only the dict',
        )
        says_ok(response)

    async def test_answers_again(self, load, connect):
        """GET /health is answered every time as it was the first time"""
        app = load.fresh("main").app  # imported anew: what another check sent does not count
        async with connect(app) as client:
            first = await ask(client)
            for number in range(2, TIMES + 1):
                did = f"GET /health, time {number} of {TIMES}"
                response = await self.ask_again(client, did)
                expect.that(
                    (response.status_code, response.text) == (first.status_code, first.text),
                    did=did,
                    got=f"{response.status_code}  {response.text}",
                    expected=f"{first.status_code}  {first.text}, as the first time",
                    why=AGAIN,
                    hint=NOTHING_KEPT,
                    response=response,
                    at=endpoint(),
                )

    async def ask_again(self, client, did):
        """Send GET /health once more; whatever goes wrong now went well the first time."""
        try:
            return await client.get("/health")
        except Exception as error:
            got = f"{type(error).__name__}, after the first time gave an answer"
            raise expect.Wrong(
                did=did, got=got, expected="200 OK", why=AGAIN, hint=NOTHING_KEPT, error=error, sure=True
            ) from None

    async def test_only_get(self, client):
        """POST /health gives 405: the question changes nothing, so only GET may ask it"""
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            response = await client.request(method, "/health")
            expect.status(
                response,
                405,
                why=f"a monitor asks with GET; a route that answers {method} is another route",
                hint='leave the decorator as it was: @app.get("/health")',
                at=endpoint(),
            )

    async def test_only_health(self, client):
        """A path that nobody asked you to answer still gives 404"""
        for path in ("/", "/healthy", "/health/now"):
            expect.status(
                await client.get(path),
                404,
                why="who misspells a path must learn it, and not take the answer for another one's",
                hint='the path in the decorator is "/health", and nothing else',
                at=endpoint(),
            )


@exercise("0.2")
class TestSharedState:
    async def test_second_request(self, client):
        """The second GET /health is answered like the first: {"status": "ok"}"""
        for number in ("first", "second"):
            response = await ask(client)
            expect.status(response, 200, hint="return a dict of strings, as the annotation says", at=endpoint())
            says_ok(
                response,
                did=f"GET /health, the {number} time",
                why="an app serves many requests: none may see what an earlier one left behind",
                hint="find what is made once, when the app starts, and make it inside the function instead",
            )

    async def test_many_requests(self, load, connect):
        """The twentieth GET /health is answered like the first"""
        app = load.fresh("main").app  # imported anew: what the check before this one sent does not count
        async with connect(app) as client:
            for number in range(1, 21):
                says_ok(
                    await ask(client),
                    did=f"GET /health on an app that was started anew, time {number} of 20",
                    why="a monitor asks every few seconds, for months",
                    hint="no request may see what an earlier one left: make the list inside the function",
                )

    async def test_nothing_grows(self, load, connect):
        """Nothing that your code keeps grows with the number of requests"""
        app = load("main").app
        module = sys.modules["app.main"]
        # a client that records nothing, and no logs: what the check itself would keep must not count
        logging.disable(logging.CRITICAL)
        try:
            transport = httpx.ASGITransport(app)
            async with connect(app), httpx.AsyncClient(transport=transport, base_url="http://testserver") as quiet:
                for _ in range(5):
                    await ask(quiet)
                boxes, own = sizes(module)
                for _ in range(TIMES):
                    await ask(quiet)
        finally:
            logging.disable(logging.NOTSET)
        longer = [name for name, value in named(module).items() if len(value) >= own.get(name, 0) + TIMES]
        grown = [box for box, size in boxes.values() if len(box) >= size + TIMES]
        place, at = (f"`{longer[0]}` in main.py", endpoint()) if longer else ("", None)
        if grown and not longer:
            place, at = holder_of(grown[0])
        expect.that(
            not grown and not longer,
            did=f"GET /health, {TIMES} times",
            got=f"{place} is longer by {TIMES} or more",
            expected="as long as before",
            why="after months of questions it fills the memory, and the app is stopped",
            hint="a default value is made once, together with the function: make the list in the function's body"
            if place.startswith("the default")
            else "keep nothing outside the function: make the list inside the function",
            at=at,
        )

    async def test_tag(self, load):
        """The documentation still files GET /health under the tag health"""
        app = load("main").app
        operation = app.openapi()["paths"].get("/health", {}).get("get", {})
        expect.that(
            "health" in operation.get("tags", []),
            did='the entry of GET /health in app.openapi()["paths"]',
            got=f"the tags {operation.get('tags', [])}",
            expected='a tag "health"',
            why="the documentation groups routes by tag; without one it stands among everything else",
            hint='the decorator of the cell has a second argument: tags=["health"]',
            at=endpoint(),
        )
