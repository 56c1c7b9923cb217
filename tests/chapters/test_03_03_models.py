"""Checks of chapter 03, the models: users and items, foreign keys, relationships."""

import inspect
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest
from sqlalchemy import Float, Numeric, UniqueConstraint, event, func, insert, select, text
from sqlalchemy import inspect as inspect_mapper
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import selectinload

from course_checks.samples import MEMORY
from course_checks.tables import column_of, is_missing_greenlet, made_engine, saved
from course_checks.words import in_words
from workbook import expect
from workbook.checks import exercise

# ---------------------------------------------------------------------------------------------------------------- 3.3


def person(load, name="ada", leave=(), **columns):
    """Return one of the learner's users, not stored yet; a class that takes no such column is a wrong answer."""
    user = load("users.models").User
    values = {"email": f"{name}@example.com", "username": name, "full_name": name, "hashed_password": "!"}
    values |= {"is_active": True} | columns
    for column in values.keys() - {"items"}:
        column_of(user, column)
    row = user(**{column: value for column, value in values.items() if column not in leave})
    for name in {"email", "username"} - set(leave):
        expect.that(
            getattr(row, name) is not None or values[name] is None,
            did=f"User({name}={expect.shown(values[name])}, ...).{name}",
            got="None",
            expected=expect.shown(str(values[name]).lower()),
            why="the value is lost, so nobody could sign up",
            hint="`fold_case` must return the value: what it returns is what is stored",
            at=user,
        )
    return row


async def refused(db, model, values, did, **reason):
    """Expect that the database refuses a row; the values go in without the model's validators."""
    try:
        await db.execute(insert(model.__table__).values(**values))
    except IntegrityError:
        await db.rollback()
        return
    except Exception as error:
        raise expect.Wrong(did=did, got=in_words(error), expected="an IntegrityError", at=model, **reason) from None
    raise expect.Wrong(did=did, got="the row was stored", expected="an IntegrityError", at=model, **reason)


def length_is(model, name, length):
    """Expect the length of a text column."""
    kind = column_of(model, name).type
    expect.equal(
        getattr(kind, "length", None),
        length,
        did=f"the length of {model.__tablename__}.{name}, a {type(kind).__name__}",
        why="PostgreSQL keeps this bound: a shorter one refuses good values, none lets a book in",
        hint=f"mapped_column(String({length}), ...)",
        at=model,
    )


MISSPELLED = "a name in the brackets is misspelled, or belongs into other brackets: compare it with the text"
A_TYPE_FIRST = "the first argument of mapped_column is a type of the database; a default stands behind its name"
NO_MODEL = [
    ("got True", A_TYPE_FIRST),
    ("got False", A_TYPE_FIRST),
    (
        "__table_args__ value must be a tuple",
        "round brackets alone make no tuple, the comma does: put one behind the last argument of __table_args__",
    ),
    ("Invalid cascade option(s)", "a word in cascade is misspelled: compare them with the text, letter by letter"),
    ("got 'ondelete'", "ondelete is an option of the foreign key: it stands inside the brackets of ForeignKey"),
    ("Additional arguments should be named", MISSPELLED),
    ("Unknown arguments", MISSPELLED),
    ("unexpected keyword argument", MISSPELLED),
]


def imported(load, name):
    """Import a module of models; what stops SQLAlchemy before there is a table is a wrong answer, and named."""
    try:
        load(name)
    except (SQLAlchemyError, TypeError) as error:
        expect.known(
            error,
            NO_MODEL,
            did=f"import app.{name}",
            expected="a class with its columns",
            why="the app could not start: each of its modules needs the tables",
        )


