"""Alive, ready, and the numbers: for those who run the app."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from secrets import compare_digest

from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from redis.asyncio import Redis
from sqlalchemy import text

from app.core.config import Settings
from app.core.exceptions import NotFound, NotReady

logger = logging.getLogger(__name__)

router = APIRouter(tags=["health"])


class Readiness:
    """Says whether the app can serve: many may ask, one looks."""

    def __init__(self, look: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Remember how to look (it raises when something is wrong), and how long it may take."""
        self.look = look
        self.seconds = seconds
        self.looking: asyncio.Task[bool] | None = None

    async def check(self) -> bool:
        """Look, or wait for the look that is under way; False when it fails or takes too long."""
        if self.looking is None or self.looking.done():
            self.looking = asyncio.create_task(self._look_once())
        return await asyncio.shield(self.looking)

    async def _look_once(self) -> bool:
        """Look, and say how it went."""
        try:
            async with asyncio.timeout(self.seconds):
                await self.look()
        except Exception:
            logger.warning("not ready", exc_info=True)
            return False
        return True


async def look_at_database(app: FastAPI) -> None:
    """Ask the database for something small."""
    async with app.state.session_factory() as session:
        await session.execute(text("SELECT 1"))


async def look_at_redis(url: str) -> None:
    """Ask Redis for nothing at all, on a connection of its own."""
    async with Redis.from_url(url) as redis:
        await redis.ping()


def add_health(app: FastAPI, settings: Settings) -> None:
    """Add the routes for those who run the app."""
    state, url = app.state, settings.redis_url
    state.readiness = Readiness(partial(look_at_database, app), settings.ready_seconds)
    look = partial(look_at_redis, url) if url else None
    state.redis_readiness = Readiness(look, settings.ready_seconds) if look else None
    app.include_router(router)


@router.get("/health")
async def health() -> dict[str, str]:
    """Say that the process is alive; it asks nobody."""
    return {"status": "ok"}


@router.get("/health/ready", responses={503: {"description": "Send requests elsewhere."}})
async def ready(request: Request) -> dict[str, str]:
    """Say whether requests should come here; while the app stops, no, and nobody is asked."""
    state = request.app.state
    if not (state.ready and await state.readiness.check()):
        raise NotReady
    if state.redis_readiness is None:
        return {"status": "ready"}
    here = await state.redis_readiness.check()
    return {"status": "ready", "redis": "here" if here else "away"}


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Give the numbers to who knows the token; for all others there is no such page."""
    token, sent = request.app.state.settings.metrics_token, request.headers.get("Authorization", "")
    expected = f"Bearer {token.get_secret_value()}" if token else ""
    if not expected or not compare_digest(sent.encode(), expected.encode()):
        raise NotFound
    pool = request.app.state.session_factory.kw["bind"].sync_engine.pool
    request.app.state.metrics.connections.set(pool.checkedout())
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)
