"""Checks of chapter 12: revisions run on SQLite, and on a real PostgreSQL where the machine has one."""

import ast
import asyncio
import contextlib
import importlib
import json
import logging
import os
import re
import subprocess
import sys
import time
import warnings
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy import inspect as inspect_database
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import QueuePool

from workbook import expect, services
from workbook import postgres as servers
from workbook.checks import exercise
from workbook.imported import Finder, forget

NEEDS = ("postgres",)
MEMORY = "sqlite+aiosqlite://"
SECRET_KEY = "k8Jd72hLq09ZxC4vBn6MwE3rTy5UiOpA"
DATA_IS_LOST = "the tables are full of people's data, and a wrong step cannot be taken back"
ENV = """
from alembic import context
from sqlalchemy import MetaData

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=MetaData(), render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
"""
REVISION = """
import time

from alembic import op
import sqlalchemy as sa

revision, down_revision = {id!r}, {before!r}

def upgrade():
    op.create_table("table_{id}", sa.Column("id", sa.Integer(), primary_key=True))
    {more}

def downgrade():
    op.drop_table("table_{id}")
"""


@contextlib.contextmanager
def one_loop():
    """Name the mistake when the learner's code has left connections of another event loop in the pool."""
    try:
        yield
    except (RuntimeError, DBAPIError) as error:
        said = " ".join(str(getattr(error, "orig", error)).split())
        if "different loop" not in said and "loop is closed" not in said:
            raise
        raise expect.Wrong(
            did="use the same engine once more, in the event loop that runs",
            got=f"{type(error).__name__}: …{said[-60:]}",
            expected="it works as before",
            why="the pool keeps connections of an event loop that has ended: the app's next query would fail",
            hint="an engine belongs to one event loop: await in the one that runs, and start no other",
        ) from None


class Database:
    """A database of a check, and what can be asked of it behind the learner's back."""

    def __init__(self, kind, url, load):
        self.kind, self.url, self.engine = kind, url, load("db.session").make_engine(url)

    def __str__(self):
        return self.kind

    async def run(self, *statements):
        """Run statements, each in the same transaction; return the rows of the last one."""
        with one_loop():
            async with self.engine.begin() as connection:
                for statement in statements:
                    result = await connection.execute(text(statement))
                return [tuple(row) for row in result] if result.returns_rows else []

    async def look(self, question):
        """Ask SQLAlchemy's inspector something."""
        with one_loop():
            async with self.engine.connect() as connection:
                return await connection.run_sync(lambda sync: question(inspect_database(sync)))

    async def tables(self):
        """Return the names of the tables, but Alembic's own."""
        return sorted(set(await self.look(lambda found: found.get_table_names())) - {"alembic_version"})

    async def revision(self):
        """Return the revision that is written down in the database, or None."""
        if "alembic_version" not in await self.look(lambda found: found.get_table_names()):
            return None
        return next((row[0] for row in await self.run("SELECT version_num FROM alembic_version")), None)


@pytest.fixture
async def databases(load, tmp_path):
    """Give an empty database of each kind that this machine has, the quick one first."""
    found = [Database("SQLite", f"sqlite+aiosqlite:///{tmp_path}/check.db", load)]
    try:
        server = services.address("postgres")
    except services.Unavailable:
        yield found
        await found[0].engine.dispose()
        return
    async with servers.temporary_database(server) as url:
        found.append(Database("PostgreSQL", url, load))
        yield found
        for one in found:
            await one.engine.dispose()


@pytest.fixture(autouse=True)
def _quiet():
    """Alembic tells each step to its logger; a check's panel is no place for it."""
    logging.getLogger("alembic").setLevel(logging.WARNING)


@pytest.fixture
def chain(load, tmp_path, monkeypatch):
    """Put a chain of the check's own in place of the learner's revisions: a1, a2, a3, with `broken` one that fails."""
    migrate, folder = load("db.migrate"), tmp_path / "migrations"

    def make(*, broken=False, slow=False):
        versions = folder / "versions"
        versions.mkdir(parents=True, exist_ok=True)
        (folder / "env.py").write_text(ENV)
        for id, before in (("a1", None), ("a2", "a1"), ("a3", "a2"), *([("a4", "a3")] if broken else [])):
            more = "raise ValueError('this revision fails')" if id == "a4" else "time.sleep(0.1)" if slow else ""
            (versions / f"{id}.py").write_text(REVISION.format(id=id, before=before, more=more))
        monkeypatch.setattr(sys.modules["app.db.migrate"], "MIGRATIONS", folder)
        return migrate

    return make


def all_returned(database, *, did, at):
    """Expect that no connection is left behind."""
    expect.equal(
        database.engine.pool.checkedout(),
        0,
        did=f"{did}, then the connections that are still taken",
        why="each call would take one more connection from the pool, until none is left",
        hint="`async with` gives a connection back at the end of its block",
        at=at,
    )


SYNC = [
    (
        "'Connection' object has no attribute 'get_alembic_option'",
        "`run_sync` hands the connection over first, and Alembic wants a config first: a lambda between them makes it",
    ),
    ("Connection, url, or dialect", "the config carries no connection: hand the one of `run_sync` to make_config"),
    ("AsyncConnection'", "Alembic is synchronous: `run_sync` calls it with the connection it needs"),
    ("greenlet_spawn has not been called", "Alembic is synchronous: `run_sync` calls it with the connection it needs"),
    (
        "'AsyncConnection' object has no attribute",
        "Alembic needs the synchronous connection that `run_sync` hands over",
    ),
    ("'AsyncEngine' object has no attribute", "Alembic needs a synchronous connection, which `run_sync` hands over"),
    (
        "A MigrationContext",
        "Alembic needs the synchronous connection that `run_sync` hands to its function",
    ),
    (
        "'NoneType' object has no attribute",
        "the config carries no connection: hand the one of `run_sync` to make_config",
    ),
    ("coroutine was expected", "run_sync takes a plain function, which calls Alembic"),
    ("takes 1 positional argument but 2 were given", "run_sync hands the connection over as the first argument"),
    (
        "missing 1 required positional argument",
        "run_sync calls the function with the connection: hand over the function",
    ),
    ("asyncio.run() cannot be called", "a loop runs already: await, and let run_sync call Alembic"),
]


async def call(function, *arguments, did, why="the database stays as it is, and the new code fails on old tables"):
    """Call one of the learner's coroutines; known slips are named."""
    try:
        return await function(*arguments)
    except NotImplementedError:
        raise
    except Exception as error:
        expect.known(error, SYNC, did=did, expected="it returns", why=why)


