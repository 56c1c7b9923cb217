"""Checks of chapter 04: the queries that every table needs."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pydantic import BaseModel
from sqlalchemy import event, inspect, select, text
from sqlalchemy.exc import ArgumentError, IntegrityError, InvalidRequestError, MissingGreenlet, SQLAlchemyError
from sqlalchemy.orm import defer, selectinload
from sqlalchemy.sql import visitors

from workbook import expect
from workbook.checks import exercise

HUGE = 10**20
FLUSH = "end with `await session.flush()`: it sends the statement and leaves the transaction open"
NO_COMMIT = "take the commit out: `flush` is enough here, the caller commits"
NESTED = "the row survived the rollback: no `begin_nested` here, a plain `flush` is enough"
HALF = "when a later write of the same request fails, this one stays: half of a sign-up is stored"
AWAIT = "put `await` before the call: without it you get a coroutine, and nothing is sent"
SCALAR = "`session.scalar(...)` gives the object; `session.execute(...)` gives tuples that hold it"


# ------------------------------------------------------------------------------------------------------------ helpers


async def add_user(load, db, name="ada", **fields):
    """Store a user without the learner's queries, and return it."""
    wanted = {"email": f"{name}@example.com", "username": name, "hashed_password": "!"} | fields
    user = load("users.models").User(**wanted)
    db.add(user)
    await db.flush()
    return user


async def add_items(load, db, rows, owner=None):
    """Store items of one owner without the learner's queries, and return them."""
    owner = owner or await add_user(load, db)
    wanted = [{"title": "Pen", "price": 1, "owner_id": owner.id} | row for row in rows]
    items = [load("items.models").Item(**row) for row in wanted]
    db.add_all(items)
    await db.flush()
    return items


class Face:
    """The learner's CRUD: a method that it lacks is a wrong answer, not an AttributeError."""

    def __init__(self, crud):
        self._crud = crud

    def __getattr__(self, name):
        name_of_class = type(self._crud).__name__
        expect.that(
            hasattr(self._crud, name),
            did=f"{name_of_class}.{name}",
            got=f"{name_of_class} has no method {name}",
            expected=f"{name_of_class} defines {name}",
            why="the routes call it by this name: each of their requests would be a 500",
            hint=f"define `{name}` inside the class; mind the spelling",
            at=type(self._crud),
        )
        return getattr(self._crud, name)


def items_of(load):
    """Return the learner's CRUD for items, made from CRUDBase alone."""
    return Face(load("db.crud").CRUDBase(load("items.models").Item))


def user_crud(load):
    """Return the learner's user_crud."""
    return Face(load("users.crud").user_crud)


def item_crud(load):
    """Return the learner's item_crud."""
    return Face(load("items.crud").item_crud)


def hiding(load):
    """Return a CRUD that hides the items with the title "hidden", by its own `query`."""
    base, item = load("db.crud").CRUDBase, load("items.models").Item

    class Hiding(base):
        def query(self):
            return select(item).where(item.title != "hidden")

    return Face(Hiding(item))


def is_row(found, model, did, at, hint=SCALAR):
    """Expect one object of the model, and return it."""
    expect.that(
        isinstance(found, model),
        did=did,
        got=kind(found),
        expected=f"one {model.__name__} object",
        why="a route reads the attributes of the object that it gets",
        hint=AWAIT if is_coroutine(found) else hint,
        at=at,
    )
    return found


def is_none(found, did, **reason):
    """Expect that no row was found."""
    expect.that(found is None, did=did, got=kind(found), expected="None", **reason)


def is_rows(found, model, did, at):
    """Expect a list of objects of the model, and return their ids."""
    expect.that(
        isinstance(found, list),
        did=did,
        got=kind(found),
        expected=f"a list of {model.__name__} objects",
        why="a result of the database can be read once only, and only while the session is open",
        hint=AWAIT if is_coroutine(found) else "end with `return list(await session.scalars(...))`",
        at=at,
    )
    strange = [one for one in found if not isinstance(one, model)]
    expect.that(
        not strange,
        did=did,
        got=f"a list that holds {kind(strange[0])}" if strange else "",
        expected=f"a list of {model.__name__} objects",
        why="a route reads the attributes of the objects that it gets",
        hint="`session.scalars(...)` gives objects; `session.execute(...)` gives tuples that hold them",
        at=at,
    )
    return [inspect(one).identity[0] for one in found]


def is_coroutine(found):
    """Say whether an `await` was forgotten; close what nobody will await."""
    if asyncio.iscoroutine(found):
        found.close()
        return True
    return False


def kind(found):
    """Say in a word what came back."""
    if found is None or isinstance(found, int | str):
        return expect.shown(found)
    return expect.with_article(type(found).__name__)


def said(error):
    """Return an error's kind and first line."""
    return f"{type(error).__name__}: {str(error).splitlines()[0]}"


def call(wanted):
    """Return a call of get_multi in words; conditions and options are too long for it."""
    shown = [f"{name}={'[...]' if isinstance(value, list | tuple) else repr(value)}" for name, value in wanted.items()]
    return f"get_multi({', '.join(['session', *shown])})"


async def ids_on_page(crud, db, **wanted):
    """Call get_multi, and return the ids of its rows; a number must never become an error."""
    did = call(wanted)
    try:
        found = await crud.get_multi(db, **wanted)
    except (OverflowError, SQLAlchemyError) as error:
        if wanted.keys().isdisjoint({"skip", "limit"}):
            raise
        raise expect.Wrong(
            did=did,
            got=f"it raised {said(error)}",
            expected="a page of rows",
            why="a stranger's number must not become a 500",
            hint="bring skip and limit into their bounds with min and max before the query",
            at=crud.get_multi,
        ) from None
    return is_rows(found, crud.model, did, crud.get_multi)


async def expect_pages(crud, db, cases, rows, **reason):
    """Expect the ids that get_multi returns.

    Args:
        cases: the arguments of each call, and the ids.
        rows: what the table holds, in words.
    """
    for wanted, ids in cases:
        expect.equal(await ids_on_page(crud, db, **wanted), ids, did=f"{call(wanted)} with {rows}", **reason)


async def stored(db, sql, **values):
    """Ask the database itself, without a flush, for one value."""
    return (await (await db.connection()).execute(text(sql), values)).scalar()


async def survives_rollback(db, sql, **values):
    """Roll back, and say what the database still holds: anything that was committed."""
    await db.rollback()
    return await stored(db, sql, **values)


async def is_left_alone(db, endings, broken_database, call, did, at):
    """Expect that a call neither commits nor rolls back, and hides no error of the database.

    Args:
        call: makes the coroutine; it is called twice.
    """
    endings.clear()
    await call()
    endings.none(did=did, at=at)
    with broken_database(db) as broken:
        await broken.passes(call(), did=did, at=at)
    endings.none(did=f"{did}, while the database fails", at=at)


NO_ADDRESS = "its address is an object of Pydantic's here; the schema's serializers work in `data.model_dump(...)` only"
NO_VALUE = [("'HttpUrl' is not supported", NO_ADDRESS), ("'Url' is not supported", NO_ADDRESS)]


@pytest.fixture
def loaded(load):
    """The items that SQLAlchemy has made from rows since the check began."""
    seen = []

    def note(target, _context):
        seen.append(type(target).__name__)

    item = load("items.models").Item
    event.listen(item, "load", note)
    yield seen
    event.remove(item, "load", note)


# ---------------------------------------------------------------------------------------------------------------- 4.1


