"""The routes about items."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, status
from fastapi.responses import StreamingResponse

from app.auth.dependencies import CurrentUser
from app.core.pagination import set_total_count
from app.core.responses import error_responses
from app.db.session import SessionDep
from app.items.crud import item_crud
from app.items.dependencies import ItemServiceDep, SummaryCacheDep, VisibleItem
from app.items.export import export_lines
from app.items.models import Item
from app.items.schemas import ItemCreate, ItemPage, ItemPublic, ItemSummary, ItemUpdate

router = APIRouter(prefix="/items", tags=["items"], responses=error_responses(400, 401, 422))

own_router = APIRouter(prefix="/users/me", tags=["items"], responses=error_responses(400, 401))


@router.get("", response_model=list[ItemPublic])
async def list_items(
    page: Annotated[ItemPage, Query()], service: ItemServiceDep, response: Response
) -> list[Item]:
    """List your items (admins: all); the header X-Total-Count says how many there are."""
    items, total = await service.get_page(page)
    set_total_count(response, total)
    return items


@router.post("", response_model=ItemPublic, status_code=status.HTTP_201_CREATED)
async def create_item(data: ItemCreate, service: ItemServiceDep) -> Item:
    """Create an item of your own."""
    return await service.create(data)


@router.get("/{item_id}", response_model=ItemPublic, responses=error_responses(404))
async def read_item(item: VisibleItem) -> Item:
    """Read one item."""
    return item


@router.patch("/{item_id}", response_model=ItemPublic, responses=error_responses(404))
async def update_item(item: VisibleItem, data: ItemUpdate, service: ItemServiceDep) -> Item:
    """Change the fields that are sent."""
    return await service.update(item, data)


@router.delete("/{item_id}", status_code=status.HTTP_204_NO_CONTENT, responses=error_responses(404))
async def delete_item(item: VisibleItem, service: ItemServiceDep) -> None:
    """Delete an item."""
    await service.delete(item)


@own_router.get("/summary")
async def read_summary(
    user: CurrentUser, session: SessionDep, summaries: SummaryCacheDep
) -> ItemSummary:
    """Read how many items you own, and what they are worth together; it may be a minute old."""
    return await summaries.read(user.id, lambda: item_crud.summarize(session, user.id))


@own_router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {}}}},
)
async def export_items(user: CurrentUser, request: Request) -> StreamingResponse:
    """Read all items that you own, a line of JSON for each (NDJSON)."""
    lines = export_lines(request.app.state.session_factory, user.id)
    return StreamingResponse(lines, media_type="application/x-ndjson")
