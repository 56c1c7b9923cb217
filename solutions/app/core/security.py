"""Passwords and tokens. passlib and python-jose are used here and nowhere else."""

import asyncio
from datetime import datetime
from enum import StrEnum
from uuid import uuid4

from jose import JWTError, jwt
from passlib.context import CryptContext
from pydantic import BaseModel, Field

from app.core.text import refuse_unstorable
from app.core.turns import in_turns
from app.db.base import MAX_ID, utc_now

MAX_PASSWORD_BYTES = 72

# A cost of 12 takes 0.2 to 0.4 s: nothing for one sign-in, years for a list of guesses.
pwd_context = CryptContext(schemes=["bcrypt"], bcrypt__rounds=12)

MAX_TOKEN_LENGTH = 4096
ALGORITHM = "HS256"

TOKEN_HEADER = {"alg": ALGORITHM, "typ": "JWT"}


async def hash_password(password: str) -> str:
    """Hash a password in a thread, in its turn: 0.2 to 0.4 s would stop every other request."""
    return await in_turns(pwd_context.hash, password)


def is_too_long(password: str) -> bool:
    """Say whether a password has more bytes than bcrypt reads."""
    return len(password.encode()) > MAX_PASSWORD_BYTES


def better_hash(password: str, hashed_password: str) -> str | None:
    """Hash a right password anew if its hash is cheaper than today's; else return None."""
    if not pwd_context.needs_update(hashed_password):
        return None
    return pwd_context.hash(password)


def can_be_hashed(password: str) -> bool:
    """Say whether bcrypt takes this password; sign-up refuses others, sign-in must not crash."""
    try:
        refuse_unstorable(password)
    except ValueError:
        return False
    return not is_too_long(password)


def check_hash(password: str, hashed_password: str | None) -> tuple[bool, str | None]:
    """Compare a password with a hash; spend the same time when there is nothing to compare."""
    if hashed_password is None or not can_be_hashed(password):
        return pwd_context.dummy_verify(), None
    try:
        valid = pwd_context.verify(password, hashed_password)
    except ValueError:  # what is stored is no hash, or only a part of one
        return pwd_context.dummy_verify(), None
    return valid, better_hash(password, hashed_password) if valid else None


async def verify_password(password: str, hashed_password: str | None) -> tuple[bool, str | None]:
    """Say whether the password is right; return a new hash too when the old one is too cheap.

    Pass None for a user who does not exist: the answer takes as long as for a real one.
    """
    return await in_turns(check_hash, password, hashed_password)


async def warm_up_hashing() -> None:
    """Make the hash for unknown users now; otherwise the first unknown user would take longer."""
    await asyncio.to_thread(pwd_context.dummy_verify)


class TokenType(StrEnum):
    """What a token is for; neither can stand in for the other."""

    ACCESS = "access"
    REFRESH = "refresh"


class InvalidToken(Exception):
    """The token is forged, expired, malformed, or of the wrong type."""


def new_token_id() -> str:
    """Return an identifier that nobody can guess and that never comes twice."""
    return uuid4().hex


def create_token(
    key: str, token_type: TokenType, *, user_id: int, session_id: str, jti: str, expires: datetime
) -> str:
    """Sign a token for a user; the subject of a JWT must be a string."""
    if not key:
        raise ValueError("a token must not be signed with an empty key")
    claims = {
        "sub": str(user_id),
        "type": token_type.value,
        "jti": jti,
        "sid": session_id,
        "iat": int(utc_now().timestamp()),
        "exp": int(expires.timestamp()),
    }
    return jwt.encode(claims, key, algorithm=ALGORITHM)


class TokenClaims(BaseModel):
    """What a token says; every claim is required."""

    sub: int = Field(ge=1, le=MAX_ID)
    type: TokenType
    jti: str = Field(min_length=32, max_length=32)
    sid: str = Field(min_length=32, max_length=32, description="the login session")
    iat: int
    exp: int


def decode_token(token: str, key: str, token_type: TokenType) -> TokenClaims:
    """Return the claims of a token that this app signed, or raise InvalidToken.

    Only our own header is accepted, so the token cannot choose its algorithm or its key.
    """
    try:
        if not key or len(token) > MAX_TOKEN_LENGTH:
            raise InvalidToken
        if jwt.get_unverified_header(token) != TOKEN_HEADER:
            raise InvalidToken
        claims = TokenClaims.model_validate(jwt.decode(token, key, algorithms=[ALGORITHM]))
    except (JWTError, RecursionError, ValueError, TypeError, OverflowError) as error:
        raise InvalidToken from error
    if claims.type is not token_type:
        raise InvalidToken
    return claims
