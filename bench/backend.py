"""The finished backend against bare FastAPI: the same queries on the same tables, in turns, in one run."""

from __future__ import annotations

import asyncio
import importlib
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx

from bench.bare import make
from bench.engine import ROOT, Failed
from bench.figure import Figure

KEY = "k8Jd72hLq09ZxC4vBn6MwE3rTy5UiOpA"
PASSWORD = "Correct horse"
AT_ONCE, ROUNDS = 10, 3  # clients; turns of each app
TIMES = {"GET /items": 300, "POST /items": 200, "login": 20}  # requests a turn
MOST = 1.3


def measure() -> Iterator[Figure]:
    """Yield how many times as long the backend takes: for a request in the middle, and for the slowest hundredth."""
    sys.path.insert(0, str(ROOT / "solutions"))
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="workbook-bench-", ignore_cleanup_errors=True) as folder:
        found = asyncio.run(_compare(Path(folder)))
    for name, (ours, bare) in found.items():
        for what, figure in (("time a request", statistics.mean), ("p99", _p99)):
            ratios = [figure(one) / figure(other) for one, other in zip(ours, bare, strict=True)]
            yield Figure(f"backend / bare FastAPI: {name}, {what}", ratios, "x", target=MOST)


def _p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98] if len(seconds) >= 100 else max(seconds)


async def _compare(folder: Path) -> dict[str, tuple[list[list[float]], list[list[float]]]]:
    """Return, by request, the seconds of each one in each turn: the backend's, and the bare app's."""
    load = importlib.import_module
    pwd_context = load("app.core.security").pwd_context
    pwd_context.update(bcrypt__rounds=8)  # the same for both: the cost of a hash is no part of the design
    url = f"sqlite+aiosqlite:///{folder / 'bench.db'}"
    settings = load("app.core.config").Settings(database_url=url, secret_key=KEY, rate_limit_enabled=False)
    app = load("app.main").create_app(settings)
    tables = SimpleNamespace(
        User=load("app.users.models").User, Item=load("app.items.models").Item, pwd_context=pwd_context
    )
    bare = make(tables, KEY)
    found: dict[str, tuple[list[list[float]], list[list[float]]]] = {name: ([], []) for name in TIMES}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        bare.state.session_factory = app.state.session_factory
        clients = [await stack.enter_async_context(_client(one)) for one in (app, bare)]
        await _sign_in(clients)
        for name, times in TIMES.items():
            for turn in range(ROUNDS + 1):  # the first one warms up
                for number, client in enumerate(clients):
                    seconds = await _load(_request(client, name), times)
                    if turn:
                        found[name][number].append(seconds)
    return found


def _client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bench/api/v1")


async def _sign_in(clients: list[httpx.AsyncClient]) -> None:
    """Make one user with fifty items, and let both clients be signed in."""
    person = {"email": "ada@example.com", "username": "ada", "password": PASSWORD}
    _good(await clients[0].post("/auth/register", json=person))
    form = {"username": "ada@example.com", "password": PASSWORD}
    for client in clients:
        token = _good(await client.post("/auth/login", data=form)).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
    for number in range(50):
        _good(await clients[0].post("/items", json={"title": f"item {number}", "price": "1.50"}))


def _request(client: httpx.AsyncClient, name: str) -> Callable[[], Awaitable[httpx.Response]]:
    if name == "login":
        form = {"username": "ada@example.com", "password": PASSWORD}
        return lambda: client.post("/auth/login", data=form)
    if name.startswith("POST"):
        return lambda: client.post("/items", json={"title": "pen", "price": "1.50"})
    return lambda: client.get("/items", params={"limit": 20})


async def _load(ask: Callable[[], Awaitable[httpx.Response]], times: int) -> list[float]:
    """Ask so many times, several at once; return the seconds of each request divided by how many ran at once."""
    seconds: list[float] = []
    left = iter(range(times))

    async def one() -> None:
        for _ in left:
            began = time.perf_counter()
            _good(await ask())
            seconds.append((time.perf_counter() - began) / AT_ONCE)

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    return seconds


def _good(response: httpx.Response) -> httpx.Response:
    if not response.is_success:
        raise Failed(f"{response.request.method} {response.request.url.path} gave {response.status_code}")
    return response
