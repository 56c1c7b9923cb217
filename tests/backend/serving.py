"""A package `app` of any folder, changed or not, served by a real uvicorn on a free port of 127.0.0.1."""

from __future__ import annotations

import asyncio
import importlib
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import uvicorn

from tests.backend.conftest import delete_rows
from tests.backend.support import PASSWORD, SECRET_KEY
from workbook.exam import run
from workbook.exam.cast import Exam
from workbook.exam.client import Client

ADMIN = "admin"  # the name that the app gives its first admin
EXAM_PATIENCE = 600.0  # seconds: how long an exam takes is asked by another test
PATIENCE = 60.0  # seconds that a start or an end may take on a busy machine


def _own() -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name == "app" or name.startswith("app.")}


@contextmanager
def imported(folder: Path) -> Iterator[None]:
    """Let `import app` find this folder's package within the block, and what was imported before after it."""
    before = _own()
    for name in before:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in _own():
            del sys.modules[name]
        sys.modules.update(before)


@contextmanager
def served(folder: Path, settings: Mapping[str, Any], rounds: int = 4) -> Iterator[str]:
    """Serve the package of a folder, with a first admin; give its address, and leave an empty database.

    Args:
        folder: it has the package `app`.
        settings: more of them; a `database_url` is among them.
        rounds: the cost of a password's hash.
    """
    with imported(folder):
        security = importlib.import_module("app.core.security")
        security.pwd_context.update(bcrypt__rounds=rounds)
        first = {"first_admin_email": "root@example.com", "first_admin_password": PASSWORD}
        known = {"secret_key": SECRET_KEY, "rate_limit_enabled": True, "log_level": "ERROR", **first, **settings}
        app = importlib.import_module("app.main").create_app(
            importlib.import_module("app.core.config").Settings(**known)
        )
        with running(app) as url:
            yield url


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of all servers, in a thread that stays as long as the process.

    Greenlets of a thread that has ended are taken down in the main thread; where coverage traces that, it can go on for
    ever.
    """
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


@contextmanager
def running(app: Any) -> Iterator[str]:
    """Serve an app in the thread of all servers; give its address, and leave an empty database."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, log_level="critical", timeout_graceful_shutdown=3))
    serving = asyncio.run_coroutine_threadsafe(server.serve(sockets=[listener]), _loop())
    try:
        while not server.started and not serving.done():
            threading.Event().wait(0.01)
        assert server.started, "the app did not start"
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        asyncio.run_coroutine_threadsafe(delete_rows(app.state.session_factory), _loop()).result(PATIENCE)
    finally:
        server.should_exit = True
        serving.result(PATIENCE)


def examine(
    url: str, names: frozenset[str] = frozenset(), secret_key: str = SECRET_KEY, *, limits: bool = True
) -> run.Report:
    """Ask a backend all criteria, or those with these names."""
    exam = Exam(Client(url, 60.0), ADMIN, PASSWORD, secret_key, last_admin=True, limits=limits)
    chosen = [one for one in run.CRITERIA if not names or one.name in names]
    assert not names or {one.name for one in chosen} == names
    return asyncio.run(run.run(exam, chosen, EXAM_PATIENCE))
