"""What can go wrong when signing in."""

from typing import ClassVar

from fastapi import status

from app.core.exceptions import DomainError, NotAuthenticated, NotFound

NO_STORE = {"Cache-Control": "no-store"}


class InvalidCredentials(NotAuthenticated):
    """One message for an unknown user and a wrong password: it must not tell who has an account."""

    code = "invalid_credentials"
    detail = "Wrong e-mail, user name or password."
    headers: ClassVar[dict[str, str]] = NotAuthenticated.headers | NO_STORE
    oauth_error = "invalid_grant"


class InactiveUser(DomainError):
    """The user is known, but an admin has switched the account off."""

    code = "inactive_user"
    detail = "This account is not active."


class InactiveLogin(InactiveUser):
    """The password is right, but the account is switched off."""

    headers: ClassVar[dict[str, str]] = NO_STORE
    oauth_error = "invalid_grant"


class InvalidAccessToken(NotAuthenticated):
    """The token proves nothing: forged, expired, of the wrong type, or its user is gone."""

    code = "invalid_token"
    detail = "The token is not valid."


class InvalidRefreshToken(NotAuthenticated):
    """The refresh token is forged, expired, or its session has ended."""

    code = "invalid_refresh_token"
    detail = "The refresh token is not valid; sign in again."
    headers: ClassVar[dict[str, str]] = NotAuthenticated.headers | NO_STORE
    oauth_error = "invalid_grant"


class ReusedRefreshToken(InvalidRefreshToken):
    """A spent token came again: somebody has a copy, so the whole session ends."""

    keep_changes: ClassVar[bool] = True


class WrongPassword(DomainError):
    """The current password is needed to choose a new one."""

    status_code = status.HTTP_400_BAD_REQUEST
    code = "wrong_password"
    detail = "The current password is wrong."


class SessionNotFound(NotFound):
    """There is no such session, or it is somebody else's."""

    code = "session_not_found"
    detail = "You have no such session."


class InvalidResetToken(DomainError):
    """The token was never sent, was used, is too old, or a newer one was sent."""

    status_code = status.HTTP_422_UNPROCESSABLE_CONTENT
    code = "invalid_reset_token"
    detail = "The link is not valid any more; ask for a new one."
