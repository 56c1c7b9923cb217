"""What the app logs, and the request id of each moment (chapter 14)."""

import logging
import sys

import pytest


@pytest.fixture(autouse=True)
def log():
    """The records of the app's log, each with the request id of its moment in `seen`; none of them is printed."""
    kept, logger = Log(), logging.getLogger("app")
    level = logger.level
    logger.addHandler(kept)
    logger.setLevel(logging.INFO)
    yield kept
    logger.setLevel(level)
    logger.removeHandler(kept)


class Log(logging.Handler):
    """What the app logs while a check runs."""

    def __init__(self):
        super().__init__()
        self.records, self.seen = [], []

    def emit(self, record):
        """Keep a record, and the id of this moment."""
        self.records.append(record)
        context = sys.modules.get("app.core.context")
        self.seen.append(context.request_id_now.get() if context else None)
