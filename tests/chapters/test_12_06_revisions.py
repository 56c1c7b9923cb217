"""Checks of chapter 12, revisions that change tables with data in them, on SQLite and on PostgreSQL."""

import ast
import asyncio
import contextlib
import json
import sys
import time
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from course_checks import revisions
from course_checks.revisions import (
    DATA_IS_LOST,
    FIRST,
    IN_REVISION,
    SPRING,
    SUMMER,
    WANTED,
    Database,
    at,
    described,
    imports_of,
    revision_file,
    step,
)
from workbook import expect
from workbook.checks import exercise

NEEDS = ("postgres",)

# fixtures
_quiet, databases = revisions._quiet, revisions.databases


async def store(database, **more):
    """Store a user with an item and two login sessions; `more` are values of further columns of the sessions."""
    spring, summer = at(database, SPRING), at(database, SUMMER)
    names, values = "".join(f", {name}" for name in more), "".join(f", {value}" for value in more.values())
    await database.run(
        "INSERT INTO users (id, email, username, hashed_password, is_active, is_superuser, role, created_at,"
        f" updated_at) VALUES (1, 'ada@x.com', 'ada', '!', true, false, 'user', {spring}, {spring})",
        "INSERT INTO items (id, title, price, owner_id, created_at, updated_at)"
        f" VALUES (1, 'Pen', 1, 1, {spring}, {spring})",
        f"INSERT INTO login_sessions (id, user_id, current_jti, expires_at, created_at, updated_at{names})"
        f" VALUES ('laptop', 1, 'a', {summer}, {spring}, {summer}{values})",
        f"INSERT INTO login_sessions (id, user_id, current_jti, expires_at, created_at, updated_at{names})"
        f" VALUES ('phone', 1, 'b', {summer}, {summer}, {summer}{values})",
    )


async def times(database, column):
    """Return a column of the two login sessions, as day and hour."""
    rows = await database.run(f"SELECT {column} FROM login_sessions ORDER BY id")
    return [str(value)[:19] for (value,) in rows]


async def kept(database, columns, *, did, at):
    """Expect that no row was lost, and that keys and indexes of login_sessions are as they were."""
    counts = [(await database.run(f"SELECT count(*) FROM {name}"))[0][0] for name in FIRST]
    expect.equal(
        counts,
        [1, 2, 1],
        did=f"{did}, then the number of items, login sessions and users",
        why=DATA_IS_LOST,
        hint="change the table, and delete nothing",
        at=at,
    )
    found = await database.look(lambda inspector: described(inspector, "login_sessions"))
    wanted = WANTED["login_sessions"]
    for part in ("primary key", "foreign keys", "indexes", "columns that may be NULL"):
        expect.equal(
            found[part],
            wanted[part],
            did=f"{did}, then the {part} of login_sessions",
            why="a rule that the models count on would be gone",
            hint="leave the rest of the table as it is; what may be NULL is closed again at the end",
            at=at,
        )
    expect.equal(
        found["columns"],
        sorted(wanted["columns"] + columns),
        did=f"{did}, then the columns of login_sessions",
        why="models and tables must agree",
        at=at,
    )
    all_times = await database.run("SELECT created_at, updated_at, expires_at FROM login_sessions ORDER BY id")
    expect.equal(
        [str(value)[:19] for row in all_times for value in row],
        [SPRING, SUMMER, SUMMER, SUMMER, SUMMER, SUMMER],
        did=f"{did}, then the other times of the two sessions",
        why=DATA_IS_LOST,
        hint="the revision changes one column, and no other",
        at=at,
    )


IN_BATCH = [
    (
        "no such column: last_seen_at",
        "a batch collects its steps, and runs them at the end of its block: only below that block the column is there",
    ),
    *IN_REVISION,
]


