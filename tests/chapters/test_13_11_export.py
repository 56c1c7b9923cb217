"""Checks of chapter 13, large answers: a list that is streamed, and answers that are compressed."""

import asyncio
import gc
import json
from contextlib import suppress
from types import SimpleNamespace

import pytest
from sqlalchemy import delete, insert, select

from course_checks import logs
from course_checks.caching import counted
from course_checks.modules import module_of
from course_checks.paths import API, REGISTER
from course_checks.people import People
from course_checks.samples import ADA
from course_checks.signing_in import login
from workbook import expect
from workbook.checks import exercise

# fixtures
log = logs.log

# --------------------------------------------------------------------------------------------------------------- 13.11

EXPORT = f"{API}/users/me/export"


@pytest.fixture
async def shelf(load, open_visit, monkeypatch):
    """An app with batches of three, and a coroutine that stores many items of somebody."""
    module = module_of(load, "items.export")
    monkeypatch.setattr(module, "BATCH", 3)
    async with open_visit() as client:  # one connection: who keeps it, stops everybody
        people, model = People(load, client), load("items.models").Item

        async def fill(name, number):
            person = await people.add(name)
            rows = [{"title": f"Pen {n}", "price": 1, "owner_id": person.id} for n in range(number)]
            async with client.sessions.begin() as session:
                if rows:
                    await session.execute(insert(model), rows)
            return person

        yield SimpleNamespace(
            client=client, fill=fill, model=model, lines=module.export_lines, at=module.export_lines, module=module
        )


def parsed(shelf, line):
    """Return the item of a line."""
    try:
        found = json.loads(line)
    except (TypeError, ValueError):
        found = None
    expect.that(
        isinstance(found, dict) and "title" in found,
        did="a text that the generator gives, read as JSON",
        got=expect.shown(line),
        expected="one item",
        why="a reader takes line by line",
        hint='one `yield` for each item: ItemPublic.model_validate(item).model_dump_json() + "\\n"',
        at=shelf.at,
    )
    return found


async def lines_of(shelf, person, number):
    """Give the lines of somebody with so many items; an export that never ends is left when it is ten too long."""
    lines, found = shelf.lines(shelf.client.sessions, person.id), 0
    async for line in lines:
        yield line
        found += 1
        if found == number + 10:
            break
    with suppress(AttributeError):
        await lines.aclose()


async def titles_of(shelf, person, number):
    """Return the titles of all lines."""
    return [parsed(shelf, line)["title"] async for line in lines_of(shelf, person, number)]


