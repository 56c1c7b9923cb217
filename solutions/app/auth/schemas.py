"""What crosses the wire when signing in."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.security import MAX_TOKEN_LENGTH
from app.users.schemas import Email, Password, UserCreate, UserPublic


class RefreshRequest(BaseModel):
    """A refresh token, to get a new pair or to sign out."""

    refresh_token: str = Field(max_length=MAX_TOKEN_LENGTH, repr=False)


class TokenPair(BaseModel):
    """A short-lived token for requests, a long-lived one to get the next pair, and who you are."""

    model_config = ConfigDict(from_attributes=True)

    access_token: str = Field(repr=False)
    refresh_token: str = Field(repr=False)
    token_type: Literal["bearer"] = Field(default="bearer")
    user: UserPublic


class Register(UserCreate):
    """What a visitor sends to sign up; role and is_active are not theirs to choose."""


class PasswordChange(BaseModel):
    """The current password proves that it is really you."""

    current_password: str = Field(max_length=200, repr=False)
    new_password: Password = Field(repr=False)


class LoginSessionPublic(BaseModel):
    """One of your sessions; its tokens are never shown."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime


class PasswordResetRequest(BaseModel):
    """Whose password is forgotten."""

    email: Email


class PasswordResetConfirm(BaseModel):
    """The token of the mail, and the password to come."""

    token: str = Field(max_length=200, repr=False)
    new_password: Password = Field(repr=False)


class Accepted(BaseModel):
    """The request will be looked at later."""

    detail: str = "If there is an account with this address, a mail is on its way."
