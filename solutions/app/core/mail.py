"""Mail: what it is, and who sends it."""

import logging
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Protocol

import aiosmtplib

from app.core.config import Settings, Stage

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mail:
    """A text for one person."""

    recipient: str
    subject: str
    body: str


class Mailer(Protocol):
    """Somebody who sends mail."""

    async def send(self, mail: Mail) -> None:
        """Send it, or raise: then it was not sent, or nobody knows."""


class ConsoleMailer:
    """Writes mail into the log: for development."""

    async def send(self, mail: Mail) -> None:
        """Show it."""
        logger.info("mail to %s: %s\n%s", mail.recipient, mail.subject, mail.body)


class SmtpMailer:
    """Hands mail to a mail server."""

    def __init__(self, settings: Settings) -> None:
        """Remember the server."""
        self._settings = settings

    async def send(self, mail: Mail) -> None:
        """Send it; after ten seconds without an answer it is a failure."""
        settings, message = self._settings, EmailMessage()
        message["From"], message["To"] = settings.mail_from, mail.recipient
        message["Subject"] = mail.subject
        message.set_content(mail.body)
        password = settings.mail_password
        await aiosmtplib.send(
            message,
            hostname=settings.mail_host or "localhost",
            port=settings.mail_port,
            username=settings.mail_username,
            password=password.get_secret_value() if password else None,
            start_tls=settings.mail_start_tls,
            timeout=10,
        )


def make_mailer(settings: Settings) -> Mailer:
    """Choose: the log in development, unless a mail server is named."""
    if settings.mail_host is None and settings.stage is Stage.DEVELOPMENT:
        return ConsoleMailer()
    return SmtpMailer(settings)