@exercise("12.6", limit=20)
class TestNotNull:
    async def test_backfill(self, load, databases):
        """On a table with rows the upgrade runs: each session was last seen when it was made, and nothing is lost"""
        module, migrate = revision_file(load, "0002"), load("db.migrate")
        for database in databases:
            await step(migrate.upgrade, database.engine, "0001", did="upgrade(engine, '0001')")
            await store(database)
            did = f"upgrade(engine, '0002') with two sessions, {database}"
            await step(migrate.upgrade, database.engine, "0002", did=did, at=module.upgrade, mistakes=IN_BATCH)
            await kept(database, ["last_seen_at"], did=did, at=module.upgrade)
            found = await times(database, "last_seen_at")
            changed = found == [SUMMER, SUMMER]  # of the first session, the other two times of its row
            expect.that(
                found == [SPRING, SUMMER],
                did=f"{did}, then last_seen_at of the two",
                got=expect.shown(found),
                expected=f"{expect.shown([SPRING, SUMMER])}: when each was made",
                why="it is another time of the row: a change of any column, or the end, does not say when it was seen"
                if changed
                else "a constant, or today, would be a lie: the sessions were made in March and in June",
                hint="which column of the row says when the session was made?"
                if changed
                else "take the value from another column of the same row",
                at=module.upgrade,
            )

    async def test_closed(self, load, databases):
        """Afterwards NULL is refused, and the database fills in no value of its own"""
        module, migrate = revision_file(load, "0002"), load("db.migrate")
        for database in databases:
            did = f"upgrade(engine, '0002') of an empty database, {database}"
            await step(migrate.upgrade, database.engine, "0002", did=did, at=module.upgrade, mistakes=IN_BATCH)
            columns = await database.look(lambda inspector: inspector.get_columns("login_sessions"))
            found = [(one["nullable"], one["default"]) for one in columns if one["name"] == "last_seen_at"]
            expect.equal(
                found,
                [(False, None)],
                did=f"{did}, then last_seen_at: may it be NULL, and its default in the database",
                why="code that forgets the time would store a session without one, or with one that nobody chose",
                hint="the last step closes the column; a server_default that was needed on the way is taken away again",
                at=module.upgrade,
            )
            expect.equal(
                [one["type"].timezone for one in columns if one["name"] == "last_seen_at"],
                [database.kind == "PostgreSQL"],
                did=f"{did}, then last_seen_at: is it stored with a time zone",
                why="PostgreSQL refuses your aware times in a column without one",
                hint="sa.DateTime has a parameter for it, as in revision 0001",
                at=module.upgrade,
            )

    async def test_way_back(self, load, databases):
        """The downgrade takes the column away and keeps all rows, and the way forward works again"""
        module, migrate = revision_file(load, "0002"), load("db.migrate")
        for database in databases:
            await step(
                migrate.upgrade,
                database.engine,
                "0002",
                did="upgrade(engine, '0002')",
                at=module.upgrade,
                mistakes=IN_BATCH,
            )
            await store(database, last_seen_at=at(database, SUMMER))
            did = f"downgrade(engine, '0001'), {database}"
            await step(migrate.downgrade, database.engine, "0001", did=did, at=module.downgrade)
            await kept(database, [], did=did, at=module.downgrade)
            await step(migrate.upgrade, database.engine, "0002", did="upgrade(engine, '0002')", at=module.upgrade)

    def test_alone(self, load):
        """The revision imports nothing from the app, and follows 0001"""
        stands_alone(revision_file(load, "0002"), "0002", "0001")


def stands_alone(module, revision, before):
    """Expect that a revision has its place in the chain, and depends on no code of the app."""
    found = [name for name in imports_of(module) if name.split(".")[0] in ("app", "")]
    expect.equal(
        found,
        [],
        did=f"the imports of revision {revision} that lead into the app",
        why="the app's code will change, and then the revision fails on every new machine",
        hint="say with SQL, or with types of SQLAlchemy, what is to be done",
        at=module.upgrade,
    )
    expect.equal(
        (getattr(module, "revision", "missing"), getattr(module, "down_revision", "missing")),
        (revision, before),
        did="revision, down_revision",
        why="Alembic finds the order of the revisions by these names",
        hint="keep these two lines as they were given",
        at=module.upgrade,
    )


