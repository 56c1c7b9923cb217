"""Tokens for the programs of partners."""

from datetime import timedelta

from app.core.security import InvalidToken, TokenType, create_token, decode_token, new_token_id
from app.db.base import utc_now

ACCESS_LIFE = timedelta(minutes=30)
REFRESH_LIFE = timedelta(days=14)


def sign_in(user_id: int, key: str) -> dict[str, str]:
    """Sign a pair of tokens for a user."""
    session_id = new_token_id()

    def sign(kind: TokenType, life: timedelta) -> str:
        return create_token(
            key,
            kind,
            user_id=user_id,
            session_id=session_id,
            jti=new_token_id(),
            expires=utc_now() + life,
        )

    return {
        "access_token": sign(TokenType.ACCESS, ACCESS_LIFE),
        "refresh_token": sign(TokenType.REFRESH, REFRESH_LIFE),
        "token_type": "bearer",
    }


def current_user_id(token: str, key: str) -> int | None:
    """Return whose access token this is, or None."""
    try:
        return decode_token(token, key, TokenType.ACCESS).sub
    except InvalidToken:
        return None


def refresh(token: str, key: str) -> dict[str, str] | None:
    """Exchange a refresh token for a new pair; None for any other text."""
    try:
        claims = decode_token(token, key, TokenType.REFRESH)
    except InvalidToken:
        return None
    return sign_in(claims.sub, key)
