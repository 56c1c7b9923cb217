"""What a notebook shows: tables, rows, the SQL that a cell causes, and how long the event loop stands still.

All of it is generic: it knows SQLAlchemy and asyncio, and nothing of the learner's package.
"""

from __future__ import annotations

import gc
import html
import re
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from IPython.display import display
from sqlalchemy import Column, Connection, Engine, Executable, MetaData, Table, UniqueConstraint, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from workbook.front.panel import CAPTION, CELL, FRAME, Panel, grid
from workbook.front.pause import blocked

__all__ = ["Panel", "blocked", "error", "rows", "sql", "tables"]

LONGEST = 60  # characters of one value
Source = AsyncEngine | AsyncSession | async_sessionmaker[AsyncSession]


# ------------------------------------------------------------------------------------------------------------- tables


async def tables(what: MetaData | Source) -> Panel:
    """Show each table with its columns: of the models (`Base.metadata`), or of a database as it really is.

    Args:
        what: A MetaData; or an engine, a session or a session factory, whose database is read.
    """
    if isinstance(what, MetaData):
        return _tables(what)
    found = MetaData()
    await _on_connection(what, lambda connection: _reflect(found, connection))
    return _tables(found)


def _reflect(found: MetaData, connection: Connection) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a type that SQLAlchemy does not know is shown as NULL
        found.reflect(connection)


def _tables(metadata: MetaData) -> Panel:
    panel = Panel("", "")
    for table in metadata.sorted_tables:
        body = [_column(table, column) for column in table.columns]
        panel += grid(f"table {table.name}", ["column", "type", "NULL", "rules"], body)
    return panel if panel.text else grid("no tables", ["column"], [])


def _column(table: Table, column: Column[Any]) -> list[str]:
    return [column.name, str(column.type), "yes" if column.nullable else "no", ", ".join(_rules(table, column))]


def _rules(table: Table, column: Column[Any]) -> Iterator[str]:
    """Yield the rules of a column: its keys, and the constraints and indexes that it is part of."""
    if column.primary_key:
        yield "primary key"
    for key in sorted(column.foreign_keys, key=lambda key: key.target_fullname):
        yield f"-> {key.target_fullname}" + (f" on delete {key.ondelete}".lower() if key.ondelete else "")
    parts = [([c.name for c in index.columns], index.unique) for index in table.indexes]
    parts += [([c.name for c in one.columns], True) for one in table.constraints if isinstance(one, UniqueConstraint)]
    for names, unique in sorted(parts):
        if column.name in names:
            others = [name for name in names if name != column.name]
            shared = f" with {' and '.join(others)}" if others else ""
            yield ("unique" if unique else "index") + shared


# --------------------------------------------------------------------------------------------------------------- rows


async def rows(where: Source, query: Executable | str, title: str = "") -> Panel:
    """Run a query and show its rows as they are in the database now.

    Args:
        where: An engine, a session factory, or a session (whose open transaction is used; nothing is flushed).
        query: A select, or SQL as text.
        title: By default, how many rows there are.
    """
    statement = text(query) if isinstance(query, str) else query

    def run(connection: Connection) -> tuple[list[str], list[list[str]]]:
        result = connection.execute(statement)
        return list(result.keys()), [[value(one) for one in row] for row in result]

    head, body = await _on_connection(where, run)
    count = f"{len(body)} row" + ("" if len(body) == 1 else "s")
    return grid(title or count, head, body)


def value(one: object) -> str:
    """Return a value for a table: cut when long, times without fractions of a second."""
    if one is None:
        return "NULL"
    if isinstance(one, datetime):
        return one.isoformat(" ", "seconds")
    shown = str(one) if isinstance(one, str) else f"{one}"
    shown = shown.replace("\n", "\\n")
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


async def _on_connection(where: Source, work: Callable[[Connection], Any]) -> Any:
    """Run work on a connection: a session's own, or one that is given back afterwards."""
    if isinstance(where, AsyncSession):
        return await (await where.connection()).run_sync(work)
    engine = where if isinstance(where, AsyncEngine) else where.kw["bind"]
    async with engine.connect() as connection:
        return await connection.run_sync(work)


# ---------------------------------------------------------------------------------------------------------------- SQL