@exercise("12.7", limit=20)
class TestRename:
    async def test_there(self, load, databases):
        """The upgrade gives the column its new name: every value stays, and nothing else changes"""
        await self.renamed(load, databases, "last_seen_at", "last_used_at")

    async def test_and_back(self, load, databases):
        """The downgrade gives it the old name back, with every value that it has by then"""
        await self.renamed(load, databases, "last_used_at", "last_seen_at")

    async def renamed(self, load, databases, old, new):
        module, migrate = revision_file(load, "0003"), load("db.migrate")
        forward = new == "last_used_at"
        for database in databases:
            for revision in ("0002",) if forward else ("0002", "0003"):
                await step(migrate.upgrade, database.engine, revision, did=f"upgrade(engine, {revision!r})")
            there = [one["name"] for one in await database.look(lambda found: found.get_columns("login_sessions"))]
            expect.that(
                old in there and new not in there,
                did=f"the columns of login_sessions before the step, {database}",
                got=", ".join(sorted(there)),
                expected=f"{old}, and no {new}",
                why="the models would ask for a column that is not there",
                hint="one operation changes the name; it leaves one column, not two",
                at=module.upgrade,
            )
            await store(database, **{old: at(database, SPRING)})
            await database.run(f"UPDATE login_sessions SET {old} = {at(database, SUMMER)} WHERE id = 'laptop'")
            function, revision = (migrate.upgrade, "0003") if forward else (migrate.downgrade, "0002")
            here = module.upgrade if forward else module.downgrade
            did = f"{function.__name__}(engine, {revision!r}) with two sessions, {database}"
            await step(function, database.engine, revision, did=did, at=here)
            columns = [one["name"] for one in await database.look(lambda found: found.get_columns("login_sessions"))]
            expect.that(
                new in columns and old not in columns,
                did=f"{did}, then the columns of login_sessions",
                got=", ".join(sorted(columns)),
                expected=f"{new}, and no {old}",
                why="the models would ask for a column that is not there",
                hint="one operation changes the name: which of the two names is the old one in this direction?",
                at=here,
            )
            expect.equal(
                await times(database, new),
                [SUMMER, SPRING],
                did=f"{did}, then {new} of the two",
                why="the times of all sessions would be gone, and no error says so",
                hint="a new column begins empty; a column with a new name is the old one",
                at=here,
            )
            await kept(database, [new], did=did, at=here)

    def test_alone(self, load):
        """The revision imports nothing from the app, and follows 0002"""
        stands_alone(revision_file(load, "0003"), "0003", "0002")

    async def test_agree(self, load, databases):
        """Afterwards the models and the tables agree: the draft of login_sessions is empty"""
        module, migrate = revision_file(load, "0003"), load("db.migrate")
        database = databases[0]
        await step(migrate.upgrade, database.engine, "head", did="upgrade(engine)", at=module.upgrade)
        found = await migrate.draft(database.engine)
        names = "add_column" in found or "drop_column" in found
        expect.that(
            "login_sessions" not in found,
            did="upgrade(engine), then the draft",
            got=" ".join(found.split())[:300],
            expected="nothing about login_sessions",
            why="the app would ask for columns that are not there"
            if names
            else "the column has its name, and not the rules that the models count on",
            hint="compare the name in the model with the one in the revision"
            if names
            else "`nullable` in the draft: the column may be NULL now. A column with a new name keeps its rules"
            if "nullable" in found
            else "the draft shows what differs: a column with a new name keeps all that it had",
            at=module.upgrade,
        )


async def people(database):
    """Store Ada, who made items in an evening, the next noon (two), and at midnight; and Bob, who has none."""
    spring, evening, midnight = (at(database, time) for time in (SPRING, "2026-02-28 20:00:00", "2026-03-02 00:00:00"))
    await database.run(
        *(
            "INSERT INTO users (id, email, username, hashed_password, is_active, is_superuser, role, created_at,"
            f" updated_at) VALUES ({id}, '{name}@example.com', '{name}', '!', true, false, 'user', {spring}, {spring})"
            for id, name in ((101, "ada"), (102, "bob"))
        ),
        *(
            f"INSERT INTO items (id, title, price, owner_id, created_at, updated_at)"
            f" VALUES ({id}, 'Pen', 1, 101, {time}, {time})"
            for id, time in ((1, spring), (2, spring), (3, evening), (4, midnight))
        ),
    )


@pytest.fixture
async def both(load, postgres, tmp_path):
    """Give both databases with the tables of the models, Ada, Bob and four items."""
    found = [
        Database("SQLite", f"sqlite+aiosqlite:///{tmp_path}/both.db", load),
        Database("PostgreSQL", postgres, load),
    ]
    base = load("db.models").Base
    for one in found:
        async with one.engine.begin() as connection:
            await connection.run_sync(base.metadata.create_all)
        await people(one)
    yield found
    for one in found:
        await one.engine.dispose()


