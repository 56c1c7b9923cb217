"""A Redis of the workbook's own: started, paused, killed, started again, and ended with the process that started it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbook.servers import redis

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = bool(os.environ.get("WORKBOOK_REQUIRE_REDIS"))


@pytest.fixture(autouse=True)
def no_other_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setattr(redis, "_own", [])


@pytest.fixture
def server() -> Iterator[redis.RedisServer]:
    with redis.serve() as found:
        if found is None:
            if REQUIRED:
                pytest.fail("there is no redis-server, and WORKBOOK_REQUIRE_REDIS asks for one")
            pytest.skip("there is no redis-server on this machine")
        yield found


def lives(pid: int) -> bool:
    """Say whether a process runs; one that has ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return not Path("/proc/self").exists()


def ends(pid: int, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while lives(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not lives(pid)


def say(url: str, command: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(5)
        client.connect(url.removeprefix("unix://"))
        client.sendall(command + b"\r\n")
        return client.recv(100)


def test_a_server_answers_on_a_socket_that_only_its_owner_may_use(server: redis.RedisServer) -> None:
    """The server keeps what it is given, and its socket is closed to other users."""
    assert say(server.url, b"SET title pen") == b"+OK\r\n"
    assert say(server.url, b"GET title") == b"$3\r\npen\r\n"
    assert Path(server.url.removeprefix("unix://")).stat().st_mode & 0o077 == 0


def test_a_server_that_was_killed_comes_back_empty_at_the_same_address(server: redis.RedisServer) -> None:
    """After kill() nobody answers; after start() the same address does, without the old values."""
    url = server.url
    say(url, b"SET title pen")
    server.kill()
    assert not server.answers()
    server.start()
    assert (server.url, say(url, b"GET title")) == (url, b"$-1\r\n")


def test_a_paused_server_takes_connections_and_answers_nothing(server: redis.RedisServer) -> None:
    """pause() makes a server that hangs; resume() lets it go on with what it held."""
    say(server.url, b"SET title pen")
    server.pause()
    assert not server.answers(0.2)
    server.resume()
    assert say(server.url, b"GET title") == b"$3\r\npen\r\n"


def test_a_paused_server_can_be_killed(server: redis.RedisServer) -> None:
    """kill() ends a server that hangs, too."""
    pid = server._pid
    server.pause()
    server.kill()
    assert ends(pid)


@pytest.mark.parametrize("end", ["sys.exit()", "os.kill(os.getpid(), 9)"])
def test_the_server_ends_with_its_process(server: redis.RedisServer, end: str) -> None:
    """A kernel that exits, or is killed, leaves no server behind."""
    code = (
        "import os, sys\nfrom workbook.servers import redis\n"
        "manager = redis.serve(); server = manager.__enter__(); os.kill(server._pid, 0)\n"
        f"print(server._pid, flush=True)\n{end}\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode in {0, -signal.SIGKILL}, ended.stderr
    assert ends(int(ended.stdout))


def test_a_long_path_becomes_a_port(server: redis.RedisServer, tmp_path: Path) -> None:
    """A folder whose socket would have too long a name gets a server on a port of 127.0.0.1."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    other = redis.RedisServer(str(redis.program()), folder)
    try:
        other.start()
        assert other.url.startswith("redis://127.0.0.1:")
        assert other.answers()
    finally:
        other.kill()


def test_a_program_that_does_not_start_is_told_with_its_words(tmp_path: Path) -> None:
    """What the program said last stands in the error, and nothing is left running."""
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho 'bad directive' >&2\nexit 1\n")
    broken.chmod(0o755)
    server = redis.RedisServer(str(broken), tmp_path)
    with pytest.raises(redis.RedisError, match="bad directive"):
        server.start()
    assert server._guard is None


def test_one_server_for_a_process(server: redis.RedisServer) -> None:
    """redis_url() starts one server, and gives its address again and again."""
    url = redis.redis_url()
    assert url is not None
    assert url != server.url
    assert redis.redis_url() == url
    assert say(url, b"PING") == b"+PONG\r\n"


def test_the_environments_redis_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """REDIS_URL names the Redis, and nothing is started."""
    monkeypatch.setenv("REDIS_URL", "redis://cache.example:6379/1")
    assert redis.redis_url() == "redis://cache.example:6379/1"
    assert redis._own == []


def test_without_a_program_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Redis gets None, twice, and no error: the app keeps its cache in memory."""
    monkeypatch.setattr(redis, "program", lambda: None)
    assert redis.redis_url() is None
    assert redis.redis_url() is None
    with redis.serve() as found:
        assert found is None


def test_valkey_is_found_where_there_is_no_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """valkey-server is taken where redis-server is not on the PATH."""
    program = tmp_path / "valkey-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert redis.program() == str(program)
