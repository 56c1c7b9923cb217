"""A copy of the app's SQLite database, made while the app runs."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite file as it is at one moment; this blocks until the copy is complete."""
    if not source.exists():
        raise FileNotFoundError(f"there is no database {source}")
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


async def backup(source: Path, target: Path) -> Path:
    """Copy the database while requests go on; return where the copy is."""
    await asyncio.to_thread(copy_database, source, target)
    return target
