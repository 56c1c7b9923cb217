"""Checks of chapter 12: revisions run on SQLite, and on a real PostgreSQL where the machine has one."""

import ast
import inspect
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect as inspect_database
from sqlalchemy import text

from workbook import expect, services
from workbook import postgres as servers
from workbook.checks import exercise

NEEDS = ("postgres",)
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
from alembic import op
import sqlalchemy as sa

revision, down_revision = {id!r}, {before!r}

def upgrade():
    op.create_table("table_{id}", sa.Column("id", sa.Integer(), primary_key=True))
    {more}

def downgrade():
    op.drop_table("table_{id}")
"""


class Database:
    """A database of a check, and what can be asked of it behind the learner's back."""

    def __init__(self, kind, url, load):
        self.kind, self.url, self.engine = kind, url, load("db.session").make_engine(url)

    def __str__(self):
        return self.kind

    async def run(self, *statements):
        """Run statements, each in the same transaction; return the rows of the last one."""
        async with self.engine.begin() as connection:
            for statement in statements:
                result = await connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []

    async def look(self, question):
        """Ask SQLAlchemy's inspector something."""
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
    """Put a chain of the check's own in place of the learner's revisions: a1, a2, and with `broken` one that fails."""
    migrate, folder = load("db.migrate"), tmp_path / "migrations"

    def make(*, broken=False):
        versions = folder / "versions"
        versions.mkdir(parents=True, exist_ok=True)
        (folder / "env.py").write_text(ENV)
        for id, before in (("a1", None), ("a2", "a1"), *([("a3", "a2")] if broken else [])):
            more = "raise ValueError('this revision fails')" if id == "a3" else ""
            (versions / f"{id}.py").write_text(REVISION.format(id=id, before=before, more=more))
        monkeypatch.setattr(migrate, "MIGRATIONS", folder)
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


@exercise("12.1")
class TestMigrate:
    async def test_current(self, chain, databases):
        """`current` gives the revision that is written down in the database, None for a new one, and changes nothing"""
        migrate = chain()
        for database in databases:
            did = f"current(engine), {database}"
            found = await call(migrate.current, database.engine, did=f"{did}, a new database")
            why = "nobody would know which revisions a database has seen"
            expect.equal(found, None, did=f"{did}, a new database", why=why, at=migrate.current)
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
            expect.equal(found, "a1", did=f"{did} with a1, the newest is a2", why=why, hint=hint, at=migrate.current)
            all_returned(database, did=did, at=migrate.current)

    async def test_upgrade(self, chain, databases):
        """`upgrade` runs the revisions that are missing, up to the newest or to the one that is named, and commits"""
        migrate = chain()
        for database in databases:
            for arguments, expected in ((("a1",), "a1"), ((), "a2"), ((), "a2")):
                did = f"upgrade(engine{''.join(f', {one!r}' for one in arguments)}), {database}"
                await call(migrate.upgrade, database.engine, *arguments, did=did)
                names = ["table_a1", "table_a2"][: int(expected[1])]
                expect.equal(
                    (await database.revision(), await database.tables()),
                    (expected, names),
                    did=f"{did}, then revision and tables, seen from another connection",
                    why="what is not committed is gone when the connection closes",
                    hint="hand `revision` on to Alembic, and take the connection from `changing`, which commits",
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

    async def test_failure(self, chain, databases):
        """When a revision fails, its error comes out, and the database keeps the revision that it had"""
        migrate = chain(broken=True)
        for database in databases:
            await call(migrate.upgrade, database.engine, "a2", did="upgrade(engine, 'a2')")
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
                "a2",
                did=f"then the revision, {database}",
                why="the next upgrade would leave out a revision that never ran",
                at=migrate.upgrade,
            )
            all_returned(database, did="upgrade(engine) with a revision that fails", at=migrate.upgrade)


DRAFT = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from app.db.migrate import draft
from sqlalchemy.ext.asyncio import create_async_engine
print(asyncio.run(draft(create_async_engine("sqlite+aiosqlite://"))))
"""
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
    """Copy the learner's package, so that a check may change it; return the folder that holds it."""
    target = tmp_path / "copy" / "app"
    for path in folder_of(load).rglob("*.py"):
        new = target / path.relative_to(folder_of(load))
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(path.read_bytes())
    return target.parent


def run_python(code, *words, env=None):
    """Run code in a process of its own, as a terminal would; return its output and its errors."""
    command = [sys.executable, "-B", "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20, env=env)


def draft_of(folder):
    """Draft a revision for an empty database in a fresh process; return the tables it makes, or the error."""
    done = run_python(DRAFT, folder)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1]
    return sorted(re.findall(r"create_table\('(\w+)'", done.stdout))