@exercise("4.1")
class TestReading:
    async def test_get(self, load, db):
        """`get` returns the row with an id, and None where there is none"""
        first, second = await add_items(load, db, [{}, {}])
        crud = items_of(load)
        for row in (first, second):
            did = f"get(session, {row.id})"
            found = is_row(await crud.get(db, row.id), crud.model, did, crud.get)
            expect.equal(
                found.id,
                row.id,
                did=did,
                why="a person would see, change or delete somebody else's row",
                hint='compare the column with the id: `.where(columns["id"] == row_id)`',
                at=crud.get,
            )
        is_none(
            await crud.get(db, 3),
            "get(session, 3) with the rows 1 and 2",
            why="a route asks for None to answer 404",
            hint="`session.scalar` returns None where there is no row; do not raise",
            at=crud.get,
        )

    async def test_get_any_number(self, load, db, statements):
        """`get` returns None for an id that no row can have, such as 10**20, and asks nobody"""
        most = load("db.base").MAX_ID
        await add_items(load, db, [{"id": most}])
        crud = items_of(load)
        for row_id in (HUGE, -HUGE, most + 1, 0, -1):
            did = f"get(session, {row_id})"
            statements.clear()
            try:
                found = await crud.get(db, row_id)
            except (OverflowError, SQLAlchemyError) as error:
                raise expect.Wrong(
                    did=did,
                    got=f"it raised {said(error)}",
                    expected="None",
                    why="an id comes from an address that anybody can write; this would be a 500",
                    hint="return None for an id outside 1 to MAX_ID before you ask the database",
                    at=crud.get,
                ) from None
            is_none(found, did, why="a route asks for None to answer 404", hint="return None", at=crud.get)
            expect.that(
                not statements,
                did=did,
                got=f"None, after the statement {' '.join(' '.join(statements).split())[:60]}…",
                expected="None, and no statement",
                why="PostgreSQL refuses a number that does not fit its column, and the request's transaction is broken",
                hint="compare the id with 1 and MAX_ID before you ask; then there is nothing to catch",
                at=crud.get,
            )
        expect.that(
            await crud.get(db, most) is not None,
            did=f"get(session, {most}), the id MAX_ID",
            got="None",
            expected="the row: MAX_ID itself is an id",
            why="the last row could never be read",
            hint="both bounds are included: `1 <= row_id <= MAX_ID`",
            at=crud.get,
        )

    async def test_ties(self, load, db):
        """Rows that are equal in the sorted column go by id, on every page, up and down"""
        colours = ("red", "blue", "green", "black", "white", "pink")
        await add_items(load, db, [{"description": colour} for colour in colours])
        await db.execute(text("CREATE INDEX by_title ON items (title, description)"))
        crud = items_of(load)
        both = "; it goes upwards in both directions"
        for sort, more in (("title", ""), ("-title", both)):
            pages = [await ids_on_page(crud, db, sort=sort, skip=skip, limit=2) for skip in (0, 2, 4)]
            shown = [id for page in pages for id in page]
            once, turned = sorted(shown) == [1, 2, 3, 4, 5, 6], shown == [6, 5, 4, 3, 2, 1]
            expect.equal(
                pages,
                [[1, 2], [3, 4], [5, 6]],
                did=f'three pages of two, sort="{sort}", all titles equal, with an index on (title, description)',
                why="the order of equal rows is not the one that was promised: by id, upwards"
                if once
                else "a reader who turns the pages sees some rows twice and others never",
                hint=f"the id ends the order, but downwards{more or ': it goes upwards'}"
                if turned
                else f"end the order with the id: it is the tie-breaker, because no two are equal{more}",
                at=crud.order,
            )

    async def test_order_without_sort(self, load, db):
        """Without sort the rows come by id, even when the database would rather turn them round"""
        await add_items(load, db, [{} for _ in range(4)])
        await db.execute(text("PRAGMA reverse_unordered_selects = ON"))
        crud = items_of(load)
        await expect_pages(
            crud,
            db,
            [({}, [1, 2, 3, 4])],
            "four rows",
            why="a select without ORDER BY may return its rows in any order, and in another one tomorrow",
            hint="always order: `.order_by(*self.order(sort))`",
            at=crud.get_multi,
        )

    async def test_directions(self, load, db):
        """sort="price" goes upwards, sort="-price" downwards"""
        await add_items(load, db, [{"price": price} for price in (2, 9, 1, 9)])
        crud = items_of(load)
        for sort, ids, first in (("price", [3, 1, 2, 4], "the cheapest"), ("-price", [2, 4, 1, 3], "the dearest")):
            found = await ids_on_page(crud, db, sort=sort)
            ties_only = [[2, 9, 1, 9][id - 1] for id in found] == [[2, 9, 1, 9][id - 1] for id in ids]
            expect.equal(
                found,
                ids,
                did=f"{call({'sort': sort})} with the prices 2, 9, 1, 9",
                why="the order of equal rows is not the one that was promised: by id, upwards"
                if ties_only
                else f"somebody who asks for {first} gets another one",
                hint="equal prices go by id, upwards in both directions"
                if ties_only
                else "a minus in front means desc(), none means asc()",
                at=crud.order,
            )

    async def test_sort_is_no_sql(self, load, db, statements):
        """A sort that is no column raises an error before the database sees it"""
        await add_items(load, db, [{}])
        crud = items_of(load)
        for sort in ("colour", "price; DROP TABLE items", "(SELECT hashed_password FROM users)", "-"):
            statements.clear()
            did = f'get_multi(session, sort="{sort}")'
            reason = {
                "expected": "an error such as KeyError, and no statement",
                "why": "a client chooses the order; its text in the SQL is a command to your database",
                "hint": "look the name up among the table's columns: `columns[name]`, never text() or an f-string",
                "at": crud.order,
            }
            try:
                await crud.get_multi(db, sort=sort)
            except (LookupError, AttributeError, ValueError, TypeError):
                expect.that(not statements, did=did, got=f"the SQL {' '.join(statements)[-90:]}", **reason)
            except SQLAlchemyError as error:
                raise expect.Wrong(did=did, got=f"it raised {said(error)}", **reason) from None
            else:
                raise expect.Wrong(did=did, got="it was accepted", **reason)

    async def test_limits(self, load, db):
        """A page has 20 rows unless told, at most MAX_LIMIT, and none for a limit of 0 or below"""
        await add_items(load, db, [{} for _ in range(105)])
        crud, most = items_of(load), load("db.crud").MAX_LIMIT
        for wanted, size in (({}, 20), ({"limit": 3}, 3), ({"limit": most + 1}, most), ({"limit": HUGE}, most)):
            found = len(await ids_on_page(crud, db, **wanted))
            more = found > size
            expect.equal(
                found,
                size,
                did=f"the number of rows of {call(wanted)}, with 105 in the table",
                why="one request could make your process load the whole table"
                if more
                else "a reader gets a shorter page than the one asked for",
                hint="cut the limit: `min(limit, MAX_LIMIT)`" if more else "cut only what is above MAX_LIMIT",
                at=crud.get_multi,
            )
        for limit in (0, -1, -HUGE):
            expect.equal(
                len(await ids_on_page(crud, db, limit=limit)),
                0,
                did=f"the number of rows of {call({'limit': limit})}, with 105 in the table",
                why="SQLite reads a negative limit as no limit at all; PostgreSQL raises an error",
                hint="cut the limit from below too, with max",
                at=crud.get_multi,
            )

    async def test_skip(self, load, db):
        """`skip` leaves out rows; a negative one leaves out none, one beyond the end leaves none"""
        await add_items(load, db, [{} for _ in range(3)])
        crud = items_of(load)
        all_three = [({"skip": skip}, [1, 2, 3]) for skip in (0, -1, -HUGE)]
        await expect_pages(
            crud,
            db,
            [*all_three, ({"skip": 1}, [2, 3]), ({"skip": 3}, []), ({"skip": HUGE}, [])],
            "the rows 1, 2, 3",
            why="a reader who asks for the next page gets a wrong one, or an error",
            hint="bring skip into 0 to MAX_ID, with max and min, and hand it to offset",
            at=crud.get_multi,
        )

    async def test_far_into_a_table(self, load, db):
        """`skip` goes as far as there are rows"""
        owner, number = await add_user(load, db), 2005
        await db.execute(
            text(
                "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < :number) "
                "INSERT INTO items (id, title, price, owner_id, created_at, updated_at) "
                "SELECT id, 'Pen', 1, :owner, :now, :now FROM n"
            ),
            {"number": number, "owner": owner.id, "now": "2030-01-01 00:00:00"},
        )
        await expect_pages(
            items_of(load),
            db,
            [({"skip": 101, "limit": 2}, [102, 103]), ({"skip": 2003}, [2004, 2005])],
            f"{number} rows",
            why="the last pages of a long list could never be read",
            hint="only MAX_ID bounds skip: a table may have more rows than a page",
            at=items_of(load).get_multi,
        )

    async def test_no_negative_offset(self, load, db):
        """A negative skip never reaches the database"""
        await add_items(load, db, [{}])
        sent = []
        engine = db.bind.sync_engine

        def note(_connection, _cursor, _statement, values, *_rest):
            sent.extend(values if isinstance(values, tuple) else ())

        event.listen(engine, "before_cursor_execute", note)
        crud = items_of(load)
        await ids_on_page(crud, db, skip=-1)
        event.remove(engine, "before_cursor_execute", note)
        expect.that(
            -1 not in sent,
            did="get_multi(session, skip=-1)",
            got="the database is asked for OFFSET -1",
            expected="OFFSET 0, or none",
            why="SQLite takes it for 0, but PostgreSQL raises an error: a 500",
            hint="cut it from below: `max(0, ...)`",
            at=crud.get_multi,
        )

    async def test_the_database_cuts(self, load, db, loaded):
        """The database cuts the page: no more rows are loaded than are returned"""
        await add_items(load, db, [{} for _ in range(30)])
        db.expunge_all()
        crud = items_of(load)
        await ids_on_page(crud, db, skip=5, limit=3)
        expect.equal(
            len(loaded),
            3,
            did="rows loaded by get_multi(session, skip=5, limit=3), with 30 in the table",
            why="a page of three costs as much as the whole table",
            hint="use offset and limit of the select; a slice in Python comes too late",
            at=crud.get_multi,
        )

    async def test_where(self, load, db):
        """Only rows that fit every condition in where are returned"""
        await add_items(load, db, [{"price": 1}, {"price": 5}, {"price": 5, "title": "Cup"}])
        crud, item = items_of(load), load("items.models").Item
        both = (item.price > 2, item.title == "Cup")
        await expect_pages(
            crud,
            db,
            [({"where": [item.price > 2]}, [2, 3]), ({"where": both}, [3])],
            "pens at 1 and 5 and a cup at 5, first one condition, then two",
            why="a list would show rows that the caller has ruled out, such as other people's",
            hint="unpack the conditions into the select: `.where(*where)`",
            at=crud.get_multi,
        )

    async def test_options(self, load, db):
        """Loading options reach the query, all of them"""
        await add_items(load, db, [{}])
        db.expunge_all()
        crud = items_of(load)
        options = [defer(crud.model.description), selectinload(crud.model.owner)]
        found = await crud.get_multi(db, options=options)
        is_rows(found, crud.model, "get_multi(session, options=[...])", crud.get_multi)
        expect.that(
            ["owner" in inspect(item).unloaded for item in found] == [False],
            did="get_multi(session, options=[selectinload(Item.owner)]) with one item",
            got="item.owner is not loaded" if found else "no item",
            expected="item.owner is loaded",
            why="a list of items with their owners could not be shown",
            hint="hand the options on: `.options(*options)`",
            at=crud.get_multi,
        )

    async def test_two_tables(self, load, db):
        """Two CRUD objects, for users and for items, do not mix up their tables"""
        ada = await add_user(load, db)
        await add_items(load, db, [{}, {}], ada)
        base, user, item = load("db.crud").CRUDBase, load("users.models").User, load("items.models").Item
        users, items = Face(base(user)), Face(base(item))
        for crud, model, ids in ((users, user, [1]), (items, item, [1, 2]), (users, user, [1])):
            did = f"get(session, 1) of CRUDBase({model.__name__})"
            is_row(await crud.get(db, 1), model, did, crud.get, hint="keep nothing between two calls, or for the class")
            expect.equal(
                await ids_on_page(crud, db),
                ids,
                did=f"the ids of get_multi(session) of CRUDBase({model.__name__}), with one user and two items",
                why="one table would answer for another one",
                hint="begin with self.query(); keep nothing between two calls, or for the class",
                at=crud.get_multi,
            )

    async def test_changes_are_seen(self, load, db):
        """A second call sees what has changed since the first one"""
        (pen,) = await add_items(load, db, [{}])
        crud = items_of(load)
        reason = {"why": "people would see yesterday's data", "hint": "keep no answer: ask each time"}
        expect.equal((await crud.get(db, 1)).title, "Pen", did="get(session, 1).title", at=crud.get, **reason)
        await ids_on_page(crud, db)
        await db.delete(pen)
        await db.flush()
        is_none(await crud.get(db, 1), "get(session, 1) again, after the row was deleted", at=crud.get, **reason)
        found = await ids_on_page(crud, db)
        expect.equal(found, [], did="get_multi(session) again, after the row was deleted", at=crud.get_multi, **reason)

    async def test_only_reads(self, load, db, endings, broken_database):
        """Both reads commit nothing, roll nothing back, and let an error of the database pass"""
        await add_items(load, db, [{}])
        crud = items_of(load)
        surroundings = db, endings, broken_database
        await is_left_alone(*surroundings, lambda: crud.get(db, 1), "get(session, 1)", crud.get)
        await db.rollback()
        await is_left_alone(*surroundings, lambda: crud.get_multi(db), "get_multi(session)", crud.get_multi)

    async def test_hidden_rows(self, load, db):
        """A subclass whose query hides rows hides them from get and from get_multi"""
        await add_items(load, db, [{}, {"title": "hidden"}, {}])
        await db.commit()
        db.expunge_all()
        crud = hiding(load)
        reason = {
            "why": "from exercise 4.5 on it hides deleted users; one read past it shows them",
            "hint": "begin every read with `self.query()`, not with select(self.model) or session.get",
        }
        is_none(await crud.get(db, 2), "get of a hidden row", at=crud.get, **reason)
        expect.equal(
            await ids_on_page(crud, db), [1, 3], did="get_multi beside a hidden row", at=crud.get_multi, **reason
        )


