"""Load for an app, and what its times say."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from time import perf_counter


@dataclass
class Load:
    """What came of a load: the times of the answers, and how many requests failed."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent of the values do not exceed."""
    if not values or not 0 < percent <= 100:
        raise ValueError("some values, and a percent above 0 and at most 100")
    ranked = sorted(values)
    return ranked[ceil(len(ranked) * percent / 100) - 1]


async def send_load(ask: Callable[[], Awaitable[int]], total: int, at_once: int) -> Load:
    """Ask `total` times, with `at_once` requests under way."""
    load, left = Load(), iter(range(total))

    async def visit() -> None:
        for _ in left:
            began = perf_counter()
            try:
                failed = await ask() >= 500
            except Exception:
                failed = True
            if failed:
                load.failed += 1
            else:
                load.seconds.append(perf_counter() - began)

    await asyncio.gather(*(visit() for _ in range(at_once)))
    return load
