"""All items of an owner as a stream: a line of JSON for each."""

from collections.abc import AsyncIterator

from app.db.session import SessionFactory
from app.items.crud import item_crud
from app.items.schemas import ItemPublic

BATCH = 500


async def export_lines(sessions: SessionFactory, owner_id: int) -> AsyncIterator[str]:
    """Give a line for each item; one batch is in memory, and no session is open meanwhile."""
    last = 0
    while True:
        async with sessions() as session:
            batch = await item_crud.get_batch(session, owner_id, after=last, limit=BATCH)
        if not batch:
            return
        for item in batch:
            yield ItemPublic.model_validate(item).model_dump_json() + "\n"
        last = batch[-1].id
