"""How long the event loop stands still while some work runs: measured, and drawn."""

from __future__ import annotations

import asyncio
import html
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

from workbook.front.panel import CAPTION, CELL, FRAME, HEAD, Panel

HEARTBEAT = 0.005  # seconds between two signs of life of the event loop
BAR = {True: "#b71c1c", False: "#1b5e20"}


@dataclass(frozen=True)
class Pause:
    """How long the event loop stood still while some work ran; both in seconds."""

    longest: float
    whole: float

    @property
    def blocked(self) -> bool:
        """Say whether the loop stood still for most of the work."""
        return self.longest > self.whole / 2


async def longest_pause(work: Callable[[], Awaitable[object]]) -> Pause:
    """Run work while a heartbeat runs beside it, and measure the longest time between two beats."""
    beats = [time.perf_counter()]

    async def beat() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            beats.append(time.perf_counter())

    heart = asyncio.create_task(beat())
    await asyncio.sleep(0)
    began = beats[0] = time.perf_counter()
    try:
        await work()
        ended = time.perf_counter()
        await asyncio.sleep(2 * HEARTBEAT)
    finally:
        heart.cancel()
        with suppress(asyncio.CancelledError):
            await heart
    gaps = [later - earlier for earlier, later in pairwise(beats)]
    return Pause(min(max(gaps), ended - began), ended - began)


async def blocked(works: Mapping[str, Callable[[], Awaitable[object]]]) -> Panel:
    """Run each work, one after the other, and draw for how long it stopped everything else.

    The bars are rounded to nothing, half and all of the work's time, so that the picture is the same in every run.

    Args:
        works: A name for each work, and an async function without arguments.
    """
    found = {name: await longest_pause(work) for name, work in works.items()}
    title = "for how long nothing else could run"
    width = max(map(len, found))
    lines, body = [title], ""
    for name, pause in found.items():
        halves = min(round(2 * pause.longest / pause.whole), 2) if pause.blocked else 0
        verdict = "the event loop stood still" if pause.blocked else "the event loop kept running"
        took = f"{pause.longest:.2f} s of {pause.whole:.2f} s"
        lines.append(f"  {name.ljust(width)}  |{'#' * (10 * halves):<20}|  {took}: {verdict}")
        bar = f"background:{BAR[pause.blocked]};width:{max(100 * halves, 4)}px;height:14px"
        body += (
            f'<tr><th scope="row" style="{HEAD}">{html.escape(name)}</th>'
            f'<td style="{CELL};width:210px"><div style="{bar}"></div></td>'
            f'<td style="{CELL}">{took}: {verdict}</td></tr>'
        )
    table = f'<table style="{FRAME}"><caption style="{CAPTION}">{title}</caption>{body}</table>'
    return Panel("\n".join(lines), table)
