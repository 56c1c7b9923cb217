"""The files and the process of one PostgreSQL server, in a folder of its own, shared by the processes that use it.

The first process that needs the server starts it, and the last one that used it stops it. A process that was killed
stops nothing: then the next one finds the server, uses it, and stops it at its own end.

Code that is being checked talks to this server. Its role may make databases and nothing else: as a superuser it could
run any program outside the sandbox, so no superuser may connect at all.
"""

from __future__ import annotations

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

from workbook.base.engine import FOLDER
from workbook.servers.programs import WHEEL, NoPostgres, owner_of_server, programs_folder, reachable, run
from workbook.servers.users import Users

ROLE, SUPERUSER = "workbook", "postgres"
PATIENCE = 120.0  # seconds to wait for another process that starts the server
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


class Server:
    """The server of one folder.

    Args:
        folder: where all of it lies; made at the first start, closed to other users.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self._users = Users(folder / "users", self.stop)

    def start(self) -> str:
        """Start the server, or find the one that runs; return its URL. It runs at least until this process ends.

        Raises:
            NoPostgres: there is no wheel for this machine, or the server does not start.
        """
        programs = programs_folder()
        self._make_folder()
        with self._locked():
            self._users.register()
            if not self.is_running():
                self._begin(reachable(programs, self.folder))
        return self.url()

    def stop(self) -> None:
        """Take this process out of the users; stop the server where it was the last one."""
        with self._locked():
            self._users.remove()
            if not self._users.any_lives() and self.is_running():
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
        owner = owner_of_server()
        if owner is not None:
            os.chown(new, *owner)
        secret, port = secrets.token_hex(16), SETTINGS["port"] if has_sockets() else _free_port()
        (self.folder / "secret").write_text(f"{secret} {port}", encoding="utf-8")
        (self.folder / "secret").chmod(0o600)
        run([str(programs / "initdb"), "-D", str(new), *INITDB], self.folder)
        role = f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{secret}'\n"
        run([str(programs / "postgres"), "--single", "-D", str(new), "postgres"], self.folder, said=role)
        places = {"listen_addresses": "", "unix_socket_directories": self.folder}
        places = places if has_sockets() else {"listen_addresses": "127.0.0.1"}
        settings = [f"{name} = '{value}'" for name, value in (SETTINGS | places | {"port": port}).items()]
        _append(new / "postgresql.conf", "\n".join(["", *settings, ""]))
        (new / "pg_hba.conf").write_text(ACCESS, encoding="utf-8")
        new.rename(self.data)

    def _control(self, *words: str) -> None:
        programs = Path((self.folder / "programs").read_text(encoding="utf-8"))
        run([str(programs / "pg_ctl"), "-D", str(self.data), "-w", *words], self.folder)

    def _make_folder(self) -> None:
        """Make the folder; refuse one that another user has put there."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        found = self.folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
            raise NoPostgres(f"{self.folder} is not a folder of yours", f"remove {self.folder}")
        owner = owner_of_server()
        if owner is not None:
            os.chown(self.folder, -1, owner[1])
            self.folder.chmod(0o730)  # the server makes its socket there
        self._users.folder.mkdir(exist_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from starting and stopping the server."""
        connection = sqlite3.connect(self.folder / "lock", timeout=PATIENCE, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
        finally:
            connection.close()


def default_folder() -> Path:
    """Return the folder of this checkout's server: short, because a socket's path may have a hundred bytes only."""
    version = metadata.version(WHEEL) if importlib.util.find_spec(WHEEL) else ""
    place = hashlib.sha256(f"{FOLDER} {version}".encode()).hexdigest()[:8]
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    return Path(tempfile.gettempdir()).resolve() / f"workbook-pg-{user}-{place}"


def has_sockets() -> bool:
    """Say whether the server listens on a socket in its folder; otherwise, on a port of 127.0.0.1."""
    return sys.platform != "win32"


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
