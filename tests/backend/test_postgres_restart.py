"""PostgreSQL restarted under load: no wrong answer, 503 with the one error body, and the app serves again by itself."""

import asyncio
import importlib.util
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import text

from tests.backend.support import PASSWORD, connect
from workbook.servers import postgres
from workbook.servers.cluster import Server
from workbook.servers.programs import WHEEL

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec(WHEEL) is None, reason="restarting a PostgreSQL needs the one of the wheel"
)

VISITORS = 20
PATIENCE = 60.0  # seconds until a restarted server must have been found again


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of the test's own, which it may stop; the folder's name is short, because it holds a socket."""
    folder = Path(tempfile.mkdtemp(prefix="wpg-"))
    server = Server(folder)
    server.start()
    yield server
    server.stop()
    if server.is_running():
        server._control("stop", "-m", "immediate")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def app(server: Server, make_settings: Callable[..., Any]) -> AsyncIterator[Any]:
    """The app on that server, with a pool that is smaller than its crowd."""
    from app.main import create_app

    async with postgres.temporary_database(server.url()) as url:
        name = urlsplit(url).path.removeprefix("/")
        # the course's server may lose the last moments before a crash; here a commit is a commit
        await postgres._execute(url, f'ALTER DATABASE "{name}" SET synchronous_commit = on')
        app = create_app(make_settings(database_url=url, database_pool_size=5, database_max_overflow=2))
        async with app.router.lifespan_context(app):
            yield app


class Crowd:
    """People who sign up and look at their account, one request after the other, and what they were told."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client, self.going = client, True
        self.signed_up: list[str] = []
        self.statuses: Counter[int] = Counter()

    async def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request; an answer that is neither right nor the one error body fails the test."""
        answer = await self.client.request(method, path, **more)
        self.statuses[answer.status_code] += 1
        assert answer.status_code in {200, 201, 503}, answer.text
        if answer.status_code == 503:
            assert set(answer.json()) == {"detail", "code", "request_id"}
            assert answer.json()["code"] == "database_unavailable"
            assert answer.headers["retry-after"].isdecimal()
        return answer

    async def sign_up(self, name: str) -> str | None:
        """Sign up; return the access token, or None while the database is away."""
        body = {"email": f"{name}@example.com", "username": name, "password": PASSWORD}
        if (await self.send("POST", "auth/register", json=body)).status_code == 503:
            return None
        self.signed_up.append(name)
        answer = await self.send("POST", "auth/login", data={"username": name, "password": PASSWORD})
        return answer.json()["access_token"] if answer.status_code == 200 else None

    async def live(self, number: int) -> None:
        """Sign up under new names, and look at the account, until the test ends."""
        turn = 0
        while self.going:
            turn += 1
            if token := await self.sign_up(f"visitor{number}x{turn}"):
                answer = await self.send("GET", "users/me", headers={"Authorization": f"Bearer {token}"})
                if answer.status_code == 200:
                    assert answer.json()["username"] == f"visitor{number}x{turn}"
            else:
                await asyncio.sleep(0.02)

    async def served_again(self) -> None:
        """Wait until somebody new is signed up."""
        before, deadline = len(self.signed_up), time.monotonic() + PATIENCE
        while len(self.signed_up) == before:
            assert time.monotonic() < deadline, "the app does not find the restarted server"
            await asyncio.sleep(0.05)


@asynccontextmanager
async def crowd(app: Any) -> AsyncIterator[Crowd]:
    """Let visitors come all the while; an answer that was wrong comes out at the end."""
    async with connect(app) as client:
        people = Crowd(client)
        async with asyncio.TaskGroup() as group:
            for number in range(VISITORS):
                group.create_task(people.live(number))
            try:
                yield people
            finally:
                people.going = False


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_restart_under_load(app: Any, server: Server, mode: str) -> None:
    """While the server is stopped and started again, each answer is right or a 503; nothing that was told is lost."""
    async with crowd(app) as people:
        await people.served_again()
        await asyncio.to_thread(server._control, "stop", "-m", mode)
        refused = people.statuses[503]
        while people.statuses[503] < refused + VISITORS:
            await asyncio.sleep(0.02)
        await asyncio.to_thread(server.start)
        await people.served_again()
    async with app.state.session_factory() as session:
        stored = set(await session.scalars(text("SELECT username FROM users")))
    assert set(people.signed_up) <= stored
    assert len(people.signed_up) == len(set(people.signed_up))
    assert people.statuses[503] >= VISITORS


async def test_no_connection_is_lost_by_a_restart(app: Any, server: Server) -> None:
    """After the restart and the last answer every connection is back in the pool, which is as large as before."""
    async with crowd(app) as people:
        await people.served_again()
        await asyncio.to_thread(server._control, "stop", "-m", "fast")
        await asyncio.to_thread(server.start)
        await people.served_again()
    pool = app.state.session_factory.kw["bind"].pool
    assert pool.checkedout() == 0
    assert pool.size() == 5


async def test_too_many_for_the_pool_are_told_to_come_back(server: Server, make_settings: Callable[..., Any]) -> None:
    """Who gets no connection in time gets the same 503; whoever comes later is served."""
    from app.main import create_app

    async with postgres.temporary_database(server.url()) as url:
        sizes = {"database_pool_size": 1, "database_max_overflow": 0, "database_pool_timeout": 0.2}
        app = create_app(make_settings(database_url=url, **sizes))
        async with app.router.lifespan_context(app), connect(app) as client:
            people = Crowd(client)
            async with app.state.session_factory() as session:
                await session.execute(text("SELECT 1"))  # the one connection is taken
                assert await people.sign_up("early") is None
            assert await people.sign_up("late")
