"""The finished backend as a product: one app and one clean database for each test.

Environment:
    BACKEND_APP_DIR   folder that holds the package `app` (default: solutions)
    DATABASE_URL      database of the tests (default: in-memory SQLite)
    BACKEND_DATABASE  "postgres" starts a real PostgreSQL, as the option --postgres does
"""

import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.backend.support import PASSWORD, SECRET_KEY, Person, connect
from workbook.servers import postgres

APP_DIR = Path(os.environ.get("BACKEND_APP_DIR") or Path(__file__).parents[2] / "solutions").resolve()


def use_package(folder: Path) -> None:
    """Make `import app` find this folder's package, also when another `app` was imported before."""
    sys.path.insert(0, str(folder))
    for name in [name for name in sys.modules if name == "app" or name.startswith("app.")]:
        if not str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


use_package(APP_DIR)

# The rate limits of chapter 13 are off: a test may sign in as often as it likes, and says so where it is about limits.
os.environ["RATE_LIMIT_ENABLED"] = "false"
os.environ.pop("REDIS_URL", None)

# The backend grows with the chapters: tests of what no chapter has built yet are not collected.
NEEDS = {
    "test_crud.py": "users/crud.py",
    "test_database.py": "db/migrate.py",
    "test_errors.py": "core/handlers.py",
    "test_http.py": "core/handlers.py",
    "test_migrations.py": "db/migrate.py",
    "test_postgres_restart.py": "db/away.py",
    "test_transactions.py": "core/handlers.py",
    "test_users.py": "core/handlers.py",
    "test_attack_matrix.py": "items/router.py",
    "test_attack_tokens.py": "items/router.py",
    "test_auth.py": "items/router.py",
    "test_auth_first_admin.py": "items/router.py",
    "test_cache_and_limits.py": "core/rate_limit.py",
    "test_demo.py": "items/router.py",
    "test_deploy.py": "deploy/files.py",
    "test_extensions.py": "deploy/files.py",
    "test_faults.py": "deploy/files.py",
    "test_fuzz.py": "core/handlers.py",
    "test_observability.py": "core/metrics.py",
    "test_permissions.py": "items/router.py",
    "test_practice_target.py": "deploy/files.py",
    "test_report.py": "users/report.py",
    "test_settings.py": "auth/schemas.py",
    "test_stopping.py": "serve.py",
}
collect_ignore = [name for name, module in NEEDS.items() if not (APP_DIR / "app" / module).exists()]

POSTGRES = os.environ.get("BACKEND_DATABASE") == "postgres"  # the second run of `python -m tests.backend`
HAS_AUTH = (APP_DIR / "app" / "auth" / "router.py").exists()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --postgres."""
    parser.addoption("--postgres", action="store_true", help="run on a real PostgreSQL")


def pytest_configure(config: pytest.Config) -> None:
    """Run async tests without markers."""
    if config.option.asyncio_mode is None:
        config.option.asyncio_mode = "auto"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out of the second run what asks no database, or one of its own: once is enough."""
    if POSTGRES:
        mine = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
        once = [item for item in mine if "database_url" not in getattr(item, "fixturenames", ())]
        items[:] = [item for item in items if item not in once]
        config.hook.pytest_deselected(items=once)