@exercise("12.1", limit=20)
class TestMigrate:
    async def test_current(self, chain, databases):
        """`current` gives the revision that is written down in the database, None for a new one, and changes nothing"""
        migrate = chain()
        for database in databases:
            did = f"current(engine), {database}"
            found = await call(migrate.current, database.engine, did=f"{did}, a new database")
            why = "nobody would know which revisions a database has seen"
            hint = (
                "`read_revision` reads it, on a connection of this engine; `head` tells of the files, not of a database"
            )
            expect.equal(found, None, did=f"{did}, a new database", why=why, hint=hint, at=migrate.current)
            names = await database.look(lambda found: found.get_table_names())
            expect.equal(
                names,
                [],
                did=f"{did}, then the tables of the new database",
                why="to look must change nothing",
                hint="`read_revision` only reads",
                at=migrate.current,
            )
            await database.run(
                "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
                "INSERT INTO alembic_version VALUES ('a1')",
            )
            found = await call(migrate.current, database.engine, did=did)
            hint = (
                "`read_revision` reads it, on a connection of this engine; `head` tells of the files, not of a database"
            )
            expect.equal(found, "a1", did=f"{did} with a1, the newest is a3", why=why, hint=hint, at=migrate.current)
            all_returned(database, did=did, at=migrate.current)

    async def test_upgrade(self, chain, databases):
        """`upgrade` runs the revisions that are missing, up to the newest or to the one that is named, and commits"""
        migrate = chain()
        for database in databases:
            for arguments, expected in ((("a1",), "a1"), ((), "a3"), ((), "a3")):
                did = f"upgrade(engine{''.join(f', {one!r}' for one in arguments)}), {database}"
                await call(migrate.upgrade, database.engine, *arguments, did=did)
                names = ["table_a1", "table_a2", "table_a3"][: int(expected[1])]
                found = (await database.revision(), await database.tables())
                too_far = (found[0] or "") > expected
                expect.equal(
                    found,
                    (expected, names),
                    did=f"{did}, then revision and tables, seen from another connection",
                    why="it went too far: the revisions behind the one that is named may wait for a later release"
                    if too_far
                    else "what is not committed is gone when the connection closes",
                    hint="hand `revision` on to Alembic's command.upgrade, in the place of a fixed one"
                    if too_far
                    else "hand `revision` on to Alembic, and take the connection from `changing`, which commits",
                    at=migrate.upgrade,
                )
                all_returned(database, did=did, at=migrate.upgrade)

    async def test_downgrade(self, chain, databases):
        """`downgrade` takes revisions back, down to the one that is named, and commits"""
        migrate = chain()
        for database in databases:
            await call(migrate.upgrade, database.engine, did="upgrade(engine)")
            for revision, expected in (("a1", ("a1", ["table_a1"])), ("base", (None, []))):
                did = f"downgrade(engine, {revision!r}), {database}"
                await call(migrate.downgrade, database.engine, revision, did=did)
                expect.equal(
                    (await database.revision(), await database.tables()),
                    expected,
                    did=f"{did}, then revision and tables, seen from another connection",
                    why="a release that went wrong could not be taken back",
                    hint="hand `revision` on to Alembic's command.downgrade, on a connection of `changing`",
                    at=migrate.downgrade,
                )
                all_returned(database, did=did, at=migrate.downgrade)

    async def test_changing(self, chain, databases, monkeypatch):
        """`upgrade` and `downgrade` work on a connection of `changing`, which commits all of it or nothing"""
        migrate, used = chain(), []
        module = sys.modules["app.db.migrate"]
        changing = module.changing

        def noted(engine):
            used.append(engine)
            return changing(engine)

        monkeypatch.setattr(module, "changing", noted)
        engine = databases[0].engine
        for function, revision in ((migrate.upgrade, "a1"), (migrate.downgrade, "base")):
            used.clear()
            did = f"{function.__name__}(engine, {revision!r})"
            await call(function, engine, revision, did=did)
            expect.equal(
                len(used),
                1,
                did=f"{did}: how often it takes a connection of `changing`",
                why="a step that fails half way must leave nothing, and what all changes need stands in `changing`",
                hint="`async with changing(engine) as connection:` gives the connection, and ends the transaction",
                at=function,
            )

    async def test_failure(self, chain, databases):
        """When a revision fails, its error comes out, and the database keeps the revision that it had"""
        migrate = chain(broken=True)
        for database in databases:
            await call(migrate.upgrade, database.engine, "a3", did="upgrade(engine, 'a3')")
            with expect.raising(
                ValueError,
                says="this revision fails",
                did=f"upgrade(engine) with a revision that fails, {database}",
                why="a deployment would go on, on tables that are not there",
                hint="catch nothing: whoever calls upgrade must see the error",
                at=migrate.upgrade,
            ):
                await migrate.upgrade(database.engine)
            expect.equal(
                await database.revision(),
                "a3",
                did=f"then the revision, {database}",
                why="the next upgrade would leave out a revision that never ran",
                at=migrate.upgrade,
            )
            all_returned(database, did="upgrade(engine) with a revision that fails", at=migrate.upgrade)


MORE_MODELS = """

from sqlalchemy.orm import Mapped, mapped_column
from app.db.base import Base as _Base


class Later(_Base):
    __tablename__ = "a_table_of_next_year"
    id: Mapped[int] = mapped_column(primary_key=True)
"""


def folder_of(load):
    """Return the folder of the learner's package."""
    return Path(load("db.migrate").__file__).parents[1]


def copied(load, tmp_path):
    """Copy the learner's package, so that a check may change it; return the copy."""
    target = tmp_path / "copy" / "app"
    for path in folder_of(load).rglob("*.py"):
        new = target / path.relative_to(folder_of(load))
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(path.read_bytes())
    return target


IN_ENV = [
    ("asyncio.run() cannot", "env.py runs inside a loop already, on the connection that it was handed: use that one"),
    ("greenlet_spawn has not", "Alembic is synchronous: env.py uses the connection that it was handed, and opens none"),
    ("has no attribute 'Base'", "import `Base` from the one module that lists all models"),
    ("", "a table is known when the module of its model was imported: which module imports them all?"),
]


async def draft_of(load, folder):
    """Draft a revision for an empty database as a fresh process would; return the tables it makes, or the error."""
    Finder.point(folder)
    forget()
    engine = create_async_engine(MEMORY)
    try:
        found = await importlib.import_module("app.db.migrate").draft(engine)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        await engine.dispose()
        forget()
        load("db.migrate")
    return sorted(re.findall(r"create_table\('(\w+)'", found))


