"""What the app logs."""

import logging
from contextlib import contextmanager

import pytest


class Records(logging.Handler):
    """Collects what the app logs."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        """Keep a record."""
        self.records.append(record)


@contextmanager
def logged():
    """Collect what the app logs in the block."""
    handler, logger = Records(), logging.getLogger("app")
    logger.addHandler(handler)
    try:
        yield handler.records
    finally:
        logger.removeHandler(handler)


@pytest.fixture(autouse=True)
def log():
    """The records of the app's log; with it, none of them is printed."""
    with logged() as records:
        yield records
