"""Numbers and imports for the operators, the same on SQLite and on PostgreSQL."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import MAX_ID
from app.items.models import Item
from app.users.models import User


async def items_of(session: AsyncSession, owner: str) -> int:
    """Count the items of an owner whose id came as text; what is no number owns nothing."""
    if not owner.isdecimal() or int(owner) > MAX_ID:
        return 0
    return await session.scalar(select(func.count(Item.id)).where(Item.owner_id == int(owner))) or 0


async def items_since(session: AsyncSession, day: date) -> int:
    """Count the items that were made since midnight, in UTC."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    query = select(func.count(Item.id)).where(Item.created_at >= midnight)
    return await session.scalar(query) or 0


async def import_users(session: AsyncSession, names: Sequence[str]) -> int:
    """Add users, each of whom may be there already; return how many are new."""
    added = 0
    for name in names:
        new = insert(User).values(email=f"{name}@example.com", username=name, hashed_password="!")
        try:
            async with session.begin_nested():
                await session.execute(new)
        except IntegrityError:
            continue
        added += 1
    return added


async def items_by_user(session: AsyncSession) -> list[tuple[str, int]]:
    """List the user names with their number of items, the most first."""
    number = func.count(Item.id)
    query = select(User.username, number).outerjoin(Item).group_by(User.id)
    rows = await session.execute(query.order_by(number.desc(), User.username))
    return [(name, count) for name, count in rows]


async def find_names(session: AsyncSession, text: str) -> list[str]:
    """List the user names that begin with a text, in any case."""
    if "\x00" in text:
        return []
    begins = User.username.istartswith(text, autoescape=True)
    return list(await session.scalars(select(User.username).where(begins).order_by(User.username)))


async def numbers(session: AsyncSession) -> tuple[int, int]:
    """Count the users and the items."""
    users = await session.scalar(select(func.count(User.id)))
    items = await session.scalar(select(func.count(Item.id)))
    return users or 0, items or 0