@exercise("12.2", limit=20)
class TestEnvironment:
    async def test_all_models(self, load):
        """In a fresh process, a draft for an empty database makes a table for each model"""
        env = load("db.migrations.env")
        names = await draft_of(load, folder_of(load))
        if isinstance(names, list):
            missing = [name for name in FIRST if name not in names]
            got = f"{', '.join(names)}; {' and '.join(missing)} {'are' if missing[1:] else 'is'} missing"
        else:
            missing, got = [""], names
        expect.that(
            not missing,
            did="draft(engine) in a fresh process: the tables that it makes",
            got=got if names else "none: the draft is `pass`",
            expected="users, items, login_sessions",
            why="who runs the revision gets only some of the tables, and the app fails at a query of another"
            if isinstance(names, list) and names
            else "the revision would be empty, and whoever runs it gets no table",
            hint=next(hint for part, hint in IN_ENV if part in str(names)),
            at=env.all_tables,
        )

    async def test_next_year(self, load, tmp_path):
        """A model that app/db/models.py learns next year is in the next draft, and env.py needs no change"""
        env, folder = load("db.migrations.env"), copied(load, tmp_path)
        models = folder / "db" / "models.py"
        models.write_text(models.read_text(encoding="utf-8") + MORE_MODELS, encoding="utf-8")
        names = await draft_of(load, folder)
        expect.that(
            isinstance(names, list) and "a_table_of_next_year" in names,
            did="add a model to app/db/models.py, then draft(engine) in a fresh process",
            got=f"tables: {names}",
            expected="the new table is among them",
            why="the next model would be forgotten, and its revision would be empty again",
            hint="do not list the models here again: which module imports all of them, next year too?"
            if "users" in names
            else IN_ENV[-1][1],
            at=env.all_tables,
        )

    def test_when(self, load):
        """The models are imported when somebody asks for the tables, and with them no route and no app"""
        env = load("db.migrations.env")
        Finder.point(folder_of(load))
        forget()
        try:
            fresh = importlib.import_module("app.db.migrations.env")
            early = sorted(name for name in sys.modules if name.startswith("app.") and name.endswith(".models"))
            early += ["app.db.base"] if "app.db.base" in sys.modules else []
            fresh.all_tables()
            late = sorted(name for name in sys.modules if re.fullmatch(r"app\.(main|.*routes|.*router)", name))
        finally:
            forget()
            load("db.migrate")
        expect.equal(
            early,
            [],
            did="import env.py, and call nothing: the modules of the models that it has imported",
            why="who imports env.py would load all models, and a model that needs it could not be imported at all",
            hint="the import stands inside `all_tables`: it happens when somebody asks for the tables",
            at=env.all_tables,
        )
        expect.equal(
            late,
            [],
            did="call all_tables(): the modules of the app and its routes that it has imported",
            why="the whole app would be built, and its settings read, before the first table is there",
            hint="one module of `app/db` imports every model, and nothing else",
            at=env.all_tables,
        )

    async def test_given_connection(self, load, databases):
        """The environment runs on the connection that it was handed, and asks no settings for another"""
        migrate, env = load("db.migrate"), load("db.migrations.env")
        database = databases[-1]
        did = "upgrade(engine, '0001')"
        await step(migrate.upgrade, database.engine, "0001", did=did, at=env.run_migrations, mistakes=IN_ENV[:2])
        expect.equal(
            await database.revision(),
            "0001",
            did=f"upgrade(engine, '0001'), {database}, then the revision of this database",
            why="a test would migrate the database of the settings, which may be the real one",
            hint="keep the rest of env.py as it was given",
            at=env.run_migrations,
        )


REVISIONS = {
    "0001": "r0001_first_tables",
    "0002": "r0002_last_seen",
    "0003": "r0003_last_used",
    "0004": "r0004_items_by_price",
}
FIRST = ("items", "login_sessions", "users")


def revision_file(load, id):
    """Return the learner's module of a revision."""
    return load(f"db.migrations.versions.{REVISIONS[id]}")


def imports_of(module):
    """Return the names of the modules that a module's text imports, wherever it does."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(("." * node.level) + (node.module or ""))
    return names


IN_REVISION = [
    ("does not exist", "a table that is not there cannot be dropped or changed: compare the names, and the order"),
    ("no such table", "a table that is not there cannot be dropped or changed: compare the names, and the order"),
    ("DependentObjectsStillExist", "another table points to this one: drop those first that point to others"),
    ("cannot drop table users", "other tables point to users: drop those first that point to others"),
    ("already exists", "this is there already: does downgrade take away everything that upgrade makes?"),
    ("contains null values", "the rows that are there have no value yet: add the column, fill it, then close it"),
    (
        "Cannot add a NOT NULL column",
        "the rows that are there have no value yet: add the column, fill it, then close it",
    ),
    ("NOT NULL constraint failed", "a row has no value when the column is closed: fill it between the two steps"),
    ('near "ALTER": syntax error', "SQLite cannot change a column: do it inside `op.batch_alter_table`"),
    ("No support for ALTER of constraints", "SQLite cannot change a column: do it inside `op.batch_alter_table`"),
    ("no such column", "the column has another name at this moment: compare the order of the steps"),
    ("'last_seen_at'", "the column has another name at this moment: compare the two names with the direction"),
    ("'last_used_at'", "the column has another name at this moment: compare the two names with the direction"),
    ("has no attribute 'UtcDateTime'", "a revision names only types of SQLAlchemy: sa.DateTime(timezone=True)"),
]


async def step(function, engine, revision, *, did, why=DATA_IS_LOST, at=None, mistakes=IN_REVISION):
    """Run an upgrade or a downgrade to a revision; what the database says about it is a wrong answer."""
    try:
        await function(engine, revision)
    except Exception as error:
        expect.known(error, mistakes, did=did, expected="the step runs", why=why, at=at)


@exercise("12.3", limit=20)
class TestFirstRevision:
    def test_imports(self, load):
        """The revision imports nothing from the app: it says what the tables were on its day"""
        module = revision_file(load, "0001")
        found = [name for name in imports_of(module) if name.split(".")[0] in ("app", "")]
        expect.equal(
            found,
            [],
            did="the imports of r0001_first_tables.py that lead into the app",
            why="the app's code will change, and then the first revision fails on every new machine",
            hint="say with types of SQLAlchemy what UtcDateTime and Role store",
            at=module.upgrade,
        )

    async def test_tables(self, load, databases):
        """On each database the upgrade makes the three tables: columns, types, rules, keys and indexes"""
        module, migrate = revision_file(load, "0001"), load("db.migrate")
        for database in databases:
            await step(
                migrate.upgrade, database.engine, "0001", did=f"upgrade(engine, '0001'), {database}", at=module.upgrade
            )
            expect.equal(
                await database.tables(),
                sorted(FIRST),
                did=f"upgrade(engine, '0001'), then the tables, {database}",
                why="the app would fail at its first query",
                at=module.upgrade,
            )
            found = await database.look(lambda inspector: {name: described(inspector, name) for name in FIRST})
            for name in FIRST:
                for part, wanted in WANTED[name].items():
                    expect.equal(
                        found[name][part],
                        wanted,
                        did=f"upgrade(engine, '0001'), then the {part} of {name}, {database}",
                        why="the tables are not those that the models expect",
                        hint=await about_role(database, found[name][part])
                        if (name, part) == ("users", "lengths")
                        else "the draft had this right: change the types of UtcDateTime and Role, and nothing else",
                        at=module.upgrade,
                    )

    async def test_time_zones(self, load, postgres):
        """On PostgreSQL each time is stored with its time zone"""
        module, migrate = revision_file(load, "0001"), load("db.migrate")
        database = Database("PostgreSQL", postgres, load)
        await step(migrate.upgrade, database.engine, "0001", did="upgrade(engine, '0001')", at=module.upgrade)
        found = await database.run(
            "SELECT table_name || '.' || column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND data_type = 'timestamp without time zone' ORDER BY 1"
        )
        await database.engine.dispose()
        expect.equal(
            [name for (name,) in found],
            [],
            did="upgrade(engine, '0001'), then the times without a time zone",
            why="PostgreSQL refuses your aware times there: each request that stores one would be a 500",
            hint="DateTime has a parameter for it",
            at=module.upgrade,
        )

    async def test_way_back(self, load, databases):
        """After `downgrade` to base the tables are gone, and an upgrade makes them again"""
        module, migrate = revision_file(load, "0001"), load("db.migrate")
        for database in databases:
            for turn in ("first", "second"):
                did = f"upgrade(engine, '0001'), the {turn} time, {database}"
                await step(migrate.upgrade, database.engine, "0001", did=did, at=module.downgrade)
                did = f"downgrade(engine, 'base'), {database}"
                await step(migrate.downgrade, database.engine, "base", did=did, at=module.downgrade)
                expect.equal(
                    await database.tables(),
                    [],
                    did=f"{did}, then the tables",
                    why="a way back that leaves tables behind makes the next upgrade fail",
                    hint="downgrade drops what upgrade has made, those tables first that point to others",
                    at=module.downgrade,
                )

    def test_identity(self, load):
        """The revision is "0001", the first of the chain"""
        module = revision_file(load, "0001")
        expect.equal(
            (getattr(module, "revision", "missing"), getattr(module, "down_revision", "missing")),
            ("0001", None),
            did="revision, down_revision",
            why="the next revision names it, and Alembic finds it by this name",
            hint="keep these two lines as they were given",
            at=module.upgrade,
        )


async def about_role(database, lengths):
    """Say what is wrong with the lengths of the texts in users: mostly the role's."""
    kind = "SELECT data_type FROM information_schema.columns WHERE table_name = 'users' AND column_name = 'role'"
    if database.kind == "PostgreSQL" and await database.run(kind) == [("USER-DEFINED",)]:
        return "PostgreSQL made a type of its own for the role; the models store a plain text, with a length"
    if "role" not in lengths:
        return "the role is a text of at most 20 characters: ROLE does not say how long it may be"
    if lengths["role"] != WANTED["users"]["lengths"]["role"]:
        return "the role is a text of at most 20 characters: compare ROLE with that"
    return "the draft had the lengths right: change the types of UtcDateTime and Role, and nothing else"


