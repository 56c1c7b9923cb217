"""The checks of chapter 00."""

import inspect
import sys

from fastapi.exceptions import ResponseValidationError

from workbook import expect
from workbook.checks import exercise

CONTAINERS = (list, dict, set)
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
    except NameError as error:
        if error.name not in ("status", "ok"):
            raise
        raise expect.Wrong(
            did="GET /health",
            got=f"NameError: {error}",
            expected='the dict {"status": "ok"}',
            why=f"without quotes `{error.name}` is the name of a variable, and there is none",
            hint=f'put quotes around `{error.name}`: it is a text, "{error.name}"',
            at=endpoint(),
        ) from None


def endpoint():
    """Return the learner's function that answers /health."""
    routes = getattr(sys.modules["app.main"].app, "routes", [])
    return next((route.endpoint for route in routes if getattr(route, "path", "") == "/health"), None)


def says_ok(response, why="", hint="", did=""):
    """Expect the body {"status": "ok"}; by default, say why and what to do by what came instead."""
    body = expect.body(response, hint="return a dict; FastAPI makes JSON of it")
    said = body.get("status") if isinstance(body, dict) else None
    if isinstance(said, str) and said.lower() == "ok":
        reason = "programs compare letter by letter: for them OK, Ok and ok are three answers"
    else:
        reason = 'a monitor looks for "status" and its "ok"; whatever it does not find counts as: the app is down'
    expect.that(
        isinstance(body, dict) and expect.same(said, "ok"),
        did=did,
        got=f"the body {expect.shown(body)}",
        expected='the body {"status": "ok"}',
        why=why or reason,
        hint=hint or HINTS.get(type(body), 'the key is "status" and the value is "ok", both in small letters'),
        response=response,
    )


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

    async def test_only_get(self, client):
        """POST /health gives 405: the question changes nothing, so only GET may ask it"""
        response = await client.post("/health")
        expect.status(
            response,
            405,
            why="a monitor asks with GET; a route that answers POST is another route",
            hint='leave the decorator as it was: @app.get("/health")',
        )


@exercise("0.2")
class TestSharedState:
    async def test_second_request(self, client):
        """The second GET /health is answered like the first: {"status": "ok"}"""
        for number in ("first", "second"):
            response = await ask(client)
            expect.status(response, 200, hint="return a dict of strings, as the annotation says")
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

    async def test_nothing_grows(self, client, load):
        """Nothing in main.py grows with the number of requests"""
        load("main")
        module = vars(sys.modules["app.main"])
        before = {name: len(value) for name, value in module.items() if isinstance(value, CONTAINERS)}
        for _ in range(20):
            await ask(client)
        grown = [name for name, size in before.items() if len(module[name]) > size + 10]
        expect.that(
            not grown,
            did="GET /health, 20 times",
            got=f"`{', '.join(grown)}` in main.py has grown by 10 or more entries",
            expected="as many entries as before",
            why="after months of questions such a list fills the memory, and the app is stopped",
            hint="keep nothing outside the function: make the list inside the function",
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
            hint='run the cell of 0.2; its decorator is @app.get("/health", tags=["health"])',
        )
