"""The database in `.workbook/`: opened, locked between processes, begun anew when it is broken."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from workbook.learner.files import WorkspaceError

T = TypeVar("T")

NAME, LOCK = "state.sqlite3", "lock.sqlite3"
APPLICATION, VERSION = 0x574B424B, 2  # "WKBK"; raise VERSION with each change of the schema
PATIENCE = 10.0  # seconds to wait for another notebook

SCHEMA = """
CREATE TABLE blobs (hash TEXT PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE changes (id INTEGER PRIMARY KEY, time TEXT NOT NULL, cause TEXT NOT NULL,
    is_undo INTEGER NOT NULL);
CREATE TABLE versions (id INTEGER PRIMARY KEY, change INTEGER NOT NULL REFERENCES changes,
    path TEXT NOT NULL, before TEXT REFERENCES blobs, after TEXT REFERENCES blobs,
    undone INTEGER NOT NULL DEFAULT 0);
CREATE INDEX versions_path ON versions (path, id);
CREATE INDEX versions_change ON versions (change);
CREATE TABLE cells (key TEXT PRIMARY KEY, text TEXT NOT NULL, time TEXT NOT NULL);
CREATE TABLE attempts (id INTEGER PRIMARY KEY, time TEXT NOT NULL, exercise TEXT NOT NULL,
    outcome TEXT NOT NULL, points INTEGER NOT NULL, out_of INTEGER NOT NULL, source TEXT NOT NULL);
CREATE INDEX attempts_exercise ON attempts (exercise, id);
"""
SECOND = """
CREATE TABLE memories (change INTEGER NOT NULL REFERENCES changes, key TEXT NOT NULL, before TEXT, after TEXT);
CREATE INDEX memories_change ON memories (change);
CREATE TABLE undos (change INTEGER NOT NULL REFERENCES changes, version INTEGER NOT NULL REFERENCES versions);
CREATE INDEX undos_change ON undos (change);
"""


class Broken(Exception):
    """The database file is corrupt, or another program's."""


class Database:
    """The state of one workspace.

    A second, empty database is the lock: `BEGIN IMMEDIATE` on it is held while files are written,
    so that the record of what they held can be committed before, and outlives a kill.

    Args:
        folder: Where the files lie; made when first used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        self.notes: list[str] = []
        self.thread_lock = threading.RLock()
        self.depth = 0

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other notebook, process and thread out; may be nested.

        Raises:
            WorkspaceError: Another holds the lock for too long; the folder cannot be written.
        """
        with self.thread_lock:
            if self.depth:
                yield
                return
            self.prepare()
            with closing(self.locked()):
                self.depth += 1
                try:
                    yield
                finally:
                    self.depth -= 1

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do work in one transaction, under the lock; begin anew where the file is broken."""
        with self.lock():
            try:
                return self.transact(work)
            except Broken as error:
                self.move_aside(str(error))
                return self.transact(work)

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do work in one transaction."""
        try:
            with closing(self.open()) as connection:
                connection.execute("BEGIN IMMEDIATE")
                result = work(connection)
                connection.execute("COMMIT")
                return result
        except sqlite3.DatabaseError as error:
            if is_broken(error) or self.path.is_dir():
                raise Broken(str(error)) from None
            raise unusable(self.path, error) from None

    def open(self) -> sqlite3.Connection:
        """Open the file; make the tables where it is new."""
        connection = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            if application == 0 and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                create(connection)
            elif (application, version) == (APPLICATION, 1):
                run_script(connection, SECOND)
            elif (application, version) != (APPLICATION, VERSION):
                raise Broken(f"application {application:#x}, schema {version}")
        except BaseException:
            connection.close()
            raise
        return connection

    def prepare(self) -> None:
        """Make the folder, and keep it out of git."""
        ignore = self.folder / ".gitignore"
        try:
            if not ignore.exists():
                self.folder.mkdir(parents=True, exist_ok=True)
                ignore.write_text("*\n", encoding="utf-8")
        except OSError as error:
            raise unusable(self.folder, error) from None

    def locked(self) -> sqlite3.Connection:
        """Return a connection that holds the lock until it is closed."""
        path = self.folder / LOCK
        for attempt in range(2):
            connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
            try:
                connection.execute("BEGIN IMMEDIATE")
                return connection
            except sqlite3.DatabaseError as error:
                connection.close()
                if attempt or not is_broken(error):
                    raise unusable(path, error) from None
                self.rename(path)
        raise AssertionError("unreachable")

    def move_aside(self, reason: str) -> None:
        """Keep a broken file under another name, and leave a note of it."""
        kept = self.rename(self.path)
        self.notes.append(
            f"{self.path} could not be read ({reason}): history and progress begin anew, "
            f"and the old file is kept as {kept.name}"
        )

    def rename(self, path: Path) -> Path:
        """Rename a file with what belongs to it."""
        stamp = time.strftime("%Y%m%d-%H%M%S") + f"-{time.monotonic_ns() % 10**6}"
        kept = path.with_name(f"{path.name}.broken-{stamp}")
        try:
            path.rename(kept)
        except OSError as error:
            raise unusable(path, error) from None
        for suffix in ("-wal", "-shm", "-journal"):
            with suppress(OSError):
                path.with_name(path.name + suffix).rename(kept.with_name(kept.name + suffix))
        return kept


def create(connection: sqlite3.Connection) -> None:
    """Make the tables; use a write-ahead log where the file system can."""
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode = WAL")
    run_script(connection, SCHEMA + SECOND)


def run_script(connection: sqlite3.Connection, script: str) -> None:
    """Make tables, and mark the file with the schema's version, in one transaction."""
    connection.executescript(
        f"BEGIN; {script} PRAGMA application_id = {APPLICATION};PRAGMA user_version = {VERSION}; COMMIT"
    )


def is_broken(error: sqlite3.DatabaseError) -> bool:
    """Tell a corrupt or foreign file from one that is busy, full or read-only."""
    if isinstance(error, sqlite3.OperationalError):
        return "no such" in str(error) or "has no column" in str(error)
    return not isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError)


def unusable(path: Path, error: Exception) -> WorkspaceError:
    """Say why the database cannot be used."""
    text = str(error)
    if "locked" in text or "busy" in text:
        message = f"{path}: another notebook or process has been writing for {PATIENCE:.0f} s"
        return WorkspaceError(message, "wait for its cell to end, then run this one again")
    if "full" in text:
        return WorkspaceError(f"{path} cannot be written: the disk is full", "free some space")
    return WorkspaceError(
        f"{path} cannot be used: {text}",
        "make the folder writable, or name another in the environment variable WORKBOOK_STATE",
    )