@exercise("12.2", limit=20)
class TestEnvironment:
    def test_all_models(self, load, tmp_path):
        """In a fresh process, a draft for an empty database makes a table for each model"""
        env = load("db.migrations.env")
        names = draft_of(copied(load, tmp_path))
        expect.that(
            isinstance(names, list) and {"items", "login_sessions", "users"} <= set(names),
            did="draft(engine) in a fresh process: the tables that it makes",
            got=names or "none: the draft is `pass`",
            expected="users, items, login_sessions",
            why="the revision would be empty, and whoever runs it gets no table",
            hint="a table is known when the module of its model was imported: which module imports them all?",
            at=env.run_migrations,
        )

    def test_next_year(self, load, tmp_path):
        """A model that app/db/models.py learns next year is in the next draft, and env.py needs no change"""
        env, folder = load("db.migrations.env"), copied(load, tmp_path)
        models = folder / "app" / "db" / "models.py"
        models.write_text(models.read_text() + MORE_MODELS)
        names = draft_of(folder)
        expect.that(
            isinstance(names, list) and "a_table_of_next_year" in names,
            did="add a model to app/db/models.py, then draft(engine) in a fresh process",
            got=f"tables: {names}",
            expected="the new table is among them",
            why="the next model would be forgotten, and its revision would be empty again",
            hint="do not list the models here again: import from the one module that lists them",
            at=env.run_migrations,
        )

    async def test_given_connection(self, load, databases):
        """The environment runs on the connection that it was handed, and asks no settings for another"""
        migrate, env = load("db.migrate"), load("db.migrations.env")
        database = databases[-1]
        await call(migrate.upgrade, database.engine, "0001", did="upgrade(engine, '0001')")
        expect.equal(
            await database.revision(),
            "0001",
            did=f"upgrade(engine, '0001'), {database}, then the revision of this database",
            why="a test would migrate the database of the settings, which may be the real one",
            hint="keep what follows the import as it was given",
            at=env.run_migrations,
        )


FIRST = ("items", "login_sessions", "users")


def revision_file(load, id):
    """Return the learner's module of a revision."""
    name = {"0001": "r0001_first_tables"}[id]
    return load(f"db.migrations.versions.{name}")


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
    ("has no attribute 'UtcDateTime'", "a revision names only types of SQLAlchemy: sa.DateTime(timezone=True)"),
]


async def step(function, engine, revision, *, did, why=DATA_IS_LOST, at=None, mistakes=IN_REVISION):
    """Run an upgrade or a downgrade to a revision; what the database says about it is a wrong answer."""
    try:
        await function(engine, revision)
    except Exception as error:
        expect.known(error, mistakes, did=did, expected="the step runs", why=why, at=at)


@exercise("12.3")
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
                        hint="the draft had this right: change the types of UtcDateTime and Role, and nothing else",
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


@exercise("12.4")
class TestStart:
    async def test_development(self, load, chain, databases):
        """In development the app brings its database to the newest revision when it starts, from any revision"""
        migrate, prepare = chain(), load("db.schema").prepare_schema
        for database in databases:
            for before in (None, "a1", "a2"):
                if before:
                    await migrate.downgrade(database.engine, "base")
                    await migrate.upgrade(database.engine, before)
                did = f"start in development, {database}, revision {before}"
                async with start(load, database.url, "development"):
                    pass
                expect.equal(
                    (await database.revision(), await database.tables()),
                    ("a2", ["table_a1", "table_a2"]),
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
                        did=f"start in {stage}, {database}, revision a2, which is the newest",
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
            for before in (None, "a1"):
                for stage in ("staging", "production"):
                    if before:
                        await migrate.upgrade(database.engine, before)
                    tables = await database.tables()
                    did = f"start in {stage}, {database}, revision {before}, the newest is a2"
                    with expect.raising(
                        refusal,
                        did=did,
                        why="new code would run on old tables, and fail at some request, at some hour",
                        hint="outside development only look, with `is_at_head`, and raise when the answer is no",
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
                    for part in (str(before), "a2", "python -m app.db.migrate upgrade"):
                        expect.that(
                            part in said,
                            did=f"{did}: the message",
                            got=said or "an empty message",
                            expected=f"it holds {part!r}",
                            why="whoever is called at night needs to know what to do",
                            hint="revision, head and command stand in the message; current is a coroutine: await it",
                            at=prepare,
                        )

    def test_no_create_all(self, load):
        """`create_all` is gone from the app"""
        module = load("db.schema")
        expect.that(
            "create_all" not in re.sub(r'""".*?"""|#[^\n]*', "", inspect.getsource(module), flags=re.DOTALL),
            did="app/db/schema.py",
            got="it calls create_all",
            expected="only revisions make tables",
            why="tables that no revision made make the next upgrade fail: they are there already",
            hint="what `upgrade` does is enough",
            at=module.prepare_schema,
        )
