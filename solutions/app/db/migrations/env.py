"""The environment of Alembic: it runs revisions on the connection that it was handed."""

from alembic import context
from sqlalchemy import Connection, MetaData


def all_tables() -> MetaData:
    """Return the tables that the models describe."""
    from app.db.models import Base

    return Base.metadata


def run_migrations(connection: Connection) -> None:
    """Run revisions on a connection, or compare it with the models."""
    context.configure(connection=connection, target_metadata=all_tables(), render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


if __name__ == "env_py":
    run_migrations(context.config.attributes["connection"])
