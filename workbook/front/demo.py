"""The finished backend, solutions/app, served on this machine with sample data."""

from __future__ import annotations

import contextlib
import importlib
import os
import secrets
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from workbook.base.errors import WorkbookError


class DemoError(WorkbookError):
    """The demonstration cannot start."""


@contextmanager
def running(root: Path, port: int) -> Iterator[list[str]]:
    """Serve solutions/app on 127.0.0.1, filled by solutions/sample_data.py; give the lines to show.

    Without a DATABASE_URL the data lives in a file that is gone afterwards.

    Args:
        port: 0 takes a free one.

    Raises:
        DemoError: the port is taken, or the app does not start.
    """
    import uvicorn  # only the demonstration pays for it

    sys.path.insert(0, str(root / "solutions"))
    sample = _sample_data()
    with tempfile.TemporaryDirectory(prefix="workbook-demo-", ignore_cleanup_errors=True) as folder:
        defaults = {"DATABASE_URL": f"sqlite+aiosqlite:///{folder}/demo.db", "SECRET_KEY": secrets.token_urlsafe(48)}
        for name, value in {**defaults, **getattr(sample, "SETTINGS", {})}.items():
            os.environ.setdefault(name, value)
        listener = _listen(port)
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = _imported()
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            while not server.started:
                if not thread.is_alive():
                    raise DemoError("the app did not start", "the lines above say why")
                time.sleep(0.02)
            yield _fill(sample, base_url) if sample else [f"documentation: {base_url}/docs"]
        finally:
            server.should_exit = True
            thread.join(timeout=10)


def _imported() -> Any:
    """Import the app.

    Raises:
        DemoError: its settings are refused; the message names the environment's variable and its value.
    """
    from pydantic import ValidationError

    try:
        return importlib.import_module("app.main").app
    except ValidationError as error:
        said = "\n".join(f"  {_setting(found['loc'])}: {found['msg']}" for found in error.errors())
        message = f"the app refuses its settings:\n{said}"
        raise DemoError(message, "correct these variables of your environment, or unset them") from None


def _setting(place: tuple[int | str, ...]) -> str:
    """Return a setting as it stands in the environment; the value of a secret is nobody's business."""
    name = str(place[0]).upper() if place else "settings"
    value = os.environ.get(name)
    shown = value is not None and not any(word in name for word in ("SECRET", "PASSWORD", "KEY", "URL"))
    return f"{name}={value}" if shown else name


def _sample_data() -> ModuleType | None:
    """Import the course's sample data, where it has some."""
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.import_module("sample_data")
    return None


def _fill(sample: ModuleType, base_url: str) -> list[str]:
    try:
        lines: list[str] = sample.fill(base_url)
    except Exception as error:
        raise DemoError(f"no sample data: {error}", "make build brings solutions/app up to date") from error
    return lines


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise DemoError(f"port {port}: {error.strerror}", "workbook demo --port 0 takes a free port") from None


def serve(root: Path, port: int) -> None:
    """Serve until Ctrl-C, and say where.

    Raises:
        DemoError: it cannot start.
    """
    with running(root, port) as lines, contextlib.suppress(KeyboardInterrupt):
        print("the finished backend runs (stop it with Ctrl-C)", *lines, sep="\n", flush=True)
        while True:
            time.sleep(3600)
