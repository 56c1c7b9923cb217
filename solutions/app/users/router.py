"""The routes about users. They speak HTTP only; the rules are in the service."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from app.core.pagination import set_total_count
from app.users.dependencies import UserById, UserServiceDep
from app.users.models import User
from app.users.schemas import AdminUserUpdate, UserCreate, UserPage, UserPublic

router = APIRouter(prefix="/users", tags=["users"])


@router.post("", response_model=UserPublic, status_code=status.HTTP_201_CREATED)
async def create_user(data: UserCreate, service: UserServiceDep) -> User:
    """Create a user."""
    return await service.create(data)


@router.get("/{user_id}", response_model=UserPublic)
async def read_user(user: UserById) -> User:
    """Read one user."""
    return user


@router.get("", response_model=list[UserPublic])
async def list_users(
    page: Annotated[UserPage, Query()], service: UserServiceDep, response: Response
) -> list[User]:
    """List users; the header X-Total-Count says how many there are in all."""
    users, total = await service.get_page(page)
    set_total_count(response, total)
    return users


@router.patch("/{user_id}", response_model=UserPublic)
async def update_user(user: UserById, data: AdminUserUpdate, service: UserServiceDep) -> User:
    """Change the fields that are sent."""
    return await service.update(user, data)


@router.delete("/{user_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_user(user: UserById, service: UserServiceDep) -> None:
    """Delete a user; the e-mail and the user name stay taken."""
    await service.delete(user)
