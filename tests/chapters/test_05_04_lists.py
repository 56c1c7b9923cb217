"""Checks of chapter 05, lists of users: their bounds, their order, their total."""

import inspect
import random
from contextlib import contextmanager
from types import MethodType
from urllib.parse import parse_qs

import pytest
from sqlalchemy import ColumnElement
from sqlalchemy.exc import OperationalError

from course_checks.endpoints import add_users, blames, shown
from course_checks.paths import USERS
from course_checks.statements import heard
from workbook import expect
from workbook.checks import exercise


async def names_on(api, query, prefix="", **reason):
    """Return the user names of a list that begin with `prefix`, in its order."""
    answer = await api.get(f"{USERS}?{query}")
    expect.status(answer, 200, **reason)
    rows = expect.body(answer, **reason)
    shape = isinstance(rows, list) and all(isinstance(row, dict) and "username" in row for row in rows)
    expect.that(
        shape,
        got=f"the body {expect.shown(rows)}",
        expected="a list of users",
        response=answer,
        **reason
        | {
            "why": "clients read the body as a list",
            "hint": "return the list of users, with response_model=list[UserPublic]",
        },
    )
    return [row["username"] for row in rows if row["username"].startswith(prefix)]


# ---------------------------------------------------------------------------------------------------------------- 5.4


def told(answer):
    """Return a hint for a 422 where a list should come: from the kind of error that it names; None for another one."""
    if answer.status_code != 422:
        return None
    body = expect.body(answer)
    errors = (body.get("errors") or body.get("detail")) if isinstance(body, dict) else None
    for error in errors if isinstance(errors, list) else []:
        name = error["loc"][-1] if isinstance(error, dict) and error.get("loc") else None
        if name in ("skip", "limit") and error.get("type") == "missing":
            default = {"skip": "0", "limit": "DEFAULT_LIMIT"}[name]
            return f"{name} has lost its default: Field(default={default}, ...)"
        if name in ("skip", "limit") and error.get("type") in ("greater_than", "less_than"):
            return "the bounds are included: ge and le, not gt and lt"
        if name in ("skip", "limit") and error.get("type") == "int_type":
            return f"{name} refuses every text, and a query is text: take `strict` away"
        if name in ("skip", "limit") and error.get("type") == "multiple_of":
            return f"every whole number between the bounds is a {name}: take `multiple_of` away"
    return None


def refuse_page(load, name, number, **reason):
    """Expect that PageParams, which every list shares, refuses a number by itself."""
    expect.refused(load("core.pagination").PageParams, {name: number}, field=name, **reason)


