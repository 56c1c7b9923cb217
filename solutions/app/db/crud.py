"""The queries that every table needs, written once.

Nothing here commits: the caller decides what belongs together in one transaction.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.base import ExecutableOption

from app.db.base import MAX_ID, Base

DEFAULT_LIMIT = 20
MAX_LIMIT = 100

ModelType = TypeVar("ModelType", bound=Base)
CreateType = TypeVar("CreateType", bound=BaseModel)
UpdateType = TypeVar("UpdateType", bound=BaseModel)

Conditions = Sequence[ColumnElement[bool]]


class CRUDBase(Generic[ModelType, CreateType, UpdateType]):
    """Create, read, update and delete the rows of one table."""

    unstored_fields: ClassVar[set[str]] = set()  # schema fields that are no columns

    def __init__(self, model: type[ModelType]) -> None:
        """Remember which model the queries are about."""
        self.model = model

    def query(self) -> Select[ModelType]:
        """Return the select that every read starts from; override it to hide rows."""
        return select(self.model)

    def order(self, sort: str) -> list[ColumnElement[Any]]:
        """Return the order for `field` or `-field`; equal rows go by id, so pages never overlap."""
        columns = self.model.__table__.columns
        column = columns[sort.removeprefix("-")]
        return [column.desc() if sort.startswith("-") else column.asc(), columns["id"].asc()]

    async def get(self, session: AsyncSession, row_id: int) -> ModelType | None:
        """Return the row with this id, or None; no row has an id outside 1 to MAX_ID."""
        if not 1 <= row_id <= MAX_ID:
            return None
        columns = self.model.__table__.columns
        return await session.scalar(self.query().where(columns["id"] == row_id))

    async def get_multi(
        self,
        session: AsyncSession,
        *,
        skip: int = 0,
        limit: int = DEFAULT_LIMIT,
        sort: str = "id",
        where: Conditions = (),
        options: Sequence[ExecutableOption] = (),
    ) -> list[ModelType]:
        """Return one page of rows, at most MAX_LIMIT of them, always in the same order."""
        query = self.query().where(*where).order_by(*self.order(sort)).options(*options)
        page = query.offset(max(0, min(skip, MAX_ID))).limit(max(0, min(limit, MAX_LIMIT)))
        return list(await session.scalars(page))

    async def create(self, session: AsyncSession, data: CreateType, **values: Any) -> ModelType:
        """Add a row and flush it: it has its id now, and is saved when the caller commits."""
        row = self.model(**data.model_dump(exclude=self.unstored_fields), **values)
        session.add(row)
        await session.flush()
        return row

    async def update(
        self, session: AsyncSession, row: ModelType, data: UpdateType, **values: Any
    ) -> ModelType:
        """Change the fields that the client sent, and no others."""
        sent = data.model_dump(exclude_unset=True, exclude=self.unstored_fields)
        for name, value in (sent | values).items():
            setattr(row, name, value)
        await session.flush()
        return row

    async def count(self, session: AsyncSession, *, where: Conditions = ()) -> int:
        """Count the rows that `get_multi` could return."""
        rows = self.query().where(*where).subquery()
        return await session.scalar(select(func.count()).select_from(rows)) or 0

    async def delete(self, session: AsyncSession, row: ModelType) -> None:
        """Remove a row from the table."""
        await session.delete(row)
        await session.flush()
