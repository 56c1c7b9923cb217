"""The real course: its root, its index, and one warm worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from workbook.course.index import Course, read_course
from workbook.running.worker import Worker

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def course() -> Course:
    """Give the index of the real course."""
    return read_course(ROOT)


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    """Give a warm worker with the real checks."""
    with Worker(ROOT) as made:
        yield made
