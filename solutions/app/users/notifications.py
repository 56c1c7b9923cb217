"""Messages to users, sent in the background after the transaction is committed."""

import logging

logger = logging.getLogger(__name__)


async def send_welcome(user_id: int) -> None:
    """Welcome a new user. It gets an id, not an object: its session is closed by now."""
    logger.info("welcome message for user %s", user_id)