@exercise("3.3")
class TestUsers:
    @pytest.fixture(autouse=True)
    def user_is_a_class(self, load):
        """Name what stops the learner's class before there is a table."""
        imported(load, "users.models")

    async def test_stored_and_read(self, load, db):
        """A user is stored and read back, active and with the role user by default"""
        db.add(person(load, leave=("is_active",), full_name="Ada Lovelace"))
        await saved(db, load("users.models").User, "store a user with e-mail address, user name, full name and hash")
        user = load("users.models").User
        names = ("email", "username", "full_name", "hashed_password", "is_active")
        found = (await db.execute(select(*(column_of(user, name) for name in names)))).one()
        expect.equal(
            dict(zip(names, found, strict=True)),
            {
                "email": "ada@example.com",
                "username": "ada",
                "full_name": "Ada Lovelace",
                "hashed_password": "!",
                "is_active": True,
            },
            did="store User(email=..., username=..., full_name=..., hashed_password=...), read it back",
            why="what a person chose at sign-up would be lost",
            hint='a full name stays as it was typed: @validates names "email" and "username", and no other column'
            if found[2] == "ada lovelace"
            else "write the five columns of the table; is_active has default=True",
            at=user,
        )

    async def test_inactive(self, load, db):
        """is_active=False is stored as False"""
        user = load("users.models").User
        db.add(person(load, is_active=False))
        await saved(db, user, "store an inactive user")
        expect.equal(
            await db.scalar(select(user.is_active)),
            False,
            did="store User(..., is_active=False), read it back",
            why="somebody who was locked out could come back in",
            hint="is_active: Mapped[bool], with default=True",
            at=user,
        )

    async def test_full_name_may_be_missing(self, load, db):
        """A user without full_name is stored"""
        db.add(person(load, leave=("full_name",)))
        await saved(db, load("users.models").User, "store a user without full_name")

    async def test_required(self, load, db):
        """The database refuses a user without e-mail address, user name or password hash, or neither active nor not"""
        user = load("users.models").User
        names = ("email", "username", "hashed_password", "is_active")
        for name in names:
            column_of(user, name)
        now = datetime.now(UTC)
        full = {"email": "a@x.example", "username": "ada", "hashed_password": "!", "created_at": now, "updated_at": now}
        for name in names:
            await refused(
                db,
                user,
                full | {name: None},
                f"INSERT a user whose {name} is NULL",
                why="nobody could log in to such an account, and code that reads it would fail",
                hint=f"the annotation of {name} has no None",
            )

    async def test_what_two_may_share(self, load, db):
        """Two users may have the same full name, and the same hash"""
        user = load("users.models").User
        db.add_all([person(load, name, full_name="Ada Lovelace") for name in ("ada", "eve")])
        await saved(db, user, "store two users with the same full name and hash")

    async def test_unique_in_any_case(self, load, db):
        """b@x and B@x are one address, b and B are one user name: the second is refused by the database"""
        user = load("users.models").User
        pairs = (
            ("email", person(load, "b", email="b@x.example"), person(load, "c", email="B@X.example")),
            ("username", person(load, "d"), person(load, "e", username="D")),
        )
        for name, first, second in pairs:
            db.add(first)
            await saved(db, user, "store a user")
            db.add(second)
            try:
                await db.flush()
            except IntegrityError:
                await db.rollback()
                continue
            stored = list(await db.scalars(select(getattr(user, name))))
            raise expect.Wrong(
                did=f"store two users, the {name} of one in lower case, of the other in upper case",
                got=f"both were stored: {', '.join(repr(one) for one in stored)}",
                expected="an IntegrityError for the second one",
                why=f"two people, or one person twice, would share one {name}, and log in to either account",
                hint="unique=True for the column, and fold_case returns the value in lower case",
                at=user,
            )

    async def test_folded_at_a_change(self, load, db):
        """A new address of an old user is stored in lower case, too"""
        row, user = person(load), load("users.models").User
        db.add(row)
        await saved(db, user, "store a user")
        row.email, row.username = "Ada@NEW.example", "ADA"
        await saved(db, user, "change a user's e-mail address and user name")
        expect.equal(
            tuple((await db.execute(select(user.email, user.username))).one()),
            ("ada@new.example", "ada"),
            did='user.email = "Ada@NEW.example"; user.username = "ADA"; commit',
            why="the person could not log in any more: the search is for the lower case",
            hint='fold_case returns the value in lower case, and @validates names "email" and "username"',
            at=user,
        )

    async def test_folded_as_the_schemas_do(self, load, db):
        """Lower case is that of str.lower, as in the schemas: ß stays ß"""
        user = load("users.models").User
        db.add(person(load, email="Groß@Example.com", username="GROßE"))
        await saved(db, user, "store a user")
        expect.equal(
            tuple((await db.execute(select(user.email, user.username))).one()),
            ("groß@example.com", "große"),
            did='store User(email="Groß@Example.com", username="GROßE", ...), read it back',
            why="the log-in looks for what the schemas make of the text, str.lower, and would not find this person",
            hint="str.lower, not casefold: the schemas and the table must agree",
            at=user,
        )

    def test_lengths(self, load):
        """Text columns have the lengths of the table"""
        user = load("users.models").User
        for name, length in (("email", 320), ("username", 50), ("full_name", 100), ("hashed_password", 255)):
            length_is(user, name, length)

    def test_fast_search(self, load):
        """A search by e-mail address or user name uses an index"""
        user = load("users.models").User
        table = user.__table__
        covered = [next(iter(one.columns)).name for one in [*table.indexes, *table.constraints] if list(one.columns)]
        for name in ("email", "username"):
            expect.that(
                name in covered,
                did=f"the indexes of users for {name}",
                got="none begins with it",
                expected="a unique index",
                why="each log-in would read the whole table",
                hint="index=True, beside unique=True",
                at=user,
            )


