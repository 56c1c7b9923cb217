"""The learner's app served for real, by uvicorn in a thread of the kernel."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import uvicorn


class LiveServer:
    """One uvicorn server on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, app: Any, seconds: float = 10.0) -> int:
        """Serve an ASGI app; a running server is stopped first.

        Args:
            app: what is served.
            seconds: how long to wait for it to answer.

        Returns:
            The port.

        Raises:
            RuntimeError: the app's start-up failed.
        """
        import uvicorn  # only a notebook that serves pays for the import

        self.stop()
        listener = socket.create_server(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        self._wait(seconds)
        return port

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        assert self._server is not None
        assert self._thread is not None
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("the app did not start: see the lines above")
            time.sleep(0.01)

    def stop(self) -> bool:
        """Stop the server; return whether one ran."""
        server, thread = self._server, self._thread
        self._server = self._thread = None
        if server is None or thread is None:
            return False
        server.should_exit = True
        thread.join(timeout=5)
        return True
