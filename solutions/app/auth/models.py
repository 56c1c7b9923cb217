"""The table of login sessions."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TimestampMixin, utc_now


class LoginSession(TimestampMixin, Base):
    """One sign-in and the family of refresh tokens that grew from it.

    Only the newest token of the family is valid. A session that ends is deleted.
    """

    __tablename__ = "login_sessions"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    current_jti: Mapped[str] = mapped_column(String(32))
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)


class PasswordReset(Base):
    """A way to choose a new password; of the token only the hash is stored."""

    __tablename__ = "password_resets"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), unique=True)
    expires_at: Mapped[datetime]