# ---------------------------------------------------------------------------------------------------------------- 3.4


def thing(load, leave=(), **columns):
    """Return one of the learner's items, not stored yet."""
    item = load("items.models").Item
    values = {"title": "Lamp", "description": "It shines.", "url": "https://example.com/lamp"}
    values |= {"price": Decimal("9.90")} | columns
    for column in values:
        column_of(item, column)
    return item(**{column: value for column, value in values.items() if column not in leave})


async def stored_owner(load, db, **columns):
    """Store a user, and return it."""
    owner = person(load, **columns)
    db.add(owner)
    await saved(db, type(owner), "store a user")
    return owner


@exercise("3.4")
class TestItems:
    @pytest.fixture(autouse=True)
    def item_is_a_class(self, load):
        """Name what stops the learner's class before there is a table."""
        imported(load, "items.models")

    async def test_stored_and_read(self, load, db):
        """An item is stored and read back, its price as an exact Decimal"""
        owner = await stored_owner(load, db)
        wanted = {
            "title": "Lamp",
            "description": "It shines.",
            "url": "https://example.com/lamp",
            "price": Decimal("9.90"),
            "owner_id": owner.id,
        }
        item = load("items.models").Item
        db.add(thing(load, **wanted))
        await saved(db, item, "store an item with all its values")
        row = (await db.execute(select(*(column_of(item, name) for name in wanted)))).one()
        expect.equal(
            dict(zip(wanted, row, strict=True)),
            wanted,
            did="store an item, read it back",
            why="what the owner wrote would be lost, or the price would be a binary fraction",
            hint="compare the columns with the table; the price is Mapped[Decimal], with a Numeric",
            at=item,
        )

    def test_price(self, load):
        """The price has ten digits, two of them behind the point"""
        item = load("items.models").Item
        kind = column_of(item, "price").type
        expect.that(
            isinstance(kind, Numeric) and not isinstance(kind, Float),
            did="the type of items.price",
            got=expect.with_article(type(kind).__name__),
            expected="a Numeric",
            why="a Float counts in binary fractions: a sum of prices would be wrong by a cent",
            hint="the table names the type for money, with its two numbers",
            at=item,
        )
        expect.equal(
            (getattr(kind, "precision", None), getattr(kind, "scale", None), getattr(kind, "asdecimal", None)),
            (10, 2, True),
            did="digits, digits behind the point, exact: the type of items.price",
            why="PostgreSQL rounds to the scale: a price would lose its cents, or gain some",
            hint="Numeric takes two numbers: all digits first, then those behind the point",
            at=item,
        )
        said = str(inspect.get_annotations(item).get("price", ""))
        expect.that(
            "Decimal" in said or "float" not in said,
            did="the annotation of items.price",
            got=said,
            expected="Mapped[Decimal]",
            why="what reads the annotation, your editor or a colleague, would take the price for a binary fraction",
            hint="the database counts exactly, and gives a Decimal: say so in the annotation",
            at=item,
        )

    async def test_optional(self, load, db):
        """Description and address may be missing, and may be long"""
        owner = await stored_owner(load, db)
        item = load("items.models").Item
        db.add(thing(load, leave=("description", "url"), owner_id=owner.id))
        await saved(db, item, "store an item without description and url")
        for name in ("description", "url"):
            length = getattr(column_of(item, name).type, "length", None)
            expect.that(
                length is None or length >= 2000,
                did=f"the length of items.{name}",
                got=str(length),
                expected="2000 or more, or no bound",
                why="the schema accepts 2000 characters; PostgreSQL would refuse them with a 500",
                hint="Text has no bound",
                at=item,
            )
        length_is(item, "title", 200)

    async def test_required(self, load, db):
        """The database refuses an item without title, price or owner"""
        owner = await stored_owner(load, db)
        item, now = load("items.models").Item, datetime.now(UTC)
        values = {"title": "Lamp", "price": Decimal(1), "owner_id": owner.id, "created_at": now, "updated_at": now}
        for name in ("title", "price", "owner_id"):
            column_of(item, name)
            await refused(
                db,
                item,
                values | {name: None},
                f"INSERT an item whose {name} is NULL",
                why="an item without it cannot be shown, sold or found by its owner",
                hint=f"the annotation of {name} has no None",
            )
            await refused(
                db,
                item,
                {column: value for column, value in values.items() if column != name},
                f"INSERT an item without a word about its {name}",
                why="code that forgets it would store an item that nobody named, or that costs nothing",
                hint=f"{name} has no default in the table of the text: take it away",
            )

    async def test_what_two_may_share(self, load, db):
        """Two items of one owner may be alike, and made in the same moment"""
        owner, now = await stored_owner(load, db), datetime.now(UTC)
        db.add_all([thing(load, owner_id=owner.id, created_at=now) for _ in range(2)])
        await saved(db, load("items.models").Item, "store two items of one owner that are alike")

    def test_index(self, load):
        """One index covers owner_id and then created_at"""
        item = load("items.models").Item
        found = [[column.name for column in one.columns] for one in item.__table__.indexes]
        found += [[c.name for c in one.columns] for one in item.__table__.constraints if type(one) is UniqueConstraint]
        names = [str(one.name) for one in item.__table__.indexes]
        taken = [name for name in names if name in item.__table__.columns]
        expect.that(
            any(columns[:2] == ["owner_id", "created_at"] for columns in found),
            did="the indexes of items",
            got=" and ".join(f"({', '.join(columns)})" for columns in found) or "none",
            expected="(owner_id, created_at), in this order",
            why='"my newest items" would read the items of everybody, and sort them',
            hint=f'the first argument of Index is its name, and "{taken[0]}" stands there: write None in front of it'
            if taken
            else "one Index in __table_args__ names both columns: that of the owner first, then that of the time",
            at=item,
        )
        expect.that(
            all(name.startswith("ix_items") for name in names),
            did="the names of the indexes of items",
            got=", ".join(names),
            expected="names by the convention, such as ix_items_owner_id_created_at",
            why="a migration finds an index by its name",
            hint="give Index the name None: the convention makes it",
            at=item,
        )

    async def test_owner(self, load, db):
        """item.owner is the user, and user.items leads to the item"""
        owner = await stored_owner(load, db)
        item, user = load("items.models").Item, load("users.models").User
        db.add(thing(load, owner_id=owner.id))
        await saved(db, item, "store an item")
        db.expunge_all()
        row = await db.scalar(select(item).options(selectinload(item.owner)))
        found = getattr(row.owner, "id", None), row.id
        db.expunge_all()
        back = await db.scalar(select(user).options(selectinload(user.items)))
        expect.equal(
            (found[0], [one.id for one in back.items]),
            (owner.id, [found[1]]),
            did="item.owner.id, and the ids of user.items",
            why="an item would show up with a wrong owner",
            hint='keep owner = relationship(back_populates="items"), and the foreign key "users.id"',
            at=item,
        )

    async def test_gone_with_the_owner(self, load, sessions):
        """When the owner's row is deleted, the database deletes the items"""
        item, user = load("items.models").Item, load("users.models").User
        engine = create_async_engine(MEMORY)
        event.listen(engine.sync_engine, "connect", lambda raw, _: raw.cursor().execute("PRAGMA foreign_keys=ON"))
        try:
            async with engine.begin() as connection:
                await connection.run_sync(load("db.base").Base.metadata.create_all)
            async with AsyncSession(engine) as session:
                session.add(person(load, items=[thing(load)]))
                await saved(session, item, "store a user with an item")
                await expect_cascade(session, item, user)
        finally:
            await engine.dispose()


