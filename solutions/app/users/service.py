"""The rules about users. It knows nothing of HTTP, and leaves the commit to its caller."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.crud import login_session_crud
from app.core.security import hash_password
from app.users.crud import user_crud
from app.users.exceptions import LastAdmin, UserExists, UserNotFound
from app.users.models import User
from app.users.schemas import AdminUserUpdate, UserCreate, UserPage, UserUpdate


@contextmanager
def refuse_duplicates() -> Iterator[None]:
    """Turn the database's "not unique" into a 409.

    Asking first whether the name is free is no help: two requests can ask at the same moment.
    """
    try:
        yield
    except IntegrityError as error:
        raise UserExists from error


class UserService:
    """Create, find, change and delete users."""

    def __init__(self, session: AsyncSession) -> None:
        """Work within the caller's transaction."""
        self.session = session

    async def create(self, data: UserCreate) -> User:
        """Create a user; the password is hashed before the database is touched."""
        hashed_password = await hash_password(data.password)
        with refuse_duplicates():
            return await user_crud.create(self.session, data, hashed_password=hashed_password)

    async def get(self, user_id: int) -> User:
        """Return the user with this id, or raise UserNotFound."""
        user = await user_crud.get(self.session, user_id)
        if user is None:
            raise UserNotFound
        return user

    async def get_page(self, page: UserPage) -> tuple[list[User], int]:
        """Return one page of users, and how many there are in all."""
        where = [user_crud.matches(page.q)] if page.q else []
        users = await user_crud.get_multi(
            self.session, skip=page.skip, limit=page.limit, sort=page.sort, where=where
        )
        return users, await user_crud.count(self.session, where=where)

    async def update(self, user: User, data: UserUpdate) -> User:
        """Change what was sent; a new password is stored as a hash."""
        values = {}
        if isinstance(data, AdminUserUpdate) and data.password is not None:
            values["hashed_password"] = await hash_password(data.password)
        async with self._keeping_an_admin(user):
            with refuse_duplicates():
                await user_crud.update(self.session, user, data, **values)
        if values or not user.is_active:
            await login_session_crud.end_all(self.session, user.id)
        return user

    async def delete(self, user: User) -> None:
        """Hide the user for good and end their sessions; the e-mail stays taken."""
        async with self._keeping_an_admin(user):
            await user_crud.soft_delete(self.session, user)
        await login_session_crud.end_all(self.session, user.id)

    @asynccontextmanager
    async def _keeping_an_admin(self, user: User) -> AsyncIterator[None]:
        """Refuse a change after which no admin is left.

        The order is what makes it safe for two requests at once: lock, change, then count.
        """
        if not user.is_admin:
            yield
            return
        await user_crud.lock_admins(self.session)
        yield
        if not await user_crud.count(self.session, where=[User.can_administrate()]):
            raise LastAdmin
