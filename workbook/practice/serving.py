"""A package's app, served in a process of its own: `python -m workbook.practice.serving FOLDER`, until its input ends.

The first line of its output is the port; what the app itself prints goes where errors go. Settings come from the
environment, as everywhere.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
import threading
from typing import Any

from workbook.checking.finder import PACKAGE
from workbook.practice.replica import Instrument

ROUNDS = 4  # of bcrypt: a practice target is asked hundreds of times
KEEP_ALIVE = 3600  # seconds: between two cells a reader thinks, and the notebook's client keeps its connection


def load(folder: str) -> Any:
    """Import the package of a folder; return its app, where it hashes by passlib with a counter and made cheap."""
    sys.path.insert(0, folder)
    main = importlib.import_module(f"{PACKAGE}.main")
    context = getattr(importlib.import_module(f"{PACKAGE}.core.security"), "pwd_context", None)
    if context is None:  # somebody has taken another library
        return main.app
    context.update(bcrypt__rounds=ROUNDS)
    return Instrument(main.app, context)


def main() -> None:
    """Serve until whoever started this closes our input, or is gone."""
    import uvicorn  # only this process pays for it

    told, sys.stdout = sys.stdout, sys.stderr  # nobody reads more than the port: a full pipe would stop the app
    listener = socket.create_server(("127.0.0.1", int(os.environ.get("WORKBOOK_PORT", "0"))))
    config = uvicorn.Config(
        load(sys.argv[1]), log_level="error", timeout_graceful_shutdown=2, timeout_keep_alive=KEEP_ALIVE
    )
    server = uvicorn.Server(config)
    print(listener.getsockname()[1], file=told, flush=True)
    threading.Thread(target=_end_with_input, args=(server,), daemon=True).start()
    server.run(sockets=[listener])


def _end_with_input(server: Any) -> None:
    sys.stdin.read()
    server.should_exit = True
    threading.Event().wait(5)
    os._exit(1)  # it did not end by itself


if __name__ == "__main__":
    main()