def live_in(monkeypatch, zone):
    """Move this machine into a time zone, where the system lets a process do that."""
    monkeypatch.setenv("TZ", zone)
    if hasattr(time, "tzset"):
        time.tzset()


@pytest.fixture(autouse=True)
def _home(monkeypatch):
    """Bring the machine home after a check that moved it."""
    yield
    monkeypatch.undo()
    if hasattr(time, "tzset"):
        time.tzset()


async def reported(load, database, function, *arguments, did, expected, why, hint, prepare=(), about=None):
    """Call a function of the report in a session of its own; an error of the database is a wrong answer.

    `about` may name the mistake in what came back: it returns why and hint, or None.
    """
    sessions = load("db.session").make_session_factory(database.engine)
    session = sessions()
    try:
        for statement in prepare:
            await session.execute(text(statement))
        found = await function(session, *arguments)
    except (DBAPIError, InvalidRequestError, OverflowError, ExceptionGroup) as error:
        cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        raise expect.Wrong(
            did=f"{did}, {database}",
            got=f"the database refuses: {' '.join(str(getattr(cause, 'orig', cause)).split())[:200]}",
            expected=expect.shown(expected),
            why=why,
            hint=hint,
            at=function,
            error=cause,
            sure=True,
        ) from None
    except ValueError as error:
        mistakes = [("'²'", "`isdigit` says yes to a raised 2, and int refuses it: isdecimal, or catch the ValueError")]
        expect.known(error, mistakes, did=f"{did}, {database}", expected=expect.shown(expected), why=why, at=function)
    finally:
        with contextlib.suppress(InvalidRequestError):  # a question that nobody waited for may be under way
            await session.close()
    why, hint = (about(found) if about else None) or (why, hint)
    expect.equal(found, expected, did=f"{did}, {database}", why=why, hint=hint, at=function)


def leaves_at_the_first(function):
    """Say whether a function returns, or leaves its loop, where it catches an error."""
    tree = ast.parse(Path(sys.modules[function.__module__].__file__).read_text(encoding="utf-8"))
    caught = [
        handler
        for one in ast.walk(tree)
        if isinstance(one, ast.AsyncFunctionDef) and one.name == function.__name__
        for loop in ast.walk(one)
        if isinstance(loop, ast.For)
        for handler in ast.walk(loop)
        if isinstance(handler, ast.ExceptHandler)
    ]
    return any(isinstance(part, ast.Return | ast.Break) for handler in caught for part in ast.walk(handler))


GO_ON = "where the error is caught, go on with the next name: `return` or `break` there leaves out all that follow"


