"""A real Redis for notebooks and checks: the environment's, or a server of its own in a folder of its own.

The server ends with the process that started it, also when that is killed: a shell stands between the two, and its
input is a pipe that only this process holds. When the pipe closes, the shell kills the server.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("redis-server", "valkey-server")
LONGEST_SOCKET = 100  # bytes of a unix socket's path: some systems allow 103
# `$0` is the program; its process id is the first line that the shell prints
GUARD = '"$0" "$@" >redis.log 2>&1 & echo $!; read -r _; kill -9 $!'


class RedisError(RuntimeError):
    """The server cannot be started; the message says why."""


def program() -> str | None:
    """Return the path of a Redis server on this machine, or None."""
    if os.name != "posix":
        return None
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class RedisServer:
    """A Redis server that keeps everything in memory and ends with this process.

    Args:
        program: the path of redis-server or valkey-server.
        folder: where its socket and its log lie.
    """

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder = program, folder
        self._guard: subprocess.Popen[str] | None = None
        self._pid = 0
        self._socket = folder / "redis.sock"
        self._port = 0 if len(os.fsencode(self._socket)) <= LONGEST_SOCKET else free_port()

    @property
    def url(self) -> str:
        """Return the address that a client takes; it stays the same when the server is started again."""
        return f"redis://127.0.0.1:{self._port}/0" if self._port else f"unix://{self._socket}"

    def start(self, seconds: float = 10.0) -> None:
        """Start the server, empty, and wait until it answers.

        Raises:
            RedisError: it did not answer in time.
        """
        self.kill()
        where = ["--unixsocket", str(self._socket), "--unixsocketperm", "700"] if not self._port else []
        options = ["--port", str(self._port), "--bind", "127.0.0.1", *where, "--save", "", "--appendonly", "no"]
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, self._program, *options, "--daemonize", "no", "--dir", "."],
            cwd=self._folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C in the notebook is not meant for the server
        )
        assert self._guard.stdout is not None
        self._pid = int(self._guard.stdout.readline())
        self._wait(seconds)

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self.answers():
            if time.monotonic() > deadline or not self._lives():
                said = (self._folder / "redis.log").read_text(encoding="utf-8", errors="replace").strip()
                self.kill()
                raise RedisError(f"{self._program} did not start: {said.splitlines()[-1:] or 'it said nothing'}")
            time.sleep(0.005)

    def _lives(self) -> bool:
        try:
            os.kill(self._pid, 0)
        except OSError:
            return False
        return True

    def answers(self, seconds: float = 0.5) -> bool:
        """Say whether the server answers a PING within so many seconds."""
        family = socket.AF_INET if self._port else socket.AF_UNIX
        address = ("127.0.0.1", self._port) if self._port else str(self._socket)
        try:
            with socket.socket(family, socket.SOCK_STREAM) as client:
                client.settimeout(seconds)
                client.connect(address)
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def pause(self) -> None:
        """Let the server hang: it takes connections, and answers nothing."""
        os.kill(self._pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        os.kill(self._pid, signal.SIGCONT)

    def kill(self) -> None:
        """End the server at once; what it held is lost. `start` brings it back at the same address."""
        guard, self._guard = self._guard, None
        if guard is None:
            return
        assert guard.stdin is not None
        assert guard.stdout is not None
        with contextlib.suppress(OSError):
            guard.stdin.close()
        guard.wait(timeout=10)
        guard.stdout.close()
        self._socket.unlink(missing_ok=True)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def serve() -> Iterator[RedisServer | None]:
    """Run a server of its own while the block runs; give None where this machine has none."""
    found = program()
    if found is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="redis-", ignore_cleanup_errors=True) as folder:
        server = RedisServer(found, Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.kill()


_own: list[str] = []


def redis_url() -> str | None:
    """Return the address of a Redis: REDIS_URL, or a server that lives as long as this process; None without one.

    The second call returns what the first one did.
    """
    if named := os.environ.get("REDIS_URL"):
        return named
    if not _own:
        stack = contextlib.ExitStack()
        server = stack.enter_context(serve())
        if server is None:
            return None
        atexit.register(stack.close)
        _own.append(server.url)
    return _own[0]