def described(inspector, table):
    """Return what a table is, in words that both databases share."""
    columns = inspector.get_columns(table)
    keys = inspector.get_foreign_keys(table)
    return {
        "columns": sorted(one["name"] for one in columns),
        "columns that may be NULL": sorted(one["name"] for one in columns if one["nullable"]),
        "lengths": {one["name"]: one["type"].length for one in columns if getattr(one["type"], "length", None)},
        "price": [(one["type"].precision, one["type"].scale) for one in columns if one["name"] == "price"],
        "primary key": inspector.get_pk_constraint(table)["constrained_columns"],
        "name of the primary key": inspector.get_pk_constraint(table)["name"],
        "foreign keys": [
            (one["name"], one["constrained_columns"], one["referred_table"], one["options"].get("ondelete"))
            for one in keys
        ],
        "indexes": sorted(
            (one["name"], one["column_names"], bool(one["unique"])) for one in inspector.get_indexes(table)
        ),
    }


WANTED = {
    "users": {
        "columns": [
            *("created_at", "deleted_at", "email", "full_name", "hashed_password", "id", "is_active", "is_superuser"),
            *("role", "updated_at", "username"),
        ],
        "columns that may be NULL": ["deleted_at", "full_name"],
        "lengths": {"email": 320, "username": 50, "full_name": 100, "hashed_password": 255, "role": 20},
        "primary key": ["id"],
        "name of the primary key": "pk_users",
        "foreign keys": [],
        "indexes": [("ix_users_email", ["email"], True), ("ix_users_username", ["username"], True)],
    },
    "items": {
        "columns": ["created_at", "description", "id", "owner_id", "price", "title", "updated_at", "url"],
        "columns that may be NULL": ["description", "url"],
        "lengths": {"title": 200},
        "price": [(10, 2)],
        "primary key": ["id"],
        "name of the primary key": "pk_items",
        "foreign keys": [("fk_items_owner_id_users", ["owner_id"], "users", "CASCADE")],
        "indexes": [("ix_items_owner_id_created_at", ["owner_id", "created_at"], False)],
    },
    "login_sessions": {
        "columns": ["created_at", "current_jti", "expires_at", "id", "updated_at", "user_id"],
        "columns that may be NULL": [],
        "lengths": {"id": 32, "current_jti": 32},
        "primary key": ["id"],
        "name of the primary key": "pk_login_sessions",
        "foreign keys": [("fk_login_sessions_user_id_users", ["user_id"], "users", "CASCADE")],
        "indexes": [("ix_login_sessions_user_id", ["user_id"], False)],
    },
}


def start(load, url, stage):
    """Return an app's settings for a stage, and its lifespan's database as a block."""
    settings = load("core.config").Settings(database_url=url, stage=stage, secret_key=SECRET_KEY)
    return load("db.session").open_database(settings)


