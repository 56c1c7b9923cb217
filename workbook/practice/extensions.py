"""The extensions that chapter 15 ends with: what each must do, asked of the learner's own app over HTTP."""

from __future__ import annotations

import ast
import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass

import httpx

from workbook.base.tree import modules
from workbook.base.trouble import Trouble
from workbook.checking.finder import PACKAGE
from workbook.practice.server import Served
from workbook.practice.somebody import NotYet, Somebody, asked, expected, that
from workbook.practice.target import served

OLD_HASH = "$2b$04$qeTE1iw0sV.tjiy1gJ9o8eETfmLphiwrr7xR8ryyZoAkDohjwC4RW"  # of PASSWORD, by bcrypt
MISSING = 2_000_000_000  # no item has this id
PROBLEM = "application/problem+json"
AT_ONCE = 5
TOKENS = ("8.1", "8.2", "8.3", "8.4", "8.5", "9.4")  # the exercises about them


@dataclass(frozen=True)
class Extension:
    """Something that the app could do as well.

    Args:
        name: what `extended` calls it.
        check: it raises NotYet.
    """

    name: str
    check: Callable[[Served], Awaitable[None]]


async def keyset(app: Served) -> None:
    """Pages that are right while rows come and go: `after` is the id of the last row of the page before."""
    ada = await Somebody(app).sign_up()
    first, second, third, fourth = [await ada.pen(f"Pen {number}") for number in range(4)]

    async def page(sort: str, **after: int) -> list[int]:
        answer = expected(await ada.ask("GET", "/items", params={"sort": sort, "limit": 2, **after}), 200)
        return [item["id"] for item in answer.json()]

    that(await page("-id") == [fourth, third], "the first page of GET /items?sort=-id&limit=2 has the two newest items")
    await ada.pen("One more")
    newer = await page("-id", after=third)
    that(newer == [second, first], f"sort=-id&after={third} gives the items {newer}, not {[second, first]}")
    expected(await ada.ask("DELETE", f"/items/{first}"), 204)
    older = await page("id", after=second)
    that(older == [third, fourth], f"sort=id&after={second} gives the items {older}, not {[third, fourth]}")


async def etag(app: Served) -> None:
    """Nobody overwrites what they have not seen: `If-Match` holds the ETag that was read."""
    ada = await Somebody(app).sign_up()
    path = f"/items/{await ada.pen()}"
    seen = expected(await ada.ask("GET", path), 200).headers.get("etag", "")
    that(seen.strip('W/"') != "", "GET /items/{id} has no header ETag")
    again = (await ada.ask("GET", path)).headers.get("etag")
    that(again == seen, "two GET of an item that has not changed have two ETags")
    for number in range(2):
        match = {"If-Match": (await ada.ask("GET", path)).headers.get("etag", "")}
        expected(await ada.ask("PATCH", path, match, json={"title": f"Changed {number}"}), 200)
        now = (await ada.ask("GET", path)).headers.get("etag")
        that(now != match["If-Match"], "a changed item has the ETag that it had before")
    answer = await ada.ask("PATCH", path, {"If-Match": seen}, json={"title": "Lost"})
    that(answer.status_code == 412, f"PATCH with an old ETag in If-Match gives {answer.status_code}, not 412")
    title = (await ada.ask("GET", path)).json()["title"]
    that(title == "Changed 1", "the PATCH that was 412 has changed the item all the same")
    expected(await ada.ask("PATCH", path, json={"title": "Without"}), 200)


async def idempotency(app: Served) -> None:
    """A `POST` that is repeated with the same Idempotency-Key makes one item."""
    ada, bob = await Somebody(app).sign_up(), await Somebody(app).sign_up()

    async def post(who: Somebody, key: str) -> httpx.Response:
        return await who.ask("POST", "/items", {"Idempotency-Key": key}, json={"title": "Pen", "price": "1.50"})

    async def owned(who: Somebody) -> int:
        return int((await who.ask("GET", "/items")).headers["X-Total-Count"])

    one, two = [expected(await post(ada, "k1"), 200, 201).json().get("id") for _ in range(2)]
    that(one == two, f"the second POST /items with one Idempotency-Key gives the item {two}, not {one} again")
    expected(await post(ada, "k2"), 201)
    that(await owned(ada) == 2, "two keys, each sent at least once, make two items")
    other = expected(await post(bob, "k1"), 201).json()["id"]
    that(other != one, "somebody else's POST with the same key gives an item that is not theirs")
    for answer in await asyncio.gather(*(post(bob, "k3") for _ in range(AT_ONCE))):
        expected(answer, 200, 201, 409)
    made = await owned(bob) - 1
    that(made == 1, f"{AT_ONCE} POST /items with one key at the same moment make {made} items, not one")


