"""Queries about items."""

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from app.db.crud import DEFAULT_LIMIT, CRUDBase
from app.items.models import Item
from app.items.schemas import ItemCreate, ItemSummary, ItemUpdate


class ItemCRUD(CRUDBase[Item, ItemCreate, ItemUpdate]):
    """The queries of every table, and those that only items need."""

    async def get_multi_with_owner(
        self, session: AsyncSession, *, skip: int = 0, limit: int = DEFAULT_LIMIT
    ) -> list[Item]:
        """Return a page of items with their owners: two queries, however many items there are."""
        load_owner = selectinload(Item.owner)
        return await self.get_multi(session, skip=skip, limit=limit, options=[load_owner])

    def matches(self, text: str) -> ColumnElement[bool]:
        """Return the condition "text is part of the title or the description"."""
        columns = (Item.title, Item.description)
        return or_(*(column.icontains(text, autoescape=True) for column in columns))

    async def summarize(self, session: AsyncSession, owner_id: int) -> ItemSummary:
        """Read all items of an owner: slow, when there are many."""
        query = select(func.count(Item.id), func.sum(Item.price)).where(Item.owner_id == owner_id)
        items, worth = (await session.execute(query)).one()
        return ItemSummary(items=items, worth=worth or 0)

    async def get_batch(
        self, session: AsyncSession, owner_id: int, *, after: int, limit: int
    ) -> list[Item]:
        """Return the owner's next items behind an id."""
        mine = select(Item).where(Item.owner_id == owner_id, Item.id > after)
        return list(await session.scalars(mine.order_by(Item.id).limit(limit)))


item_crud = ItemCRUD(Item)
