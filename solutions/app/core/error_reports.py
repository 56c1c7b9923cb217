"""Errors that nobody handled, told to an error tracker: what and where, and nothing of whom."""

import logging
from collections.abc import Callable
from hashlib import sha256
from time import monotonic
from traceback import extract_tb
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.context import request_id_now
from app.core.metrics import labels_of

logger = logging.getLogger(__name__)

Report = dict[str, Any]


def frames_of(error: BaseException) -> list[str]:
    """Return the lines that led to an error, the innermost last: "crud.py:41 get"."""
    names = extract_tb(error.__traceback__)
    return [f"{f.filename.rpartition('/')[2]}:{f.lineno} {f.name}" for f in names]


def report_of(error: Exception, scope: Scope) -> Report:
    """Return what may be told of an error: no message, no value, no address."""
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    frames = frames_of(error)
    method, route = labels_of(scope)
    return {
        "type": kind,
        "method": method,
        "route": route,
        "request_id": request_id_now.get(),
        "frames": frames,
        "group": sha256(repr((kind, frames)).encode()).hexdigest()[:12],
    }


class ErrorReports:
    """Tells errors, each group of them once in a while."""

    def __init__(
        self,
        send: Callable[[Report], object] | None = None,
        quiet_seconds: float = 60,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Remember whom to tell; without anybody nothing is told."""
        self.send = send
        self.quiet_seconds = quiet_seconds
        self.clock = clock
        self.told: dict[str, tuple[float, int]] = {}  # when it was sent last, how many since then

    def tell(self, error: Exception, scope: Scope) -> None:
        """Tell an error, or count it when one like it was told a short while ago."""
        if self.send is None:
            return
        report = report_of(error, scope)
        group, now = report["group"], self.clock()
        last, count = self.told.get(group, (None, 0))
        if last is not None and now - last < self.quiet_seconds:
            self.told[group] = (last, count + 1)
            return
        self.told[group] = (now, 0)
        try:
            self.send(report | {"count": count + 1})
        except Exception as problem:
            logger.warning("an error could not be told: %s", type(problem).__name__)


class ErrorReportsMiddleware:
    """Tells what nobody handled, and lets it pass on."""

    def __init__(self, app: ASGIApp, reports: ErrorReports) -> None:
        """Remember the app below, and whom to tell."""
        self.app = app
        self.reports = reports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request; what it raises is told."""
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            if scope["type"] == "http":
                self.reports.tell(error, scope)
            raise
