"""The users table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Enum, String, and_, or_
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from app.db.base import Base, SoftDeleteMixin, TimestampMixin
from app.users.schemas import Role

if TYPE_CHECKING:
    from app.items.models import Item


class User(TimestampMixin, SoftDeleteMixin, Base):
    """A person who can sign in; deleted users are kept, so their e-mail stays taken."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(320), unique=True, index=True)
    username: Mapped[str] = mapped_column(String(50), unique=True, index=True)
    full_name: Mapped[str | None] = mapped_column(String(100))
    hashed_password: Mapped[str] = mapped_column(String(255))
    is_active: Mapped[bool] = mapped_column(default=True)
    is_superuser: Mapped[bool] = mapped_column(default=False)
    role: Mapped[Role] = mapped_column(
        Enum(Role, native_enum=False, length=20, values_callable=list), default=Role.USER
    )
    items: Mapped[list[Item]] = relationship(
        back_populates="owner", lazy="raise", cascade="all, delete-orphan", passive_deletes=True
    )

    @validates("email", "username")
    def fold_case(self, _key: str, value: str) -> str:
        """Store lower case, so that `B@x.com` cannot stand beside `b@x.com`."""
        return value.lower()

    @property
    def is_admin(self) -> bool:
        """Say whether this user may do everything."""
        return self.is_superuser or self.role is Role.ADMIN

    @classmethod
    def can_administrate(cls) -> ColumnElement[bool]:
        """Return the condition "is an admin who can sign in"."""
        is_admin = or_(cls.is_superuser.is_(True), cls.role == Role.ADMIN)
        return and_(is_admin, cls.is_active.is_(True), cls.deleted_at.is_(None))