# ---------------------------------------------------------------------------------------------------------------- 4.2


async def create(crud, db, data, **values):
    """Call create; a schema field that is no column is a wrong answer, with a reason."""
    try:
        return await crud.create(db, data, **values)
    except SQLAlchemyError as error:
        expect.known(
            error,
            NO_VALUE,
            did=f"create(session, {type(data).__name__}(...))",
            expected="a row with the values that the schema gives",
            why="an item with an address could never be stored: a 500",
            at=crud.create,
        )
    except TypeError as error:
        if "keyword argument" not in str(error):
            raise
        raise expect.Wrong(
            did=f"create(session, {type(data).__name__}(...), {', '.join(values)}=...)",
            got=f"it raised {said(error)}",
            expected="a row without the fields in unstored_fields, and with those in values",
            why="nobody could sign up: a password is sent, but only its hash is stored",
            hint="leave the unstored fields out: `data.model_dump(exclude=self.unstored_fields)`",
            at=crud.create,
        ) from None


def sign_up(load, name="ada", **fields):
    """Return a UserCreate."""
    data = {"email": f"{name}@example.com", "username": name, "password": "Correct horse"}
    return load("users.schemas").UserCreate(**data | fields)


def new_item(load, **fields):
    """Return an ItemCreate."""
    return load("items.schemas").ItemCreate(**{"title": "Lamp", "price": "9.90"} | fields)


@exercise("4.2")
class TestCreate:
    async def test_written(self, load, db):
        """`create` returns the new row with its id, and the database has it at once"""
        owner = await add_user(load, db)
        crud = item_crud(load)
        data = new_item(load, description="a lamp", url="https://example.com/lamp")
        row = await create(crud, db, data, owner_id=owner.id)
        did = "create(session, data, owner_id=1)"
        is_row(row, crud.model, did, crud.create, hint="return the row that you made")
        expect.that(
            isinstance(inspect(row).identity, tuple),
            did=did,
            got="a row without an id",
            expected="a row with the id that the database gave it",
            why="the answer to a sign-up has an id, and an item needs the id of its owner",
            hint=FLUSH,
            at=crud.create,
        )
        expect.that(
            row in db,
            did=did,
            got="a row that is not in the session",
            expected="a row of the session that was handed over",
            why="a change that the caller makes to it would be lost",
            hint="add the row to the session of the caller, and leave it there",
            at=crud.create,
        )
        got = {name: getattr(row, name) for name in ("title", "description", "url", "price", "owner_id")}
        wanted = {
            "title": "Lamp",
            "description": "a lamp",
            "url": "https://example.com/lamp",
            "price": Decimal("9.90"),
            "owner_id": owner.id,
        }
        reason = {
            "why": "what the client sent would be lost or changed on its way",
            "hint": "`self.model(**data.model_dump(...), **values)` takes every field, and the values of your code",
        }
        expect.equal(got, wanted, did=did, at=crud.create, **reason)
        in_table = await stored(db, "SELECT title FROM items WHERE id = :id", id=row.id)
        expect.equal(in_table, "Lamp", did="the title in the table after create", at=crud.create, **reason)

    async def test_not_committed(self, load, db, statements):
        """`create` does not commit: after a rollback the row was never there"""
        crud = user_crud(load)
        await create(crud, db, sign_up(load), hashed_password="!")
        nested = any(statement.startswith("SAVEPOINT") for statement in statements)
        expect.equal(
            await survives_rollback(db, "SELECT count(*) FROM users"),
            0,
            did="rows in the table after create and session.rollback()",
            why=HALF,
            hint=NESTED if nested else NO_COMMIT,
            at=crud.create,
        )

    async def test_open_transaction(self, load, db):
        """What the caller wrote before create can still be rolled back afterwards"""
        await add_user(load, db, "bob")
        crud = user_crud(load)
        await create(crud, db, sign_up(load), hashed_password="!")
        expect.equal(
            await survives_rollback(db, "SELECT count(*) FROM users"),
            0,
            did="rows in the table after another write, create and session.rollback()",
            why=HALF,
            hint=NO_COMMIT,
            at=crud.create,
        )

    async def test_password(self, load, db):
        """A sign-up stores the hash that your code gives, and the password nowhere"""
        crud = user_crud(load)
        row = await create(crud, db, sign_up(load), hashed_password="a hash")
        is_row(row, crud.model, "create(session, data, hashed_password=...)", crud.create, hint="return the row")
        expect.equal(
            await stored(db, "SELECT hashed_password FROM users"),
            "a hash",
            did='the stored hash after create(session, data, hashed_password="a hash")',
            why="the user could never sign in, or the password could be read by whoever reads the table",
            hint="`**values` are columns too: hand them to self.model",
            at=crud.create,
        )
        expect.that(
            "Correct horse" not in [str(value) for value in vars(row).values()],
            did="create(session, data, hashed_password=...)",
            got="the row has the password in plain text",
            expected="the password is nowhere in the row",
            why="rows are logged, cached and shown; the password goes with them",
            hint="leave the unstored fields out: `data.model_dump(exclude=self.unstored_fields)`",
            at=crud.create,
        )

    async def test_unstored(self, load, db):
        """Each field in unstored_fields is left out, whatever its name"""
        base, item = load("db.crud").CRUDBase, load("items.models").Item
        owner = await add_user(load, db)

        class Gift(BaseModel):
            title: str
            wrapping: str

        class GiftCRUD(base):
            unstored_fields = {"wrapping"}  # noqa: RUF012 - as a learner writes it

        crud = Face(GiftCRUD(item))
        row = await create(crud, db, Gift(title="Cup", wrapping="red"), price=1, owner_id=owner.id)
        expect.equal(
            getattr(row, "title", None),
            "Cup",
            did='create with unstored_fields = {"wrapping"}',
            why="a class for every table must not know the field names of one of them",
            hint="use self.unstored_fields, not the word password",
            at=crud.create,
        )
        expect.equal(
            GiftCRUD.unstored_fields,
            {"wrapping"},
            did="unstored_fields after create",
            why="the next row would lose a field that this one did not need",
            hint="the set belongs to the class: hand it on, and change nothing in it",
            at=crud.create,
        )

    async def test_defaults(self, load, db):
        """A field that was not sent is stored with the default of its schema"""
        base, item = load("db.crud").CRUDBase, load("items.models").Item
        owner = await add_user(load, db)

        class Gift(BaseModel):
            title: str = "Surprise"
            price: Decimal = Decimal(5)

        crud = Face(base(item))
        did = 'create(session, Gift(price=7)), whose title is "Surprise" by default'
        try:
            row = await create(crud, db, Gift(price=7), owner_id=owner.id)
        except IntegrityError as error:
            got = said(error)
        else:
            is_row(row, crud.model, did, crud.create, hint="return the row that you made")
            got = f"title {row.title}, price {int(row.price)}"
        expect.equal(
            got,
            "title Surprise, price 7",
            did=did,
            why="a default that a schema promises is stored nowhere: NULL, or a 500",
            hint="a new row takes all fields of the dump; exclude_unset and exclude_defaults are for changes",
            at=crud.create,
        )

    async def test_one_after_the_other(self, load, db):
        """Two calls make two rows, each with its own values"""
        crud = user_crud(load)
        reason = {
            "did": "the rows after create for ada and create for bob",
            "why": "one person would get what belongs to another one",
            "hint": "make a new row in each call, and keep nothing of it in self",
            "at": crud.create,
        }
        try:
            for name in ("ada", "bob"):
                await create(crud, db, sign_up(load, name), hashed_password=f"hash of {name}")
        except SQLAlchemyError as error:
            raise expect.Wrong(got=f"it raised {said(error)}", expected="two rows", **reason) from None
        found = (await (await db.connection()).execute(text("SELECT username, hashed_password FROM users"))).all()
        wanted = [("ada", "hash of ada"), ("bob", "hash of bob")]
        expect.equal(sorted(map(tuple, found)), wanted, **reason)

    async def test_duplicate(self, load, db):
        """A second user with the same e-mail address, or with other capitals, raises IntegrityError in create"""
        crud = user_crud(load)
        await create(crud, db, sign_up(load), hashed_password="!")
        await db.commit()
        for email in ("ada@example.com", "Ada@Example.com"):
            with expect.raising(
                IntegrityError,
                did=f'create for "{email}" beside "ada@example.com"',
                why="the error must rise here: later nobody knows which write it belongs to",
                hint="flush in create, and do not catch the error: the caller turns it into an answer",
                at=crud.create,
            ):
                await create(crud, db, sign_up(load, email=email, username="eve"), hashed_password="!")
            await db.rollback()

    async def test_the_caller_decides(self, load, db, endings, broken_database):
        """A refusal ends nothing: the caller decides what becomes of its earlier writes"""
        await add_user(load, db, "ada")
        crud, did = user_crud(load), 'create for "ada@example.com" beside "ada@example.com", inside begin_nested()'
        with expect.raising(IntegrityError, did=did, hint="do not catch the error", at=crud.create):
            async with db.begin_nested():
                endings.clear()
                await create(crud, db, sign_up(load), hashed_password="!")
        endings.none(did=did, at=crud.create, why="what the caller wrote before is gone, and nobody has asked it")
        expect.equal(
            await stored(db, "SELECT count(*) FROM users"),
            1,
            did=f"rows in the table after {did}",
            why="what the caller wrote before is gone, and nobody has asked it",
            hint="catch nothing and roll nothing back: the caller has its own SAVEPOINT",
            at=crud.create,
        )
        with broken_database(db) as broken:
            call = crud.create(db, sign_up(load, "bob"), hashed_password="!")
            await broken.passes(call, did="create(session, data)", at=crud.create)


