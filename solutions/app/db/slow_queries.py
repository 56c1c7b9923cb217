"""A log of the statements that take too long."""

import logging
import time
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

logger = logging.getLogger(__name__)


def log_slow_queries(engine: AsyncEngine, seconds: float) -> None:
    """Log each statement of this engine that takes longer; never its parameters."""

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def begin(_c: Any, _cursor: Any, _s: str, _p: Any, context: Any, _many: bool) -> None:
        context.began = time.perf_counter()

    @event.listens_for(engine.sync_engine, "after_cursor_execute")
    def end(_c: Any, _cursor: Any, statement: str, _p: Any, context: Any, _many: bool) -> None:
        took = time.perf_counter() - context.began
        if took > seconds:
            logger.warning("slow query, %.2f s: %s", took, statement)
