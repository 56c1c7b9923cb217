"""The one body that all errors have, for answers and for the API's documents."""

from typing import Any

from fastapi import status
from pydantic import BaseModel

DESCRIPTIONS = {
    status.HTTP_400_BAD_REQUEST: "The request breaks a rule.",
    status.HTTP_401_UNAUTHORIZED: "Who you are is not proven.",
    status.HTTP_403_FORBIDDEN: "You may not do this.",
    status.HTTP_404_NOT_FOUND: "It does not exist, or you may not see it.",
    status.HTTP_409_CONFLICT: "The request contradicts what is stored.",
    status.HTTP_422_UNPROCESSABLE_CONTENT: "The request is malformed.",
}


class ErrorBody(BaseModel):
    """What every error looks like."""

    detail: str
    code: str
    request_id: str


class FieldError(BaseModel):
    """What is wrong with one field; never what the client sent in it."""

    loc: list[str | int]
    msg: str
    type: str


class ValidationErrorBody(ErrorBody):
    """An error body that also names the fields."""

    errors: list[FieldError]


def error_responses(*status_codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that can answer with these errors."""
    return {
        code: {
            "model": ValidationErrorBody if code == 422 else ErrorBody,
            "description": DESCRIPTIONS[code],
        }
        for code in status_codes
    }


class OAuthErrorBody(ErrorBody):
    """An error of the token routes, with the field that RFC 6749 asks for."""

    error: str


def oauth_error_responses(*status_codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the same for the token routes, whose errors have an `error` field."""
    return {
        code: {"model": OAuthErrorBody, "description": DESCRIPTIONS[code]} for code in status_codes
    }