# ---------------------------------------------------------------------------------------------------------------- 4.3


async def a_lamp(load, db):
    """Store and commit one item with all fields, and return it."""
    lamp = {"title": "Lamp", "description": "a lamp", "url": "https://example.com", "price": Decimal(20)}
    (row,) = await add_items(load, db, [lamp])
    await db.commit()
    return row


def fields_of(row):
    """Return what a client may change."""
    return {name: getattr(row, name) for name in ("title", "description", "url", "price")}


def item_update(load, **sent):
    """Return an ItemUpdate."""
    return load("items.schemas").ItemUpdate(**sent)


async def update(crud, db, row, data, **values):
    """Call update; values that the database cannot store are a wrong answer, with a reason."""
    try:
        return await crud.update(db, row, data, **values)
    except SQLAlchemyError as error:
        expect.known(
            error,
            [*NO_VALUE, ("NOT NULL", "what was not sent is no None to store: the schema knows which fields were sent")],
            did=f"update(session, row, {type(data).__name__}(...))",
            expected="what was sent is stored, and nothing else",
            why="a client that changes one thing loses another one, or its change",
            at=crud.update,
        )


def hint_on_fields(row, got, wanted):
    """Return what to change when a row has other values than it should."""
    strange = sorted(vars(row).keys() - inspect(type(row)).attrs.keys() - {"_sa_instance_state"})
    if strange:
        return (
            f"the row got an attribute `{strange[0]}`, which is no column: a name in quotes is that text, no variable"
        )
    lost = [name for name in wanted if got[name] is None and wanted[name] is not None]
    if lost:
        return f"{lost[0]} was not sent, and became None: the schema knows which fields were sent"
    return "each field that was sent is assigned to the attribute of its own name, on this row only"


@exercise("4.3")
class TestUpdate:
    async def test_only_what_was_sent(self, load, db, endings):
        """Fields that were sent are changed, the others keep their values"""
        row, crud = await a_lamp(load, db), item_crud(load)
        address = {"url": "https://example.com/lamp"}
        for sent in ({"price": "25"}, {"title": "Big lamp"}, {"title": "Big lamp", "price": "25"}, address, {}):
            await db.refresh(row)
            data = item_update(load, **sent)
            wanted = fields_of(row) | data.model_dump(exclude_unset=True)
            reason = {
                "did": f"update(session, lamp, ItemUpdate({', '.join(f'{k}={v!r}' for k, v in sent.items())}))",
                "why": "a client that changes one thing loses another one, or its change",
                "at": crud.update,
            }
            endings.clear()
            try:
                await update(crud, db, row, data)
            except IntegrityError as error:
                hint = "what was not sent is no None to store: the schema knows which fields were sent"
                got = f"it raised {said(error)}"
                raise expect.Wrong(got=got, expected="the other fields stay", hint=hint, **reason) from None
            endings.none(
                **reason | {"why": "what the caller wrote before is gone, or saved too early: nobody asked it"}
            )
            got = fields_of(row)
            expect.equal(got, wanted, hint=hint_on_fields(row, got, wanted), **reason)
            await db.rollback()

    async def test_nothing_else(self, load, db, snapshot):
        """Nothing else changes: no other row, and nothing at all when nothing was sent"""
        lamp, crud = await a_lamp(load, db), item_crud(load)
        await add_items(load, db, [{"title": "Pen"}], await add_user(load, db, "bob"))
        await db.commit()
        old = await snapshot(db)
        changed = [f"items/{lamp.id}/{name}" for name in ("title", "updated_at")]
        for sent, but in (({}, ()), ({"title": "Big lamp"}, changed)):
            did = f"update(session, lamp, ItemUpdate({', '.join(f'{k}={v!r}' for k, v in sent.items())}))"
            await update(crud, db, lamp, item_update(load, **sent))
            (await snapshot(db)).same(
                old,
                but=but,
                did=did,
                hint="change the row that you are given and no other one"
                if sent
                else "where nothing was sent there is nothing to write: setattr and a flush see that by themselves",
                why="a list of what is new would show rows that nobody has changed",
                at=crud.update,
            )

    async def test_null(self, load, db):
        """A null that was sent empties the field, and so does a None in values; False and 0 are values, too"""
        row, crud = await a_lamp(load, db), item_crud(load)
        await update(crud, db, row, item_update(load, description=None))
        expect.equal(
            row.description,
            None,
            did="the description after update(session, lamp, ItemUpdate(description=None))",
            why="an owner who deletes a text gets a 200, and the text is still there",
            hint="sent is not the same as not None: exclude_unset, not exclude_none and no `if value is not None`",
            at=crud.update,
        )
        await update(crud, db, row, item_update(load), url=None)
        expect.equal(
            row.url,
            None,
            did="the address after update(session, lamp, ItemUpdate(), url=None)",
            why="code that empties a column does nothing, and hears of no error",
            hint="values are set as they are: None is a value, too",
            at=crud.update,
        )
        bob = await add_user(load, db, "bob")
        await user_crud(load).update(db, bob, load("users.schemas").UserUpdate(), is_active=False)
        expect.equal(
            bob.is_active,
            False,
            did="is_active after update(session, bob, UserUpdate(), is_active=False)",
            why="who was switched off stays switched on, and nobody hears of an error",
            hint="values are set as they are: False is a value, too",
            at=crud.update,
        )

    async def test_written(self, load, db):
        """The change is in the database when update returns, and the row is returned"""
        row, crud = await a_lamp(load, db), item_crud(load)
        returned = await update(crud, db, row, item_update(load, title="Big lamp"))
        expect.equal(
            await stored(db, "SELECT title FROM items"),
            "Big lamp",
            did="the title in the table after update",
            why="the database's rules are checked at the flush; later nobody knows which write broke one",
            hint=hint_on_fields(row, {}, {}).partition("each field")[0]
            or FLUSH + ". Assign with setattr: the session does not see changes of row.__dict__",
            at=crud.update,
        )
        expect.that(
            returned is row,
            did="update(session, lamp, data)",
            got=kind(returned),
            expected="the row that was changed",
            why="the route answers with the changed row",
            hint="end with `return row`",
            at=crud.update,
        )

    async def test_not_committed(self, load, db):
        """`update` does not commit: after a rollback the old values are back"""
        row, crud = await a_lamp(load, db), item_crud(load)
        await update(crud, db, row, item_update(load, title="Big lamp"))
        expect.equal(
            await survives_rollback(db, "SELECT title FROM items"),
            "Lamp",
            did="the title in the table after update and session.rollback()",
            why=HALF,
            hint=NO_COMMIT,
            at=crud.update,
        )

    async def test_values(self, load, db):
        """What your code gives as values is set too, and wins over the client's field"""
        row, crud = await a_lamp(load, db), item_crud(load)
        await update(crud, db, row, item_update(load, title="Big", price="25"), price=Decimal(30))
        expect.equal(
            (row.title, row.price),
            ("Big", Decimal(30)),
            did="title and price after update(session, lamp, ItemUpdate(title='Big', price=25), price=30)",
            why="what your code decides, such as a new hash, must not depend on what a client sends",
            hint="unite both dicts, values last: `(sent | values).items()`",
            at=crud.update,
        )

    async def test_password(self, load, db):
        """A new password never reaches the row: its hash does"""
        user, crud = await add_user(load, db), user_crud(load)
        data = load("users.schemas").AdminUserUpdate(password="Better horse")
        await crud.update(db, user, data, hashed_password="a new hash")
        did = 'update(session, user, AdminUserUpdate(password=...), hashed_password="a new hash")'
        expect.equal(
            user.hashed_password,
            "a new hash",
            did=did,
            why="the old password would still open the account",
            hint="`**values` are columns too: set them beside the fields that were sent",
            at=crud.update,
        )
        expect.that(
            "password" not in vars(user),
            did=did,
            got="the row has an attribute password, in plain text",
            expected="only the hash is set",
            why="rows are logged, cached and shown; the password goes with them",
            hint="leave the unstored fields out: `exclude=self.unstored_fields`",
            at=crud.update,
        )

    async def test_unstored(self, load, db):
        """Each field in unstored_fields is left out, whatever its name"""
        base, row = load("db.crud").CRUDBase, await a_lamp(load, db)

        class Repair(BaseModel):
            title: str
            description: str

        class RepairCRUD(base):
            unstored_fields = {"description"}  # noqa: RUF012 - as a learner writes it

        crud = Face(RepairCRUD(type(row)))
        await crud.update(db, row, Repair(title="Big lamp", description="a new bulb"))
        expect.equal(
            (row.title, row.description),
            ("Big lamp", "a lamp"),
            did='title and description after update with unstored_fields = {"description"}',
            why="a class for every table must not know the field names of one of them",
            hint="use self.unstored_fields, as in create",
            at=crud.update,
        )

    async def test_the_caller_decides(self, load, db, endings, broken_database):
        """A refusal ends nothing: the caller decides what becomes of its earlier writes"""
        await add_user(load, db, "bob")
        eve, crud = await add_user(load, db, "eve"), user_crud(load)
        did = 'update(session, eve, UserUpdate(email="bob@example.com")) beside bob, inside begin_nested()'
        data = load("users.schemas").UserUpdate(email="bob@example.com")
        with expect.raising(IntegrityError, did=did, hint="do not catch the error", at=crud.update):
            async with db.begin_nested():
                endings.clear()
                await crud.update(db, eve, data)
        why = "what the caller wrote before is gone, and nobody has asked it"
        endings.none(did=did, at=crud.update, why=why)
        expect.equal(
            await stored(db, "SELECT count(*) FROM users"),
            2,
            did=f"rows in the table after {did}",
            why=why,
            hint="catch nothing and roll nothing back: the caller has its own SAVEPOINT",
            at=crud.update,
        )
        await db.refresh(eve)
        with broken_database(db) as broken:
            call = crud.update(db, eve, load("users.schemas").UserUpdate(email="fay@example.com"))
            await broken.passes(call, did="update(session, eve, data)", at=crud.update)

    async def test_duplicate(self, load, db):
        """An e-mail address that is taken raises IntegrityError in update"""
        await add_user(load, db, "bob")
        user, crud = await add_user(load, db, "eve"), user_crud(load)
        with expect.raising(
            IntegrityError,
            did='update(session, eve, UserUpdate(email="Bob@example.com")) beside bob@example.com',
            why="the error must rise here: later nobody knows which write it belongs to",
            hint="flush in update, and do not catch the error: the caller turns it into an answer",
            at=crud.update,
        ):
            await crud.update(db, user, load("users.schemas").UserUpdate(email="Bob@example.com"))


