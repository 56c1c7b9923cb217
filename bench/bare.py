"""The same queries as the finished backend's, by FastAPI and SQLAlchemy alone: no layers, no rules, no logs.

It serves three routes on the backend's own tables: what is more than this, the backend's design costs.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.security import OAuth2PasswordRequestForm
from jose import JWTError, jwt
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.concurrency import run_in_threadpool


class ItemIn(BaseModel):
    """What comes in."""

    title: str
    price: Decimal


class ItemOut(ItemIn):
    """What goes out: as much as the backend tells."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    description: str | None
    url: str | None
    owner_id: int
    created_at: datetime
    updated_at: datetime


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Give a session, and commit at the end."""
    async with request.app.state.session_factory() as session:
        yield session
        await session.commit()


Session = Annotated[AsyncSession, Depends(get_session)]


def make(models: Any, key: str) -> FastAPI:
    """Return the app; its `state.session_factory` is set by who runs it.

    Args:
        models: the backend's tables: `User`, `Item`, and `pwd_context`.
        key: what tokens are signed with.
    """
    app, user_table, item_table = FastAPI(), models.User, models.Item

    async def current(session: Session, authorization: Annotated[str, Header()]) -> Any:
        try:
            claims = jwt.decode(authorization.removeprefix("Bearer "), key, algorithms=["HS256"])
        except JWTError:
            raise HTTPException(401) from None
        user = await session.get(user_table, int(claims["sub"]))
        if user is None:
            raise HTTPException(401)
        return user

    @app.get("/api/v1/items", response_model=list[ItemOut])
    async def list_items(
        session: Session, user: Annotated[Any, Depends(current)], response: Response, skip: int = 0, limit: int = 20
    ) -> Any:
        mine = select(item_table).where(item_table.owner_id == user.id)
        items = list(await session.scalars(mine.order_by(item_table.created_at.desc()).offset(skip).limit(limit)))
        counted = select(func.count()).select_from(item_table).where(item_table.owner_id == user.id)
        response.headers["X-Total-Count"] = str(await session.scalar(counted))
        return items

    @app.post("/api/v1/items", response_model=ItemOut, status_code=201)
    async def create_item(data: ItemIn, session: Session, user: Annotated[Any, Depends(current)]) -> Any:
        item = item_table(**data.model_dump(), owner_id=user.id)
        session.add(item)
        await session.flush()
        await session.refresh(item)
        return item

    @app.post("/api/v1/auth/login")
    async def login(form: Annotated[OAuth2PasswordRequestForm, Depends()], session: Session) -> dict[str, str]:
        user = await session.scalar(select(user_table).where(user_table.email == form.username))
        if user is None:
            raise HTTPException(401)
        hashed = user.hashed_password
        await session.commit()
        if not await run_in_threadpool(models.pwd_context.verify, form.password, hashed):
            raise HTTPException(401)
        now = datetime.now(UTC)
        both = {
            kind: jwt.encode({"sub": str(user.id), "typ": kind, "iat": now, "exp": now + timedelta(days=1)}, key)
            for kind in ("access", "refresh")
        }
        return {"access_token": both["access"], "refresh_token": both["refresh"], "token_type": "bearer"}

    return app
