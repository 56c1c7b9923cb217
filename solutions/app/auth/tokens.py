"""Pairs of tokens: what a sign-in gives to a client."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.core.config import Settings
from app.core.security import TokenClaims, TokenType, create_token, decode_token, new_token_id
from app.db.base import utc_now


@dataclass(frozen=True)
class TokenIssuer:
    """Sign and check tokens with the key and the lifetimes of the settings."""

    settings: Settings

    @property
    def key(self) -> str:
        """Return the secret key as text."""
        return self.settings.secret_key.get_secret_value()

    def refresh_expiry(self) -> datetime:
        """Return when a refresh token that is issued now expires."""
        return utc_now() + timedelta(days=self.settings.refresh_token_expire_days)

    def access_token(self, user_id: int, session_id: str) -> str:
        """Sign a token that opens the API for some minutes."""
        expires = utc_now() + timedelta(minutes=self.settings.access_token_expire_minutes)
        return create_token(
            self.key,
            TokenType.ACCESS,
            user_id=user_id,
            session_id=session_id,
            jti=new_token_id(),
            expires=expires,
        )

    def refresh_token(self, user_id: int, session_id: str, jti: str, expires: datetime) -> str:
        """Sign a token that can be exchanged, once, for a new pair."""
        return create_token(
            self.key,
            TokenType.REFRESH,
            user_id=user_id,
            session_id=session_id,
            jti=jti,
            expires=expires,
        )

    def read(self, token: str, token_type: TokenType) -> TokenClaims:
        """Return the claims of a valid token, or raise InvalidToken."""
        return decode_token(token, self.key, token_type)
