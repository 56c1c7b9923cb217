"""What a notebook shows of a database, and of an event loop that stands still."""

import asyncio
import re
import time
import warnings
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import ForeignKey, Index, MetaData, String, UniqueConstraint, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from workbook.course.stable import stable_text
from workbook.front import pause
from workbook.show import Panel, Seen, blocked, error, rows, sql, tables, value


class Base(DeclarativeBase):
    """The models of these tests."""


class Shelf(Base):
    """A place for books."""

    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20), unique=True)
    room: Mapped[str | None] = mapped_column(index=True)
    books: Mapped[list["Book"]] = relationship()


class Book(Base):
    """A thing on a shelf."""

    __tablename__ = "books"
    __table_args__ = (Index(None, "shelf_id", "title"), UniqueConstraint("title", "shelf_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    shelf_id: Mapped[int] = mapped_column(ForeignKey("shelves.id", ondelete="CASCADE"))


@pytest.fixture
async def engine() -> AsyncIterator[AsyncEngine]:
    """An in-memory database with one shelf and three books."""
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        books = [Book(title=title) for title in ("Emma", "<b>Persuasion</b>", "x" * 100)]
        session.add(Shelf(name="novels", books=books))
        await session.commit()
    yield engine
    await engine.dispose()


def line_of(panel: Panel, word: str) -> str:
    """Return the first line of a panel's text that begins with a word."""
    return next(line for line in panel.text.splitlines() if line.split()[:1] == [word])


async def test_tables_of_the_models() -> None:
    """Each table comes with its columns, types, and every rule."""
    panel = await tables(Base.metadata)
    assert panel.text.startswith("table shelves\n\ncolumn")
    assert re.search(r"^id +INTEGER +no +primary key$", panel.text, re.MULTILINE)
    assert re.search(r"^name +VARCHAR\(20\) +no +unique$", panel.text, re.MULTILINE)
    assert re.search(r"^room +VARCHAR +yes +index$", panel.text, re.MULTILINE)
    assert line_of(panel, "shelf_id").endswith("-> shelves.id on delete cascade, index with title, unique with title")


async def test_tables_of_a_database(engine: AsyncEngine) -> None:
    """An engine, a factory and a session show what is really there, unique indexes too."""
    for where in (engine, async_sessionmaker(engine)):
        panel = await tables(where)
        assert line_of(panel, "shelf_id").endswith("index with title, unique with title")
    async with AsyncSession(engine) as session:
        assert "table books" in (await tables(session)).text
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE odd (shape POINT)"))
    assert "table odd" in (await tables(engine)).text


async def test_no_tables() -> None:
    """Nothing to show is said in words."""
    assert (await tables(MetaData())).text.startswith("no tables")


async def test_rows_of_a_select(engine: AsyncEngine) -> None:
    """Columns are aligned, long values cut, HTML escaped, and the number of rows is told."""
    panel = await rows(engine, select(Book).order_by(Book.id))
    assert panel.text.startswith("3 rows\n\nid  title")
    assert "x" * 59 + "…" in panel.text
    assert "&lt;b&gt;Persuasion" in panel.html
    assert "<b>Persuasion" not in panel.html


async def test_rows_of_text_in_a_session(engine: AsyncEngine) -> None:
    """A session's own transaction is used; nothing is flushed."""
    async with AsyncSession(engine) as session:
        session.add(Shelf(name="later"))
        assert (await rows(session, "SELECT name, room FROM shelves")).text == (
            "1 row\n\nname    room\n------  ----\nnovels  NULL"
        )


async def test_times_have_no_fractions(engine: AsyncEngine) -> None:
    """A time is shown to the second, with its offset if it has one."""
    noon = datetime(2030, 1, 2, 12, 0, 0, 5, tzinfo=UTC)
    async with AsyncSession(engine) as session:
        panel = await rows(session, select(text("1 AS one")), title="what I asked")
    assert panel.text.startswith("what I asked")
    assert value(noon) == "2030-01-02 12:00:00+00:00"
    assert value("two\nlines") == "two\\nlines"


async def test_a_panel_has_two_faces(engine: AsyncEngine) -> None:
    """Text stands beside HTML, and colours are literal."""
    bundle = (await rows(engine, select(Shelf.name)))._repr_mimebundle_(include=None)
    assert set(bundle) == {"text/plain", "text/html"}
    assert "var(" not in bundle["text/html"]
    assert repr(await rows(engine, select(Shelf.name))) == bundle["text/plain"]


async def test_many_queries_are_seen(engine: AsyncEngine, capsys: pytest.CaptureFixture[str]) -> None:
    """The same statement again and again is one line with its number: N+1 made visible."""
    with sql(engine) as seen:
        async with AsyncSession(engine) as session:
            for _ in range(3):
                await session.scalar(select(Book.title).where(Book.id == 1))
    assert seen.count == 3
    assert set(seen.statements) == {"SELECT books.title FROM books WHERE books.id = ?"}
    assert capsys.readouterr().out == ("3 SQL statements\n  3 x  SELECT books.title FROM books WHERE books.id = ?\n")


async def test_the_borders_of_transactions(engine: AsyncEngine, capsys: pytest.CaptureFixture[str]) -> None:
    """BEGIN, COMMIT and ROLLBACK are shown on request, and never counted."""
    async with AsyncSession(engine) as session:
        with sql(session, transactions=True) as seen:
            session.add(Shelf(name="poems"))
            await session.commit()
            await session.scalar(select(Shelf.id))
            await session.rollback()
    assert seen.count == 2
    words = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert words == ["BEGIN", "INSERT", "COMMIT", "BEGIN", "SELECT", "ROLLBACK"]


async def test_nothing_is_recorded_after_the_block(engine: AsyncEngine, capsys: pytest.CaptureFixture[str]) -> None:
    """The recorder goes when its block ends, also by an exception; what was seen is shown."""
    found: list[Seen] = []

    async def fail(session: AsyncSession) -> None:
        with sql(async_sessionmaker(engine)) as seen:
            found.append(seen)
            await session.scalar(select(Shelf.id))
            raise ZeroDivisionError

    async with AsyncSession(engine) as session:
        with pytest.raises(ZeroDivisionError):
            await fail(session)
        await session.scalar(select(Shelf.id))
    assert found[0].count == 1
    assert capsys.readouterr().out.startswith("1 SQL statement\n")


async def test_long_lists_of_columns_are_cut(engine: AsyncEngine, capsys: pytest.CaptureFixture[str]) -> None:
    """What a query does stays readable when its table has many columns."""
    columns = [f"column_{number}" for number in range(30)]
    async with engine.begin() as connection:
        await connection.execute(text(f"CREATE TABLE wide ({', '.join(columns)})"))
        with sql(engine):
            await connection.execute(text(f"SELECT {', '.join(columns)} FROM wide WHERE column_1 = 2"))
            await connection.execute(text(f"INSERT INTO wide ({', '.join(columns)}) VALUES ({', '.join(['1'] * 30)})"))
    out = capsys.readouterr().out
    assert "SELECT column_0, … 29 more FROM wide WHERE column_1 = 2" in out
    assert "INSERT INTO wide (column_0, … 29 more) VALUES (1, … 29 more)" in out


async def test_an_error_in_one_line(engine: AsyncEngine, capsys: pytest.CaptureFixture[str]) -> None:
    """An error that is meant to happen is told; what it leaves behind warns nobody."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with AsyncSession(engine) as session:
            shelf = await session.scalar(select(Shelf))
            assert shelf is not None
            with error():
                _ = shelf.books
            with error():
                pass
            with error():
                raise ValueError
    lines = capsys.readouterr().out.splitlines()
    assert "MissingGreenlet" in lines[0]
    assert lines[1:] == ["no error", "ValueError: "]


def test_an_interrupt_is_no_error() -> None:
    """Whoever stops a cell stops it."""
    with pytest.raises(KeyboardInterrupt), error():
        raise KeyboardInterrupt


async def sleeps_badly() -> None:
    """Keep the loop for itself."""
    time.sleep(0.3)


async def sleeps_well() -> None:
    """Let others run."""
    await asyncio.sleep(0.3)


async def test_a_blocked_loop_is_drawn() -> None:
    """Bars and a verdict; times are masked, so the text is the same in every run."""
    works = {"time.sleep": sleeps_badly, "asyncio.sleep": sleeps_well}
    first, second = await blocked(works), await blocked(works)
    assert stable_text(first.text) == stable_text(second.text)
    assert stable_text(first.html) == stable_text(second.html)
    bad, good = first.text.splitlines()[1:]
    assert "####" in bad
    assert "stood still" in bad
    assert "#" not in good
    assert "kept running" in good
    assert "width:200px" in first.html


async def test_the_heart_stops_when_the_work_fails() -> None:
    """An error of the work is the caller's, and leaves no task behind."""

    async def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await pause.longest_pause(fails)
    assert len(asyncio.all_tasks()) == 1