# ---------------------------------------------------------------------------------------------------------------- 4.4


@exercise("4.4")
class TestDeleteAndCount:
    async def test_delete(self, load, db):
        """`delete` removes the row from the table at once, and no other"""
        _, row, _ = await add_items(load, db, [{"title": "a"}, {"title": "b"}, {"title": "c"}])
        await db.commit()
        crud = items_of(load)
        await crud.delete(db, row)
        left = await stored(db, "SELECT group_concat(title) FROM (SELECT title FROM items ORDER BY id)")
        expect.equal(
            left,
            "a,c",
            did="the titles in the table after delete of b, of a, b, c",
            why="the client hears 204, and the row is still there; an error would come too late to be told",
            hint="`await session.delete(row)` only marks the row; `await session.flush()` sends the DELETE",
            at=crud.delete,
        )

    async def test_delete_is_not_committed(self, load, db):
        """`delete` does not commit: after a rollback the row is back"""
        (row,) = await add_items(load, db, [{}])
        await db.commit()
        crud = items_of(load)
        await crud.delete(db, row)
        expect.equal(
            await survives_rollback(db, "SELECT count(*) FROM items"),
            1,
            did="rows in the table after delete and session.rollback()",
            why="a delete that belongs to a failed request stays, and nothing brings the row back",
            hint=NO_COMMIT,
            at=crud.delete,
        )

    async def test_count_all_pages(self, load, db):
        """`count` counts the rows of all pages, as an int"""
        crud = items_of(load)
        reason = {
            "why": "a reader is told a wrong number of pages, and never sees the last ones",
            "hint": "count before you cut: the inner select has no limit and no offset",
            "at": crud.count,
        }
        expect.equal(await crud.count(db), 0, did="count(session) of an empty table", **reason)
        await add_items(load, db, [{} for _ in range(105)])
        expect.equal(await crud.count(db), 105, did="count(session) with 105 rows", **reason)

    async def test_count_where(self, load, db):
        """`count` counts the rows that fit every condition"""
        await add_items(load, db, [{"price": 1}, {"price": 5}, {"price": 5, "title": "Cup"}])
        crud, item = items_of(load), load("items.models").Item
        for where, wanted in (([item.price > 2], 2), ((item.price > 2, item.title == "Cup"), 1), ([item.price > 9], 0)):
            expect.equal(
                await crud.count(db, where=where),
                wanted,
                did=f"count(session, where=[{len(where)} condition(s)])",
                why="the total under a search would be that of the whole table",
                hint="`self.query().where(*where)`, as in get_multi",
                at=crud.count,
            )

    async def test_count_hides(self, load, db):
        """`count` leaves out the rows that query hides"""
        await add_items(load, db, [{}, {"title": "hidden"}, {}])
        crud = hiding(load)
        expect.equal(
            await crud.count(db),
            2,
            did="count(session) with three rows, one of them hidden by query",
            why="the total would tell of deleted users, and the last page would be short",
            hint="begin with `self.query()`, not with the table or select(self.model)",
            at=crud.count,
        )

    async def test_the_database_counts(self, load, db, loaded):
        """The database counts: no row is loaded, and its answer is one number"""
        await add_items(load, db, [{} for _ in range(5)])
        db.expunge_all()
        crud, asked = items_of(load), []

        def note(_connection, _cursor, statement, values, *_rest):
            asked.append((statement, values))

        engine = db.bind.sync_engine
        event.listen(engine, "before_cursor_execute", note)
        await crud.count(db)
        event.remove(engine, "before_cursor_execute", note)
        connection, most = await db.connection(), 0
        for statement, values in asked:
            sent = f"SELECT count(*) FROM ({statement})"
            most = max(most, (await connection.exec_driver_sql(sent, values)).scalar())
        expect.that(
            not loaded and most <= 1,
            did="count(session) with 5 rows in the table: what the database sends back",
            got=f"{max(most, len(loaded))} rows",
            expected="one row, with one number",
            why="counting a large table this way takes seconds and all your memory",
            hint="let SQL count: `select(func.count()).select_from(...)`",
            at=crud.count,
        )

    async def test_counted_anew(self, load, db):
        """Each call counts anew, for its own table"""
        ada = await add_user(load, db)
        (pen, _) = await add_items(load, db, [{}, {}], ada)
        crud, users = items_of(load), Face(load("db.crud").CRUDBase(load("users.models").User))
        found = [await crud.count(db), await users.count(db)]
        await db.delete(pen)
        await db.flush()
        found += [await crud.count(db), await users.count(db)]
        expect.equal(
            found,
            [2, 1, 1, 1],
            did="count of two items, of one user, and again after one item was deleted",
            why="people would read yesterday's total, or that of another table",
            hint="keep no number: ask each time, by self.query()",
            at=crud.count,
        )

    async def test_the_caller_decides(self, load, db, endings, broken_database):
        """Both commit nothing, roll nothing back, and let an error of the database pass"""
        (row,) = await add_items(load, db, [{}])
        await db.commit()
        crud = items_of(load)
        await is_left_alone(db, endings, broken_database, lambda: crud.count(db), "count(session)", crud.count)
        await db.rollback()
        await db.refresh(row)
        with broken_database(db, "delete") as broken:
            await broken.passes(crud.delete(db, row), did="delete(session, row)", at=crud.delete)
        await db.rollback()
        await db.refresh(row)
        endings.clear()
        await crud.delete(db, row)
        endings.none(did="delete(session, row)", at=crud.delete)


# ---------------------------------------------------------------------------------------------------------------- 4.5


async def two_users(load, db):
    """Store and commit Ada and Bob; delete Ada softly."""
    ada, bob = [await add_user(load, db, name, created_at=datetime(2020, 1, 1, tzinfo=UTC)) for name in ("ada", "bob")]
    await db.commit()
    crud, times = user_crud(load), []

    def note(_user, value, *_):
        times.append(value)

    event.listen(type(ada).deleted_at, "set", note)
    try:
        await crud.soft_delete(db, ada)
    except SQLAlchemyError:
        is_a_time(times, crud)
        raise
    finally:
        event.remove(type(ada).deleted_at, "set", note)
    return ada, bob, crud


def is_a_time(times, crud):
    """Expect that the newest value of deleted_at is an aware time."""
    if not times or getattr(times[-1], "tzinfo", None) is not None:
        return
    got, hint = f"the value {expect.shown(times[-1])}", "deleted_at holds the present time: call utc_now"
    if callable(times[-1]):
        name = getattr(times[-1], "__name__", "a function")
        got, hint = f"the function {name} itself", f"without brackets nothing is called: write `{name}()`"
    elif isinstance(times[-1], datetime):
        got, hint = "a naive time: it has no time zone", "use utc_now(), which is aware; datetime.now() alone is not"
    raise expect.Wrong(
        did="soft_delete(session, ada), the value of deleted_at",
        got=got,
        expected="the present time, aware, in UTC",
        why="each try to delete a user would be a 500",
        hint=hint,
        at=crud.soft_delete,
    ) from None