@exercise("5.4")
class TestBounds:
    async def test_skip(self, load, api):
        """skip=-1, skip=1000001 and skip=10**20 are refused with 422, and every other number outside of the bounds"""
        low = "a client with a bug would get a page that it did not mean, and never notice"
        high = "to leave out so many rows, the database must first read them: anybody could keep it busy"
        reason = {
            "hint": "give skip its lowest and its highest number, with ge and le, as the table says",
            "at": load("core.pagination").PageParams,
        }
        for skip, why in ((-1, low), (1_000_001, high), (10**20, high)):
            blames(await api.get(f"{USERS}?skip={skip}"), "skip", why=why, **reason)
        for skip in (-1, -2, 1_000_001, 1_000_002, -random.randint(3, 10**9), random.randint(1_000_003, 10**12)):
            refuse_page(load, "skip", skip, why=low if skip < 0 else high, **reason)

    async def test_limit(self, load, api):
        """limit=0, limit=-1, limit=101 and limit=1000000 are refused with 422, and every other number outside"""
        few = "the client would get fewer rows than it asked for, and think that it has all"
        none = "the client would get no row, and think that there is none"
        reason = {
            "hint": "give limit its lowest and its highest number, with ge and le, as the table says",
            "at": load("core.pagination").PageParams,
        }
        for limit in (0, -1, 101, 1_000_000):
            blames(await api.get(f"{USERS}?limit={limit}"), "limit", why=few if limit > 0 else none, **reason)
        for limit in (0, -2, 101, 102, -random.randint(3, 10**9), random.randint(103, 10**12)):
            refuse_page(load, "limit", limit, why=few if limit > 0 else none, **reason)

    async def test_the_bounds_are_allowed(self, load, api):
        """skip=0, skip=1000000, limit=1 and limit=100 are accepted"""
        for query in ("skip=0", "skip=1000000", "limit=1", "limit=100"):
            answer = await api.get(f"{USERS}?{query}")
            expect.status(
                answer,
                200,
                why="a client that keeps to the documents would be refused",
                hint=told(answer) or "the bounds are included, and each field has its own: compare with the table",
                at=load("core.pagination").PageParams,
            )

    async def test_defaults(self, load, api):
        """Without parameters a list begins with the first row and has at most 20"""
        await add_users(load, api, *(f"many{number}" for number in range(25)))
        answer = await api.get(f"{USERS}?skip=0&limit=20")
        reason = {
            "why": "a client that sends no parameters expects the first page, and a short one",
            "hint": told(await api.get(USERS)) or told(answer) or "default=0 for skip, default=DEFAULT_LIMIT for limit",
            "at": load("core.pagination").PageParams,
        }
        plain = await names_on(api, "", **reason)
        expect.equal(len(plain), 20, did=f"the number of users in GET {USERS}, of at least 25", **reason)
        first = await names_on(api, "skip=0&limit=20", **reason)
        expect.equal(plain, first, did=f"GET {USERS} against GET {USERS}?skip=0&limit=20", **reason)

    async def test_pages_fit_together(self, load, api):
        """Pages of two have no row twice and leave none out"""
        crowd = [f"crowd{letter}" for letter in "cabed"]
        await add_users(load, api, *crowd)
        reason = {
            "why": "a client that reads page after page would show a user twice and another one never",
            "hint": told(await api.get(f"{USERS}?skip=0&limit=2"))
            or "hand skip and limit on unchanged; the order by id is the work of get_multi",
            "at": load("core.pagination").PageParams,
        }
        found = []
        for skip in range(0, 10, 2):
            query = f"skip={skip}&limit=2"
            if hint := told(await api.get(f"{USERS}?{query}")):
                reason |= {"hint": hint, "why": "a client that asks for its next page would be refused"}
            found += await names_on(api, query, "crowd", **reason)
        expect.equal(found, crowd, did="the users of five pages, limit=2", **reason)

    async def test_no_number(self, load, api):
        """limit=ten, limit=1.5 and skip=1.5 are refused with 422"""
        for name, value in (("limit", "ten"), ("limit", "1.5"), ("skip", "1.5")):
            blames(
                await api.get(f"{USERS}?{name}={value}"),
                name,
                why="this is no number of rows: the query would fail with a 500, or round it silently",
                hint="keep the type int",
                at=load("core.pagination").PageParams,
            )

    def test_the_rest_stays(self, load):
        """The search text q stays as it was: none by default, at most 100 characters, none that cannot be stored"""
        params = load("core.pagination").PageParams
        reason = {
            "why": "a list of another kind would lose its search, or its bounds",
            "hint": "leave q as it is given",
        }
        page = expect.accepted(params, {"q": "x" * 100}, **reason)
        expect.equal(page.q, "x" * 100, did="PageParams(q=...).q", at=params, **reason)
        expect.equal(expect.accepted(params, {}, **reason).q, None, did="PageParams().q", at=params, **reason)
        for text in ("x" * 101, "null \x00"):
            expect.refused(params, {"q": text}, field="q", **reason)


# ---------------------------------------------------------------------------------------------------------------- 5.5

SORT = ("id", "-id", "email", "-email", "username", "-username", "created_at", "-created_at")