@exercise("12.4", limit=20)
class TestStart:
    async def test_development(self, load, chain, databases):
        """In development the app brings its database to the newest revision when it starts, from any revision"""
        migrate, prepare = chain(), load("db.schema").prepare_schema
        for database in databases:
            for before in (None, "a1", "a3"):
                if before:
                    await migrate.downgrade(database.engine, "base")
                    await migrate.upgrade(database.engine, before)
                did = f"start in development, {database}, revision {before}"
                async with start(load, database.url, "development"):
                    pass
                expect.equal(
                    (await database.revision(), await database.tables()),
                    ("a3", ["table_a1", "table_a2", "table_a3"]),
                    did=f"{did}, then revision and tables",
                    why="the app would run on tables that it was not written for",
                    hint="`upgrade` brings a database to the newest revision; the revisions make all tables",
                    at=prepare,
                )

    async def test_elsewhere_at_head(self, load, chain, databases):
        """In staging and production the app starts on a database that has the newest revision"""
        migrate, prepare = chain(), load("db.schema").prepare_schema
        for database in databases:
            await migrate.upgrade(database.engine)
            for stage in ("staging", "production"):
                try:
                    async with start(load, database.url, stage):
                        pass
                except load("db.schema").SchemaNotReady as error:
                    raise expect.Wrong(
                        did=f"start in {stage}, {database}, revision a3, which is the newest",
                        got=f"SchemaNotReady: {error}",
                        expected="it starts",
                        why="nobody could ever start the app there",
                        hint="compare the revision of the database with the head: `is_at_head` does it, and is awaited",
                        at=prepare,
                    ) from None

    async def test_elsewhere_not_at_head(self, load, chain, databases):
        """In staging and production it refuses any other database, changes nothing, and says which command helps"""
        migrate, prepare = chain(), load("db.schema").prepare_schema
        refusal = load("db.schema").SchemaNotReady
        for database in databases:
            for before in (None, "a1", "b7"):
                for stage in ("staging", "production"):
                    if before == "b7":
                        await database.run("UPDATE alembic_version SET version_num = 'b7'")
                    elif before:
                        await migrate.upgrade(database.engine, before)
                    tables = await database.tables()
                    newer = before == "b7"
                    known = "which only newer code knows" if newer else "the newest is a3"
                    did = f"start in {stage}, {database}, revision {before}, {known}"
                    with expect.raising(
                        refusal,
                        did=did,
                        why="old code would run on tables that newer code has changed, and store rows that break it"
                        if newer
                        else "new code would run on old tables, and fail at some request, at some hour",
                        hint="names of revisions have no order: a database has the newest one, or not (`is_at_head`)"
                        if newer
                        else "outside development only look, with `is_at_head`, and raise when the answer is no",
                        at=prepare,
                    ) as caught:
                        async with start(load, database.url, stage):
                            pass
                    expect.equal(
                        (await database.revision(), await database.tables()),
                        (before, tables),
                        did=f"{did}, then revision and tables",
                        why="ten processes would change the tables at once, when nobody expects it",
                        hint="outside development nothing is upgraded and no table is made",
                        at=prepare,
                    )
                    said = str(caught.value)
                    expect.that(
                        "<coroutine" not in said,
                        did=f"{did}: the message",
                        got=said,
                        expected=f"it holds the revision of the database, {before!r}"
                        if before
                        else "it says that the database has no revision",
                        why="whoever is called at night needs to know what the database has",
                        hint="`current` is a coroutine: await it",
                        at=prepare,
                    )
                    # how a message says "no revision" is free
                    for part in (*([before] if before else []), "a3", "python -m app.db.migrate upgrade"):
                        expect.that(
                            part in said,
                            did=f"{did}: the message",
                            got=said or "an empty message",
                            expected=f"it holds {part!r}",
                            why="whoever is called at night needs to know what to do",
                            hint="the revision of the database, the head and the command stand in the message",
                            at=prepare,
                        )

    def test_no_create_all(self, load):
        """`create_all` is gone from the app"""
        module = load("db.schema")
        source = Path(module.__file__).read_text(encoding="utf-8")
        expect.that(
            "create_all" not in re.sub(r'""".*?"""|#[^\n]*', "", source, flags=re.DOTALL),
            did="app/db/schema.py",
            got="it calls create_all",
            expected="only revisions make tables",
            why="tables that no revision made make the next upgrade fail: they are there already",
            hint="what `upgrade` does is enough",
            at=module.prepare_schema,
        )


PROCESS = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from app.db import migrate
from app.db.session import make_engine
migrate.MIGRATIONS = Path(sys.argv[3])
migrate.head()
print("ready", flush=True)
sys.stdin.readline()
try:
    asyncio.run(migrate.upgrade(make_engine(sys.argv[2])))
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}".splitlines()[0])
"""


def at_once(load, tmp_path, url, count=2):
    """Let processes upgrade one database at the same moment; return what those that failed have said."""
    if hasattr(os, "fork"):
        return forked(load, tmp_path, url, count)
    words = [sys.executable, "-B", "-c", PROCESS, folder_of(load).parent, url, tmp_path / "migrations"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    running = [subprocess.Popen([str(word) for word in words], text=True, **pipes) for _ in range(count)]
    try:
        for one in running:
            one.stdout.readline()
        for one in running:
            with contextlib.suppress(OSError):
                one.stdin.write("go\n")
                one.stdin.flush()
        said = [one.communicate()[1] for one in running]
    finally:
        for one in running:
            one.kill()
    return [text.strip().splitlines()[-1] for one, text in zip(running, said, strict=True) if one.returncode]


def forked(load, tmp_path, url, count):
    """Do the same by forks of this process: they have imported everything already."""
    migrate, make_engine = load("db.migrate"), load("db.session").make_engine
    migrate.head()
    waiting, go = os.pipe()
    children = []
    for number in range(count):
        said = tmp_path / f"said{number}"
        said.unlink(missing_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # this process has idle threads of aiosqlite
            child = os.fork()
        if child == 0:
            try:
                os.close(go)
                os.read(waiting, 1)  # returns when the parent lets go
                asyncio.run(migrate.upgrade(make_engine(url)))
            except BaseException as error:
                said.write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
            finally:
                os._exit(0)
        children.append((child, said))
    os.close(waiting)
    os.close(go)
    for child, _said in children:
        os.waitpid(child, 0)
    return [" ".join(said.read_text(encoding="utf-8").split()) for _child, said in children if said.exists()]


async def about_lock(migrate, database):
    """Say what is wrong with a lock that does not make the second one wait, by the statements that it sends."""
    sent, engine = [], create_async_engine(database.url)
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *facts: sent.append(facts[2].upper()))
    async with engine.connect() as connection:
        with contextlib.suppress(Exception):
            await migrate.lock_schema(connection)
        await connection.invalidate()  # with it ends whatever it holds
    await engine.dispose()
    if not sent:
        name = engine.dialect.name
        return (
            "the second one must wait before it reads the revision: is there a branch for this database?"
            f' `connection.dialect.name` is "{name}" here, in small letters'
        )
    if any("ADVISORY" in statement for statement in sent) is (database.kind == "SQLite"):
        return f'this is the other database\'s statement: `connection.dialect.name` is "{engine.dialect.name}" here'
    if any("PG_TRY_" in statement for statement in sent):
        return "a function with `try` in its name never waits: it says at once whether the lock was free"
    if any(statement.split()[0] == "BEGIN" and "IMM" not in statement for statement in sent):
        return "a plain BEGIN takes the lock at the first write, and both have read by then: which one takes it now?"
    return "the second one must wait before it reads the revision: one lock for all, until the transaction ends"


@exercise("12.5", limit=30)
class TestLock:
    async def test_processes(self, load, chain, databases, tmp_path):
        """Two real processes upgrade an empty database at the same moment: one does it, the other waits, none fails"""
        migrate = chain(slow=True)
        for database in databases:
            failed = at_once(load, tmp_path, database.url)
            expect.that(
                not failed,
                did=f"two processes: upgrade, at the same moment, {database}",
                got=f"one fails: {failed[0].partition(' [SQL:')[0][:200]}" if failed else "",
                expected="both end well",
                why="of the processes that start at the same moment only one would run",
                hint=await about_lock(migrate, database) if failed else "",
                at=migrate.lock_schema,
            )
            expect.equal(
                (await database.revision(), await database.tables()),
                ("a3", ["table_a1", "table_a2", "table_a3"]),
                did=f"then revision and tables, {database}",
                why=DATA_IS_LOST,
                at=migrate.lock_schema,
            )

    async def test_free_again(self, load, chain, databases):
        """The lock ends with the transaction, also after an error: an engine that stays open makes nobody wait"""
        migrate = chain(broken=True)
        for database in databases:
            other = Database(database.kind, database.url, load)
            with contextlib.suppress(ValueError):
                await migrate.upgrade(database.engine)
            await migrate.upgrade(database.engine, "a2")
            try:
                await asyncio.wait_for(migrate.upgrade(other.engine, "a3"), 6)
            except TimeoutError:
                raise expect.Wrong(
                    did=f"upgrade with one engine, which stays open, then with another, {database}",
                    got="the second one waits, and waits",
                    expected="the lock is free when the first one's transaction has ended",
                    why="a pool keeps its connections: the next deployment would wait for hours",
                    hint="the lock belongs to the transaction, not to the connection: each has its own function",
                    at=migrate.lock_schema,
                ) from None
            finally:
                await other.engine.dispose()

    async def test_all_or_nothing(self, chain, databases):
        """Of revisions that fail, nothing stays: no table, and the revision is the one of before"""
        migrate = chain(broken=True)
        for database in databases:
            await migrate.upgrade(database.engine, "a2")
            with contextlib.suppress(ValueError):
                await migrate.upgrade(database.engine)
            expect.equal(
                (await database.revision(), await database.tables()),
                ("a2", ["table_a1", "table_a2"]),
                did=f"upgrade(engine) from a2 to a4, where a4 fails, {database}, then revision and tables",
                why="the next upgrade would find tables that it is about to make",
                hint="on SQLite only a transaction that was begun by hand holds CREATE TABLE, too",
                at=migrate.lock_schema,
            )

    async def test_rows_of_others(self, chain, databases):
        """Afterwards SQLite checks foreign keys again, and the connection serves as before"""
        migrate, database = chain(), databases[0]
        await migrate.upgrade(database.engine)
        async with database.engine.connect() as connection:
            found = (await connection.exec_driver_sql("PRAGMA foreign_keys")).scalar()
        expect.equal(
            found,
            1,
            did="upgrade(engine), then PRAGMA foreign_keys, SQLite",
            why="items could belong to nobody",
            hint="leave `changing` as it was given",
            at=migrate.lock_schema,
        )


SPRING, SUMMER = "2026-03-01 12:00:00", "2026-06-01 12:00:00"


def at(database, time):
    """Return a time as a database takes it in SQL."""
    return f"'{time}+00'" if database.kind == "PostgreSQL" else f"'{time}.000000'"


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


NOBODY = "postgresql+asyncpg://ada:secret@127.0.0.1:1/app"  # an engine connects at its first query, and not before


def pool_of(engine):
    """Return a pool's size, overflow and seconds to wait."""
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        return type(pool).__name__, "none", "no"
    return pool.size(), pool._max_overflow, pool._timeout


