"""Heavy work in threads, in turns: it must not take the machine from all the others."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# One core stays free for the event loop.
TURNS = max(1, (os.cpu_count() or 2) - 1)

POOL = ThreadPoolExecutor(TURNS)


async def in_turns(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run heavy work in a thread, when it is its turn; return what it returns."""
    call = partial(copy_context().run, work, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(POOL, call)
