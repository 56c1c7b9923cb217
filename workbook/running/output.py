"""What the checked code prints: kept at the beginning, counted beyond that, and never shown to anybody meanwhile."""

from __future__ import annotations

import io
import sys
from typing import Any

KEPT = 1000


class Kept:
    """The first characters of standard output and standard error, in the order in which they came."""

    def __init__(self, keep: int = KEPT) -> None:
        self._room, self._parts, self._lost = keep, list[str](), 0

    def add(self, text: str) -> None:
        """Keep what still has room."""
        kept = text[: self._room]
        if kept:
            self._parts.append(kept)
        self._room -= len(kept)
        self._lost += len(text) - len(kept)

    def text(self) -> str:
        """Return what was kept, and how much was not."""
        rest = f"\n… {self._lost:,} more characters" if self._lost else ""
        return "".join(self._parts) + rest


class Sink(io.RawIOBase):
    """The bytes below a stream; its number is that of the real one, which leads to nowhere."""

    def __init__(self, kept: Kept, number: int) -> None:
        self._kept, self._number = kept, number

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def fileno(self) -> int:
        """Return the number of the real stream, for what asks for it: faulthandler, for example."""
        return self._number

    def write(self, data: Any) -> int:
        """Keep what still has room."""
        content = bytes(data)
        self._kept.add(content.decode("utf-8", "backslashreplace"))
        return len(content)


class Stream(io.TextIOWrapper):
    """A text stream with all that a real one has: `reconfigure`, `buffer`, `encoding`, `fileno`."""

    def __init__(self, kept: Kept, number: int) -> None:
        raw: Any = Sink(kept, number)
        # what a terminal would refuse, a lone surrogate for example, is no fault of the exercise
        super().__init__(raw, encoding="utf-8", errors="backslashreplace", newline="\n", write_through=True)


def capture() -> Kept:
    """Let this process print into what is returned, for the rest of its life."""
    kept = Kept()
    sys.stdout = sys.__stdout__ = Stream(kept, 1)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = Stream(kept, 2)  # type: ignore[misc]
    return kept
