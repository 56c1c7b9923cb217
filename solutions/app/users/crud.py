"""Queries about users; deleted users are hidden from all of them."""

import unicodedata
from typing import ClassVar

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.text import refuse_unstorable
from app.db.base import utc_now
from app.db.crud import CRUDBase
from app.users.models import User
from app.users.schemas import UserCreate, UserUpdate


class UserCRUD(CRUDBase[User, UserCreate, UserUpdate]):
    """The queries of every table, and those that only users need."""

    unstored_fields: ClassVar[set[str]] = {"password"}  # only its hash is stored

    def query(self) -> Select[User]:
        """Hide deleted users."""
        return select(User).where(User.deleted_at.is_(None))

    async def soft_delete(self, session: AsyncSession, user: User) -> None:
        """Keep the row, but hide the user and refuse any further sign-in."""
        user.deleted_at = utc_now()
        user.is_active = False
        await session.flush()

    async def get_by_email(self, session: AsyncSession, email: str) -> User | None:
        """Return the user with this e-mail, however it is capitalised."""
        return await session.scalar(self.query().where(User.email == email.strip().lower()))

    def matches(self, text: str) -> ColumnElement[bool]:
        """Return the condition "text is part of a name or the e-mail"; % and _ are plain text."""
        columns = (User.email, User.username, User.full_name)
        return or_(*(column.icontains(text, autoescape=True) for column in columns))

    async def get_by_identifier(self, session: AsyncSession, identifier: str) -> User | None:
        """Return the user with this e-mail or user name; an e-mail has an @, a user name none."""
        try:
            name = refuse_unstorable(unicodedata.normalize("NFC", identifier.strip()).lower())
        except ValueError:
            return None
        by_name = or_(User.email == name, User.username == name)
        return await session.scalar(self.query().where(by_name))

    async def lock_admins(self, session: AsyncSession) -> None:
        """Make other changes of admins wait for this transaction (SQLite writes in turn anyway)."""
        query = select(User.id).where(User.can_administrate()).order_by(User.id)
        await session.execute(query.with_for_update())


user_crud = UserCRUD(User)
