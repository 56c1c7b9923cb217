"""A database whose statements fail on purpose, and how an app must end then."""

import sqlite3

from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from workbook import expect
from workbook.checks import summary


def engine_of(source):
    """Return the engine behind a session, a session factory, or a client with `sessions`."""
    source = getattr(source, "sessions", source)
    return (source.bind if isinstance(source, AsyncSession) else source.kw["bind"]).sync_engine


def kind_of(context, statement):
    """Return "insert", "update", "delete" or "select", whatever the statement begins with."""
    for name in ("insert", "update", "delete"):
        if getattr(context, f"is{name}", False) or statement.lstrip().lower().startswith(name):
            return name
    return "select"


class Outage:
    """A database whose statements fail, made by the fixture `broken_database`.

    Args:
        kinds: what fails: "select", "insert", "update", "delete", "commit"; everything when empty.
    """

    message = "disk I/O error"

    def __init__(self, kinds):
        self.kinds, self.failures = kinds, 0

    def on_statement(self, _connection, _cursor, statement, _parameters, context, _many):
        """Fail in place of a statement."""
        if self._fails(kind_of(context, statement)):
            self._fail(statement)

    def on_commit(self, connection):
        """Fail in place of a COMMIT; nothing of the transaction stays."""
        if self._fails("commit"):
            connection.connection.rollback()
            self._fail("COMMIT")

    def _fails(self, kind):
        return not self.kinds or kind in self.kinds

    def _fail(self, statement):
        self.failures += 1
        raise OperationalError(statement, {}, sqlite3.OperationalError(self.message))

    async def passes(self, call, *, did, at, hint="", why=""):
        """Expect that the OperationalError comes out of a coroutine of the learner's as it is."""
        try:
            found = await call
            got = f"it returned {expect.shown(found)}"
        except OperationalError:
            return
        except expect.Wrong:
            raise
        except Exception as error:
            got = f"it raised {summary(error)}"
        raise expect.Wrong(
            did=f"{did}, while the database fails ({self._what()})",
            got=got,
            expected="the OperationalError of the database, as it is",
            why=why or "a broken database would look like a mistake of the person who asks, and nobody would repair it",
            hint=hint or "catch only the error that you expect, by its name, and around one call only",
            at=at,
        )

    def is_500(self, response, *, hint="", why="", at=None):
        """Expect that the app says that it is broken; a 4xx would blame the client."""
        if not self.failures:
            did, got = response.request.method + " " + response.request.url.path, "no statement that could fail"
            expected = f"it asks the database ({self._what()})"
            raise expect.Wrong(did=did, got=got, expected=expected, why=why, hint=hint, at=at)
        expect.status(
            response,
            500,
            why=why or f"the database failed ({self._what()}): the client did nothing wrong, and trying again may help",
            hint=hint or "catch only the error that you expect, by its name, and around one call only",
            at=at,
        )

    def _what(self):
        return f"{self.message} at each {' and '.join(self.kinds) or 'statement'}"
