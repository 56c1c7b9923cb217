"""Signing in with limits: each try is counted before any work is done for it."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.schemas import Register, TokenPair
from app.auth.service import AuthService
from app.auth.tokens import TokenIssuer
from app.core.rate_limit import Tries
from app.core.security import InvalidToken, TokenType


class LimitedAuthService(AuthService):
    """Register, log in and refresh, not too often."""

    def __init__(self, session: AsyncSession, tokens: TokenIssuer, tries: Tries) -> None:
        """Work for one client."""
        super().__init__(session, tokens)
        self.tries = tries

    async def register(self, data: Register) -> TokenPair:
        """Create a user and sign them in."""
        await self.tries.count("register", data.email)
        return await super().register(data)

    async def login(self, identifier: str, password: str) -> TokenPair:
        """Sign in by e-mail or user name."""
        await self.tries.count("login", identifier)
        return await super().login(identifier, password)

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Exchange a refresh token for a new pair."""
        try:
            named = self.tokens.read(refresh_token, TokenType.REFRESH).sid
        except InvalidToken:
            named = ""
        await self.tries.count("refresh", named)
        return await super().refresh(refresh_token)
