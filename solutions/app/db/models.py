"""Every model in one place: importing this module makes all tables known to `Base.metadata`."""

from app.auth.models import LoginSession, PasswordReset
from app.db.base import Base
from app.items.models import Item
from app.outbox.models import OutboxMessage
from app.users.models import User

__all__ = ["Base", "Item", "LoginSession", "OutboxMessage", "PasswordReset", "User"]
