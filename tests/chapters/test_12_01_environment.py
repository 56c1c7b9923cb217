"""Checks of chapter 12, from revision to revision: a function, an environment, and a start of several processes."""

import asyncio
import contextlib
import importlib
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine

from course_checks import revisions
from course_checks.people import SECRET_KEY
from course_checks.revisions import (
    DATA_IS_LOST,
    FIRST,
    WANTED,
    Database,
    described,
    folder_of,
    imports_of,
    revision_file,
    step,
)
from course_checks.samples import MEMORY
from workbook import expect
from workbook.checks import Finder, exercise, forget

# fixtures
_quiet, chain, databases = revisions._quiet, revisions.chain, revisions.databases

NEEDS = ("postgres",)


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