@exercise("12.8", limit=20)
class TestOnlyPostgres:
    async def test_numbers(self, load, both):
        """An id that came as text finds the items of its owner, on both databases; what is no id owns nothing"""
        function = load("users.report").items_of
        largest = load("db.base").MAX_ID
        for database in both:
            spring = at(database, SPRING)
            await database.run(
                "INSERT INTO users (id, email, username, hashed_password, is_active, is_superuser, role, created_at,"
                f" updated_at) VALUES ({largest}, 'z@x.com', 'zoe', '!', true, false, 'user', {spring}, {spring})",
                "INSERT INTO items (id, title, price, owner_id, created_at, updated_at)"
                f" VALUES (9, 'Pen', 1, {largest}, {spring}, {spring})",
            )
            for owner, expected in (
                ("101", 4),
                ("102", 0),
                ("0101", 4),
                (str(largest), 1),
                ("one", 0),
                ("", 0),
                ("-1", 0),
                ("9" * 30, 0),
                ("²", 0),
            ):
                await reported(
                    load,
                    database,
                    function,
                    owner,
                    did=f'items_of(session, "{owner}")',
                    expected=expected,
                    why="PostgreSQL compares numbers with numbers; a text would be a 500",
                    hint="make a number of the text before the query, and think of texts that are none, or too large",
                )

    async def test_times(self, load, both, monkeypatch):
        """A day begins at midnight in UTC, on both databases, whatever time zone this machine and the server have"""
        function = load("users.report").items_since
        for database in both:
            for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
                live_in(monkeypatch, zone)
                for day, expected in (("2026-03-01", 3), ("2026-02-28", 4), ("2026-03-02", 1), ("2026-03-03", 0)):
                    await reported(
                        load,
                        database,
                        function,
                        date.fromisoformat(day),
                        did=f"items_since(session, {day}), machine and server in {zone}",
                        expected=expected,
                        why="the same report would give other numbers on a machine in another country",
                        hint="give the time its zone, and compare it with the model's column, which knows its type",
                        prepare=[f"SET TIME ZONE '{zone}'"] if database.kind == "PostgreSQL" else [],
                    )

    async def test_savepoints(self, load, both):
        """Names that are there already are left out, and the others are added, on both databases"""
        function = load("users.report").import_users
        hint = "after an error PostgreSQL refuses all that follows, but not behind a savepoint: begin_nested"
        if "begin_nested" in Path(sys.modules[function.__module__].__file__).read_text(encoding="utf-8"):
            hint = "each name needs a savepoint of its own, and the error is caught outside of its block"
        if leaves_at_the_first(function):
            hint = GO_ON
        for database in both:
            await reported(
                load,
                database,
                function,
                ["ada", "eve", "eve", "kim"],
                did='import_users(session, ["ada", "eve", "eve", "kim"])',
                expected=2,
                why="the first name that is there already would end the whole import",
                hint=hint,
            )

    async def test_at_the_same_moment(self, load, postgres):
        """A name that somebody else adds at the same moment is left out, too, on PostgreSQL"""
        function, user = load("users.report").import_users, load("users.models").User
        database = Database("PostgreSQL", postgres, load)
        async with database.engine.begin() as connection:
            await connection.run_sync(load("db.models").Base.metadata.create_all)
        sessions = load("db.session").make_session_factory(database.engine)
        async with sessions() as first, sessions() as second:
            first.add(user(email="eve@example.com", username="eve", hashed_password="!"))
            await first.flush()
            running = asyncio.create_task(function(second, ["eve", "kim"]))
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            for _ in range(100):
                if running.done() or await database.run(waits) != [(0,)]:
                    break
                await asyncio.sleep(0.05)
            await first.commit()
            try:
                found = await running
            except DBAPIError as error:
                found = f"{type(error).__name__}: {' '.join(str(error.orig).split())[:160]}"
        await database.engine.dispose()
        expect.that(
            found == 1,
            did='another session adds "eve" and commits during import_users(session, ["eve", "kim"])',
            got=str(found),
            expected="1: kim is new, and eve is there already",
            why="whoever looks first and then inserts may find a row that was not there a moment ago",
            hint="insert without a look, and let the UNIQUE rule decide, each time inside a savepoint",
            at=function,
        )

    async def test_callers_transaction(self, load, both):
        """What the caller has written before stays, nothing is committed, and a commit stores all of it"""
        function, user = load("users.report").import_users, load("users.models").User
        for database in both:
            sessions = load("db.session").make_session_factory(database.engine)
            for ending in ("rollback", "commit"):
                async with sessions() as session:
                    session.add(user(email="own@example.com", username="own", hashed_password="!"))
                    await session.flush()
                    broken = False
                    try:
                        await function(session, ["ada", "eve", "bob", "kim"])
                        await getattr(session, ending)()
                    except DBAPIError:
                        broken = True
                rows = await database.run("SELECT username FROM users ORDER BY username")
                found = [name for (name,) in rows]
                why = "half of what belongs together would be stored, or lost"
                hint = "neither commit nor roll back the session: a savepoint takes back what failed, and no more"
                if broken:
                    why = "the first name that is there already ends the import, and takes with it what came before"
                    hint = (
                        "after an error PostgreSQL refuses all that follows, but not behind a savepoint: begin_nested"
                    )
                elif ending == "commit" and "own" in found:
                    why = "names that are new would be missing, because another one was there already"
                    hint = (
                        GO_ON
                        if leaves_at_the_first(function)
                        else "each name needs a savepoint of its own: an error takes back all that is in the same one"
                    )
                expect.equal(
                    found,
                    ["ada", "bob"] if ending == "rollback" else ["ada", "bob", "eve", "kim", "own"],
                    did=f"add a user, import_users(session, [ada, eve, bob, kim]), {ending}, {database}: who is there",
                    why=why,
                    hint=hint,
                    at=function,
                )

    async def test_other_errors(self, load, both):
        """An error that is no duplicate comes out: a text of 60 letters is no name on PostgreSQL"""
        function, database = load("users.report").import_users, both[-1]
        sessions = load("db.session").make_session_factory(database.engine)
        async with sessions() as session:
            with expect.raising(
                DBAPIError,
                did='import_users(session, ["x" * 60]), PostgreSQL',
                why="the import would say that all went well, and somebody is missing",
                hint="catch the one error that you expect, by its name",
                at=function,
            ):
                await function(session, ["x" * 60])

    async def test_groups(self, load, both):
        """Each user is listed with their number of items, the most first, on both databases"""
        function = load("users.report").items_by_user
        for database in both:
            await database.run(
                "INSERT INTO users (id, email, username, hashed_password, is_active, is_superuser, role, created_at,"
                f" updated_at) VALUES (100, 'zoe@example.com', 'abe', '!', true, false, 'user', {at(database, SPRING)},"
                f" {at(database, SPRING)})"
            )
            await reported(
                load,
                database,
                function,
                did="items_by_user(session)",
                expected=[("ada", 4), ("abe", 0), ("bob", 0)],
                why="PostgreSQL shows a column only where all rows of the group must have the same value",
                hint="group by what makes a user one user, and keep those who have no item",
                about=about_groups,
            )

    async def test_search(self, load, both):
        """Names are found by how they begin, in any case; what is typed is text, also %, _ and NUL"""
        function = load("users.report").find_names
        for database in both:
            await database.run(
                "INSERT INTO users (id, email, username, hashed_password, is_active, is_superuser, role, created_at,"
                f" updated_at) VALUES (103, 'x@example.com', 'a_b', '!', true, false, 'user', {at(database, SPRING)},"
                f" {at(database, SPRING)})"
            )
            for typed, expected in (
                *(("A", ["a_b", "ada"]), ("ad", ["ada"]), ("AD", ["ada"]), ("da", []), ("", ["a_b", "ada", "bob"])),
                *(("\x00", []), ("a\x00", []), ("%", []), ("a_", ["a_b"]), ("\\", [])),
            ):
                await reported(
                    load,
                    database,
                    function,
                    typed,
                    did=f"find_names(session, {typed!r})",
                    expected=expected,
                    why="the same search would find other people on another database, or be a 500",
                    hint="no name holds a NUL: look for it first; istartswith ignores case, autoescape is for % and _",
                )

    async def test_two_questions(self, load, both):
        """Users and items are counted in the caller's session, used before or new, with what the caller has written"""
        function, user = load("users.report").numbers, load("users.models").User
        why = "a session is one conversation: a second question, while it opens its connection, is an error"
        hint = "no gather on one session: await the first number, then ask for the second"
        for database in both:
            for prepare in (["SELECT 1"], []):
                did = f"numbers(session), the session {'has asked something before' if prepare else 'is new'}"
                await reported(load, database, function, did=did, expected=(2, 4), why=why, hint=hint, prepare=prepare)
            async with load("db.session").make_session_factory(database.engine)() as session:
                session.add(user(email="own@example.com", username="own", hashed_password="!"))
                await session.flush()
                expect.equal(
                    await function(session),
                    (3, 4),
                    did=f"add a user, flush, then numbers(session), {database}",
                    why="another session sees what is committed, and nothing else",
                    hint="ask the session that was handed over, and no other one",
                    at=function,
                )
            await database.run("DELETE FROM items", "DELETE FROM users")
            await reported(
                load, database, function, did="numbers(session), no rows", expected=(0, 0), why=why, hint=hint
            )


