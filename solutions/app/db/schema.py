"""The tables in the database: what the app does about them when it starts."""

from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import Settings, Stage
from app.db.migrate import current, head, is_at_head, upgrade


class SchemaNotReady(Exception):
    """The database does not have the tables that this code was written for."""


async def prepare_schema(engine: AsyncEngine, settings: Settings) -> None:
    """Upgrade the database in development; elsewhere refuse one that is not at the head."""
    if settings.stage is Stage.DEVELOPMENT:
        await upgrade(engine)
    elif not await is_at_head(engine):
        raise SchemaNotReady(
            f"the database has revision {await current(engine)}, this code needs {head()}: "
            "run `python -m app.db.migrate upgrade` first"
        )
