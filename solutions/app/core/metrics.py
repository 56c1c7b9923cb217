"""Numbers for Prometheus, and a log line for each request."""

import logging
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The numbers of one app; another app in this process counts for itself."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.registry = CollectorRegistry()
        here = self.registry
        by_route, by_status = ["method", "route"], ["method", "route", "status"]
        self.requests = Counter("http_requests", "Answers, by status.", by_status, registry=here)
        self.seconds = Histogram(
            "http_request_seconds", "Time.", by_route, buckets=BUCKETS, registry=here
        )
        self.in_flight = Gauge("http_requests_in_flight", "Requests that wait.", registry=here)
        self.connections = Gauge("database_connections", "Connections in use.", registry=here)

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer, and log it."""
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(method, route).observe(seconds)
        what = {"method": method, "route": route, "status": status, "seconds": round(seconds, 4)}
        logger.info("%s %s %s", method, route, status, extra=what)

    def text(self) -> bytes:
        """Return the page that Prometheus reads."""
        return generate_latest(self.registry)


def labels_of(scope: Scope) -> tuple[str, str]:
    """Return method and route of a request: texts of which there are only a few."""
    method = scope["method"] if scope["method"] in METHODS else "OTHER"
    return method, getattr(scope.get("route"), "path_format", "(none)")


class MetricsMiddleware:
    """Counts requests, those in flight too, and measures their time."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Remember the app below, and where to count."""
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, and note how it went."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, began = 500, perf_counter()

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self.metrics.in_flight.inc()
        try:
            await self.app(scope, receive, send_and_see)
        finally:
            self.metrics.in_flight.dec()
            self.metrics.note(*labels_of(scope), status, perf_counter() - began)