async def expect_cascade(session, item, user):
    """Expect that DELETE FROM users removes the items by the foreign key's own rule."""
    reason = {
        "expected": "the items go with their owner",
        "why": "an owner with items could never be deleted, or leaves items that belong to nobody",
        "hint": "the foreign key needs the rule of the table: its argument ondelete",
        "at": item,
    }
    try:
        await session.execute(text("DELETE FROM users"))
    except IntegrityError as error:
        raise expect.Wrong(did="DELETE FROM users", got=in_words(error), **reason) from None
    left = await session.scalar(select(func.count()).select_from(item))
    expect.that(left == 0, did="DELETE FROM users, count the items", got=f"{left} item is left", **reason)


# ---------------------------------------------------------------------------------------------------------------- 3.5


async def pragma(connection):
    """Ask a connection whether foreign keys are checked."""
    return await connection.scalar(text("PRAGMA foreign_keys"))


def hint_on_pragma(enable):
    """Return what to look at: does the function do its work, when somebody calls it?"""
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            enable(connection, None)
        except sqlite3.Error as error:
            return f"SQLite says of the statement: {error}"
        on = connection.execute("PRAGMA foreign_keys").fetchone()[0]
    if on:
        return "enable_foreign_keys works, but nobody calls it: let the engine's event do that"
    return "the statement changes nothing: SQLite ignores a PRAGMA that it does not know, so mind the spelling"


