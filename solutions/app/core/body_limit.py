"""How large a body may be."""

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.handlers import error_response


class BodyTooLarge(Exception):
    """More came than is allowed."""


class BodyLimitMiddleware:
    """Refuses a body that is too large, announced or not."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        """Remember the app below, and the limit."""
        self.app = app
        self.max_bytes = max_bytes

    async def refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413 with the one error body."""
        detail = f"The body has more than {self.max_bytes} bytes."
        answer = error_response(Request(scope), 413, "body_too_large", detail)
        await answer(scope, receive, send)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request whose body is not too large; refuse any other."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("Content-Length", "")
        if announced.isdecimal() and float(announced) > self.max_bytes:
            await self.refuse(scope, receive, send)
            return
        received, too_large, begun = 0, False, False

        async def counting() -> Message:
            nonlocal received, too_large
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                too_large = True
                raise BodyTooLarge
            return message

        async def guarded(message: Message) -> None:
            nonlocal begun
            if begun or not too_large:
                begun = True
                await send(message)

        try:
            await self.app(scope, counting, guarded)
        except Exception:
            if begun or not too_large:
                raise
        if too_large and not begun:
            await self.refuse(scope, receive, send)
