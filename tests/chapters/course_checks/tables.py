"""The learner's engine, tables and columns, and rows that are stored in them (chapter 03)."""

import inspect

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from course_checks.samples import MEMORY
from course_checks.words import in_words
from workbook import expect


def is_missing_greenlet(error):
    """Say whether an error is a MissingGreenlet, also inside another one."""
    return error is not None and "MissingGreenlet" in f"{type(error).__name__} {error}"


NO_ENGINE = [
    (
        "Invalid argument(s)",
        "create_engine knows no such argument: compare each name in the dict with the text, letter by letter",
    ),
    (
        "asynchronous events are not implemented",
        "an AsyncEngine has no events of its own: its inner half has, sync_engine",
    ),
]


def made_engine(load, url=MEMORY, **options):
    """Call the learner's make_engine; what is no async engine is a wrong answer."""
    make_engine = load("db.session").make_engine
    try:
        engine = make_engine(url, **options)
    except (TypeError, NotImplementedError) as error:
        expect.known(
            error,
            NO_ENGINE,
            did=f'make_engine("{url}")',
            expected="an AsyncEngine",
            why="without an engine the app does not start",
            at=make_engine,
        )
    if inspect.iscoroutine(engine):
        engine.close()
    expect.that(
        isinstance(engine, AsyncEngine),
        did=f'make_engine("{url}")',
        got=expect.with_article(type(engine).__name__),
        expected="an AsyncEngine",
        why="an engine of the other kind cannot be awaited: every query would stop all requests",
        hint="return create_async_engine(...), from an ordinary function",
        at=make_engine,
    )
    return engine


def column_of(model, name):
    """Return a column of a model; a missing one is a wrong answer."""
    columns = model.__table__.columns
    expect.that(
        not isinstance(getattr(model, name, None), tuple),
        did=f"the columns of {model.__tablename__}",
        got=f"{name} is a tuple, because its line ends with a comma",
        expected=f"a column {name}",
        why="the table would not have the column, and what a person sends for it would be lost",
        hint="take the comma away: one stands at the end of a line inside brackets only",
        at=model,
    )
    expect.that(
        name in columns,
        did=f"the columns of {model.__tablename__}",
        got=f"no column {name}; there are {', '.join(columns.keys())}",
        expected=f"a column {name}",
        why="what a person sends for it would be lost, or raise a TypeError",
        hint=f"write `{name}: Mapped[...] = mapped_column(...)` in the class",
        at=model,
    )
    return columns[name]


async def saved(db, model, did):
    """Commit; a refusal by the database is a wrong answer."""
    try:
        await db.commit()
    except IntegrityError as error:
        raise expect.Wrong(
            did=did,
            got=in_words(error).partition("[SQL")[0].strip(),
            expected="it is stored",
            why="a good request would be answered with a 500",
            hint=hint_on_refusal(error),
            at=model,
        ) from None


def hint_on_refusal(error):
    """Return what to do about a row that the database refused: the message names the column."""
    text = str(error)
    name = text.partition("constraint failed: ")[2].split("\n")[0].split(",")[0].rpartition(".")[2]
    if "NOT NULL" in text:
        return f"{name} got no value: the column needs a default, or it may be missing, `| None`"
    if "UNIQUE" in text:
        return f"{name} refuses a second row with the same value: is it unique in the text, too?"
    return "compare the columns with the text: what may be missing, and what has a default"