@exercise("5.5")
class TestSort:
    @pytest.fixture
    def page(self, load):
        """The learner's UserPage, for `at=`."""
        return load("users.schemas").UserPage

    async def test_listed(self, load, api, page):
        """Each listed field sorts upwards, and with a minus downwards"""
        crowd = ["crowdb", "crowdc", "crowda"]
        await add_users(load, api, *crowd)
        orders = {"id": crowd, "created_at": crowd, "email": sorted(crowd), "username": sorted(crowd)}
        for sort in SORT:
            order = orders[sort.removeprefix("-")]
            expect.equal(
                await names_on(
                    api,
                    f"sort={sort}",
                    "crowd",
                    why="a documented order would be refused",
                    hint=f"the value {sort} is not accepted: compare your list with the text, letter by letter",
                    at=page,
                ),
                order[::-1] if sort.startswith("-") else order,
                did=f"GET {USERS}?sort={sort}, the user names",
                why="the client would show its users in another order than the one it asked for",
                hint="hand the text on as it is; get_multi reads the minus",
                at=page,
            )

    async def test_secret(self, api, page):
        """Columns that clients never see are refused with 422: hashed_password, deleted_at"""
        for sort in ("hashed_password", "-hashed_password", "deleted_at", "-deleted_at"):
            blames(
                await api.get(f"{USERS}?sort={sort}"),
                "sort",
                why="the order of the hashes tells, request by request, what stands in them"
                if "password" in sort
                else "the order tells about a column that no client may see",
                hint="list the fields that a client may sort by; do not accept whatever the table has",
                at=page,
            )

    async def test_not_listed(self, load, api, page):
        """Every field that the text does not list is refused with 422, also one that clients see: role, updated_at"""
        shown_to_all, columns = (
            load("users.schemas").UserPublic.model_fields,
            load("users.models").User.__table__.columns,
        )
        for name in sorted({*shown_to_all, *columns.keys()} - set(SORT)):
            for sort in (name, f"-{name}"):
                blames(
                    await api.get(f"{USERS}?sort={sort}"),
                    "sort",
                    why="what may be seen may still be slow to sort by: each order that you offer costs an index",
                    hint="the text lists four fields; accept these, and no other",
                    at=page,
                )

    async def test_nonsense(self, api, page):
        """What is no field is refused with 422: nonsense, --id, +id, ID, an empty text"""
        for sort in ("nonsense", "--id", "+id", "", "-", "id desc", "ID", "Email", " id", "id ", "id,email", "- id"):
            blames(
                await api.get(USERS, params={"sort": sort}),
                "sort",
                why="a client's typing mistake would be a 500, or would be corrected silently",
                hint="accept the listed texts exactly as they stand there, and nothing else",
                at=page,
            )

    async def test_default(self, load, api, page):
        """Without sort the order is by id"""
        crowd = ["crowdb", "crowdc", "crowda"]
        await add_users(load, api, *crowd)
        expect.equal(
            await names_on(api, "", "crowd", why="a client need not choose", hint='the default is "id"', at=page),
            crowd,
            did=f"GET {USERS}, the user names",
            why="pages need the same order in every query",
            hint='the default is "id"',
            at=page,
        )


# ---------------------------------------------------------------------------------------------------------------- 5.6


def misplaced(calls):
    """Return what to change in a call of the queries, or an empty text.

    Args:
        calls: name, positional and named arguments of each call.
    """
    known = {"get_multi": ["limit", "skip", "sort", "where"], "count": ["where"]}
    for name, positional, named in calls:
        if name == "matches":
            if positional[:1] == (None,):
                return "without q there is no text to look for: the list of conditions is empty then"
            continue
        if len(positional) > 1:
            return f"behind the session, {name} takes arguments by name only: the conditions are `where=`"
        if unknown := sorted(named.keys() - {*known[name], "options"}):
            return f"{name} has no parameter {unknown[0]}: it knows {', '.join(known[name])}; q becomes a condition"
        if hint := not_in_place(named) or not_conditions(named.get("where", ())):
            return hint
    return ""


def not_in_place(named):
    """Return what to change in the arguments beside the conditions, or an empty text."""
    if "options" in named:
        return "a condition belongs into `where`; `options` says what is loaded beside the users"
    if not isinstance(named.get("sort", ""), str):
        return "`sort` is the text that the client chose; a condition belongs into `where`"
    for name in ("skip", "limit"):
        if not isinstance(named.get(name, 0), int):
            return f"{name} is a number; the order goes into `sort`, a condition into `where`"
    return ""


def not_conditions(where):
    """Return what to change in a list of conditions, or an empty text."""
    if where is None:
        return "without q the list of conditions is empty, not None"
    if isinstance(where, ColumnElement | str):
        return "`where` is a list, also for one condition: put square brackets around it"
    if isinstance(where, list) and sum(isinstance(one, ColumnElement) for one in where) > 1:
        return "one search is one condition, and there are more: begin with a new list in each call"
    for one in where if isinstance(where, list | tuple) else ():
        if isinstance(one, list | tuple):
            return "`where` is one list: there is a second list inside it"
        if isinstance(one, str):
            return (
                "`where` holds conditions, no texts: user_crud.matches makes one of q, and the order goes into `sort`"
            )
        if inspect.ismethod(one):
            return f"{one.__name__} makes the condition only when it is called, with the text of q in brackets"
    return ""


AT_ONCE = ("IllegalStateChangeError", "concurrent operations are not permitted", "another operation is in progress")


def raised(got):
    """Return what to change when the list is a 500 with this exception, or an empty text."""
    if any(part in got for part in AT_ONCE):
        return "one session does one thing at a time: await the first query, and then the second one"
    if "Input should be a valid list" in got:
        return "get_page returns the users first, then their number"
    return ""


