"""The rules about users. It knows nothing of HTTP, and leaves the commit to its caller."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.security import hash_password
from app.users.crud import user_crud
from app.users.models import User
from app.users.schemas import AdminUserUpdate, UserCreate, UserPage, UserUpdate


class UserService:
    """Create, find, change and delete users."""

    def __init__(self, session: AsyncSession) -> None:
        """Work within the caller's transaction."""
        self.session = session

    async def create(self, data: UserCreate) -> User:
        """Create a user; the password is hashed before the database is touched."""
        hashed_password = await hash_password(data.password)
        return await user_crud.create(self.session, data, hashed_password=hashed_password)

    async def get(self, user_id: int) -> User | None:
        """Return the user with this id, or None."""
        return await user_crud.get(self.session, user_id)

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
        return await user_crud.update(self.session, user, data, **values)

    async def delete(self, user: User) -> None:
        """Hide the user for good; the e-mail stays taken."""
        await user_crud.soft_delete(self.session, user)
