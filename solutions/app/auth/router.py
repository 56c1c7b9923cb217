"""The routes for signing in, staying signed in, and signing out."""

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends, Path, Request, Response, status
from fastapi.security import OAuth2PasswordRequestForm

from app.auth.crud import login_session_crud
from app.auth.dependencies import AuthServiceDep, CurrentUser, TriesDep
from app.auth.exceptions import NO_STORE, SessionNotFound
from app.auth.models import LoginSession
from app.auth.password_reset import PasswordResetService
from app.auth.schemas import (
    Accepted,
    LoginSessionPublic,
    PasswordChange,
    PasswordResetConfirm,
    PasswordResetRequest,
    RefreshRequest,
    Register,
    TokenPair,
)
from app.core.responses import (
    ErrorBody,
    ValidationErrorBody,
    error_responses,
    oauth_error_responses,
)
from app.db.session import SessionDep
from app.users.notifications import send_welcome


def forbid_storing(response: Response) -> None:
    """Keep tokens out of every cache."""
    response.headers.update(NO_STORE)


router = APIRouter(
    prefix="/auth",
    tags=["auth"],
    dependencies=[Depends(forbid_storing)],
    responses=error_responses(422) | {status.HTTP_429_TOO_MANY_REQUESTS: {"model": ErrorBody}},
)


@router.post("/register", status_code=status.HTTP_201_CREATED, responses=error_responses(409))
async def register(
    data: Register, service: AuthServiceDep, background: BackgroundTasks
) -> TokenPair:
    """Sign up; you are signed in at once."""
    pair = await service.register(data)
    background.add_task(send_welcome, pair.user.id)
    return pair


@router.post("/login", responses=oauth_error_responses(400, 401))
async def login(
    form: Annotated[OAuth2PasswordRequestForm, Depends()], service: AuthServiceDep
) -> TokenPair:
    """Sign in with a form: `username` may be the e-mail or the user name."""
    return await service.login(form.username, form.password)


@router.post("/refresh", responses=oauth_error_responses(401))
async def refresh(data: RefreshRequest, service: AuthServiceDep) -> TokenPair:
    """Exchange a refresh token for a new pair; the old one is spent."""
    return await service.refresh(data.refresh_token)


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT)
async def logout(data: RefreshRequest, service: AuthServiceDep) -> None:
    """End the session of this refresh token."""
    await service.logout(data.refresh_token)


@router.post(
    "/password", status_code=status.HTTP_204_NO_CONTENT, responses=error_responses(400, 401)
)
async def change_password(user: CurrentUser, data: PasswordChange, service: AuthServiceDep) -> None:
    """Choose a new password; every session ends, so sign in again afterwards."""
    await service.change_password(user, data)


@router.get(
    "/sessions", response_model=list[LoginSessionPublic], responses=error_responses(400, 401)
)
async def list_sessions(user: CurrentUser, session: SessionDep) -> list[LoginSession]:
    """List where you are signed in."""
    return await login_session_crud.get_multi(session, user.id)


@router.delete(
    "/sessions/{session_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=error_responses(400, 401, 404),
)
async def end_session(
    session_id: Annotated[str, Path(pattern="^[0-9a-f]{32}$")],
    user: CurrentUser,
    session: SessionDep,
) -> None:
    """Sign out somewhere else."""
    if not await login_session_crud.end(session, session_id, user.id):
        raise SessionNotFound


def get_password_reset(request: Request, session: SessionDep) -> PasswordResetService:
    """Build the service for one request."""

    async def wake() -> None:
        request.app.state.wake.set()

    return PasswordResetService(session, wake)


PasswordResetDep = Annotated[PasswordResetService, Depends(get_password_reset)]


@router.post("/password-reset", status_code=status.HTTP_202_ACCEPTED)
async def request_password_reset(
    data: PasswordResetRequest, service: PasswordResetDep, tries: TriesDep
) -> Accepted:
    """Ask for a mail with a link; the answer is the same for an address that nobody has."""
    await tries.count("password-reset", data.email)
    await service.request(data.email)
    return Accepted()


@router.post(
    "/password-reset/confirm",
    status_code=status.HTTP_204_NO_CONTENT,
    responses={422: {"model": ValidationErrorBody | ErrorBody}},
)
async def confirm_password_reset(
    data: PasswordResetConfirm, service: PasswordResetDep, tries: TriesDep
) -> None:
    """Choose a new password; the token works once, and every session ends."""
    await tries.count("password-reset-confirm")
    await service.confirm(data.token, data.new_password)
