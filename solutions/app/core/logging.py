"""How log lines are written: for people in development, for programs elsewhere."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from app.core.config import Settings, Stage
from app.core.context import request_id_now
from app.core.redaction import cleaned

# What every record has, and what logging's own formatters add to one.
PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

READABLE = "%(asctime)s %(levelname)-7s %(name)s [%(request_id)s] %(message)s"
SERVER = "uvicorn"


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object in one line."""

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return what the line says: the known keys, and whatever came with `extra=`."""
        extras = {name: value for name, value in vars(record).items() if name not in PLAIN}
        created = datetime.fromtimestamp(record.created, UTC)
        known = {
            "time": created.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id_now.get(),
        }
        if record.exc_info:
            known["exception"] = self.formatException(record.exc_info)
        return extras | known

    def format(self, record: logging.LogRecord) -> str:
        """Write the line, without secrets; what JSON does not know is written as a text."""
        return json.dumps(cleaned(self.fields(record)), default=str)


def add_request_id(record: logging.LogRecord) -> bool:
    """Note the id in the record: a filter that lets everything pass."""
    record.request_id = request_id_now.get()
    return True


def make_handler(settings: Settings) -> logging.Handler:
    """Make the one way out of the process: lines on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(add_request_id)
    readable = settings.stage is Stage.DEVELOPMENT
    handler.setFormatter(logging.Formatter(READABLE) if readable else JsonFormatter())
    return handler


def configure_logging(settings: Settings) -> None:
    """Let the app and its server write lines; a notebook and a test decide for themselves."""
    logging.getLogger("app").setLevel(settings.log_level or "INFO")
    served = bool(logging.getLogger(SERVER).handlers)
    if settings.stage is Stage.DEVELOPMENT and not served:
        return
    handler = make_handler(settings)
    for name in ("app", SERVER):
        logging.getLogger(name).handlers[:] = [handler]
        logging.getLogger(name).propagate = False
    logging.getLogger("uvicorn.access").disabled = True
