"""Checks of chapter 04, queries: users switched off, users by email, items with their owner, a search."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import ArgumentError, IntegrityError, InvalidRequestError, MissingGreenlet, SQLAlchemyError
from sqlalchemy.sql import visitors

from course_checks.crud_classes import (
    AWAIT,
    FLUSH,
    HALF,
    HUGE,
    NO_COMMIT,
    add_items,
    add_user,
    ids_on_page,
    is_left_alone,
    is_none,
    is_row,
    is_rows,
    item_crud,
    kind,
    said,
    sign_up,
    stored,
    survives_rollback,
    user_crud,
)
from workbook import expect
from workbook.checks import exercise

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
