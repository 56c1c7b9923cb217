"""The routes about users. They speak HTTP only; the rules are in the service."""

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends, Query, Response, status

from app.auth.dependencies import CurrentUser
from app.core.pagination import set_total_count
from app.core.responses import error_responses
from app.users.dependencies import RequirePermissions, UserById, UserServiceDep, VisibleUser
from app.users.models import User
from app.users.notifications import send_welcome
from app.users.permissions import Permission
from app.users.schemas import AdminUserUpdate, UserCreate, UserPage, UserPublic, UserUpdate

router = APIRouter(prefix="/users", tags=["users"], responses=error_responses(400, 401, 422))

READ_USERS = [Depends(RequirePermissions(Permission.READ_USERS))]
WRITE_USERS = [Depends(RequirePermissions(Permission.WRITE_USERS))]


@router.post(
    "",
    response_model=UserPublic,
    status_code=status.HTTP_201_CREATED,
    dependencies=WRITE_USERS,
    responses=error_responses(403, 409),
)
async def create_user(
    data: UserCreate, service: UserServiceDep, background: BackgroundTasks
) -> User:
    """Create a user."""
    user = await service.create(data)
    background.add_task(send_welcome, user.id)
    return user


@router.get(
    "", response_model=list[UserPublic], dependencies=READ_USERS, responses=error_responses(403)
)
async def list_users(
    page: Annotated[UserPage, Query()], service: UserServiceDep, response: Response
) -> list[User]:
    """List users; the header X-Total-Count says how many there are in all."""
    users, total = await service.get_page(page)
    set_total_count(response, total)
    return users


@router.get("/me", response_model=UserPublic)
async def read_me(user: CurrentUser) -> User:
    """Read yourself."""
    return user


@router.get("/{user_id}", response_model=UserPublic, responses=error_responses(404))
async def read_user(user: VisibleUser) -> User:
    """Read one user."""
    return user


@router.patch("/me", response_model=UserPublic, responses=error_responses(409))
async def update_me(user: CurrentUser, data: UserUpdate, service: UserServiceDep) -> User:
    """Change yourself; role and is_active are not yours to change, and are ignored."""
    return await service.update(user, data)


@router.patch(
    "/{user_id}",
    response_model=UserPublic,
    dependencies=WRITE_USERS,
    responses=error_responses(403, 404, 409),
)
async def update_user(user: UserById, data: AdminUserUpdate, service: UserServiceDep) -> User:
    """Change the fields that are sent."""
    return await service.update(user, data)


@router.delete(
    "/{user_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=WRITE_USERS,
    responses=error_responses(403, 404, 409),
)
async def delete_user(user: UserById, service: UserServiceDep) -> None:
    """Delete a user; the e-mail and the user name stay taken."""
    await service.delete(user)