@exercise("4.5")
class TestSoftDelete:
    async def test_row_stays(self, load, db):
        """The row stays in the table, with the time of its deletion in UTC, and inactive"""
        before = datetime.now(UTC)
        ada, bob, crud = await two_users(load, db)
        reason = {"did": "soft_delete(session, ada)", "at": crud.soft_delete}
        expect.equal(
            await stored(db, "SELECT count(*) FROM users"),
            2,
            why="the items of the user go with the row, and the address is free for a stranger",
            hint="set user.deleted_at; do not delete the row",
            **reason,
        )
        found = await stored(db, "SELECT deleted_at FROM users WHERE id = 1")
        expect.that(
            found is not None or ada.deleted_at is not None,
            got="deleted_at was never set",
            expected="the time of the deletion",
            why="the user is not deleted at all",
            hint="assign the present time to user.deleted_at: one `=` assigns, `==` only compares",
            **reason,
        )
        expect.that(
            found is not None,
            got="deleted_at is NULL in the table",
            expected="the time of the deletion",
            why="the user is not deleted at all",
            hint=FLUSH,
            **reason,
        )
        expect.that(
            before - timedelta(seconds=1) <= ada.deleted_at <= datetime.now(UTC) + timedelta(seconds=1),
            got=f"deleted_at is {ada.deleted_at}",
            expected="the present time, in UTC",
            why="nobody could say when the user left",
            hint="utc_now() gives the present time",
            **reason,
        )
        await asyncio.sleep(0.05)
        await crud.soft_delete(db, bob)
        expect.that(
            ada.deleted_at != bob.deleted_at,
            did="soft_delete(session, ada), and later soft_delete(session, bob)",
            got="both have the same time",
            expected="each has the time of its own deletion",
            why="everybody would have left when the server was started",
            hint="call utc_now() inside soft_delete, each time: a default of a parameter is worked out once",
            at=crud.soft_delete,
        )

    async def test_inactive(self, load, db):
        """The deleted user is inactive, in the table too"""
        ada, _, crud = await two_users(load, db)
        reason = {
            "expected": "is_active is False",
            "why": "a session that is still open would go on working",
            "at": crud.soft_delete,
        }
        expect.that(
            ada.is_active is False,
            did="soft_delete(session, ada), user.is_active",
            got=expect.shown(ada.is_active),
            hint="is_active is never assigned: one `=` assigns, `==` only compares",
            **reason,
        )
        expect.equal(
            await stored(db, "SELECT is_active FROM users WHERE id = 1"),
            0,
            did="soft_delete(session, ada), the column is_active in the table",
            hint="both columns are assigned before the flush: what comes after it is not sent",
            **{name: text for name, text in reason.items() if name != "expected"},
        )

    async def test_nothing_else(self, load, db, snapshot):
        """Nothing else changes: neither the user's items nor anything of other users"""
        rights = {"role": load("users.schemas").Role.ADMIN, "is_superuser": True}
        ada = await add_user(load, db, "ada", full_name="Ada Lovelace", hashed_password="a hash", **rights)
        await add_items(load, db, [{}, {}], ada)
        await add_items(load, db, [{}], await add_user(load, db, "bob"))
        await db.commit()
        before, crud = await snapshot(db), user_crud(load)
        await crud.soft_delete(db, ada)
        (await snapshot(db)).same(
            before,
            but=[f"users/1/{name}" for name in ("deleted_at", "is_active", "updated_at")],
            did="soft_delete(session, ada), an admin who has two items",
            why="a deletion that shall be taken back could not be, and what others see is changed",
            hint="assign deleted_at and is_active of this user, and nothing more",
            at=crud.soft_delete,
        )

    async def test_every_user(self, load, db):
        """Whoever it is: an admin and an inactive user are deleted and hidden, too"""
        crud, role = user_crud(load), load("users.schemas").Role.ADMIN
        for name, columns in (
            ("root", {"role": role}),
            ("boss", {"is_superuser": True}),
            ("off", {"is_active": False}),
        ):
            user = await add_user(load, db, name, **columns)
            await crud.soft_delete(db, user)
            found = await crud.get(db, user.id)
            is_none(
                found,
                f"get after soft_delete of a user with {', '.join(columns)}",
                why="who has left would still be there, with all rights",
                hint="deleted_at alone decides, and it is set for everybody",
                at=crud.soft_delete if user.deleted_at is None else crud.query,
            )

    async def test_others_stay(self, load, db):
        """Users that are not deleted are still found, and still active"""
        _, bob, crud = await two_users(load, db)
        db.expunge_all()
        found = await crud.get(db, bob.id)
        expect.that(
            found is not None,
            did="get of a user who is not deleted",
            got="None",
            expected="the user",
            why="nobody is found any more",
            hint="`is` compares in Python, at once; write `User.deleted_at.is_(None)`",
            at=crud.query,
        )
        expect.equal(
            (found.is_active, found.deleted_at),
            (True, None),
            did="is_active and deleted_at of a user who is not deleted",
            why="a person who did nothing is locked out",
            hint="change only the user that you are given",
            at=crud.soft_delete,
        )

    async def test_hidden(self, load, db):
        """`get`, `get_multi` and `count` no longer know the deleted user"""
        ada, bob, crud = await two_users(load, db)
        ada_id, bob_id = ada.id, bob.id
        db.expunge_all()
        reason = {
            "why": "a deleted person still appears in lists and can be read, changed and signed in",
            "hint": "override query once; every read of CRUDBase begins with it",
            "at": crud.query,
        }
        is_none(await crud.get(db, ada_id), "get of a deleted user", **reason)
        expect.equal(await ids_on_page(crud, db), [bob_id], did="get_multi beside a deleted user", **reason)
        expect.equal(await crud.count(db), 1, did="count of one user and a deleted one", **reason)
        strange = await ids_on_page(crud, db, where=[load("users.models").User.username == "ada"])
        expect.equal(strange, [], did='get_multi with where "the name is ada"', **reason)

    async def test_inactive_is_not_deleted(self, load, db):
        """A user who is only inactive is still found"""
        bob = await add_user(load, db, "bob", is_active=False)
        crud = user_crud(load)
        expect.that(
            await crud.get(db, bob.id) is not None,
            did="get of an inactive user who is not deleted",
            got="None",
            expected="the user",
            why="an admin who switches a user off could never switch that user on again",
            hint="hide by deleted_at alone",
            at=crud.query,
        )

    async def test_address_stays_taken(self, load, db):
        """The e-mail address and the user name stay taken"""
        ada, _, crud = await two_users(load, db)
        expect.equal(
            (ada.email, ada.username),
            ("ada@example.com", "ada"),
            did="e-mail address and user name after soft_delete",
            why="a stranger could sign up with them, and receive what is meant for the old owner",
            hint="change deleted_at and is_active, nothing else",
            at=crud.soft_delete,
        )
        await db.commit()
        for name, taken in (("email", "ada@example.com"), ("username", "ada")):
            with expect.raising(
                IntegrityError,
                did=f"create with the {name} of a deleted user",
                why="a stranger could take the place of the old owner",
                hint="keep the row: the unique index does the rest",
                at=crud.soft_delete,
            ):
                await crud.create(db, sign_up(load, "eve", **{name: taken}), hashed_password="!")
            await db.rollback()

    async def test_not_committed(self, load, db):
        """`soft_delete` does not commit: after a rollback the user is back"""
        _, _, crud = await two_users(load, db)
        expect.equal(
            await survives_rollback(db, "SELECT count(*) FROM users WHERE deleted_at IS NULL"),
            2,
            did="users that are not deleted, after soft_delete and session.rollback()",
            why=HALF.replace("half of a sign-up is stored", "the user is gone although the request failed"),
            hint=NO_COMMIT,
            at=crud.soft_delete,
        )

    async def test_the_caller_decides(self, load, db, endings, broken_database):
        """`soft_delete` rolls nothing back, and lets an error of the database pass"""
        ada, crud = await add_user(load, db), user_crud(load)
        await db.commit()
        with broken_database(db, "update") as broken:
            await broken.passes(crud.soft_delete(db, ada), did="soft_delete(session, ada)", at=crud.soft_delete)
        endings.none(did="soft_delete(session, ada), while the database fails", at=crud.soft_delete)


# ---------------------------------------------------------------------------------------------------------------- 4.6


async def by_email(load, db, email):
    """Call get_by_email, and return the name of the user that it finds, or None."""
    crud = user_crud(load)
    did = f'get_by_email(session, "{email}")'
    try:
        found = await crud.get_by_email(db, email)
    except SQLAlchemyError as error:
        raise expect.Wrong(
            did=did,
            got=f"it raised {said(error)}",
            expected="the user or None",
            why="this would be a 500 at the login form",
            hint="compare with `User.email == ...`, which sends a parameter; session.scalar gives None for no row",
            at=crud.get_by_email,
        ) from None
    if found is None:
        return None
    return is_row(found, load("users.models").User, did, crud.get_by_email).username


