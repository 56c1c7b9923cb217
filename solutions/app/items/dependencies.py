"""What the routes about items ask for."""

from typing import Annotated

from fastapi import Depends, Path, Request

from app.auth.dependencies import CurrentUser
from app.db.base import MAX_ID
from app.db.session import SessionDep
from app.items.models import Item
from app.items.service import ItemService
from app.items.summary import SummarizedItems, SummaryCache

ItemId = Annotated[int, Path(ge=1, le=MAX_ID)]


def get_summary_cache(request: Request) -> SummaryCache:
    """Build it on this app's cache."""
    return SummaryCache(request.app.state.cache)


SummaryCacheDep = Annotated[SummaryCache, Depends(get_summary_cache)]


def get_item_service(
    session: SessionDep, user: CurrentUser, summaries: SummaryCacheDep
) -> ItemService:
    """Build the service for one request of the current user."""
    return SummarizedItems(session, user, summaries)


ItemServiceDep = Annotated[ItemService, Depends(get_item_service)]


async def valid_item_id(item_id: ItemId, service: ItemServiceDep) -> Item:
    """Return the item that the path names, if this user may see it, or answer 404."""
    return await service.get(item_id)


VisibleItem = Annotated[Item, Depends(valid_item_id)]
