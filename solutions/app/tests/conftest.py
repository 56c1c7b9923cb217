"""The fixtures of all tests: settings, the app, a client, an empty database, people."""

import os
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.auth.tokens import TokenIssuer
from app.core.config import Settings, Stage
from app.core.security import hash_password, new_token_id, pwd_context
from app.db.models import Base
from app.main import create_app
from app.tests.support import PASSWORD, MakeUser, Override, Person
from app.users.models import User


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings for tests: no .env file and no DATABASE_URL can point them at real data."""
    file = tmp_path_factory.mktemp("database") / "test.db"
    url = os.environ.get("TEST_DATABASE_URL", f"sqlite:///{file.as_posix()}")
    key = "q7Lr2vXe9TzA4mWc8Kd1YnB6hUs3PfJg"
    return Settings(_env_file=None, stage=Stage.DEVELOPMENT, database_url=url, secret_key=key)


@pytest.fixture(scope="session")
def built_app(settings: Settings) -> FastAPI:
    """Build the app once for all tests; it is not started yet."""
    return create_app(settings)


@pytest.fixture(scope="session", autouse=True)
def fast_hashing() -> None:
    """Hash with the lowest cost of bcrypt: 1 millisecond in place of 200."""
    pwd_context.update(bcrypt__rounds=4)


@pytest.fixture
async def app(built_app: FastAPI) -> AsyncIterator[FastAPI]:
    """The app, started before the test and stopped after it."""
    async with built_app.router.lifespan_context(built_app):
        yield built_app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client that nobody has signed in; paths are below /api/v1."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1") as client:
        yield client


@pytest.fixture(autouse=True)
async def empty_database(app: FastAPI) -> None:
    """Let every test begin with empty tables."""
    async with app.state.session_factory.begin() as session:
        for table in reversed(Base.metadata.sorted_tables):
            await session.execute(table.delete())


@pytest.fixture
def make_user(app: FastAPI, settings: Settings) -> MakeUser:
    """A function that stores a user, signs a token for them, and returns a Person."""
    numbers = count(1)

    async def make(username: str = "", **columns: Any) -> Person:
        """Store a user and sign a token for them."""
        name = username or f"user{next(numbers)}"
        hashed_password = await hash_password(PASSWORD)
        values = {"email": f"{name}@example.com", "hashed_password": hashed_password} | columns
        user = User(username=name, **values)
        async with app.state.session_factory.begin() as session:
            session.add(user)
        token = TokenIssuer(settings).access_token(user.id, new_token_id())
        return Person(user.id, name, {"Authorization": f"Bearer {token}"})

    return make


@pytest.fixture
def override(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Override:
    """A function that replaces a dependency of the app until the test ends."""

    def replace(dependency: Any, value: object) -> None:
        """Let the dependency give this value."""
        monkeypatch.setitem(app.dependency_overrides, dependency, lambda: value)

    return replace
