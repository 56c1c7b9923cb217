"""Work spread over several warm workers: each takes the next piece when it is free."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from workbook.running.worker import Worker

MANY = 8  # collections of checks: graders go from chapter to chapter, again and again
T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def opened(root: Path, count: int | None = None) -> Iterator[list[Worker]]:
    """Give warm workers, one for each core, and end them afterwards.

    Args:
        root: the repository, whose tests/chapters hold the checks.
        count: how many; None means one a core, and at least two.
    """
    with ExitStack() as stack:
        yield [stack.enter_context(Worker(root, MANY)) for _ in range(count or max(2, os.cpu_count() or 2))]


def spread(workers: Sequence[Worker], call: Callable[[Worker, T], R], items: Iterable[T]) -> Iterator[R]:
    """Call `call(worker, item)` for each item, as many at once as there are workers; yield the results in order."""
    free: queue.Queue[Worker] = queue.Queue()
    for worker in workers:
        free.put(worker)

    def one(item: T) -> R:
        worker = free.get()
        try:
            return call(worker, item)
        finally:
            free.put(worker)

    with ThreadPoolExecutor(len(workers)) as executor:
        yield from executor.map(one, items)