@pytest.fixture(scope="session")
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The database of this run."""
    wanted = request.config.getoption("--postgres", default=False)
    if not wanted and not POSTGRES:
        yield os.environ.get("DATABASE_URL") or "sqlite+aiosqlite://"
        return
    yield postgres.database(f"backend_{os.getpid()}")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of this machine reaches a test, and no test writes into the working tree."""
    for name in ("DATABASE_URL", "SECRET_KEY", "STAGE", "DEBUG", "LOG_LEVEL", "CORS_ORIGINS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def clean_logging() -> Iterator[None]:
    """What an app of one test sets for its log, no other test sees."""
    loggers = [logging.getLogger(name) for name in ("app", "uvicorn", "uvicorn.error", "uvicorn.access")]
    before = [(one, one.handlers[:], one.level, one.propagate, one.disabled) for one in loggers]
    yield
    for one, handlers, level, propagate, disabled in before:
        one.handlers[:], one.propagate, one.disabled = handlers, propagate, disabled
        one.setLevel(level)


@pytest.fixture(autouse=True)
def fast_hashing() -> None:
    """Hash with the lowest cost; what is slow in bcrypt is not what we test."""
    if HAS_AUTH:
        from app.core.security import pwd_context

        pwd_context.update(bcrypt__rounds=4)


async def delete_rows(session_factory: Any) -> None:
    """Empty every table, children first."""
    from app.db.models import Base

    async with session_factory.begin() as session:
        for table in reversed(Base.metadata.sorted_tables):
            await session.execute(table.delete())


@asynccontextmanager
async def run(app: Any) -> AsyncIterator[None]:
    """Run the app's lifespan, and leave an empty database behind."""
    async with app.router.lifespan_context(app):
        try:
            yield
        finally:
            await delete_rows(app.state.session_factory)


OpenApp = Callable[..., Any]


@pytest.fixture
def make_settings(database_url: str) -> Callable[..., Any]:
    """Make settings on the database of this run."""
    from app.core.config import Settings

    def make(**values: Any) -> Settings:
        return Settings(**{"database_url": database_url, "secret_key": SECRET_KEY} | values)

    return make


@pytest.fixture
def open_app(make_settings: Callable[..., Any]) -> OpenApp:
    """Open an app with its lifespan running, on a clean database."""
    from app.main import create_app

    @asynccontextmanager
    async def open_one(**values: Any) -> AsyncIterator[Any]:
        app = create_app(make_settings(**values))
        async with run(app):
            yield app

    return open_one


@pytest.fixture(scope="session")
def built_app(database_url: str) -> Any:
    """Build the app once: building is slower than starting."""
    from app.core.config import Settings
    from app.main import create_app

    return create_app(Settings(database_url=database_url, secret_key=SECRET_KEY))


@pytest.fixture
async def app(built_app: Any) -> AsyncIterator[Any]:
    """The app, started for this test on a clean database."""
    async with run(built_app):
        yield built_app


@pytest.fixture
async def client(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A visitor."""
    async with connect(app) as client:
        yield client


@pytest.fixture
def sessions(app: Any) -> Any:
    """The app's session factory."""
    return app.state.session_factory


MakeUser = Callable[..., Awaitable[Person]]


@pytest.fixture
def make_user(sessions: Any, client: httpx.AsyncClient) -> MakeUser:
    """Store a user with these columns and, from chapter 09 on, sign in."""
    from app.core.security import hash_password
    from app.users.crud import user_crud
    from app.users.schemas import UserCreate

    numbers = count(1)

    async def make(username: str | None = None, **columns: Any) -> Person:
        username = username or f"user{next(numbers)}"
        data = UserCreate(email=f"{username}@example.com", username=username, password=PASSWORD)
        hashed_password = await hash_password(PASSWORD)
        async with sessions.begin() as session:
            user = await user_crud.create(session, data, hashed_password=hashed_password)
            person = Person(user.id, user.email, user.username)
        if HAS_AUTH:
            form = {"username": username, "password": PASSWORD}
            body = (await client.post("auth/login", data=form)).json()
            person.token, person.refresh_token = body["access_token"], body["refresh_token"]
            person.headers = {"Authorization": f"Bearer {person.token}"}
        async with sessions.begin() as session:
            stored = await user_crud.get(session, person.id)
            for name, value in columns.items():
                setattr(stored, name, value)
        return person

    return make


@pytest.fixture
async def ada(make_user: MakeUser) -> Person:
    """A user like any other."""
    return await make_user("ada")


@pytest.fixture
async def bob(make_user: MakeUser) -> Person:
    """Another user."""
    return await make_user("bob")


@pytest.fixture
async def admin(make_user: MakeUser) -> Person:
    """An admin."""
    from app.users.schemas import Role

    return await make_user("root", role=Role.ADMIN)


@pytest.fixture
async def manager(app: Any, make_user: MakeUser) -> AsyncIterator[httpx.AsyncClient]:
    """A client that may manage users: an admin or, before chapter 09, anybody."""
    from app.users.schemas import Role

    async with connect(app) as client:
        if HAS_AUTH:
            client.headers.update((await make_user("manager", role=Role.ADMIN)).headers)
        yield client