def made(make_engine, url, **pool):
    """Make an engine; a dictionary that was handed on as one argument is named."""
    try:
        return make_engine(url, **pool)
    except (AttributeError, TypeError) as error:
        words = ", ".join(f"{name}={value}" for name, value in pool.items())
        hint = "`pool` is a dictionary of arguments: two stars spread it out in the call, as with `options`"
        mistakes = [("'dict' object has no attribute '_dialect'", hint)]
        expect.known(error, mistakes, did=f"make_engine(…, {words})", expected="an engine", at=make_engine)


@exercise("12.11", limit=20)
class TestPool:
    def test_handed_on(self, load):
        """make_engine hands pool_size, max_overflow and pool_timeout on; without them, SQLAlchemy's own stay"""
        make_engine = load("db.session").make_engine
        for given, expected in (
            ({"pool_size": 2, "max_overflow": 1, "pool_timeout": 3}, (2, 1, 3)),
            ({"pool_size": 7, "max_overflow": 0, "pool_timeout": 0.5}, (7, 0, 0.5)),
            ({}, (5, 10, 30)),
        ):
            words = ", ".join(f"{name}={value}" for name, value in given.items())
            size, overflow, seconds = expected
            expect.that(
                pool_of(made(make_engine, NOBODY, **given)) == expected,
                did=f'make_engine("postgresql+asyncpg://…"{", " if given else ""}{words}): its pool',
                got=pool_in_words(make_engine(NOBODY, **given)),
                expected=f"a pool of {size} + {overflow} that waits {seconds} seconds",
                why="four processes with a pool that nobody can set can use up all connections of the server",
                hint="what `pool` has collected is spread out in the call of create_async_engine",
                at=make_engine,
            )

    async def test_sqlite(self, load, tmp_path):
        """SQLite keeps its own rules, whatever is handed over: one connection in memory, checked foreign keys"""
        make_engine = load("db.session").make_engine
        pool = {"pool_size": 9, "max_overflow": 9, "pool_timeout": 1}
        for url in (MEMORY, f"sqlite+aiosqlite:///{tmp_path}/pool.db"):
            engine = make_engine(url, **pool)
            if url == MEMORY:
                expect.equal(
                    (engine.pool.size(), engine.pool._max_overflow),
                    (1, 0),
                    did='make_engine("sqlite+aiosqlite://", pool_size=9, …): size and overflow of its pool',
                    why="an in-memory database lives in its connection: a second one would be another, empty database",
                    hint="below the `if` about SQLite, nothing needs `pool`",
                    at=make_engine,
                )
            plain = pool_of(make_engine(url))
            expect.that(
                pool_of(engine) == plain,
                did=f"make_engine({url.partition('/')[0]}//…, pool_size=9, max_overflow=9, pool_timeout=1): its pool",
                got=pool_in_words(engine),
                expected=f"as without these three, a pool of {plain[0]} + {plain[1]} that waits {plain[2]} seconds",
                why="these numbers are made for a server; what suits SQLite is decided below",
                hint="hand `pool` on in the one line for the databases that are not SQLite",
                at=make_engine,
            )
            async with engine.connect() as connection:
                found = (await connection.exec_driver_sql("PRAGMA foreign_keys")).scalar()
            await engine.dispose()
            expect.equal(
                found,
                1,
                did=f"make_engine({url.partition('/')[0]}//…, pool_size=9), then PRAGMA foreign_keys",
                why="items could belong to nobody",
                hint="what follows the `if` about SQLite stays as it was",
                at=make_engine,
            )

    def test_options_stay(self, load):
        """The other options stay: hide_parameters, pool_pre_ping, echo"""
        make_engine = load("db.session").make_engine
        engine = made(make_engine, NOBODY, echo=True, pool_size=2)
        found = {
            "hide_parameters": engine.sync_engine.hide_parameters,
            "pool_pre_ping": engine.pool._pre_ping,
            "echo": bool(engine.echo),
        }
        engine.sync_engine.echo = False
        for name, value in found.items():
            expect.that(
                value is True,
                did=f"make_engine(…, echo=True, pool_size=2): {name}",
                got="it is off",
                expected="it is on, as before",
                why="hashes would stand in the log, or dead connections be handed out",
                hint="`**options` stays in the call; the pool comes beside it",
                at=make_engine,
            )

    async def test_two_loops(self, load, postgres):
        """Each call makes an engine of its own, so that the app can be started in two event loops"""
        make_engine = load("db.session").make_engine
        engines = [make_engine(postgres), make_engine(postgres)]
        expect.that(
            engines[0] is not engines[1],
            did="make_engine(url), called twice",
            got="the same engine, twice",
            expected="two engines",
            why="two tests with a loop each, or two apps in one process, would break each other",
            hint="an engine belongs to the loop that opened its connections: make one at each call, keep none",
            at=make_engine,
        )

        async def use():
            engine = make_engine(postgres)
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
            return engine

        engines = [await use()]
        try:
            await asyncio.to_thread(asyncio.run, use())
            engines.append(await use())
        except (RuntimeError, DBAPIError) as error:
            raise expect.Wrong(
                did="make_engine(url) in this event loop, and again in another one; a query with each",
                got=f"{type(error).__name__}: {' '.join(str(getattr(error, 'orig', error)).split())[-160:]}",
                expected="both work",
                why="two tests with a loop each, or two apps in one process, would break each other",
                hint="an engine belongs to the loop that opened its connections: make one at each call, keep none",
                at=make_engine,
                error=error,
                sure=True,
            ) from None
        finally:
            for engine in engines:
                await engine.dispose()

    async def test_settings(self, load, postgres):
        """The app's pool is the one of its settings; who gets no connection in time hears it"""
        module = load("db.session")
        values = {"database_pool_size": 2, "database_max_overflow": 1, "database_pool_timeout": 0.3}
        settings = load("core.config").Settings(database_url=postgres, secret_key=SECRET_KEY, **values)
        async with module.open_database(settings) as sessions, contextlib.AsyncExitStack() as stack:
            engine = sessions.kw["bind"]
            expect.that(
                pool_of(engine) == (2, 1, 0.3),
                did="open_database(Settings(database_pool_size=2, database_max_overflow=1, …)): its pool",
                got=pool_in_words(engine),
                expected="a pool of 2 + 1 that waits 0.3 seconds",
                why="the numbers of each place stand in its settings",
                hint="open_database hands them over; does make_engine hand them on?",
                at=module.make_engine,
            )
            for _ in range(3):
                await stack.enter_async_context(engine.connect())
            with expect.raising(
                PoolTimeout,
                did="take a fourth connection from a pool of 2 + 1",
                why="more connections would be opened than the server has",
                at=module.make_engine,
            ):
                await engine.connect()


