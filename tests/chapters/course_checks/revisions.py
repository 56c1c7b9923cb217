"""Empty databases of both kinds, and the way of the learner's revisions through them (chapter 12)."""

import ast
import contextlib
import logging
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect as inspect_database
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from workbook import expect
from workbook.checks import services, temporary_database

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
    async with temporary_database(server) as url:
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


def folder_of(load):
    """Return the folder of the learner's package."""
    return Path(load("db.migrate").__file__).parents[1]


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


SPRING, SUMMER = "2026-03-01 12:00:00", "2026-06-01 12:00:00"


def at(database, time):
    """Return a time as a database takes it in SQL."""
    return f"'{time}+00'" if database.kind == "PostgreSQL" else f"'{time}.000000'"