@exercise("13.11")
class TestExport:
    async def test_all(self, shelf):
        """Every item comes once, by id, however many there are"""
        for number in (0, 1, 2, 3, 4, 6, 10):
            person = await shelf.fill(f"user{number}", number)
            for nth, hint in (
                ("first", "begin the next batch behind the last id, until a batch is empty"),
                ("second", "keep the last id in a variable of the function: each export begins anew"),
            ):
                found = [parsed(shelf, line) async for line in lines_of(shelf, person, number)]
                foreign = any(one.get("owner_id") != person.id for one in found)
                expect.equal(
                    [one["title"] for one in found],
                    [f"Pen {n}" for n in range(number)],
                    did=f"the titles in the lines, of {number} items, with BATCH = 3, at the {nth} time",
                    why="people would lose what is missing, and would not notice"
                    if len(found) < number
                    else "what is in it and should not be is not theirs, or is there twice",
                    hint="hand owner_id to get_batch" if foreign else hint,
                    at=shelf.at,
                )

    async def test_lines(self, shelf, load):
        """Each line is one JSON object with the fields of ItemPublic, and ends with a newline"""
        person = await shelf.fill("ada", 4)
        lines = [line async for line in lines_of(shelf, person, 4)]
        expect.that(
            all(isinstance(line, str) and line.endswith("\n") and line.count("\n") == 1 for line in lines),
            did="the texts that the generator gives, for four items",
            got=expect.shown(lines[:2]),
            expected="texts with one newline each, at the end",
            why="a reader takes line by line",
            hint='one `yield` for each item: ItemPublic.model_validate(item).model_dump_json() + "\\n"',
            at=shelf.at,
        )
        expect.equal(
            len(lines), 4, did="how many texts the generator gives, for four items", why="", hint="", at=shelf.at
        )
        expect.equal(
            sorted(json.loads(lines[0])),
            sorted(load("items.schemas").ItemPublic.model_fields),
            did="the fields of a line",
            why="the export shows less, or more, than GET /items does",
            hint="ItemPublic.model_validate(item).model_dump_json()",
            at=shelf.at,
        )

    async def test_own(self, shelf):
        """Everybody gets their own items, over HTTP too, and a stranger a 401"""
        ada, bob = await shelf.fill("ada", 4), await shelf.fill("bob", 2)
        for person, number in ((ada, 4), (bob, 2)):
            found = [line async for line in lines_of(shelf, person, number)]
            expect.that(
                len(found) < number + 10,
                did=f"the export of {person.username}, of {number} items, with BATCH = 3",
                got=f"{len(found)} lines, and still more",
                expected="an end",
                why="the client would read for ever",
                hint="the next batch begins behind the last id of this one",
                at=shelf.at,
            )
            answer = await shelf.client.get(EXPORT, headers=person.headers)
            expect.status(answer, 200, why="the export would be an error", hint="", at=shelf.at)
            owners = sorted({parsed(shelf, line).get("owner_id") for line in answer.text.splitlines()}, key=str)
            foreign = set(owners) - {person.id}
            expect.equal(
                owners,
                [person.id],
                did=f"whose items are in the export of {person.username}",
                why="one user would get what another one owns" if foreign else "people would lose what is missing",
                hint="hand owner_id to get_batch" if foreign else "",
                at=shelf.at,
            )
        expect.status(await shelf.client.get(EXPORT), 401, why="a stranger would read it", hint="", at=shelf.at)

    async def test_first_line(self, shelf):
        """The first line comes when one batch is read"""
        person = await shelf.fill("ada", 10)
        async with counted(shelf.client, "from items") as queries:
            lines = shelf.lines(shelf.client.sessions, person.id)
            await anext(lines, None)
            found = queries.n
            await lines.aclose()
        expect.equal(
            found,
            1,
            did="how many batches were read, when the first line comes",
            why="who reads everything first has everything in memory",
            hint="give the lines of a batch away before you read the next one",
            at=shelf.at,
        )

    async def test_connection(self, shelf):
        """While the client reads, the connection is free for others"""
        person = await shelf.fill("ada", 10)
        lines, busy = shelf.lines(shelf.client.sessions, person.id), []
        for number in range(5):
            await anext(lines, None)
            try:
                async with asyncio.timeout(2), shelf.client.sessions() as session:
                    await session.scalar(select(shelf.model.id).limit(1))
            except TimeoutError:
                busy.append(number + 1)
                break
        await lines.aclose()
        expect.equal(
            busy,
            [],
            did="after which line somebody else waits for a connection, where there is one connection",
            why="ten phones in a tunnel would have all connections of your pool",
            hint="the `yield` stands outside of the `async with`",
            at=shelf.at,
        )

    async def test_deleted(self, shelf):
        """What is deleted in the middle of an export makes it skip nothing else"""
        person = await shelf.fill("ada", 9)
        found = []
        async for line in lines_of(shelf, person, 9):
            found.append(parsed(shelf, line))
            if len(found) == 3:
                with suppress(TimeoutError):  # a session that is open meanwhile is the matter of another criterion
                    async with asyncio.timeout(2), shelf.client.sessions.begin() as session:
                        await session.execute(delete(shelf.model).where(shelf.model.id == found[0]["id"]))
        expect.equal(
            [one["title"] for one in found],
            [f"Pen {n}" for n in range(9)],
            did="the titles of nine items, when the first one is deleted after the third line",
            why="a row that was counted is gone, and another one is skipped",
            hint="go on behind the last id; a number of rows to skip is wrong when rows go" if len(found) == 8 else "",
            at=shelf.at,
        )

    async def test_memory(self, shelf):
        """At most a few batches are in memory, of 900 items with BATCH = 50"""
        shelf.module.BATCH = 50
        person = await shelf.fill("ada", 900)
        most, number = 0, 0
        async for _line in lines_of(shelf, person, 900):
            number += 1
            if number % 200 == 0:
                gc.collect()
                most = max(most, sum(type(thing) is shelf.model for thing in gc.get_objects()))
        expect.that(
            number == 900 and most <= 150,
            did="how many items are in memory, in the middle of an export of 900",
            got=f"{most} items, and {number} lines in the end",
            expected="those of a batch or two, and 900 lines",
            why="100,000 items would need hundreds of megabytes",
            hint="keep nothing of a batch but its last id" if most > 150 else "",
            at=shelf.at,
        )

    async def test_two(self, shelf):
        """Exports that run at the same time do not disturb each other"""
        ada, bob = await shelf.fill("ada", 7), await shelf.fill("bob", 5)
        people = ((ada, 7), (bob, 5), (ada, 7))
        alone = [len(await titles_of(shelf, *one)) for one in people]
        found = await asyncio.gather(*(titles_of(shelf, *one) for one in people))
        disturbed = alone == [7, 5, 7]
        expect.equal(
            [len(one) for one in found],
            [7, 5, 7],
            did="the lines of three exports at the same time, two of Ada's and one of Bob's",
            why="each would get a part of the other's" if disturbed else "they are wrong one by one, too",
            hint="keep the last id in a variable of the function" if disturbed else "",
            at=shelf.at,
        )


# --------------------------------------------------------------------------------------------------------------- 13.12

ZIPPED = {"Accept-Encoding": "gzip"}


