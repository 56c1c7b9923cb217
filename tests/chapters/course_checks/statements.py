"""The SQL that the learner's code sends, heard before the database runs it."""

from contextlib import contextmanager

from sqlalchemy import event

from course_checks.outage import engine_of


@contextmanager
def heard(source, hear):
    """Call a function before each statement of a block; what it raises comes in place of the statement.

    Args:
        source: a session, a session factory, or a client with `sessions`.
        hear: takes the statement, its values, and SQLAlchemy's context of this execution.
    """

    def note(_connection, _cursor, statement, values, context, _many):
        hear(statement, values, context)

    engine = engine_of(source)
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", note)


@contextmanager
def sent_by(source):
    """Give a list of the statements of a block, a text for each; it grows while they are sent."""
    sent = []
    with heard(source, lambda statement, *_facts: sent.append(statement)):
        yield sent
