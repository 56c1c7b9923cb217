"""What the app does while its database cannot be reached."""

from typing import Any

from asyncpg.exceptions import InternalClientError
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.exceptions import DatabaseAway


def is_away(error: BaseException) -> bool:
    """Say whether an error means that the database cannot be reached now."""
    code = getattr(error, "sqlstate", None) or ""
    return isinstance(error, OSError) or code.startswith(("08", "53", "57P"))


def tell_when_away(engine: AsyncEngine) -> None:
    """Let this engine raise DatabaseAway in place of the errors that mean it."""

    @event.listens_for(engine.sync_engine, "do_connect")
    def connect(dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
        try:
            return dialect.connect(*arguments, **options)
        except Exception as error:
            if is_away(error):
                raise DatabaseAway from error
            raise

    @event.listens_for(engine.sync_engine, "handle_error")
    def translate(context: ExceptionContext) -> None:
        error = context.original_exception
        if not isinstance(error, Exception):  # who asked has hung up: that stays a cancellation
            return
        if isinstance(error.__cause__, InternalClientError):  # the server has said goodbye already
            context.is_disconnect = True
        # a ping that fails is no error: the pool opens another connection
        if (is_away(error) or context.is_disconnect) and not context.is_pre_ping:
            raise DatabaseAway from error
