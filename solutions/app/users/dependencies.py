"""What the routes about users ask for."""

from typing import Annotated

from fastapi import Depends, Path

from app.auth.dependencies import CurrentUser
from app.core.exceptions import Forbidden
from app.db.base import MAX_ID
from app.db.session import SessionDep
from app.users.exceptions import UserNotFound
from app.users.models import User
from app.users.permissions import Permission, has_permission
from app.users.service import UserService

UserId = Annotated[int, Path(ge=1, le=MAX_ID)]


def get_user_service(session: SessionDep) -> UserService:
    """Build the service for one request."""
    return UserService(session)


UserServiceDep = Annotated[UserService, Depends(get_user_service)]


async def valid_user_id(user_id: UserId, service: UserServiceDep) -> User:
    """Return the user that the path names, or answer 404."""
    return await service.get(user_id)


UserById = Annotated[User, Depends(valid_user_id)]


class RequirePermissions:
    """A dependency that lets only those pass who have all the permissions."""

    def __init__(self, *permissions: str) -> None:
        """Remember what is needed."""
        self.permissions = permissions

    def __call__(self, user: CurrentUser) -> User:
        """Return the current user, or answer 403."""
        if not has_permission(user, *self.permissions):
            raise Forbidden
        return user


async def visible_user_id(
    user_id: UserId, current_user: CurrentUser, service: UserServiceDep
) -> User:
    """Return yourself, or for admins anybody; 404 hides whether another user exists."""
    if user_id != current_user.id and not has_permission(current_user, Permission.READ_USERS):
        raise UserNotFound
    return await service.get(user_id)


VisibleUser = Annotated[User, Depends(visible_user_id)]
