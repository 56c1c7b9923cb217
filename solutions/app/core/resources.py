"""What the app holds while it runs, besides its database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI

from app.auth.password_reset import KIND, ResetMail
from app.core.cache import open_cache
from app.core.config import Settings
from app.core.mail import make_mailer
from app.core.rate_limit import open_limiter
from app.outbox.postman import Postman


@asynccontextmanager
async def open_postman(app: FastAPI) -> AsyncIterator[asyncio.Event]:
    """Let a postman work while the app runs; the event calls him at once."""
    wake, settings = asyncio.Event(), app.state.settings

    async def work() -> None:
        composers = {KIND: ResetMail(settings).compose}
        await Postman(app.state.session_factory, make_mailer(settings), composers).work(wake)

    task = asyncio.create_task(work())
    try:
        yield wake
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def open_resources(app: FastAPI) -> AsyncIterator[None]:
    """Open everything before the first request, and close it after the last one."""
    settings: Settings = app.state.settings
    async with (
        open_cache(settings.redis_url) as app.state.cache,
        open_limiter(settings) as app.state.limiter,
        open_postman(app) as app.state.wake,
    ):
        yield
