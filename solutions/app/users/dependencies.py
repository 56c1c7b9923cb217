"""What the routes about users ask for."""

from typing import Annotated

from fastapi import Depends, HTTPException, Path, status

from app.db.base import MAX_ID
from app.db.session import SessionDep
from app.users.models import User
from app.users.service import UserService


def get_user_service(session: SessionDep) -> UserService:
    """Build the service for one request."""
    return UserService(session)


UserServiceDep = Annotated[UserService, Depends(get_user_service)]

UserId = Annotated[int, Path(ge=1, le=MAX_ID)]


async def valid_user_id(user_id: UserId, service: UserServiceDep) -> User:
    """Return the user that the path names, or answer 404."""
    user = await service.get(user_id)
    if user is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such user.")
    return user


UserById = Annotated[User, Depends(valid_user_id)]