@exercise("13.12")
class TestCompression:
    def is_encoded(self, load, answer, wanted, **reason):
        """Expect that an answer is compressed, or that it is not."""
        expect.header(
            answer,
            "content-encoding",
            wanted,
            at=load("core.middleware").CompressionMiddleware.__call__,
            **reason,
        )

    async def many(self, load, client):
        """Store many items of Ada; return her headers."""
        ada = await People(load, client).add("ada")
        rows = [{"title": f"A pen with a name {n}", "price": 1, "owner_id": ada.id} for n in range(60)]
        async with client.sessions.begin() as session:
            await session.execute(insert(load("items.models").Item), rows)
        return ada.headers

    async def test_large(self, load, visitor):
        """A long list is compressed for who takes gzip, and arrives whole; an export too"""
        headers = await self.many(load, visitor)
        for path, number in ((f"{API}/items?limit=50", 50), (EXPORT, 60)):
            answer = await visitor.get(path, headers=headers | ZIPPED)
            self.is_encoded(
                load,
                answer,
                "gzip",
                why="people with a slow network wait ten times as long",
                hint="let self.compressed answer",
            )
            found = answer.text.count("A pen with a name")
            expect.equal(found, number, did=f"items in {path}", why="a part is lost on the way", hint="", at=None)

    async def test_without(self, load, visitor):
        """Who does not take gzip, and who gets a short answer, gets it as it is"""
        headers = await self.many(load, visitor)
        answer = await visitor.get(f"{API}/items?limit=50", headers=headers | {"Accept-Encoding": "identity"})
        self.is_encoded(
            load, answer, None, why="the client could not read it", hint="GZipMiddleware looks at the header"
        )
        answer = await visitor.get(f"{API}/items?limit=1", headers=headers | ZIPPED)
        self.is_encoded(
            load, answer, None, why="a short answer becomes longer", hint="self.compressed knows the least size"
        )

    async def test_secrets(self, load, visitor):
        """Nothing below /auth is compressed, with tokens in it or not"""
        email = f"{'a' * 60}@{'.'.join(['b' * 60] * 3)}.com"  # makes an answer that is worth compressing
        answer = await visitor.post(REGISTER, json=ADA | {"email": email, "full_name": "A" * 100}, headers=ZIPPED)
        expect.status(answer, 201, why="nobody could sign up", hint="")
        self.is_encoded(
            load,
            answer,
            None,
            why="the length of the answer would tell the token, letter by letter",
            hint="what lies below self.secret_paths goes to self.app",
        )
        token = expect.body(answer)["access_token"]
        for _ in range(12):
            await login(visitor, "ada", ADA["password"])
        answer = await visitor.get(f"{API}/auth/sessions", headers=ZIPPED | {"Authorization": f"Bearer {token}"})
        self.is_encoded(
            load,
            answer,
            None,
            why="one answer with a secret is enough",
            hint="everything below self.secret_paths goes to self.app, not one path only",
        )

    async def run(self, load, path, kind="http", **scope):
        """Send a request to the middleware around a small app; return what that was asked, and the headers."""
        asked, started = [], []

        async def app(scope, _receive, send):
            asked.append(scope["type"])
            if scope["type"] == "http":
                await send(
                    {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
                )
                await send({"type": "http.response.body", "body": b"the same words again " * 200})

        async def send(message):
            if message["type"] == "http.response.start":
                started.append(dict(message["headers"]))

        middleware = load("core.middleware").CompressionMiddleware(app, secret_paths="/v2/auth")
        where = {"path": path} if path is not None else {}
        headers = [(b"accept-encoding", b"gzip")]
        await middleware({"type": kind, "headers": headers, "method": "GET", **where, **scope}, None, send)
        return asked, started

    async def test_paths(self, load):
        """Only the path that was named, and what is below it, is left as it is"""
        at = load("core.middleware").CompressionMiddleware.__call__
        for path, secret in (
            ("/v2/auth", True),
            ("/v2/auth/login", True),
            ("/v2/auth/sessions/1", True),
            ("/v2/authors", False),
            ("/v2/auth-log", False),
            ("/v2/items/auth", False),
            ("/items", False),
            ("/", False),
            ("/api/v1/auth/login", False),
        ):
            _asked, started = await self.run(load, path)
            found = started[0].get(b"content-encoding") == b"gzip" if started else None
            expect.that(
                found is not secret and found is not None,
                did=f'GET {path} through CompressionMiddleware(app, secret_paths="/v2/auth")',
                got="compressed" if found else "as it is",
                expected="as it is" if secret else "compressed",
                why="a secret would be compressed" if secret else "what only looks like a secret path stays large",
                hint="equal to self.secret_paths, or beginning with it and a slash",
                at=at,
            )

    async def test_other_kinds(self, load):
        """What is no HTTP goes through as it is"""
        at = load("core.middleware").CompressionMiddleware.__call__
        for kind, path in (("lifespan", None), ("websocket", "/socket")):
            try:
                asked, _started = await self.run(load, path, kind)
            except KeyError:
                asked = ["a KeyError"]
            expect.equal(
                asked,
                [kind],
                did=f"what the app below is asked, for the type {kind}",
                why="the app would not start",
                hint='only a scope of the type "http" has a path to look at',
                at=at,
            )
