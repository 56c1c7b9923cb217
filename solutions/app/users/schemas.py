"""What crosses the wire about users: requests come in by these models, answers leave by them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    EmailStr,
    Field,
    StringConstraints,
    field_validator,
)

from app.core.pagination import PageParams
from app.core.text import refuse_unstorable

MAX_PASSWORD_BYTES = 72

Email = Annotated[EmailStr, AfterValidator(str.lower)]
Username = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, min_length=3, max_length=50),
    Field(pattern=r"^[A-Za-z0-9._-]+$", description="letters, digits and . _ - only"),
]
FullName = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=100), AfterValidator(refuse_unstorable)
]


def check_password(value: str) -> str:
    """Refuse a password that is weak, or that bcrypt cannot hash."""
    refuse_unstorable(value)
    if not any(character.isupper() for character in value):
        raise ValueError("must contain at least one upper-case letter")
    if len(value.encode()) > MAX_PASSWORD_BYTES:
        raise ValueError(f"must have at most {MAX_PASSWORD_BYTES} bytes in UTF-8")
    return value


Password = Annotated[str, Field(min_length=8), AfterValidator(check_password)]


class UserBase(BaseModel):
    """The fields that a person chooses."""

    email: Email
    username: Username
    full_name: FullName | None = None


class UserCreate(UserBase):
    """What a client sends to make a user."""

    password: Password = Field(repr=False)


class UserUpdate(BaseModel):
    """What users may change about themselves; a field that is not sent stays as it is."""

    email: Email | None = None
    username: Username | None = None
    full_name: FullName | None = None

    @field_validator("email", "username")
    @classmethod
    def refuse_null(cls, value: str | None) -> str:
        """Refuse null where a value is needed; validators do not run for fields not sent."""
        if value is None:
            raise ValueError("must not be null")
        return value


class Role(StrEnum):
    """What a user may do; admins manage everybody."""

    ADMIN = "admin"
    USER = "user"


class AdminUserUpdate(UserUpdate):
    """What an admin may change about any user."""

    password: Password | None = Field(default=None, repr=False)
    role: Role | None = None
    is_active: bool | None = Field(default=None, strict=True)

    @field_validator("password", "role", "is_active")
    @classmethod
    def refuse_null_for_admins(cls, value: object) -> object:
        """Refuse null for these fields too."""
        if value is None:
            raise ValueError("must not be null")
        return value


class UserPublic(BaseModel):
    """What a client may see of a user: never the password, nor its hash.

    It does not inherit from UserBase: the rules for new input must not refuse stored rows.
    """

    model_config = ConfigDict(from_attributes=True)

    id: int
    email: str
    username: str
    full_name: str | None
    role: Role
    is_active: bool
    created_at: datetime
    updated_at: datetime


class UserPage(PageParams):
    """Which part of the list of users, and in which order."""

    sort: Literal[
        "id", "-id", "email", "-email", "username", "-username", "created_at", "-created_at"
    ] = "id"
