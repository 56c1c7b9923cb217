"""The notebook's `client`: httpx on the newest `app.main:app`, its lifespan running."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import httpx

from workbook.checking.lifespan import Lifespan
from workbook.checking.recorder import BASE_URL


class NewestApp(httpx.AsyncBaseTransport):
    """A transport that asks for the app at each request and follows it when it was written anew.

    Args:
        newest: gives the app as its files are now.
    """

    def __init__(self, newest: Callable[[], Any]) -> None:
        self._newest = newest
        self._app: Any = None
        self._inner: httpx.ASGITransport | None = None
        self._lifespan: contextlib.AsyncExitStack | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the app as its files are now."""
        app = self._newest()
        if app is not self._app or self._inner is None:
            await self._follow(app)
        assert self._inner is not None
        return await self._inner.handle_async_request(request)

    async def _follow(self, app: Any) -> None:
        """End the old app's lifespan and begin the new one's."""
        await self.aclose()
        stack = contextlib.AsyncExitStack()
        await stack.enter_async_context(Lifespan(app))
        self._app, self._inner, self._lifespan = app, httpx.ASGITransport(app), stack

    async def aclose(self) -> None:
        """End the app's lifespan. What an outdated app raises on its way out does not matter any more."""
        stack, self._lifespan, self._inner = self._lifespan, None, None
        if stack is not None:
            with contextlib.suppress(Exception):
                await stack.aclose()


def notebook_client(newest: Callable[[], Any]) -> httpx.AsyncClient:
    """Return the client that `%load_ext workbook` puts into the notebook, on the app that `newest` gives."""
    return httpx.AsyncClient(transport=NewestApp(newest), base_url=BASE_URL)


def response_text(response: httpx.Response) -> str:
    """Return a response as a person reads it: status line and body, JSON indented."""
    lines = [f"{response.status_code} {response.reason_phrase}".strip()]
    try:
        body = response.text
    except httpx.ResponseNotRead:
        return lines[0]
    with contextlib.suppress(ValueError):
        body = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    return "\n".join([*lines, body] if body else lines)
