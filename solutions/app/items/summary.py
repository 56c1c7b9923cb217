"""The summaries of items, kept for a minute."""

import asyncio
from collections.abc import Awaitable, Callable

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.cache import Cache
from app.db.session import after_commit
from app.items.models import Item
from app.items.schemas import ItemCreate, ItemSummary, ItemUpdate
from app.items.service import ItemService
from app.users.models import User

SUMMARY_SECONDS = 60.0

Load = Callable[[], Awaitable[ItemSummary]]

LOCK_SECONDS = 10.0
WAIT_SECONDS = 0.02
MAX_WAITS = 50


class SummaryCache:
    """The summaries that were made in the last minute."""

    def __init__(self, cache: Cache) -> None:
        """Remember where they are kept."""
        self.cache = cache

    def key(self, user_id: int) -> str:
        """Name one user's summary; the version changes when the schema does."""
        return f"summary:v1:{user_id}"

    async def kept(self, user_id: int) -> ItemSummary | None:
        """Return the summary that is kept, or None; what another version wrote is not there."""
        stored = await self.cache.get(self.key(user_id))
        if stored is None:
            return None
        try:
            return ItemSummary.model_validate_json(stored)
        except ValidationError:
            return None

    async def fill(self, user_id: int, load: Load) -> ItemSummary:
        """Make the summary, and keep it."""
        summary = await load()
        await self.cache.set(self.key(user_id), summary.model_dump_json().encode(), SUMMARY_SECONDS)
        return summary

    async def read(self, user_id: int, load: Load) -> ItemSummary:
        """Return the summary that is kept, or let one of those who ask make it."""
        return await self.kept(user_id) or await self.fill_once(user_id, load)

    async def forget(self, user_id: int) -> None:
        """Let the next reader make a new one."""
        await self.cache.delete(self.key(user_id))

    async def fill_once(self, user_id: int, load: Load) -> ItemSummary:
        """Let one of those who ask make the summary; the others wait for it, but not for ever."""
        lock = f"{self.key(user_id)}:lock"
        for _ in range(MAX_WAITS):
            if await self.cache.add(lock, b"locked", LOCK_SECONDS):
                try:
                    return await self.kept(user_id) or await self.fill(user_id, load)
                finally:
                    await self.cache.delete(lock)
            await asyncio.sleep(WAIT_SECONDS)
            summary = await self.kept(user_id)
            if summary is not None:
                return summary
        return await self.fill(user_id, load)


class SummarizedItems(ItemService):
    """The item service, which also lets outdated summaries be forgotten."""

    def __init__(self, session: AsyncSession, user: User, summaries: SummaryCache) -> None:
        """Work within the caller's transaction, for this user."""
        super().__init__(session, user)
        self.summaries = summaries

    def _outdate(self, owner_id: int) -> None:
        """Forget the owner's summary when the change is saved."""
        after_commit(self.session, lambda: self.summaries.forget(owner_id))

    async def create(self, data: ItemCreate) -> Item:
        """Create an item of the signed-in user."""
        item = await super().create(data)
        self._outdate(item.owner_id)
        return item

    async def update(self, item: Item, data: ItemUpdate) -> Item:
        """Change what was sent; an admin changes also what others own."""
        self._outdate(item.owner_id)
        return await super().update(item, data)

    async def delete(self, item: Item) -> None:
        """Remove the item."""
        self._outdate(item.owner_id)
        await super().delete(item)