@exercise("3.5")
class TestForeignKeys:
    @pytest.fixture(autouse=True)
    async def listens(self, load):
        """Name what stops the learner's engine before there is a connection."""
        await made_engine(load).dispose()

    async def test_unknown_owner(self, load, db):
        """An item of an owner who does not exist is refused"""
        db.add(thing(load, owner_id=999))
        enable = load("db.session").enable_foreign_keys
        with expect.raising(
            IntegrityError,
            did="store an item with owner_id=999",
            why="the item would belong to nobody, and PostgreSQL would refuse what your tests accepted",
            hint="the listener is an ordinary function, `def` without `async`: nobody awaits it"
            if inspect.iscoroutinefunction(enable)
            else hint_on_pragma(enable),
            at=enable,
        ):
            await db.flush()

    async def test_not_for_postgresql(self, load):
        """An engine of PostgreSQL hears of nothing new: it always checks"""
        url = "postgresql+asyncpg://ada:secret@127.0.0.1/app"
        mine, plain = made_engine(load, url), create_async_engine(url)
        found = [len(list(engine.sync_engine.pool.dispatch.connect)) for engine in (mine, plain)]
        for engine in (mine, plain):
            await engine.dispose()
        expect.that(
            found[0] == found[1],
            did='make_engine("postgresql+asyncpg://…"): the listeners for "connect"',
            got="one more than an engine has by itself",
            expected="none of yours",
            why="PostgreSQL knows no PRAGMA: each new connection would fail, and with it the request",
            hint="listen on the engine of SQLite only, where the text says",
            at=load("db.session").make_engine,
        )

    async def test_every_connection(self, load, tmp_path):
        """Foreign keys are checked on every connection of the pool"""
        engine = made_engine(load, f"sqlite+aiosqlite:///{tmp_path}/test.db")
        try:
            async with engine.connect() as one, engine.connect() as two, engine.connect() as three:
                found = [await pragma(connection) for connection in (one, two, three)]
        finally:
            await engine.dispose()
        expect.equal(
            found,
            [1, 1, 1],
            did="PRAGMA foreign_keys, on three connections at once",
            why="under load, when the pool opens more connections, some requests would store broken rows",
            hint='listen to the event "connect" of engine.sync_engine: it comes for each connection',
            at=load("db.session").make_engine,
        )

    async def test_items_go_with_their_owner(self, load, db):
        """DELETE FROM users takes the items of the user along"""
        item = load("items.models").Item
        db.add(person(load, items=[thing(load)]))
        await saved(db, item, "store a user with an item")
        await db.execute(text("DELETE FROM users"))
        left = await db.scalar(select(func.count()).select_from(item))
        expect.equal(
            left,
            0,
            did="DELETE FROM users, count the items",
            why="items of nobody would stay for ever; a new user with the same id would inherit them",
            hint="the cascade is a part of the foreign key: it works only when foreign keys are checked",
            at=load("db.session").make_engine,
        )

    async def test_no_other_engine(self, load):
        """Only the engine of make_engine listens, no other one"""
        await made_engine(load).dispose()
        other = create_async_engine(MEMORY)
        try:
            async with other.connect() as connection:
                found = await pragma(connection)
        finally:
            await other.dispose()
        expect.equal(
            found,
            0,
            did="PRAGMA foreign_keys on an engine that make_engine did not make",
            why="a listener on all engines would send the PRAGMA to PostgreSQL too, which refuses it",
            hint="listen on the sync_engine of the engine that comes in, not on the class Engine",
            at=getattr(load("db.session"), "check_foreign_keys", load("db.session").make_engine),
        )

    async def test_a_refused_pragma(self, load):
        """When the PRAGMA fails, its error goes on: no connection is lent that does not check"""

        class Cursor:
            def execute(self, statement, *_):
                raise sqlite3.OperationalError("disk I/O error")

            def close(self):
                pass

            def __enter__(self):
                return self

            def __exit__(self, *_):
                return None

        class Connection:
            cursor, execute = Cursor, Cursor.execute

        enable = load("db.session").enable_foreign_keys
        try:
            if inspect.iscoroutine(made := enable(Connection(), None)):
                made.close()  # another check says that it is no ordinary function
                return
        except Exception:
            return
        raise expect.Wrong(
            did="enable_foreign_keys(connection, record), while the PRAGMA raises an OperationalError",
            got="nothing was raised",
            expected="the OperationalError goes on, and the pool lends no such connection",
            why="on this connection items of nobody could be stored, and no message would tell you",
            hint="catch nothing around the PRAGMA; `finally` closes the cursor after an error, too",
            at=enable,
        )

    async def test_the_cursor_is_closed(self, load):
        """The cursor is closed after the PRAGMA"""
        executed, closed = [], []

        class Cursor:
            def execute(self, statement, *_):
                executed.append(statement)

            def close(self):
                closed.append(True)

            def __enter__(self):
                return self

            def __exit__(self, *_):
                self.close()

        class Connection:
            def cursor(self):
                return Cursor()

            def execute(self, statement, *_):  # the driver's shortcut: the cursor is its own
                executed.append(statement)
                closed.append(True)
                return SimpleNamespace(close=lambda: None)

        enable = load("db.session").enable_foreign_keys
        if inspect.iscoroutine(made := enable(Connection(), None)):
            made.close()
        expect.that(
            len(executed) == 1 and len(closed) == 1,
            did="enable_foreign_keys(connection, record)",
            got=f"{len(executed)} statements, {len(closed)} cursors closed",
            expected="one statement, and its cursor closed",
            why="an open cursor keeps the connection busy",
            hint="use one cursor for the one statement, and close it when that is done",
            at=enable,
        )


