"""Errors that the app means to give: each has a status, a code for programs, a text for people."""

from typing import ClassVar

from fastapi import status


class DomainError(Exception):
    """A broken rule; features derive their own errors from it, the handler turns it into JSON."""

    status_code: ClassVar[int] = status.HTTP_400_BAD_REQUEST
    code: ClassVar[str] = "bad_request"
    detail: ClassVar[str] = "The request breaks a rule."
    headers: ClassVar[dict[str, str]] = {}
    keep_changes: ClassVar[bool] = False  # commit although the answer is an error
    oauth_error: ClassVar[str | None] = None  # the `error` field of RFC 6749, section 5.2

    def __str__(self) -> str:
        """Return the text for people."""
        return self.detail


class NotFound(DomainError):
    """What was asked for does not exist, or must not be seen by the one who asks."""

    status_code = status.HTTP_404_NOT_FOUND
    code = "not_found"
    detail = "Not found."


class Conflict(DomainError):
    """The request contradicts what is stored."""

    status_code = status.HTTP_409_CONFLICT
    code = "conflict"
    detail = "The request contradicts what is stored."


class NotAuthenticated(DomainError):
    """Nobody knows who is asking."""

    status_code = status.HTTP_401_UNAUTHORIZED
    code = "not_authenticated"
    detail = "Sign in first."
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}


class Forbidden(DomainError):
    """The one who asks is known, and may not do this."""

    status_code = status.HTTP_403_FORBIDDEN
    code = "forbidden"
    detail = "You may not do this."


class DatabaseAway(DomainError):
    """The database cannot be reached; the same request may work soon."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    code = "database_unavailable"
    detail = "The database is away. Try again in a moment."
    headers: ClassVar[dict[str, str]] = {"Retry-After": "5"}


class TooManyRequests(DomainError):
    """Somebody tries too often; the header says how many seconds to wait."""

    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    code = "too_many_requests"
    detail = "Too many tries; wait, and try again."

    def __init__(self, seconds: int) -> None:
        """Tell when it is worth trying again."""
        super().__init__()
        self.headers = {"Retry-After": str(seconds)}  # type: ignore[misc] # of one error only


class NotReady(DomainError):
    """The app runs, and cannot serve now."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    code = "not_ready"
    detail = "Send requests elsewhere for now."
    headers: ClassVar[dict[str, str]] = {"Retry-After": "5"}
