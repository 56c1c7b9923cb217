"""Checks of chapter 04, reading: a row by its id, and pages."""

from sqlalchemy import inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import defer, selectinload

from course_checks import crud_classes
from course_checks.crud_classes import (
    HUGE,
    Face,
    add_items,
    add_user,
    call,
    hiding,
    ids_on_page,
    is_left_alone,
    is_none,
    is_row,
    is_rows,
    items_of,
    said,
)
from course_checks.statements import heard
from workbook import expect
from workbook.checks import exercise

# fixtures
loaded = crud_classes.loaded


# ------------------------------------------------------------------------------------------------------------ helpers


async def expect_pages(crud, db, cases, rows, **reason):
    """Expect the ids that get_multi returns.

    Args:
        cases: the arguments of each call, and the ids.
        rows: what the table holds, in words.
    """
    for wanted, ids in cases:
        expect.equal(await ids_on_page(crud, db, **wanted), ids, did=f"{call(wanted)} with {rows}", **reason)


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

        def note(_statement, values, _context):
            sent.extend(values if isinstance(values, tuple) else ())

        with heard(db, note):
            crud = items_of(load)
            await ids_on_page(crud, db, skip=-1)
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
