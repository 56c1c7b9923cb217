"""Run the app as in production: `python -m app.serve`."""

import argparse
import asyncio
import socket
from collections.abc import Callable
from time import monotonic

import uvicorn

from app.core.config import get_settings


def say_not_ready() -> None:
    """Let /health/ready answer 503 from now on."""
    from app.main import app

    app.state.ready = False


class DrainingServer(uvicorn.Server):
    """Says that it leaves, serves on for a while, and leaves then."""

    def __init__(
        self,
        config: uvicorn.Config,
        drain_seconds: float,
        leave: Callable[[], None] = say_not_ready,
    ) -> None:
        """Remember how to say it, and how long to stay."""
        super().__init__(config)
        self.drain_seconds = drain_seconds
        self.leave = leave

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Leave in order; uvicorn calls this once, when it was told to stop."""
        self.leave()
        ends = monotonic() + self.drain_seconds
        while monotonic() < ends and not self.force_exit:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="Serve the app.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    settings = get_settings()
    config = uvicorn.Config(
        "app.main:app",
        host=options.host,
        port=options.port,
        timeout_graceful_shutdown=settings.stop_seconds,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the app itself knows which proxy to believe
    )
    DrainingServer(config, settings.drain_seconds).run()


if __name__ == "__main__":
    main()
