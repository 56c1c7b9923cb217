"""The learner's CRUD classes, the rows that they work on, and what each of their methods keeps (chapter 04)."""

import asyncio

import pytest
from sqlalchemy import event, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from workbook import expect

HUGE = 10**20
FLUSH = "end with `await session.flush()`: it sends the statement and leaves the transaction open"
NO_COMMIT = "take the commit out: `flush` is enough here, the caller commits"
HALF = "when a later write of the same request fails, this one stays: half of a sign-up is stored"
AWAIT = "put `await` before the call: without it you get a coroutine, and nothing is sent"
SCALAR = "`session.scalar(...)` gives the object; `session.execute(...)` gives tuples that hold it"


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


def sign_up(load, name="ada", **fields):
    """Return a UserCreate."""
    data = {"email": f"{name}@example.com", "username": name, "password": "Correct horse"}
    return load("users.schemas").UserCreate(**data | fields)
