"""What the engine remembers besides the files: values by key, kept by change so that an undo takes them back."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

Values = Mapping[str, str | None]


def recall(connection: sqlite3.Connection, keys: list[str]) -> dict[str, str | None]:
    """Return the values of keys; None where there is none."""
    found: dict[str, str | None] = dict.fromkeys(keys)
    for key in keys:
        row = connection.execute("SELECT text FROM cells WHERE key = ?", (key,)).fetchone()
        found[key] = None if row is None else str(row[0])
    return found


def recall_all(connection: sqlite3.Connection, prefix: str) -> dict[str, str]:
    """Return every value whose key begins with the prefix, by the rest of the key."""
    rows = connection.execute("SELECT key, text FROM cells WHERE substr(key, 1, ?) = ?", (len(prefix), prefix))
    return {str(key)[len(prefix) :]: str(text) for key, text in rows}


def remember(connection: sqlite3.Connection, values: Values, time: str) -> None:
    """Keep values; None forgets a key."""
    for key, text in values.items():
        if text is None:
            connection.execute("DELETE FROM cells WHERE key = ?", (key,))
        else:
            connection.execute("INSERT OR REPLACE INTO cells VALUES (?, ?, ?)", (key, text, time))


def remember_with(connection: sqlite3.Connection, change: int | None, values: Values, time: str) -> None:
    """Keep values that belong to a change, and what they were before."""
    before = recall(connection, list(values))
    if change is not None:
        rows = [(change, key, before[key], text) for key, text in values.items() if before[key] != text]
        connection.executemany("INSERT INTO memories VALUES (?, ?, ?, ?)", rows)
    remember(connection, values, time)


def values_of(connection: sqlite3.Connection, change: int, path: str | None, *, before: bool) -> dict[str, str | None]:
    """Return what was remembered before a change, or with it; of a path only what is about that file."""
    column = "before" if before else "after"
    rows = connection.execute(f"SELECT key, {column} FROM memories WHERE change = ? ORDER BY rowid", (change,))
    return {key: text for key, text in rows if path is None or str(key).startswith(f"{path}#")}