@contextmanager
def named(api):
    """Tell in a wrong answer which argument of the queries stands in the wrong place, and where to look."""
    api.calls.clear()
    try:
        yield
    except expect.Wrong as error:
        hint = raised(error.got) or misplaced(api.calls)
        if hint and error.got.startswith("500"):
            error.why = "every client that asks for this list would get a 500"
        error.hint, error.sure, error.at = hint or error.hint, bool(hint), error.at or api.get_page
        raise


async def total(api, query, expected, **reason):
    """Expect the header X-Total-Count of a list."""
    with named(api):
        answer = await api.get(f"{USERS}?{query}")
        expect.status(answer, 200, **reason)
        found, page = answer.headers.get("X-Total-Count"), expect.body(answer, **reason)
        sent = parse_qs(query)
        limit = int(sent.get("limit", ["20"])[0])
        asked = [(name, named.get("limit", 20)) for name, _positional, named in api.calls if name != "matches"]
        if asked == [("get_multi", limit)] and "skip" not in sent and found != str(len(page)):
            reason["hint"] = "keep no total for later: ask the database in each call"
        expect.header(answer, "X-Total-Count", str(expected), **reason)


async def listed(api, query, expected, *, prefix="", what="", **reason):
    """Expect the user names of a list that begin with `prefix`; `what` says what else is in the table."""
    with named(api):
        found = await names_on(api, query, prefix, **reason)
        searched = any(name == "matches" or named.get("where") for name, _positional, named in api.calls)
        if "q" in (sent := parse_qs(query)) and not searched and set(found) > set(expected):
            hint = f"no search was made for {sent['q'][0]!r}: each q that is not empty is a search, however short"
            reason |= {"hint": hint}
        expect.equal(found, expected, did=f"GET {USERS}?{query}{what or ', the user names'}", **reason)


@contextmanager
def one_query_fails(api, part):
    """Let the queries of the app fail whose SQL has this part; give a list of those that did."""
    failed = []

    def fail(statement, *_facts):
        if part in statement.lower():
            failed.append(statement)
            raise OperationalError(statement, {}, OSError("disk I/O error"))

    with heard(api, fail):
        yield failed