# ---------------------------------------------------------------------------------------------------------------- 3.6


async def ada_with_items(load, db, count=2):
    """Store a user with items, and let the session forget all of them."""
    db.add(person(load, items=[thing(load, title=f"Lamp {number}") for number in range(count)]))
    await db.commit()
    db.expunge_all()
    return load("users.models").User, load("items.models").Item


def hint_on_cascade(user):
    """Return what the cascade of user.items lacks, or that something else is at fault."""
    cascade = inspect_mapper(user).relationships["items"].cascade
    if not cascade.delete and cascade.delete_orphan:
        return '"delete-orphan" speaks of what is taken out of the list only: what goes with the user is in "all"'
    if not cascade.delete:
        return "the session tries to keep the items without an owner: tell it by cascade that they belong to their user"
    if not cascade.delete_orphan:
        return 'cascade="all, delete-orphan": "all" alone does not delete what is taken out of the list'
    return "the cascade is there; keep the foreign key of 3.4 with its ondelete, and back_populates"


@exercise("3.6")
class TestRelationship:
    @pytest.fixture(autouse=True)
    def user_is_a_class(self, load):
        """Name what stops the learner's class before there is a relationship."""
        imported(load, "items.models")
        imported(load, "users.models")

    async def test_forgotten_items(self, load, db, quiet):
        """Reading user.items that were not loaded raises an error that names items"""
        user, _ = await ada_with_items(load, db)
        ada = await db.scalar(select(user))
        with quiet() as caught:
            got = repr(ada.items)
        reason = {
            "did": "ada = await session.scalar(select(User)); ada.items",
            "expected": "an error that names User.items",
            "at": user,
        }
        expect.that(
            not is_missing_greenlet(caught.error),
            got="MissingGreenlet, which does not say what was read",
            why="the mistake shows only when the line is reached, and its message does not help",
            hint='lazy="raise" in the relationship',
            **reason,
        )
        expect.that(
            caught.error is not None and "items" in str(caught.error),
            got=in_words(caught.error) if caught.error else got,
            why="a list that is empty though there are items is a lie; one that is always loaded costs a query",
            hint='lazy="raise" in the relationship; the query that needs items asks for them with selectinload',
            **reason,
        )

    async def test_one_statement(self, load, db, statements):
        """select(User) alone sends one statement"""
        user, _ = await ada_with_items(load, db)
        statements.clear()
        await db.scalar(select(user))
        expect.that(
            len(statements) == 1 and "items" not in statements[0],
            did="select(User)",
            got=f"{len(statements)} statement{'s' * (len(statements) > 1)}: {'; '.join(statements)[-160:]}",
            expected="one SELECT from users",
            why="each log-in would load all the items of the user, which nobody asked for",
            hint='lazy="raise" loads nothing; lazy="selectin" and "joined" always load',
            at=user,
        )

    async def test_loaded_items(self, load, db, statements):
        """selectinload(User.items) loads the items of all users with two statements"""
        user, _ = await ada_with_items(load, db)
        db.add(person(load, "eve"))
        await db.commit()
        db.expunge_all()
        statements.clear()
        found = list(await db.scalars(select(user).options(selectinload(user.items)).order_by(user.id)))
        titles = [sorted(one.title for one in row.items) for row in found]
        expect.that(
            titles == [["Lamp 0", "Lamp 1"], []] and len(statements) == 2,
            did="select(User).options(selectinload(User.items)), two users",
            got=f"{titles} with {len(statements)} statements",
            expected="[['Lamp 0', 'Lamp 1'], []] with 2 statements",
            why="a list of users with their items would be wrong or slow",
            hint="keep the annotation Mapped[list[Item]], and back_populates with the name of the other end",
            at=user,
        )

    async def test_delete(self, load, db, statements, quiet):
        """session.delete(user) sends one DELETE, and the items are gone"""
        user, item = await ada_with_items(load, db)
        await db.delete(await db.scalar(select(user)))
        statements.clear()
        with quiet() as caught:
            await db.commit()
        expect.that(
            caught.error is None,
            did="session.delete(user); commit",
            got=in_words(caught.error) if caught.error else "",
            expected="the user and the items are deleted",
            why="a user with items could never be deleted",
            hint=hint_on_cascade(user),
            at=user,
        )
        sent = [one.split()[0] for one in statements]
        expect.that(
            sent == ["DELETE"],
            did="session.delete(user); commit",
            got=f"the statements {', '.join(sent)}",
            expected="one DELETE",
            why="for a user with a million items, all of them would be loaded first",
            hint="passive_deletes=True leaves items that are not loaded to the database",
            at=user,
        )
        left = await db.scalar(select(func.count()).select_from(item))
        expect.equal(
            left,
            0,
            did="count the items of a deleted user",
            why="items of nobody would stay for ever",
            hint="keep ondelete of 3.4",
            at=user,
        )

    async def test_delete_with_loaded_items(self, load, db, quiet):
        """A user whose items are loaded is deleted with them, and nobody else's items are"""
        user, item = await ada_with_items(load, db)
        db.add(person(load, "eve", items=[thing(load, title="Desk")]))
        await db.commit()
        db.expunge_all()
        ada = await db.scalar(select(user).where(user.username == "ada").options(selectinload(user.items)))
        with quiet() as caught:
            await db.delete(ada)
            await db.commit()
        left = [] if caught.error else list(await db.scalars(select(item.title)))
        expect.that(
            caught.error is None and left == ["Desk"],
            did="load a user with the items, session.delete(user); commit",
            got=in_words(caught.error) if caught.error else f"the items {left} are left",
            expected="the user's items are gone, the others stay",
            why="whether a user can be deleted would hang on what was read before",
            hint=hint_on_cascade(user),
            at=user,
        )

    async def test_removed_item(self, load, db, quiet):
        """An item that is taken out of user.items is deleted; the others stay"""
        user, item = await ada_with_items(load, db)
        ada = await db.scalar(select(user).options(selectinload(user.items)))
        with quiet() as caught:
            for one in [one for one in ada.items if one.title == "Lamp 0"]:
                ada.items.remove(one)
            await db.commit()
        left = [] if caught.error else list(await db.scalars(select(item.title)))
        expect.that(
            caught.error is None and left == ["Lamp 1"],
            did="user.items.remove(item); commit",
            got=in_words(caught.error) if caught.error else f"the items {left}",
            expected="the item is deleted, the other one stays",
            why="an item without an owner cannot be stored, so the request would be a 500",
            hint=hint_on_cascade(user),
            at=user,
        )

    async def test_both_ends(self, load, db):
        """user.items and item.owner are two ends of the same thing"""
        ada, lamp = person(load), thing(load)
        ada.items.append(lamp)
        expect.that(
            lamp.owner is ada,
            did="user.items.append(item); item.owner",
            got=repr(lamp.owner),
            expected="the user",
            why="before the commit, your code would see an item without an owner",
            hint='keep back_populates="owner"',
            at=type(ada),
        )
        db.add(ada)
        await db.commit()
        expect.equal(
            lamp.owner_id,
            ada.id,
            did="session.add(user), with an item in user.items; commit; item.owner_id",
            why="the item would belong to nobody",
            hint='the cascade "all" stores the items together with their user',
            at=type(ada),
        )
