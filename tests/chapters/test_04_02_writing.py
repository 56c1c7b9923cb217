"""Checks of chapter 04, writing: create, update, delete, and count."""

from decimal import Decimal

from pydantic import BaseModel
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from course_checks import crud_classes
from course_checks.crud_classes import (
    FLUSH,
    HALF,
    NO_COMMIT,
    Face,
    add_items,
    add_user,
    hiding,
    is_left_alone,
    is_row,
    item_crud,
    items_of,
    kind,
    said,
    sign_up,
    stored,
    survives_rollback,
    user_crud,
)
from course_checks.statements import heard
from workbook import expect
from workbook.checks import exercise

# fixtures
loaded = crud_classes.loaded

NESTED = "the row survived the rollback: no `begin_nested` here, a plain `flush` is enough"
NO_ADDRESS = "its address is an object of Pydantic's here; the schema's serializers work in `data.model_dump(...)` only"
NO_VALUE = [("'HttpUrl' is not supported", NO_ADDRESS), ("'Url' is not supported", NO_ADDRESS)]


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
        with heard(db, lambda statement, values, _context: asked.append((statement, values))):
            await crud.count(db)
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