@exercise("5.6")
class TestTotal:
    @pytest.fixture(autouse=True)
    def calls(self, load, api, monkeypatch):
        """Remember in `api.calls` how the service calls its queries, and in `api.get_page` the method at fault."""
        crud, api.calls = load("users.crud").user_crud, []
        api.get_page = load("users.service").UserService.get_page

        def spy(name, method):
            def remember(_crud, *positional, **named):
                api.calls.append((name, positional, named))
                return method(*positional, **named)

            remember.__name__ = name
            return MethodType(remember, crud)  # a method, as the learner's is: SQLAlchemy takes a function for a query

        for name in ("get_multi", "count", "matches"):
            monkeypatch.setattr(crud, name, spy(name, getattr(crud, name)))

    async def test_each_time_anew(self, load, api):
        """Each request counts and searches anew: what an earlier one found or asked for has no effect"""
        await add_users(load, api, "crowda", "crowdb", "other")
        await total(api, "q=crowd", 2, why="the total would be wrong", hint="count with the conditions of this page")
        await add_users(load, api, "crowdc")
        await total(
            api,
            "q=crowd",
            3,
            why="a new user would be in no total until the server starts again",
            hint="keep no total for later: ask the database in each call",
        )
        await total(
            api,
            "q=other",
            1,
            why="who searches would find only what all searches before have in common",
            hint="begin with a new list of conditions in each call",
        )

    async def test_all_pages(self, load, api):
        """X-Total-Count counts the users of all pages, not of this one"""
        await add_users(load, api, "crowda", "crowdb", "crowdc", "crowdd", "crowde")
        for query in ("q=crowd&limit=2", "q=crowd&limit=2&skip=4", "q=crowd&skip=100"):
            await total(
                api,
                query,
                5,
                why="a client that shows `page 1 of 3` would show `page 1 of 1`",
                hint="let user_crud.count count, with the same conditions; len of the page is not the total",
            )

    async def test_without_search(self, load, api):
        """Without q all users are counted and listed"""
        reason = {
            "why": "a client could not tell how many pages there are",
            "hint": "without q the list of conditions is empty",
        }
        with named(api):
            before = len(await names_on(api, "limit=100", **reason))
        await add_users(load, api, "ada", "bob", "eve")
        await total(api, "limit=1", before + 3, **reason)

    async def test_more_than_a_page_may_hold(self, load, api):
        """A total beyond 100 is right too, and so are the pages there"""
        await add_users(load, api, *(f"crowd{number}" for number in range(105)))
        await total(
            api,
            "q=crowd",
            105,
            why="from 100 users on the total would stand still",
            hint="get_multi never returns more than MAX_LIMIT rows; let the database count: user_crud.count",
        )
        await listed(
            api,
            "q=crowd&skip=102&limit=10",
            ["crowd102", "crowd103", "crowd104"],
            why="from 100 users on the last pages would be empty, and nobody would be told",
            hint="hand skip on to get_multi as it came: it never returns more than MAX_LIMIT rows",
        )

    async def test_search(self, load, api):
        """The search text q finds users by a part of user name, full name or e-mail address, in any case"""
        await add_users(load, api, "crowda", "crowdb")
        await add_users(load, api, "eve", full_name="Eve of the Crowd")
        await add_users(load, api, "zoe")
        for q, found in (
            ("crowd", ["crowda", "crowdb", "eve"]),
            ("CROWDB@", ["crowdb"]),
            ("z", ["zoe"]),
            ("nobody", []),
        ):
            await listed(
                api,
                f"q={q}",
                found,
                why="a person who searches would be shown everybody, or nobody",
                hint="hand the condition of user_crud.matches to get_multi as well",
            )

    async def test_search_over_all_pages(self, load, api):
        """The search text q looks through the whole table, not only through the first page"""
        await add_users(load, api, *(f"other{number}" for number in range(30)), "crowda")
        await listed(
            api,
            "q=crowd&limit=5",
            ["crowda"],
            what=", with 30 other users before the one",
            why="a person would not find a user who is there",
            hint="give the condition to the query; do not filter the page that came back",
        )

    async def test_total_of_a_search(self, load, api):
        """With q only the users that match are counted"""
        await add_users(load, api, "crowda", "crowdb", "ada", "bob")
        await total(
            api,
            "q=crowd",
            2,
            why="a client would offer pages that are empty",
            hint="give the same `where` to count as to get_multi",
        )

    async def test_plain_text(self, load, api):
        """% and _ in q are plain characters"""
        await add_users(load, api, "ada")
        for q in ("%25", "_da"):
            await listed(
                api,
                f"q={q}",
                [],
                prefix="ada",
                what=", with a user ada",
                why="in SQL these characters stand for any text: the search would find too much",
                hint="use user_crud.matches, which takes care of them",
            )

    async def test_deleted(self, load, api):
        """Deleted users are neither listed nor counted"""
        await add_users(load, api, "crowda")
        await add_users(load, api, "crowdb", deleted_at=load("db.base").utc_now())
        await total(
            api,
            "q=crowd",
            1,
            why="the total would promise more users than any page shows",
            hint="user_crud.count starts from the query that hides deleted users",
        )

    async def test_sort_and_page_still_count(self, load, api):
        """skip, limit and sort still work, together with q"""
        await add_users(load, api, "crowdb", "crowdc", "crowda", "other")
        await listed(
            api,
            "q=crowd&sort=-username&skip=1&limit=1",
            ["crowdb"],
            why="the client would get another part of the list than it asked for",
            hint="give get_multi skip, limit, sort and where",
        )

    async def test_the_work_of_others(self, load, api, endings, broken_database):
        """A list commits nothing, and when the database fails it is a 500, not an empty list"""
        endings.clear()
        await api.get(USERS)
        endings.none(did=f"GET {USERS}", at=api.get_page)
        with broken_database(api, "select") as broken:
            broken.is_500(
                await api.get(USERS),
                why="the client would show that there are no users, and nobody would repair the server",
                hint="catch nothing: get_page has no answer to a fault of the database",
                at=api.get_page,
            )

    async def test_each_query_may_fail(self, load, api):
        """When only the query for the page fails, or only the one that counts, the answer is a 500 too"""
        await add_users(load, api, "crowda", "crowdb", "crowdc")
        for part, what, why in (
            ("count(", "the query that counts", "the client would be told a total that nobody has counted"),
            ("limit", "the query for the page", "the client would show that there are no users"),
        ):
            with one_query_fails(api, part) as failed:
                answer = await api.get(f"{USERS}?q=crowd&limit=1")
            if failed:
                expect.that(
                    answer.status_code == 500,
                    did=f"GET {USERS}?q=crowd&limit=1, while {what} raises an OperationalError",
                    got=shown(answer),
                    expected="500 Internal Server Error",
                    why=f"{why}, and nobody would repair the server",
                    hint="catch nothing around either query: get_page has no answer to a fault of the database",
                    at=api.get_page,
                )