def pool_in_words(engine):
    """Say what a pool is."""
    size, overflow, seconds = pool_of(engine)
    return f"a pool of {size} + {overflow} that waits {seconds} seconds"


class Noted(logging.Handler):
    """A handler that keeps what is logged."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


@asynccontextmanager
async def slow_log(load, seconds=0.2, kind=MEMORY):
    """Give an engine whose slow statements are logged, another one, and the records; `nap(s)` is an SQL function."""
    module, noted = load("db.slow_queries"), Noted()
    engines = [load("db.session").make_engine(kind) for _ in range(2)]
    for engine in engines:

        def add(connection, _record):
            connection.run_async(lambda raw: raw.create_function("nap", 1, time.sleep))

        event.listen(engine.sync_engine, "connect", add)
    module.log_slow_queries(engines[0], seconds)
    logger = logging.getLogger("app")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(noted)
    try:
        yield engines[0], engines[1], noted.records
    finally:
        logger.removeHandler(noted)
        logger.setLevel(level)
        for engine in engines:
            await engine.dispose()


async def nap(engine, seconds, secret="x", more=""):
    """Run a statement that takes some time, with parameters."""
    async with engine.connect() as connection:
        await connection.execute(text(f"SELECT nap(:seconds), :secret{more}"), {"seconds": seconds, "secret": secret})


SLOW_LINE = "one line for each slow statement, by logger.warning"


async def about_silence(load):
    """Say why a slow statement that runs alone leaves no line: the hint, or nothing where there is one."""
    elsewhere = Noted()
    logging.root.addHandler(elsewhere)
    try:
        async with slow_log(load) as (engine, _other, records):
            await nap(engine, 0.3)
            if records:
                return ""
            if any(record.name == "root" for record in elsewhere.records):
                return "`logging.warning` writes to the root logger: the `logger` of this file has a name of its own"
            await nap(engine, 1)
            if records:
                return "the limit is `seconds`, which whoever calls has chosen, and no number of your own"
    finally:
        logging.root.removeHandler(elsewhere)
    source = Path(sys.modules["app.db.slow_queries"].__file__).read_text(encoding="utf-8")
    if re.search(r"\b(process|thread)_time", source):
        return "this clock runs only while the processor works: waiting for a database is no work. perf_counter runs on"
    return SLOW_LINE


def line(record, did="a slow statement with a parameter: its line"):
    """Return a record's text; one that logging cannot put together is a wrong answer."""
    try:
        return record.getMessage()
    except (TypeError, ValueError) as error:
        raise expect.Wrong(
            did=did,
            got=f"logging cannot write it: {type(error).__name__}: {error}",
            expected="a line, as for each other statement",
            why="in the place of the slow query, the log would hold a traceback of logging itself",
            hint="hand the statement over as an argument for a %s: in the pattern its own % is one more blank",
        ) from None


