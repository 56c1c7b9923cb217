"""An app's lifespan, entered and left in a task of its own, as a server does it."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self


class Lifespan:
    """Runs an app's start-up on entering and its shut-down on leaving; an app without a router has none.

    A fixture is often set up in one task and torn down in another, which a task group in the lifespan cannot bear. What
    goes wrong between entering and leaving never reaches the lifespan: a server would not tell it either.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        router = getattr(self._app, "router", None)
        if router is None:
            return self
        self._stop = asyncio.Event()
        started = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live(router, started))
        try:
            await started
        except BaseException:
            self._task.cancel()
            raise
        return self

    async def _live(self, router: Any, started: asyncio.Future[None]) -> None:
        try:
            async with router.lifespan_context(self._app):
                if not started.done():
                    started.set_result(None)
                await self._stop.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if task is not None:
            self._stop.set()
            await task
