"""Every version that a file ever had: recorded before it is overwritten, listed, brought back."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple


class FileChange(NamedTuple):
    """One file of a change; None stands for "no file"."""

    path: str
    before: bytes | None
    after: bytes | None


class Change(NamedTuple):
    """Files that were written together.

    Args:
        id: Its number; None where nothing was different, so that nothing was written.
        time: When, in UTC.
        cause: What wrote them, such as `%%app users/schemas.py`.
        files: Those that became different.
    """

    id: int | None
    time: str
    cause: str
    files: tuple[FileChange, ...]


class Version(NamedTuple):
    """What a file held until a change overwrote it.

    Args:
        id: Its number, for `restore`.
        path: The file.
        time: When it was overwritten, in UTC.
        cause: What overwrote it.
        content: What it held; None where there was no file.
    """

    id: int
    path: str
    time: str
    cause: str
    content: bytes | None


CHANGE, UNDO, DRAFT, REDO, EDIT = range(5)  # what a row of `changes` is, in its column `is_undo`
NOT_WRITTEN = "not written"  # what a draft's cause begins with


class Taken(NamedTuple):
    """A change that is to be taken back, or an undo that is to be taken back itself.

    Args:
        change: its number.
        cause: what made it.
        contents: what its files are to hold; None for no file.
        versions: the numbers of its versions that this concerns.
    """

    change: int
    cause: str
    contents: dict[str, bytes | None]
    versions: list[int]


def now() -> str:
    """Return the time in UTC, as ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def keep(connection: sqlite3.Connection, content: bytes | None) -> str | None:
    """Store a content, once, and return its hash."""
    if content is None:
        return None
    import hashlib  # here, because it takes long to import

    name = hashlib.sha256(content).hexdigest()
    connection.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (name, content))
    return name


def begin(
    connection: sqlite3.Connection, files: tuple[FileChange, ...], cause: str, undone: list[int], kind: int = CHANGE
) -> Change:
    """Record a change that is about to be made.

    Args:
        connection: The database, in a transaction.
        files: What is there now, and what will be.
        cause: What makes the change.
        undone: The versions that it takes back; empty for a change of its own.
        kind: CHANGE, UNDO, DRAFT (a cell that was not written), REDO or EDIT (a file that was found changed).
    """
    time = now()
    row = connection.execute("INSERT INTO changes (time, cause, is_undo) VALUES (?, ?, ?)", (time, cause, kind))
    for file in files:
        connection.execute(
            "INSERT INTO versions (change, path, before, after) VALUES (?, ?, ?, ?)",
            (row.lastrowid, file.path, keep(connection, file.before), keep(connection, file.after)),
        )
    mark(connection, undone, 1 if kind == UNDO else 0)
    if kind == UNDO:
        connection.executemany("INSERT INTO undos VALUES (?, ?)", [(row.lastrowid, version) for version in undone])
    return Change(row.lastrowid, time, cause, files)


def withdraw(connection: sqlite3.Connection, change: Change, undone: list[int]) -> None:
    """Take a change that could not be made out of the record."""
    row = connection.execute("SELECT is_undo FROM changes WHERE id = ?", (change.id,)).fetchone()
    for table, column in (("versions", "change"), ("undos", "change"), ("memories", "change"), ("changes", "id")):
        connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (change.id,))
    mark(connection, undone, 0 if row and row[0] == UNDO else 1)


def mark(connection: sqlite3.Connection, versions: list[int], undone: int) -> None:
    """Mark versions as taken back, or not."""
    rows = [(undone, version) for version in versions]
    connection.executemany("UPDATE versions SET undone = ? WHERE id = ?", rows)


def newest(connection: sqlite3.Connection, path: str | None) -> Taken | None:
    """Find the newest change, of the path if one is given, that is not taken back.

    Of a path only its own version is meant, and the `__init__.py` that the change made for it.
    """
    found = connection.execute(
        "SELECT changes.id, cause FROM versions JOIN changes ON changes.id = change "
        "WHERE NOT is_undo AND NOT undone AND (? IS NULL OR path = ?) "
        "ORDER BY versions.id DESC LIMIT 1",
        (path, path),
    ).fetchone()
    if found is None:
        return None
    rows = connection.execute(
        "SELECT versions.id, path, content FROM versions LEFT JOIN blobs ON hash = before "
        "WHERE change = ? AND NOT undone",
        (found[0],),
    ).fetchall()
    rows = [row for row in rows if path in (None, row[1]) or (row[2] is None and is_package_of(row[1], str(path)))]
    return Taken(found[0], found[1], {row[1]: row[2] for row in rows}, [row[0] for row in rows])