def about_groups(found):
    """Say what is wrong with a list of users and numbers that the database has let pass."""
    if found == [("ada", 4)]:
        return (
            "who has no item would not be in the list: the operators would take them for deleted",
            "an inner join leaves out users without an item: keep those who have no item, by an outer one",
        )
    if isinstance(found, list) and sorted(found) == [("abe", 1), ("ada", 4), ("bob", 1)]:
        return (
            "who has no item would be listed with one",
            "keep those who have no item with a 0: an outer join gives them one row, in which the item's id is NULL",
        )
    return None


async def steps(engine, query):
    """Return the steps of a query's plan, from the top, each as PostgreSQL's JSON tells it."""
    async with engine.connect() as connection:
        found = (await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")).scalar()
    found = json.loads(found) if isinstance(found, str) else found
    listed, todo = [], [found[0]["Plan"]]
    while todo:
        one = todo.pop(0)
        listed.append(one)
        todo += one.get("Plans", [])
    return listed


ORDER = "the order of the columns: a telephone book by first name, then family name, finds no family together"


async def passed(database, found, order):
    """Return how many entries an index that is sorted by price gives before a page of the first owner is full."""
    used = next((one["Index Name"] for one in found if "Index Name" in one and "Bitmap" not in one["Node Type"]), None)
    listed = await database.look(lambda inspector: inspector.get_indexes("items"))
    if not any(one["name"] == used and one["column_names"][0] == "price" for one in listed):
        return 0
    edge, sign = ("max", "<=") if order == "price, id" else ("min", ">=")
    page = f"SELECT price FROM items WHERE owner_id = 1 ORDER BY {order} LIMIT 20"
    count = f"SELECT count(*) FROM items WHERE price {sign} (SELECT {edge}(price) FROM ({page}) p)"
    return (await database.run(count))[0][0]


def nothing_forbidden(item):
    """Expect that no index of items is a rule about its rows."""
    expect.equal(
        [index.name for index in item.__table__.indexes if index.unique],
        [],
        did="the indexes of items that are unique",
        why="an owner's second item at the same price would be refused",
        hint="leave out `unique`: this index is for reading, and forbids nothing",
        at=item,
    )


@exercise("12.9", limit=20)
class TestIndex:
    async def test_rows_read(self, load, postgres):
        """On PostgreSQL, a page of one owner's items by price reads a few rows of many, in both directions"""
        item = load("items.models").Item
        nothing_forbidden(item)
        database = Database("PostgreSQL", postgres, load)
        base, now = load("db.models").Base, at(database, SPRING)
        async with database.engine.begin() as connection:
            await connection.run_sync(base.metadata.create_all)
        await database.run(
            "INSERT INTO users (email, username, hashed_password, is_active, is_superuser, role, created_at,"
            f" updated_at) SELECT n || '@x.com', 'u' || n, '!', true, false, 'user', {now}, {now}"
            " FROM generate_series(1, 4) n",
            "INSERT INTO items (title, price, owner_id, created_at, updated_at)"
            # the first owner's prices lie in the middle: whoever walks by price alone meets all the others first
            " SELECT 'Pen', CASE n % 4 WHEN 0 THEN 5000 ELSE n % 2 * 10000 END + n * 7919 % 997,"
            f" 1 + n % 4, {now}, {now} FROM generate_series(1, 20000) n",
            "ANALYZE items",
        )
        for order in ("price DESC, id", "price, id"):
            query = f"SELECT * FROM items WHERE owner_id = 1 ORDER BY {order} LIMIT 20"
            found = await steps(database.engine, query)
            read = max(one["Actual Rows"] + one.get("Rows Removed by Filter", 0) for one in found)
            what, walked = "rows", await passed(database, found, order)
            if walked > read:
                read, what = walked, "entries of the index"
            expect.that(
                read <= 200,
                did=f"EXPLAIN ANALYZE … WHERE owner_id = 1 ORDER BY {order} LIMIT 20, 5 000 of 20 000 rows",
                got=f"{read:.0f} {what} are read ({found[-1]['Node Type']})",
                expected="about 20",
                why="each item that somebody adds would make their page slower"
                if what == "rows"
                else "the entries of all owners stand mixed, by price: each item of anybody makes this page slower",
                hint="first the column that must be equal, then the one that sorts, in one index"
                if what == "rows"
                else ORDER,
                at=item,
            )
        await database.engine.dispose()

    def test_columns(self, load):
        """One index has the owner first and then the price; the one by time is there, the first try is gone"""
        item = load("items.models").Item
        nothing_forbidden(item)
        found = [[getattr(one, "name", str(one)) for one in index.expressions] for index in item.__table__.indexes]
        wrong_way = any(one[:2] == ["price", "owner_id"] for one in found)
        expect.that(
            not any(one[:1] == ["price"] for one in found),
            did="the indexes of items",
            got=", ".join(str(one) for one in sorted(found)),
            expected="one that begins with owner_id, price, and none that begins with price"
            if wrong_way
            else "none that begins with price",
            why="sorted by price first, the items of one owner stand scattered among those of all others"
            if wrong_way
            else "no page asks for all prices of all owners, and each index makes every INSERT slower",
            hint=ORDER if wrong_way else "put the better index in the place of the first try",
            at=item,
        )
        plain = {column.name for column in item.__table__.columns}
        expect.that(
            all(set(one) <= plain for one in found),
            did="the indexes of items",
            got=", ".join(str(one) for one in sorted(found)),
            expected="each names columns, and nothing else",
            why="on SQLite, Alembic cannot compare an expression: each draft would drop this index and make it again",
            hint='"price" alone serves `ORDER BY price DESC` too: PostgreSQL reads an index in both directions',
            at=item,
        )
        for columns in (["owner_id", "price"], ["owner_id", "created_at"]):
            expect.that(
                any(one[:2] == columns for one in found),
                did="the indexes of items",
                got=", ".join(str(one) for one in sorted(found)) or "none",
                expected=f"one that begins with {', '.join(columns)}",
                why="an index serves a query that asks for its first column, and sorts by the next",
                hint="a telephone book is sorted by family name, then by first name; `__table_args__` may hold several",
                at=item,
            )


@exercise("12.10", limit=20)
class TestOwnRevision:
    async def test_there(self, load, databases):
        """After the upgrade, database and models agree: the index is there, and the draft is empty"""
        module, migrate = revision_file(load, "0004"), load("db.migrate")
        table = load("items.models").Item.__table__
        wanted = sorted([column.name for column in index.columns] for index in table.indexes)
        for database in databases:
            await step(
                migrate.upgrade, database.engine, "0004", did=f"upgrade(engine, '0004'), {database}", at=module.upgrade
            )
            expect.equal(
                await indexes(database),
                wanted,
                did=f"upgrade(engine, '0004'), then the indexes of items, {database}",
                why="the page by price would stay slow in every database but the one of your tests",
                hint="the draft has the line: its name, the table, the columns in their order",
                at=module.upgrade,
            )
            there = await database.look(lambda inspector: inspector.get_indexes("items"))
            rules = sorted(index.name for index in table.indexes if index.unique)
            expect.equal(
                sorted(one["name"] for one in there if one["unique"]),
                rules,
                did=f"upgrade(engine, '0004'), then the unique indexes of items, {database}",
                why="an owner's second item at the same price would be refused, and the models say nothing of it",
                hint="the index of the model is not unique: leave `unique` out, or False",
                at=module.upgrade,
            )
            found = await migrate.draft(database.engine)
            names = {one["name"] for one in there} == {index.name for index in table.indexes}
            expect.that(
                "'items'" not in found and "ix_items" not in found,
                did=f"upgrade(engine, '0004'), then the draft, {database}",
                got=" ".join(" ".join(line.split()) for line in found.splitlines() if "_index" in line) or found,
                expected="nothing about items",
                why="the model's index is not the one of the database: each draft would bring this difference again",
                hint="the draft says what differs: compare its line with yours"
                if names
                else "the name must be the one of your naming convention: the draft shows it",
                at=module.upgrade,
            )

    async def test_and_back(self, load, databases):
        """The downgrade drops this index and no other, and the way forward works again"""
        module, migrate = revision_file(load, "0004"), load("db.migrate")
        for database in databases:
            await step(migrate.upgrade, database.engine, "0004", did="upgrade(engine, '0004')", at=module.upgrade)
            did = f"downgrade(engine, '0003'), {database}"
            await step(migrate.downgrade, database.engine, "0003", did=did, at=module.downgrade)
            expect.equal(
                await indexes(database),
                [["owner_id", "created_at"]],
                did=f"{did}, then the indexes of items",
                why="a way back must end where the way there began",
                hint="drop what upgrade has made, by its name, and nothing else",
                at=module.downgrade,
            )
            did = f"upgrade(engine, '0004') again, {database}"
            await step(migrate.upgrade, database.engine, "0004", did=did, at=module.downgrade)

    def test_alone(self, load):
        """The revision imports nothing from the app, and follows 0003"""
        stands_alone(revision_file(load, "0004"), "0004", "0003")


async def indexes(database):
    """Return the columns of each index of items."""
    return sorted(one["column_names"] for one in await database.look(lambda found: found.get_indexes("items")))