@exercise("12.12")
class TestSlowQueries:
    async def test_slow_and_quick(self, load):
        """A slow statement writes one line, level WARNING; a quick one writes none"""
        function = load("db.slow_queries").log_slow_queries
        async with slow_log(load) as (engine, _other, records):
            await nap(engine, 0)
            expect.equal(
                [line(record, "seconds=0.2, a quick statement: the log") for record in records],
                [],
                did="seconds=0.2, a quick statement: the log",
                why="a log in which everything stands is read by nobody",
                hint="compare what has passed with `seconds`: both are in seconds",
                at=function,
            )
            await nap(engine, 0.3)
            levels = [record.levelname for record in records]
            expect.equal(
                levels,
                ["WARNING"],
                did="seconds=0.2, a statement of 0.3 s: its lines in the log, level WARNING",
                why="nobody would learn which query is slow",
                hint=(not levels and await about_silence(load)) or SLOW_LINE,
                at=function,
            )

    async def test_line(self, load):
        """The line holds the statement and the seconds that it took, and none of the parameters"""
        function = load("db.slow_queries").log_slow_queries
        async with slow_log(load) as (engine, _other, records):
            await nap(engine, 0.3, secret="ada@example.com")
            said = line(records[0]) if records else "nothing"
            did = "a slow statement with a parameter: its line"
            expect.that(
                "SELECT nap(" in said,
                did=did,
                got=said,
                expected="it holds the statement",
                why="nobody would learn which query is slow",
                hint=(not records and await about_silence(load))
                or "the third argument of the listener is the statement",
                at=function,
            )
            expect.that(
                any(0.29 <= float(number) < 30 for number in re.findall(r"\d+\.\d\d+", said)),
                did=did,
                got=said,
                expected="how long it took, such as 0.30",
                why="ten seconds and half a second are not the same trouble",
                hint="%.2f writes a number with two decimal places",
                at=function,
            )
            expect.that(
                "ada@example.com" not in said,
                did=did,
                got=said,
                expected="the statement, and none of their values",
                why="e-mail addresses and hashes would lie in every log file",
                hint="leave the parameters out: the statement alone tells enough",
                at=function,
            )
            records.clear()
            await nap(engine, 0.3, more=", 'ada' LIKE 'a%'")
            for record in records:
                line(record, "a slow statement with LIKE 'a%' in it: its line")

    async def test_at_once(self, load, tmp_path):
        """Two statements at once, on two connections: each has its own time"""
        function = load("db.slow_queries").log_slow_queries
        async with slow_log(load, kind=f"sqlite+aiosqlite:///{tmp_path}/slow.db") as (engine, _other, records):
            await asyncio.gather(nap(engine, 0), nap(engine, 0))  # two connections are open now
            slow = asyncio.create_task(nap(engine, 0.6, "slow"))
            await asyncio.sleep(0.45)
            await nap(engine, 0)
            await slow
            times = [float(number) for one in records for number in re.findall(r"\d+\.\d\d+", line(one))]
            expect.that(  # how the number is written is another question
                len(records) == 1 and (not times or any(number >= 0.55 for number in times)),
                did="seconds=0.2, a statement of 0.6 s, and in the middle of it a quick one: the log",
                got=", ".join(line(record) for record in records) or "nothing",
                expected="one line, of the slow one: each has its own time",
                why="the log would name the wrong query, or none",
                hint=(not records and await about_silence(load))
                or "the note of when a statement began belongs to this statement: `context` is its own",
                at=function,
            )

    async def test_one_engine(self, load):
        """Only the statements of this engine are logged"""
        function = load("db.slow_queries").log_slow_queries
        async with slow_log(load) as (_engine, other, records):
            await nap(other, 0.3)
            expect.equal(
                [record.getMessage() for record in records],
                [],
                did="a slow statement on another engine: the log",
                why="a test, or a second database, would write into the log of the first",
                hint="listen on `engine.sync_engine`",
                at=function,
            )


class DriverError(Exception):
    """An error as a driver raises it."""

    def __init__(self, *codes):
        super().__init__("an error of the driver")
        for code in codes:
            self.sqlstate = code


NO_CODE = "an error may have no `sqlstate`, or one that is `None`: `getattr` with a default, and `or` for the None"
IN_AWAY = [
    ("has no attribute 'sqlstate'", NO_CODE),
    ("'NoneType' object", NO_CODE),
    ("argument of type 'NoneType'", NO_CODE),
    ("startswith first arg must be", "startswith takes one text or a tuple of texts: round brackets, not square ones"),
]


def answer_of(is_away, error, what):
    """Ask the learner's function about an error; known slips are named."""
    try:
        return is_away(error)
    except Exception as slip:
        why = "while it looks at an error another one rises, and the first one is never told"
        expect.known(slip, IN_AWAY, did=f"is_away({what})", expected="True or False", why=why, at=is_away)


NETWORK = (
    (ConnectionRefusedError(111, "x"), "while the server starts, nobody listens at its address"),
    (
        FileNotFoundError(2, "x"),
        "a server may be reached by a socket, a file: while it is stopped, the file is missing",
    ),
    (TimeoutError(), "a server that does not answer in time is away, too"),
    (OSError(113, "x"), "no way leads to the server while a part of the network is down"),
)
AGAIN = ("08000", "08001", "08003", "08006", "53000", "53200", "53300", "57P01", "57P02", "57P03")
NEVER = ("57014", "57000", "22P02", "23505", "25P02", "40001", "42601", "42P08", "42P57", "58030", "5", "0", "")


@exercise("12.13", limit=20)
class TestAway:
    def test_network(self, load):
        """An error of the network, which has no SQLSTATE, means that the database is away"""
        is_away = load("db.away").is_away
        for error, why in NETWORK:
            what = f"{type(error).__name__}()"
            expect.equal(
                answer_of(is_away, error, what),
                True,
                did=f"is_away({what})",
                why=f"{why}: each request would be a 500",
                hint="all errors of the network are an OSError: ask with isinstance",
                at=is_away,
            )

    def test_codes(self, load):
        """An SQLSTATE that begins with 08, 53 or 57P means that the database is away"""
        is_away = load("db.away").is_away
        for code in AGAIN:
            expect.equal(
                answer_of(is_away, DriverError(code), f"an error, sqlstate {code}"),
                True,
                did=f"is_away(error), sqlstate {code}",
                why="the same request works in a minute, and the client is told that something is broken",
                hint="the beginning of the code decides: startswith takes a tuple of beginnings",
                at=is_away,
            )

    def test_other_errors(self, load):
        """Every other error is none of that: another SQLSTATE, None in its place, or none at all"""
        is_away = load("db.away").is_away
        others = [(f"sqlstate {code!r}", DriverError(code)) for code in (*NEVER, None)]
        for what, error in (*others, ("without a sqlstate", DriverError()), ("a ValueError", ValueError("08003"))):
            expect.equal(
                answer_of(is_away, error, f"an error, {what}"),
                False,
                did=f"is_away(error), {what}",
                why="a bug would hide behind 'try again', and clients would try for ever",
                hint="the code may be missing or None, and only how it begins counts; the answer is True or False",
                at=is_away,
            )

    async def test_on_postgres(self, load, postgres):
        """On PostgreSQL, an ended connection and a server that is not there are DatabaseAway; a duplicate is not"""
        module, make_engine = load("db.away"), load("db.session").make_engine
        away = load("core.exceptions").DatabaseAway
        engine, nobody = make_engine(postgres), make_engine(NOBODY)
        for one in (engine, nobody):
            module.tell_when_away(one)

        table = "CREATE TEMP TABLE one (n INTEGER UNIQUE)"
        why = "the client would hear that something is broken, and nobody would try again"
        try:
            for did, one, statement, kind in (
                ("a server that is not there", nobody, "SELECT 1", away),
                ("the server ends the connection", engine, "SELECT pg_terminate_backend(pg_backend_pid())", away),
                ("a duplicate", engine, f"{table}; INSERT INTO one VALUES (1), (1)", IntegrityError),
            ):
                with expect.raising(kind, did=did, why=why, at=module.is_away):
                    async with one.connect() as connection:
                        for part in statement.split("; "):
                            await connection.execute(text(part))
            async with engine.connect() as connection:  # the same engine serves again
                await connection.execute(text("SELECT 1"))
        finally:
            await engine.dispose()
            await nobody.dispose()
