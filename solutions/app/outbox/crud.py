"""Queries about the outbox."""

from datetime import timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import utc_now
from app.outbox.models import OutboxMessage

WAITS = (10, 60, 600, 3600, 14400)  # seconds until the next try; after the last one no more
MAX_TRIES = len(WAITS)


class OutboxCRUD:
    """Put in, claim, remove."""

    async def add(self, session: AsyncSession, kind: str, recipient: str) -> None:
        """Put a message in; it is sent when the caller has committed."""
        session.add(OutboxMessage(kind=kind, recipient=recipient))
        await session.flush()

    async def claim(self, session: AsyncSession) -> OutboxMessage | None:
        """Take the oldest message that is due: count the try, and lend it until the next one."""
        due = select(OutboxMessage).where(OutboxMessage.due_at <= utc_now())
        oldest = due.order_by(OutboxMessage.due_at, OutboxMessage.id).limit(1)
        message = await session.scalar(oldest)
        if message is None:
            return None
        seconds = WAITS[min(message.tries, MAX_TRIES - 1)]
        mine = update(OutboxMessage).where(
            OutboxMessage.id == message.id, OutboxMessage.tries == message.tries
        )
        values = {"tries": message.tries + 1, "due_at": utc_now() + timedelta(seconds=seconds)}
        result = cast(CursorResult[Any], await session.execute(mine.values(values)))
        if not result.rowcount:
            return None
        await session.refresh(message)
        return message

    async def remove(self, session: AsyncSession, message_id: int) -> None:
        """Take a message out: it is sent, or given up."""
        await session.execute(delete(OutboxMessage).where(OutboxMessage.id == message_id))


outbox_crud = OutboxCRUD()
