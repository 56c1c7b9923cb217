"""A new password for people who forgot theirs."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from hashlib import sha256
from secrets import token_urlsafe

from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.crud import login_session_crud, password_reset_crud
from app.auth.exceptions import InvalidResetToken
from app.auth.models import PasswordReset
from app.core.config import Settings
from app.core.mail import Mail
from app.core.security import hash_password
from app.db.base import utc_now
from app.db.session import after_commit
from app.outbox.crud import outbox_crud
from app.users.crud import user_crud

KIND = "password_reset"


def hash_token(token: str) -> str:
    """Return what is stored of a token; it has 32 random bytes, so a fast hash is enough."""
    return sha256(token.encode()).hexdigest()


class ResetMail:
    """Writes the mail with the link."""

    def __init__(self, settings: Settings) -> None:
        """Remember the link, and how long it lives."""
        self.settings = settings

    def text(self, recipient: str, token: str) -> Mail:
        """Return the mail."""
        link = f"{self.settings.mail_reset_url}?token={token}"
        body = f"Choose a new password:\n\n{link}\n\nIf you did not ask for it, do nothing.\n"
        return Mail(recipient, "Choose a new password", body)

    async def compose(self, session: AsyncSession, recipient: str) -> Mail | None:
        """Return the mail with a new token, or None for an address that no active user has."""
        user = await user_crud.get_by_email(session, recipient)
        if user is None or not user.is_active:
            return None
        token = token_urlsafe(32)
        expires_at = utc_now() + timedelta(minutes=self.settings.password_reset_minutes)
        reset = PasswordReset(token_hash=hash_token(token), user_id=user.id, expires_at=expires_at)
        await password_reset_crud.replace(session, reset)
        return self.text(user.email, token)


class PasswordResetService:
    """Ask for a new password, and choose it."""

    def __init__(self, session: AsyncSession, wake: Callable[[], Awaitable[None]]) -> None:
        """Work within the caller's transaction; `wake` calls the postman."""
        self.session = session
        self.wake = wake

    async def request(self, email: str) -> None:
        """Put a message into the outbox, whoever is named; the postman looks who it is."""
        await outbox_crud.add(self.session, KIND, email)
        after_commit(self.session, self.wake)

    async def confirm(self, token: str, new_password: str) -> None:
        """Store the new password and end every session, or raise InvalidResetToken."""
        user_id = await password_reset_crud.spend(self.session, hash_token(token))
        user = await user_crud.get(self.session, user_id) if user_id else None
        if user is None or not user.is_active:
            raise InvalidResetToken
        user.hashed_password = await hash_password(new_password)
        await login_session_crud.end_all(self.session, user.id)