def is_package_of(init: str, path: str) -> bool:
    """Tell whether a file is the `__init__.py` of a folder that holds the path."""
    folder, _, name = init.rpartition("/")
    return name == "__init__.py" and bool(folder) and path.startswith(f"{folder}/")


def newest_undo(connection: sqlite3.Connection) -> Taken | None:
    """Find the newest undo that is not taken back, and after which nothing new was written."""
    found = connection.execute(
        "SELECT changes.id, cause FROM changes JOIN undos ON undos.change = changes.id "
        "WHERE changes.id > (SELECT coalesce(max(id), 0) FROM changes WHERE is_undo = 0) "
        "ORDER BY changes.id DESC LIMIT 1"
    ).fetchone()
    if found is None:
        return None
    rows = connection.execute(
        "SELECT path, content FROM versions LEFT JOIN blobs ON hash = before WHERE change = ?", (found[0],)
    ).fetchall()
    taken = connection.execute("SELECT version FROM undos WHERE change = ?", (found[0],)).fetchall()
    return Taken(found[0], found[1], dict(rows), [row[0] for row in taken])


def last_written(connection: sqlite3.Connection, path: str) -> bytes | None:
    """Return what was last written to a file; None where nothing was, or it was deleted."""
    row = connection.execute(
        "SELECT content FROM versions JOIN changes ON changes.id = change LEFT JOIN blobs ON hash = after "
        "WHERE path = ? AND is_undo <> ? ORDER BY versions.id DESC LIMIT 1",
        (path, DRAFT),
    ).fetchone()
    return row[0] if row else None


def paths(connection: sqlite3.Connection) -> list[str]:
    """Return every file that was ever written, in the order of their names."""
    return [row[0] for row in connection.execute("SELECT DISTINCT path FROM versions ORDER BY path")]


def changes_of(connection: sqlite3.Connection, versions: list[int]) -> list[int]:
    """Return the changes that versions belong to, the first first."""
    holes = ", ".join("?" * len(versions))
    rows = connection.execute(f"SELECT DISTINCT change FROM versions WHERE id IN ({holes}) ORDER BY change", versions)
    return [row[0] for row in rows]


def forget_undo(connection: sqlite3.Connection, change: int) -> None:
    """Note that an undo was taken back itself."""
    connection.execute("DELETE FROM undos WHERE change = ?", (change,))


def count(connection: sqlite3.Connection, path: str | None) -> int:
    """Return how many versions there are."""
    row = connection.execute("SELECT count(*) FROM versions WHERE ? IS NULL OR path = ?", (path, path)).fetchone()
    return int(row[0])


SELECT_VERSION = (
    "SELECT versions.id, path, time, cause, content FROM versions "
    "JOIN changes ON changes.id = change LEFT JOIN blobs ON hash = before "
)


def versions(connection: sqlite3.Connection, path: str | None, limit: int) -> list[Version]:
    """List versions, the newest first."""
    rows = connection.execute(
        SELECT_VERSION + "WHERE ? IS NULL OR path = ? ORDER BY versions.id DESC LIMIT ?",
        (path, path, limit),
    )
    return [Version(*row) for row in rows]


def version(connection: sqlite3.Connection, number: int) -> Version | None:
    """Find a version by its number."""
    row = connection.execute(SELECT_VERSION + "WHERE versions.id = ?", (number,)).fetchone()
    return Version(*row) if row else None


def differences(before: Mapping[str, bytes | None], after: Mapping[str, bytes | None]) -> tuple[FileChange, ...]:
    """Return the files that will be different."""
    pairs = ((path, before[path], content) for path, content in after.items())
    return tuple(FileChange(path, old, new) for path, old, new in pairs if old != new)