async def argon2(app: Served) -> None:
    """New hashes are Argon2's; old ones of bcrypt sign in, and are replaced."""
    unused(app, "passlib")
    ada = await Somebody(app).sign_up()
    kept = stored(app, ada.name)
    that(kept.startswith("$argon2id$"), f"after a sign-up the table users has a hash that begins with {kept[:4]}")
    stored(app, ada.name, OLD_HASH)
    wrong = await app.http.post("/auth/login", data={**ada.form, "password": "Wrong horse"})
    that(wrong.status_code == 401, f"a wrong password beside an old bcrypt hash gives {wrong.status_code}, not 401")
    right = await app.http.post("/auth/login", data=ada.form)
    that(right.status_code == 200, f"who has an old bcrypt hash signs in with {right.status_code}, not 200")
    that(stored(app, ada.name).startswith("$argon2id$"), "the old bcrypt hash is still there after a log-in")


async def pyjwt(app: Served) -> None:
    """Tokens are signed and read by PyJWT, and no forgery opens the app."""
    that("jwt" in imports(app), "no module of the app imports jwt")
    unused(app, "jose")
    ada = await Somebody(app).sign_up()
    expected(await ada.ask("GET", "/users/me"), 200)
    report = await app.examine(limits=False, only=TOKENS, signs=True)
    failed = [one for one in report.results if one.outcome != "passed" and not one.chosen]
    that(not failed, "; ".join(f"{one.criterion.exercise} {one.criterion.text}: {one.got}" for one in failed))


async def problem(app: Served) -> None:
    """Errors are problem details of RFC 9457, in the answers and in the document."""
    ada = await Somebody(app).sign_up()
    taken = {"email": f"{ada.name}@example.com", **ada.form}
    for answer in (
        expected(await app.http.get("/users/me"), 401),
        expected(await ada.ask("GET", f"/items/{MISSING}"), 404),
        expected(await ada.ask("PUT", "/items"), 405),
        expected(await ada.ask("POST", "/auth/register", json=taken), 409),
        expected(await ada.ask("POST", "/items", json={}), 422),
    ):
        kind = answer.headers.get("content-type", "").partition(";")[0]
        that(kind == PROBLEM, f"{asked(answer)} answers {answer.status_code} as {kind}, not as {PROBLEM}")
        body = answer.json()
        whole = all(isinstance(body.get(name), str) and body[name] for name in ("type", "title", "detail", "code"))
        that(whole, f"{asked(answer)}: type, title, detail and code are not all there, as texts")
        same = body.get("status") == answer.status_code
        that(same, f"{asked(answer)}: status is {body.get('status')!r} in the body of a {answer.status_code}")
    document = expected(await app.http.get("/openapi.json"), 200).json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                media = set(response.get("content", {PROBLEM: {}}))
                said = f"the document names {sorted(media)} for {method.upper()} {path}, {status}"
                that(not status.startswith("4") or media == {PROBLEM}, said)


def imports(app: Served) -> set[str]:
    """Return the libraries that an app's modules import, without its tests."""
    package, found = app.folder / PACKAGE, set[str]()
    for path in modules(package):
        if path.relative_to(package).parts[0] != "tests":
            for node in ast.walk(ast.parse(path.read_bytes())):
                names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
                found |= {name.partition(".")[0] for name in names}
    return found


def unused(app: Served, name: str) -> None:
    """Expect that no module of an app imports a library."""
    that(name not in imports(app), f"a module of the app still imports {name}")


def stored(app: Served, name: str, new: str | None = None) -> str:
    """Return the stored hash of an account, or put another one in its place."""
    with closing(sqlite3.connect(app.database, timeout=30)) as database, database:
        if new is not None:
            database.execute("UPDATE users SET hashed_password = ? WHERE username = ?", (new, name))
        row = database.execute("SELECT hashed_password FROM users WHERE username = ?", (name,)).fetchone()
    return str(row[0])


EXTENSIONS = {
    one.name: one
    for one in (
        Extension("keyset", keyset),
        Extension("etag", etag),
        Extension("idempotency", idempotency),
        Extension("argon2", argon2),
        Extension("pyjwt", pyjwt),
        Extension("problem", problem),
    )
}


async def extended(*names: str) -> str:
    """Say which extensions the learner's own app has, and what the others lack.

    Args:
        names: which ones; all of them, where none is named.

    Raises:
        Trouble: an extension is unknown, or the app does not start.
    """
    if unknown := set(names) - EXTENSIONS.keys():
        raise Trouble(f"there is no extension {min(unknown)!r}", f"the names are {', '.join(EXTENSIONS)}")
    async with served() as own:
        return "\n".join([await told(own, EXTENSIONS[name]) for name in names or EXTENSIONS])


async def told(app: Served, extension: Extension) -> str:
    """Say in one line whether an app has an extension."""
    try:
        await extension.check(app)
    except NotYet as missing:
        return f"{extension.name:<12} not yet: {missing}"
    return f"{extension.name:<12} done"
