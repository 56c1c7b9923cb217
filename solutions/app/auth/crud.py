"""Queries about login sessions. Each is one statement, so two requests cannot come between."""

from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, Delete, Update, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.models import LoginSession, PasswordReset
from app.db.base import utc_now


class LoginSessionCRUD:
    """Start, continue, list and end login sessions."""

    async def _count_changed(self, session: AsyncSession, statement: Update | Delete) -> int:
        """Run a statement and return how many rows it changed."""
        return cast(CursorResult[Any], await session.execute(statement)).rowcount

    async def start(self, session: AsyncSession, login: LoginSession) -> None:
        """Store a new session, and forget this user's expired ones."""
        expired = LoginSession.expires_at < utc_now()
        await session.execute(
            delete(LoginSession).where(LoginSession.user_id == login.user_id, expired)
        )
        session.add(login)
        await session.flush()

    async def get_multi(self, session: AsyncSession, user_id: int) -> list[LoginSession]:
        """Return a user's sessions that have not expired, the newest first."""
        query = (
            select(LoginSession)
            .where(LoginSession.user_id == user_id, LoginSession.expires_at > utc_now())
            .order_by(LoginSession.created_at.desc(), LoginSession.id)
        )
        return list(await session.scalars(query))

    async def end(self, session: AsyncSession, session_id: str, user_id: int) -> bool:
        """End one session of this user; False when there is none."""
        statement = delete(LoginSession).where(
            LoginSession.id == session_id, LoginSession.user_id == user_id
        )
        return await self._count_changed(session, statement) == 1

    async def end_all(self, session: AsyncSession, user_id: int) -> None:
        """End every session of a user: no refresh token of theirs is worth anything now."""
        await session.execute(delete(LoginSession).where(LoginSession.user_id == user_id))

    async def rotate(
        self, session: AsyncSession, session_id: str, *, old: str, new: str, expires_at: datetime
    ) -> bool:
        """Replace the valid token by the next one; False when `old` was not the valid one."""
        changed = await self._count_changed(
            session,
            update(LoginSession)
            .where(LoginSession.id == session_id, LoginSession.current_jti == old)
            .values(current_jti=new, expires_at=expires_at),
        )
        return changed == 1


login_session_crud = LoginSessionCRUD()


class PasswordResetCRUD:
    """Keep and spend the ways back to an account."""

    async def replace(self, session: AsyncSession, reset: PasswordReset) -> None:
        """Store a token's hash; the user's older one dies, and all that have expired."""
        older = (PasswordReset.user_id == reset.user_id) | (PasswordReset.expires_at < utc_now())
        await session.execute(delete(PasswordReset).where(older))
        session.add(reset)
        await session.flush()

    async def spend(self, session: AsyncSession, token_hash: str) -> int | None:
        """Delete a living token; return whose it was, None for one that is dead."""
        living = (PasswordReset.token_hash == token_hash, PasswordReset.expires_at > utc_now())
        statement = delete(PasswordReset).where(*living).returning(PasswordReset.user_id)
        return await session.scalar(statement)


password_reset_crud = PasswordResetCRUD()
