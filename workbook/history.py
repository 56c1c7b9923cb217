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


def begin(connection: sqlite3.Connection, files: tuple[FileChange, ...], cause: str, undone: list[int]) -> Change:
    """Record a change that is about to be made.

    Args:
        connection: The database, in a transaction.
        files: What is there now, and what will be.
        cause: What makes the change.
        undone: The versions that it takes back; empty for a change of its own.
    """
    time = now()
    row = connection.execute("INSERT INTO changes (time, cause, is_undo) VALUES (?, ?, ?)", (time, cause, bool(undone)))
    for file in files:
        connection.execute(
            "INSERT INTO versions (change, path, before, after) VALUES (?, ?, ?, ?)",
            (row.lastrowid, file.path, keep(connection, file.before), keep(connection, file.after)),
        )
    mark(connection, undone, 1)
    return Change(row.lastrowid, time, cause, files)


def withdraw(connection: sqlite3.Connection, change: Change, undone: list[int]) -> None:
    """Take a change that could not be made out of the record."""
    connection.execute("DELETE FROM versions WHERE change = ?", (change.id,))
    connection.execute("DELETE FROM changes WHERE id = ?", (change.id,))
    mark(connection, undone, 0)


def mark(connection: sqlite3.Connection, versions: list[int], undone: int) -> None:
    """Mark versions as taken back, or not."""
    rows = [(undone, version) for version in versions]
    connection.executemany("UPDATE versions SET undone = ? WHERE id = ?", rows)


def newest(connection: sqlite3.Connection, path: str | None) -> tuple[str, dict[str, bytes | None], list[int]] | None:
    """Find the newest change, of the path if one is given, that is not taken back.

    Returns:
        Its cause, what its files held before, and its versions' numbers.
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
        "WHERE change = ? AND NOT undone AND (? IS NULL OR path = ?)",
        (found[0], path, path),
    ).fetchall()
    return found[1], {row[1]: row[2] for row in rows}, [row[0] for row in rows]


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
