"""The postman: empties the outbox, one message after the other."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.mail import Mail, Mailer
from app.db.session import SessionFactory
from app.outbox.crud import MAX_TRIES, outbox_crud
from app.outbox.models import OutboxMessage

logger = logging.getLogger(__name__)

POLL_SECONDS = 5.0

Compose = Callable[[AsyncSession, str], Awaitable[Mail | None]]


class Postman:
    """Sends what is due."""

    def __init__(
        self, sessions: SessionFactory, mailer: Mailer, composers: Mapping[str, Compose]
    ) -> None:
        """Know where messages lie, who sends them, and who writes their texts."""
        self.sessions = sessions
        self.mailer = mailer
        self.composers = composers

    async def _send(self, message: OutboxMessage) -> None:
        """Write the text, save what belongs to it, then send; None is nothing to send."""
        async with self.sessions.begin() as session:
            mail = await self.composers[message.kind](session, message.recipient)
        if mail is not None:
            await self.mailer.send(mail)

    async def deliver_next(self) -> bool:
        """Send the message that is due; False where none is. A failure is tried again later."""
        async with self.sessions.begin() as session:
            message = await outbox_crud.claim(session)
        if message is None:
            return False
        try:
            await self._send(message)
        except Exception as error:
            kind = type(error).__name__
            logger.warning("mail %s: try %s failed: %s", message.id, message.tries, kind)
            if message.tries < MAX_TRIES:
                return True
            logger.error("mail %s is given up after %s tries", message.id, message.tries)
        async with self.sessions.begin() as session:
            await outbox_crud.remove(session, message.id)
        return True

    async def work(self, wake: asyncio.Event) -> None:
        """Deliver when somebody rings, and every few seconds: what a crash has left, what waits."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await wake.wait()
            wake.clear()
            try:
                while await self.deliver_next():
                    pass
            except Exception:
                logger.exception("the outbox cannot be read")
