"""The checks of chapter 0."""

import sys

from workbook import expect
from workbook.checks import exercise

CONTAINERS = (list, dict, set)
HINTS = {
    type(None): "nothing came back: write `return` before the dict; `print` only shows it to you",
    list: "return only the dict: unlike Flask, FastAPI takes a tuple for a list; 200 comes by itself",
    str: "return the dict itself, without quotes around it: FastAPI makes the JSON",
}


@exercise("0.1")
class TestFirstRoute:
    async def test_health_answers(self, client):
        """GET /health gives 200 and says {"status": "ok"}"""
        response = await client.get("/health")
        expect.status(
            response,
            200,
            why="whoever watches the app reads any other status code as: the app is down",
            hint='the route needs @app.get("/health"), and its function returns only the dict',
        )
        body = expect.body(response, hint="return a dict; FastAPI makes JSON of it")
        expect.that(
            isinstance(body, dict) and expect.same(body.get("status"), "ok"),
            response=response,
            got=f"the body {expect.shown(body)}",
            expected='the body {"status": "ok"}',
            why="programs compare letter by letter: for them OK, Ok and ok are three answers",
            hint=HINTS.get(type(body), 'the key is "status" and the value is "ok", both in small letters'),
        )

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
            response = await client.get("/health")
            expect.status(response, 200, hint="return a dict of strings, as the annotation says")
            body = expect.body(response)
            expect.that(
                isinstance(body, dict) and expect.same(body.get("status"), "ok"),
                did=f"GET /health, the {number} time",
                got=f"the body {expect.shown(body)}",
                expected='the body {"status": "ok"}',
                why="an app serves many requests: none may see what an earlier one left behind",
                hint="find what is made once, when the app starts, and make it inside the function instead",
                response=response,
            )

    async def test_many_requests(self, client):
        """The twentieth GET /health is answered like the first"""
        for number in range(1, 21):
            body = expect.body(await client.get("/health"))
            expect.that(
                isinstance(body, dict) and expect.same(body.get("status"), "ok"),
                did=f"GET /health, time {number} of 20",
                got=f"the body {expect.shown(body)}",
                expected='the body {"status": "ok"}',
                why="a monitor asks every few seconds, for months",
                hint="no request may see what an earlier one left: make the list inside the function",
            )

    async def test_nothing_grows(self, client, load):
        """Nothing in main.py grows with the number of requests"""
        load("main")
        module = vars(sys.modules["app.main"])
        before = {name: len(value) for name, value in module.items() if isinstance(value, CONTAINERS)}
        for _ in range(20):
            await client.get("/health")
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
