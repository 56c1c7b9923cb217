"""What browsers are told with every answer, and who must come by HTTPS."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.config import Settings
from app.core.handlers import error_response
from app.core.rate_limit import is_trusted

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
DOCS = ("/docs", "/redoc")
DOCS_POLICY = (  # the documents' pages load their script and style from a public server
    "default-src 'none'; frame-ancestors 'none'; connect-src 'self'; worker-src blob:; "
    "script-src 'unsafe-inline' https://cdn.jsdelivr.net; font-src https://fonts.gstatic.com; "
    "style-src 'unsafe-inline' https://cdn.jsdelivr.net https://fonts.googleapis.com; "
    "img-src 'self' data: https://fastapi.tiangolo.com https://cdn.redoc.ly"
)
OPEN = ("/health", "/health/ready", "/metrics")  # asked from inside, without the proxy


def is_https(scope: Scope, settings: Settings) -> bool:
    """Say whether the client came by HTTPS: to us, or to a proxy of ours."""
    peer = scope["client"][0] if scope.get("client") else ""
    told = Headers(scope=scope).getlist("X-Forwarded-Proto")
    if told and is_trusted(peer, settings):
        return told[-1].rpartition(",")[2].strip() == "https"
    return bool(scope["scheme"] == "https")


class SecurityHeadersMiddleware:
    """Adds the headers to every answer."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        """Remember the app below, and who is believed."""
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, and add the headers to its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        wanted = {
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Content-Security-Policy": DOCS_POLICY if scope["path"] in DOCS else API_POLICY,
        }
        if is_https(scope, self.settings):
            wanted["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in wanted.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class HttpsOnlyMiddleware:
    """Refuses what came over plain HTTP: a redirect would hide that a password was sent openly."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        """Remember the app below, and who is believed."""
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what came by HTTPS, and what asks from inside."""
        refused = scope["type"] == "http" and scope["path"] not in OPEN
        if not (refused and self.settings.https_only) or is_https(scope, self.settings):
            await self.app(scope, receive, send)
            return
        answer = error_response(Request(scope), 403, "https_required", "Use https.")
        await answer(scope, receive, send)
