"""The rules about items: everybody works with their own, admins with all."""

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from app.items.crud import item_crud
from app.items.exceptions import ItemNotFound
from app.items.models import Item
from app.items.schemas import ItemCreate, ItemPage, ItemUpdate
from app.users.models import User
from app.users.permissions import Permission, has_permission


class ItemService:
    """Create, find, change and delete items on behalf of one user."""

    def __init__(self, session: AsyncSession, user: User) -> None:
        """Work within the caller's transaction, for this user."""
        self.session = session
        self.user = user

    async def get_page(self, page: ItemPage) -> tuple[list[Item], int]:
        """Return one page of the items that this user may see, and how many there are in all."""
        where = self.visible()
        if page.q:
            where.append(item_crud.matches(page.q))
        items = await item_crud.get_multi(
            self.session, skip=page.skip, limit=page.limit, sort=page.sort, where=where
        )
        return items, await item_crud.count(self.session, where=where)

    async def create(self, data: ItemCreate) -> Item:
        """Create an item; its owner is the signed-in user, whatever the request says."""
        return await item_crud.create(self.session, data, owner_id=self.user.id)

    def visible(self) -> list[ColumnElement[bool]]:
        """Return the conditions that every item must meet which this user may see."""
        if has_permission(self.user, Permission.MANAGE_ITEMS):
            return []
        return [Item.owner_id == self.user.id]

    async def get(self, item_id: int) -> Item:
        """Return an item that this user may see, or raise ItemNotFound."""
        where = [Item.id == item_id, *self.visible()]
        items = await item_crud.get_multi(self.session, limit=1, where=where)
        if not items:
            raise ItemNotFound
        return items[0]

    async def update(self, item: Item, data: ItemUpdate) -> Item:
        """Change what was sent."""
        return await item_crud.update(self.session, item, data)

    async def delete(self, item: Item) -> None:
        """Remove the item."""
        await item_crud.delete(self.session, item)