@dataclass
class Seen:
    """The statements that a block sent, in order; BEGIN, COMMIT and ROLLBACK are kept apart from them in `log`."""

    log: list[str] = field(default_factory=list)

    @property
    def statements(self) -> list[str]:
        """The statements, without the borders of transactions."""
        return [line for line in self.log if line not in ("BEGIN", "COMMIT", "ROLLBACK")]

    @property
    def count(self) -> int:
        """How many statements there were."""
        return len(self.statements)

    def panel(self, *, transactions: bool) -> Panel:
        """Return the statements as a list; equal ones in a row are one line with their number."""
        runs: list[list[Any]] = []
        for line in map(brief, self.log if transactions else self.statements):
            if runs and runs[-1][1] == line:
                runs[-1][0] += 1
            else:
                runs.append([1, line])
        title = f"{self.count} SQL statement" + ("" if self.count == 1 else "s")
        lines = [f"{f'{times} x' if times > 1 else '':>5}  {line}".rstrip() for times, line in runs]
        body = "".join(
            f'<tr><td style="{CELL}">{f"{times} ×" if times > 1 else ""}</td>'
            f'<td style="{CELL}"><code style="background:#ffffff;color:#1f1f1f">{html.escape(line)}</code></td></tr>'
            for times, line in runs
        )
        table = f'<table style="{FRAME}"><caption style="{CAPTION}">{title}</caption>{body}</table>'
        return Panel("\n".join([title, *lines]), table)


@contextmanager
def sql(where: Source | Engine, *, transactions: bool = False) -> Iterator[Seen]:
    """Record the SQL that the block sends, and show it with its count at the end.

    Args:
        where: The engine; or a session or a session factory that uses it.
        transactions: Also show BEGIN, COMMIT and ROLLBACK.
    """
    engine, seen = _engine(where), Seen()

    def statement(_conn: Any, _cursor: Any, sent: str, _parameters: Any, _context: Any, _many: bool) -> None:
        seen.log.append(" ".join(sent.split()))

    listeners: dict[str, Callable[..., None]] = {"before_cursor_execute": statement}
    for word in ("begin", "commit", "rollback"):
        listeners[word] = lambda _connection, word=word: seen.log.append(word.upper())
    for name, listener in listeners.items():
        event.listen(engine, name, listener)
    try:
        yield seen
    finally:
        for name, listener in listeners.items():
            event.remove(engine, name, listener)
        display(seen.panel(transactions=transactions))  # type: ignore[no-untyped-call]


def _engine(where: Source | Engine) -> Engine:
    """Return the engine in which SQLAlchemy's events happen."""
    found: Any = where
    if isinstance(where, AsyncSession):
        found = where.bind
    elif isinstance(where, async_sessionmaker):
        found = where.kw["bind"]
    engine: Engine = getattr(found, "sync_engine", found)
    return engine


def brief(statement: str) -> str:
    """Return a statement with its long lists of columns cut; all the rest is kept."""
    for columns in (r"(?<=SELECT )(.+?)(?= FROM )", r"(?<=\()([^()]+)(?=\) VALUES)", r"(?<=VALUES \()([^()]+)(?=\))"):
        statement = re.sub(columns, _first_of_many, statement, count=1)
    return statement


def _first_of_many(match: re.Match[str]) -> str:
    first, *others = match[0].split(", ")
    return match[0] if len(match[0]) <= LONGEST else f"{first}, … {len(others)} more"


class error:  # noqa: N801 - it reads as a word: `with error(): …`
    """Show, in one line, an error that is meant to happen, and go on."""

    def __enter__(self) -> None:
        self.warnings = warnings.catch_warnings()
        self.warnings.__enter__()
        # what a failed await leaves behind is a warning on some later line, with a path of this machine in it
        warnings.filterwarnings("ignore", message=r"coroutine .* was never awaited")

    def __exit__(self, kind: object, caught: BaseException | None, trace: object) -> bool:
        expected = caught is None or isinstance(caught, Exception)
        if expected:
            print(f"{type(caught).__name__}: {[*str(caught).strip().splitlines(), ''][0]}" if caught else "no error")
        chained = caught
        while chained is not None:
            traceback.clear_frames(chained.__traceback__)
            chained = chained.__cause__ or chained.__context__
        gc.collect()
        self.warnings.__exit__(None, None, None)
        return expected