@exercise("4.6")
class TestByEmail:
    async def test_found(self, load, db):
        """The user with the address is found, an unknown address gives None"""
        await add_user(load, db, "ada")
        await add_user(load, db, "bob")
        for email, wanted in (("bob@example.com", "bob"), ("ada@example.com", "ada"), ("eve@example.com", None)):
            expect.equal(
                await by_email(load, db, email),
                wanted,
                did=f'get_by_email(session, "{email}")',
                why="a person signs in as somebody else, or not at all",
                hint="compare the column with the address: `User.email == ...`",
                at=user_crud(load).get_by_email,
            )

    async def test_spelling(self, load, db):
        """Capital letters and spaces around the address do not matter: B@x is b@x"""
        await add_user(load, db, "bob")
        await add_user(load, db, "white", email="weiß@example.com")
        for email, wanted in (
            ("Bob@Example.COM", "bob"),
            (" bob@example.com ", "bob"),
            ("bob@example.com\n", "bob"),
            ("\t bob@example.com\r\n", "bob"),
            ("Weiß@example.com", "white"),
        ):
            expect.equal(
                await by_email(load, db, email),
                wanted,
                did=f"get_by_email(session, {email!r})",
                why="a telephone writes a capital letter or a space, and its owner cannot sign in",
                hint="fold the question as the model folds what it stores, and take away what stands around it; "
                "a string itself never changes, its methods return another one",
                at=user_crud(load).get_by_email,
            )

    async def test_another_address(self, load, db):
        """Another address is another person: a blank, a dot or a word behind a plus inside it counts"""
        for name in ("bob", "eve+shop", "d.ot"):
            await add_user(load, db, name)
        await add_user(load, db, "two", email="two words@example.com")
        for email, wanted in (
            ("b ob@example.com", None),
            ("bob@ example.com", None),
            ("bob+shop@example.com", None),
            ("b.ob@example.com", None),
            ("eve+shop@example.com", "eve+shop"),
            ("eve@example.com", None),
            ("d.ot@example.com", "d.ot"),
            ("dot@example.com", None),
            ("two words@example.com", "two"),
            ("bob@example.com.", None),
            ("bob", None),
            ("", None),
        ):
            expect.equal(
                await by_email(load, db, email),
                wanted,
                did=f"get_by_email(session, {email!r})",
                why="mail and sign-ins of one person reach another one",
                hint="bob is a user name, and no address: compare the column email, and no other one"
                if email == "bob"
                else "tidy only what stands around the address, and the case: what is inside belongs to it",
                at=user_crud(load).get_by_email,
            )

    async def test_of_now(self, load, db):
        """The address of now counts, of an inactive user too"""
        ada = await add_user(load, db, "ada", is_active=False)
        await by_email(load, db, "ada@example.com")
        ada.email = "new@example.com"
        await db.flush()
        for email, wanted in (("new@example.com", "ada"), ("ada@example.com", None)):
            expect.equal(
                await by_email(load, db, email),
                wanted,
                did=f'get_by_email(session, "{email}") after an inactive user changed ada@… to new@…',
                why="an old address would open the account, or an admin could not find who is switched off",
                hint="ask the database each time; deleted users are hidden, inactive ones are not",
                at=user_crud(load).get_by_email,
            )

    async def test_only_reads(self, load, db, endings, broken_database):
        """Nothing is committed or rolled back, and an error of the database passes"""
        crud = user_crud(load)

        def call():
            return crud.get_by_email(db, "ada@example.com")

        await is_left_alone(db, endings, broken_database, call, "get_by_email(session, email)", crud.get_by_email)

    async def test_no_pattern(self, load, db):
        """% and _ are plain characters: they never stand for others"""
        await add_user(load, db, "axb")
        for email in ("a_b@example.com", "%", "%@example.com", "a%"):
            expect.equal(
                await by_email(load, db, email),
                None,
                did=f'get_by_email(session, "{email}") with axb@example.com stored',
                why="somebody signs in and is somebody else",
                hint="like and ilike compare with a pattern; compare with == and fold the case in Python",
                at=user_crud(load).get_by_email,
            )

    async def test_no_sql(self, load, db):
        """A text with a quote is an address like any other"""
        await add_user(load, db, "bob")
        await add_user(load, db, "o'neil")
        for email, wanted in (("x' OR '1'='1", None), ("' OR 1=1 --", None), ("o'neil@example.com", "o'neil")):
            expect.equal(
                await by_email(load, db, email),
                wanted,
                did=f'get_by_email(session, "{email}")',
                why="a stranger's text becomes a command to your database: anybody signs in as the first user",
                hint="no f-string and no text(): `User.email == ...` sends the value as a parameter",
                at=user_crud(load).get_by_email,
            )

    async def test_deleted(self, load, db):
        """A deleted user is not found"""
        await add_user(load, db, "ada", deleted_at=datetime.now(UTC))
        expect.equal(
            await by_email(load, db, "ada@example.com"),
            None,
            did="get_by_email with the address of a deleted user",
            why="a deleted person could sign in",
            hint="begin with `self.query()`, which hides deleted users",
            at=user_crud(load).get_by_email,
        )


# ---------------------------------------------------------------------------------------------------------------- 4.7


async def items_of_many(load, db, number):
    """Store and commit one item for each of a number of users; forget the objects."""
    for at in range(number):
        owner = await add_user(load, db, f"user{at}")
        await add_items(load, db, [{"title": f"of user{at}"}], owner)
    await db.commit()
    db.expunge_all()


LIST_OF_OPTIONS = "`options` is a list, also for one option: put square brackets around it"
NO_OPTION = [
    ("'coroutine' object", AWAIT),
    ("must be an iterable, not Load", LIST_OF_OPTIONS),
    ("'Load' object is not iterable", LIST_OF_OPTIONS),
    ("positional argument", "behind the session, get_multi takes arguments by name only: skip=, limit=, options="),
    ("ExecutionOption Core or ORM object expected, got [", "`.options(...)` takes no list: unpack it with a star"),
    ("ExecutionOption", "an option says how the relationship is loaded: hand it to selectinload, inside the list"),
    ("Strings are not accepted", "name the relationship by its class, without quotes: Item.owner"),
    ("WHERE/HAVING", "`where` is for conditions: an option that loads belongs into `options`"),
    ("unexpected keyword argument", "compare the names with the parameters of get_multi in 4.1"),
]


async def with_owner(load, db, **wanted):
    """Call get_multi_with_owner, and return its items."""
    crud = item_crud(load)
    did = "get_multi_with_owner(session)"
    try:
        found = await crud.get_multi_with_owner(db, **wanted)
    except (ArgumentError, TypeError) as error:
        expect.known(
            error,
            NO_OPTION,
            did=did,
            expected="a list of items with their owners",
            why="the page of items would be a 500",
            at=crud.get_multi_with_owner,
        )
    except (InvalidRequestError, MissingGreenlet, OverflowError) as error:
        raise expect.Wrong(
            did=did,
            got=f"it raised {said(error)}",
            expected="a list of items with their owners",
            why="the page of items would be a 500",
            hint="hand a loading option for Item.owner to self.get_multi, which keeps the bounds; no loop",
            at=crud.get_multi_with_owner,
        ) from None
    is_rows(found, crud.model, did, crud.get_multi_with_owner)
    return found


def owner_of(load, item):
    """Return the owner of an item; one that is not loaded is a wrong answer."""
    try:
        return item.owner
    except (InvalidRequestError, MissingGreenlet) as error:
        raise expect.Wrong(
            did="item.owner, after get_multi_with_owner(session)",
            got=f"it raised {said(error)}",
            expected="the owner",
            why="lazy loading is off: the page of items would be a 500",
            hint="load the owner with the query: get_multi takes a list of loading options",
            at=item_crud(load).get_multi_with_owner,
        ) from None


@exercise("4.7")
class TestWithOwner:
    async def test_owners(self, load, db):
        """Each item has its own owner loaded"""
        await items_of_many(load, db, 3)
        crud = item_crud(load)
        reason = {
            "did": "item.owner, after get_multi_with_owner(session)",
            "why": "lazy loading is off: the page of items would be a 500",
            "hint": "load the owner with the query: get_multi takes a list of loading options",
            "at": crud.get_multi_with_owner,
        }
        for item in await with_owner(load, db):
            try:
                name = item.owner.username
            except (InvalidRequestError, MissingGreenlet) as error:
                raise expect.Wrong(got=f"it raised {said(error)}", expected="the owner", **reason) from None
            expect.equal(f"of {name}", item.title, **reason)

    async def test_statements(self, load, db, statements):
        """Ten items of ten owners take at most two statements, and so do thirty"""
        await items_of_many(load, db, 30)
        for limit in (10, 30):
            db.expunge_all()
            statements.clear()
            await with_owner(load, db, limit=limit)
            expect.that(
                len(statements) <= 2,
                did=f"get_multi_with_owner(session, limit={limit}) for {limit} items of {limit} owners",
                got=f"{len(statements)} SQL statements",
                expected="at most 2, however many items there are",
                why="N+1: each row costs a way to the database, so a page of 100 takes 101 of them",
                hint="ask for the owners with the list, by selectinload or joinedload; no query in a loop",
                at=item_crud(load).get_multi_with_owner,
            )

    async def test_of_this_session(self, load, sessions):
        """The owners are those of now, and belong to the session of the call"""
        async with sessions() as first:
            await items_of_many(load, first, 2)
            await with_owner(load, first)
            (await first.get(load("users.models").User, 1)).username = "renamed"
            await first.commit()
        async with sessions() as second:
            found = [owner_of(load, item) for item in await with_owner(load, second)]
            expect.that(
                [one.username for one in found] == ["renamed", "user1"] and all(one in second for one in found),
                did="get_multi_with_owner in one session, a user changes the name, and again in another session",
                got=f"the names {', '.join(one.username for one in found)}, "
                + ("of this session" if all(one in second for one in found) else "of a session that is closed"),
                expected="the names renamed, user1, of this session",
                why="people would see old names, and an owner of an earlier request cannot be changed",
                hint="keep nothing between two calls: the query brings the owners along",
                at=item_crud(load).get_multi_with_owner,
            )

    async def test_all_items(self, load, db):
        """Every item is on the page, also several of one owner, and those of a deleted or an inactive one"""
        ada, off = await add_user(load, db), await add_user(load, db, "off", is_active=False)
        gone = await add_user(load, db, "gone", deleted_at=datetime.now(UTC))
        for owner in (ada, gone, ada, off):
            await add_items(load, db, [{}], owner)
        await db.commit()
        db.expunge_all()
        found = [(item.id, owner_of(load, item).username) for item in await with_owner(load, db)]
        expect.equal(
            found,
            [(1, "ada"), (2, "gone"), (3, "ada"), (4, "off")],
            did="ids and owners of get_multi_with_owner(session), the owner of item 2 is deleted, of item 4 inactive",
            why="the page would have other items than get_multi and than count says",
            hint="an option loads what belongs to a row, and leaves out no row; a join with a condition does",
            at=item_crud(load).get_multi_with_owner,
        )

    async def test_only_reads(self, load, db, endings, broken_database):
        """Nothing is committed or rolled back, and an error of the database passes"""
        crud = item_crud(load)
        did, at = "get_multi_with_owner(session)", crud.get_multi_with_owner
        await is_left_alone(db, endings, broken_database, lambda: crud.get_multi_with_owner(db), did, at)

    async def test_page(self, load, db):
        """`skip` and `limit` are handed on, and the order is by id"""
        await items_of_many(load, db, 22)
        crud = item_crud(load)
        await db.execute(text("PRAGMA reverse_unordered_selects = ON"))
        reason = {
            "why": "the list would begin anew on each page, or never end",
            "hint": "call `self.get_multi(session, skip=skip, limit=limit, options=...)`",
            "at": crud.get_multi_with_owner,
        }
        for wanted, ids in (({}, [*range(1, 21)]), ({"skip": 3, "limit": 2}, [4, 5]), ({"skip": 20}, [21, 22])):
            found = [item.id for item in await with_owner(load, db, **wanted)]
            expect.equal(found, ids, did=f"the ids of get_multi_with_owner(session, {wanted})", **reason)

    async def test_bounds(self, load, db):
        """The bounds of get_multi hold here too"""
        await add_items(load, db, [{} for _ in range(105)])
        crud, most = item_crud(load), load("db.crud").MAX_LIMIT
        for limit, size in ((HUGE, most), (10**6, most), (-1, 0)):
            expect.equal(
                len(await with_owner(load, db, limit=limit)),
                size,
                did=f"the number of items of get_multi_with_owner(session, limit={limit}), with 105 in the table",
                why="one request could make your process load the whole table",
                hint="do not write the query anew: self.get_multi keeps the bounds",
                at=crud.get_multi_with_owner,
            )
        for skip, ids in ((100, [101, 102, 103]), (-1, [1, 2, 3]), (HUGE, [])):
            expect.equal(
                [item.id for item in await with_owner(load, db, skip=skip, limit=3)],
                ids,
                did=f"the ids of get_multi_with_owner(session, skip={skip}, limit=3), with 105 in the table",
                why="the list would end before its last page, or begin anew on one of them",
                hint="hand skip on as it came: self.get_multi leaves the rows out, and keeps the bounds",
                at=crud.get_multi_with_owner,
            )


