"""What happens around every request: a request id, and a last net for unexpected errors."""

import logging
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.context import choose_request_id, request_id_now
from app.core.handlers import unexpected_error

REQUEST_ID_HEADER = "X-Request-ID"

logger = logging.getLogger(__name__)


class RequestIdMiddleware:
    """Give each request an id, which is in the answer's header, in error bodies and in the log."""

    def __init__(self, app: ASGIApp) -> None:
        """Remember the app that is wrapped."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; an exception that nobody handled is logged and becomes a 500."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = choose_request_id(Headers(scope=scope).getlist(REQUEST_ID_HEADER))
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        token = request_id_now.set(request_id)
        try:
            await self.app(scope, receive, send_with_id)
        except Exception:
            logger.exception(
                "%s %s failed (request %s)", scope["method"], scope["path"], request_id
            )
            if started:
                raise
            await unexpected_error(Request(scope))(scope, receive, send_with_id)
        finally:
            request_id_now.reset(token)


class CompressionMiddleware:
    """Compress what is large, and nothing with a secret beside what the client has sent."""

    def __init__(self, app: ASGIApp, secret_paths: str) -> None:
        """Remember the app, once as it is and once with compression around it."""
        self.app = app
        self.compressed = GZipMiddleware(app, minimum_size=1000)
        self.secret_paths = secret_paths  # such as /api/v1/auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with compression or without."""
        path = scope["path"] if scope["type"] == "http" else self.secret_paths
        secret = path == self.secret_paths or path.startswith(f"{self.secret_paths}/")
        await (self.app if secret else self.compressed)(scope, receive, send)
