"""The rules of signing in, staying signed in, and signing out."""

from datetime import datetime
from typing import Never

from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.crud import login_session_crud
from app.auth.exceptions import (
    InactiveLogin,
    InvalidCredentials,
    InvalidRefreshToken,
    ReusedRefreshToken,
    WrongPassword,
)
from app.auth.models import LoginSession
from app.auth.schemas import PasswordChange, Register, TokenPair
from app.auth.tokens import TokenIssuer
from app.core.security import (
    InvalidToken,
    TokenClaims,
    TokenType,
    hash_password,
    new_token_id,
    verify_password,
)
from app.users.crud import user_crud
from app.users.models import User
from app.users.schemas import UserPublic
from app.users.service import UserService


class AuthService:
    """Register, log in, refresh and log out."""

    def __init__(self, session: AsyncSession, tokens: TokenIssuer) -> None:
        """Work within the caller's transaction, with the app's key."""
        self.session = session
        self.tokens = tokens

    def _pair(self, user: User, session_id: str, jti: str, expires: datetime) -> TokenPair:
        """Sign both tokens of a session."""
        return TokenPair(
            access_token=self.tokens.access_token(user.id, session_id),
            refresh_token=self.tokens.refresh_token(user.id, session_id, jti, expires),
            user=UserPublic.model_validate(user),
        )

    async def _start_session(self, user: User) -> TokenPair:
        """Open a new family of refresh tokens for the user."""
        session_id, jti, expires = new_token_id(), new_token_id(), self.tokens.refresh_expiry()
        login = LoginSession(id=session_id, user_id=user.id, current_jti=jti, expires_at=expires)
        await login_session_crud.start(self.session, login)
        return self._pair(user, session_id, jti, expires)

    async def register(self, data: Register) -> TokenPair:
        """Create a user and sign them in."""
        return await self._start_session(await UserService(self.session).create(data))

    async def login(self, identifier: str, password: str) -> TokenPair:
        """Sign in by e-mail or user name; never say which of the two was wrong."""
        user = await user_crud.get_by_identifier(self.session, identifier)
        await self.session.close()  # who waits for a turn holds no connection
        valid, new_hash = await verify_password(password, user.hashed_password if user else None)
        if user is None or not valid:
            raise InvalidCredentials
        if not user.is_active:
            raise InactiveLogin
        if new_hash:
            self.session.add(user)  # closing has let it go
            user.hashed_password = new_hash
        return await self._start_session(user)

    async def _refuse_spent(self, claims: TokenClaims) -> Never:
        """End the session of a token that came twice: somebody has a copy of it."""
        await login_session_crud.end(self.session, claims.sid, claims.sub)
        raise ReusedRefreshToken

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Exchange a refresh token for a new pair; a token that comes twice ends the session."""
        try:
            claims = self.tokens.read(refresh_token, TokenType.REFRESH)
        except InvalidToken as error:
            raise InvalidRefreshToken from error
        jti, expires = new_token_id(), self.tokens.refresh_expiry()
        rotated = await login_session_crud.rotate(
            self.session, claims.sid, old=claims.jti, new=jti, expires_at=expires
        )
        if not rotated:
            await self._refuse_spent(claims)
        user = await user_crud.get(self.session, claims.sub)
        if user is None or not user.is_active:
            raise InvalidRefreshToken
        return self._pair(user, claims.sid, jti, expires)

    async def logout(self, refresh_token: str) -> None:
        """End the session of this token; a token that is worth nothing is no error."""
        try:
            claims = self.tokens.read(refresh_token, TokenType.REFRESH)
        except InvalidToken:
            return
        await login_session_crud.end(self.session, claims.sid, claims.sub)

    async def change_password(self, user: User, data: PasswordChange) -> None:
        """Store a new password and end every session of the user, this one too."""
        valid, _ = await verify_password(data.current_password, user.hashed_password)
        if not valid:
            raise WrongPassword
        user.hashed_password = await hash_password(data.new_password)
        await login_session_crud.end_all(self.session, user.id)