# ---------------------------------------------------------------------------------------------------------------- 4.8

PYTHONS_OR = "Python's `or`, `and` and `any` decide at once. Unite the conditions with `or_`, or with `|` and brackets"
NO_CONDITION = [
    ("Boolean value of this clause is not defined", PYTHONS_OR),
    ("WHERE/HAVING role expected, got [", "`or_` takes no list: unpack it with a star"),
]


def asked_columns(condition):
    """Return the names of the columns that a condition asks."""
    return {one.name for one in visitors.iterate(condition) if one.__visit_name__ == "column"}


def hint_on(condition):
    """Return what to change in a condition that does not find everybody."""
    asked, wanted = asked_columns(condition), ("email", "username", "full_name")
    found = [name for name in wanted if name in asked]
    if len(found) == 1:
        return f"the condition asks {found[0]} alone (Python's `or` keeps one side only): unite all with `or_` or `|`"
    missing = [name for name in wanted if name not in asked]
    lacks = f"; {' and '.join(missing)} is not asked" if missing else ""
    return f"or_ unites three conditions, each asks whether its column contains the text{lacks}"


async def found_by(load, db, q):
    """Search users, and return the names of those who match."""
    crud = user_crud(load)
    did = f'user_crud.matches("{q}")'
    reason = {
        "did": "user_crud.matches(text)",
        "expected": "a condition for where=[...]",
        "why": "get_multi and count both need it: the page and its total",
        "at": crud.matches,
    }
    try:
        condition = crud.matches(q)
    except (ArgumentError, TypeError) as error:
        expect.known(error, NO_CONDITION, **reason)
    expect.that(
        hasattr(condition, "self_group"),
        got=kind(condition),
        hint="unite the conditions of the list: `or_`, with a star in front of the list"
        if isinstance(condition, list | tuple)
        else "return the condition itself: `or_(...)`; no await, no session, no select",
        **reason,
    )
    try:
        found = await crud.get_multi(db, where=[condition])
        total = await crud.count(db, where=[condition])
    except SQLAlchemyError as error:
        raise expect.Wrong(
            did=did,
            got=f"it raised {said(error)}",
            expected="a condition that the database can answer",
            why="a search for a quote would be a 500, and worse: the text is read as SQL",
            hint="no f-string and no text(): a column's icontains sends the value as a parameter",
            at=crud.matches,
        ) from None
    expect.equal(
        total,
        len(found),
        did=f"count with {did}, beside get_multi",
        why="the total under a search would not fit what the search shows",
        hint="the condition must give the same answer at each query",
        at=crud.matches,
    )
    return [user.username for user in found]


async def expect_found(load, db, cases, *, more="", fewer="", hint="", beside=""):
    """Expect the names of the users that a search finds.

    Args:
        cases: each text, and the names.
        more: why it matters that nobody else is found.
        fewer: why it matters that all of them are found.
        hint: what to change, when the condition asks all three columns.
        beside: what is special about the table, in words.
    """
    for q, wanted in cases:
        found = await found_by(load, db, q)
        too_many = not set(found) <= set(wanted)
        condition = user_crud(load).matches(q)
        asked = asked_columns(condition)
        complete = not asked or asked >= {"email", "username", "full_name"}
        expect.equal(
            found,
            wanted,
            did=f'users found by matches("{q}"){beside}',
            why=more if too_many else fewer,
            hint=hint if complete and hint else hint_on(condition),
            at=user_crud(load).matches,
        )


@exercise("4.8")
class TestSearch:
    @pytest.fixture
    async def people(self, load, db):
        """Six users."""
        await add_user(load, db, "ada", full_name="Ada Lovelace")
        await add_user(load, db, "bob", full_name="100 % Bob", email="robert@mail.example")
        await add_user(load, db, "c_d", full_name=None)
        await add_user(load, db, "eve", full_name="Eve O'Neil")
        await add_user(load, db, "zoe", full_name=None, email="first@mail.example", is_active=False)
        await add_user(load, db, "tim", full_name="Ends \\ with % it", email="second@mail.example")

    async def test_columns(self, load, db, people):
        """The text is looked for in the e-mail address, the user name and the full name, and nowhere else"""
        await expect_found(
            load,
            db,
            [
                *(("robert", ["bob"]), ("d@ex", ["c_d"]), ("lace", ["ada"]), ("zzz", []), ("a L", ["ada"])),
                *(("zo", ["zoe"]), ("FIRST@mail", ["zoe"]), ("Lovelace Ada", []), ("!", [])),
            ],
            more="an admin who looks for one person is shown others",
            fewer="an admin does not find a person who is there",
        )

    async def test_one_column_at_a_time(self, load, db, people):
        """The text stands in one of the three: what begins in one and ends in another is no match"""
        email, name, full = "ada@example.com", "ada", "Ada Lovelace"
        pairs = [(email, name), (name, email), (name, full), (full, name), (email, full), (full, email)]
        await expect_found(
            load,
            db,
            [(f"{one[-3:]}{border}{two[:3]}", []) for one, two in pairs for border in ("", " ", ",")],
            more="an admin who looks for one person is shown others, by a text that stands nowhere",
            hint="ask each column by itself, and unite the conditions: texts that are put together run into each other",
        )

    async def test_case(self, load, db, people):
        """Case does not matter, on PostgreSQL neither, where LIKE is strict"""
        await db.execute(text("PRAGMA case_sensitive_like = ON"))
        await expect_found(
            load,
            db,
            [("LOVE", ["ada"]), ("ROBERT", ["bob"]), ("EVE", ["eve"]), ("love", ["ada"])],
            beside=", with a LIKE that minds the case as PostgreSQL's does",
            more="an admin who looks for one person is shown others",
            fewer="it works on your machine and not where the users are",
            hint="use icontains, not contains or like",
        )

    async def test_no_sql(self, load, db, people):
        """A quote is a character like all others"""
        await expect_found(
            load,
            db,
            [("O'N", ["eve"]), ("' OR '1'='1", []), ("zzz%' OR 1=1 --", [])],
            more="a stranger's text becomes a command to your database",
            fewer="nobody could find a person whose name has a quote in it",
            hint="no f-string and no text(): a column's icontains sends the value as a parameter",
        )

    async def test_wildcards(self, load, db, people):
        """% and _ are characters like all others"""
        await expect_found(
            load,
            db,
            [("%", ["bob", "tim"]), ("_", ["c_d"]), ("0 %", ["bob"]), ("a%l", []), ("/", [])],
            more="a search for 100 % finds everybody",
            fewer="nobody could search for a text with these characters",
            hint="`icontains` has the option autoescape, which makes % and _ plain",
        )

    async def test_backslash(self, load, db, people):
        """A backslash is a character like all others, alone and before % or _"""
        await expect_found(
            load,
            db,
            [("\\", ["tim"]), ("s \\ w", ["tim"]), ("\\%", []), ("\\_", []), ("w\\", [])],
            more="a text that nobody has is found",
            fewer="nobody could search for a text with this character",
            hint="a pattern made by hand must escape its escape character too, and first; autoescape does all of it",
        )

    async def test_signs(self, load, db):
        """Every other sign is a character like all others: / ! # ^ | ~ $ @ and their like"""
        await add_user(load, db, "ada", full_name="Ada 100%")
        await add_user(load, db, "sig", full_name='/ ! # ^ | ~ $ & * + = ? : ; , < > ( ) [ ] { } ` " a@b all_of_them')
        await expect_found(
            load,
            db,
            [*((sign, ["sig"]) for sign in '/!#^|~$&*+=?:;,<>()[]{}`"'), ("@", ["ada", "sig"]), ("a@b", ["sig"])],
            beside=", beside a full name that has every sign in it",
            more="a text that nobody has is found",
            fewer="nobody could search for a text with this character",
            hint="a pattern made by hand must escape its escape character too, and first; autoescape does all of it",
        )

    async def test_deleted(self, load, db, people):
        """Deleted users are not found"""
        await add_user(load, db, "adam", deleted_at=datetime.now(UTC))
        await expect_found(
            load,
            db,
            [("ada", ["ada"])],
            beside=", beside a deleted adam",
            more="a deleted person comes back through the search",
            fewer="an admin does not find a person who is there",
            hint="return a condition only; get_multi adds it to the query that hides deleted users",
        )
