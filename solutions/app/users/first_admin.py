"""The first admin: without one, nobody could make anybody an admin."""

import logging

from pydantic import ValidationError

from app.core.config import Settings
from app.db.session import SessionFactory
from app.users.crud import user_crud
from app.users.exceptions import UserExists
from app.users.models import User
from app.users.schemas import Role, UserCreate
from app.users.service import UserService

logger = logging.getLogger(__name__)
USERNAME = "admin"


def read_first_admin(settings: Settings) -> UserCreate | None:
    """Return the first admin of the settings, None when they name none; never show the password."""
    if settings.first_admin_email is None or settings.first_admin_password is None:
        return None
    try:
        return UserCreate(
            email=settings.first_admin_email,
            username=USERNAME,
            password=settings.first_admin_password.get_secret_value(),
        )
    except ValidationError as error:
        reasons = "; ".join(item["msg"] for item in error.errors())
        raise ValueError(f"FIRST_ADMIN_EMAIL, FIRST_ADMIN_PASSWORD: {reasons}") from None


async def ensure_first_admin(session_factory: SessionFactory, settings: Settings) -> None:
    """Make the first admin at start-up, if there is no admin yet."""
    data = read_first_admin(settings)
    if data is None:
        return
    async with session_factory() as session:
        if await user_crud.count(session, where=[User.can_administrate()]):
            return
        try:
            user = await UserService(session).create(data)
            user.role = Role.ADMIN
            await session.commit()
        except UserExists:
            logger.warning("no first admin: %s or its user name is taken", data.email)
