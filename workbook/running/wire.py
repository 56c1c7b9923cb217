"""What a job's process may tell: JSON lines, whole, bounded, and of the right shape. All of it is mere data."""

from __future__ import annotations

import json
import os
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from workbook.base.plain import plain_of
from workbook.feedback.verdict import Criterion

LINE, ALL = 1 << 20, 16 << 20  # bytes


class Item(BaseModel):
    """A test that was collected."""

    id: str
    text: str
    exercise: str


class Message(BaseModel):
    """The fields that are read, each with its type; any other is passed on as it is."""

    model_config = ConfigDict(extra="allow")

    collected: list[Item] | None = None
    attempts: dict[str, str] | None = None
    criterion: Criterion | None = None
    started: str | None = None
    ended: str | None = None
    output: str | None = None
    broken: str | None = None
    crashed: str | None = None
    tampered: str | None = None
    isolation: str | None = None
    total: float | None = None


def parse(line: bytes, nonce: str) -> dict[str, Any] | None:
    """Return a message that carries the job's nonce and has the right shape; anything else is noise."""
    try:
        message = json.loads(line)
        if not isinstance(message, dict) or message.get("nonce") != nonce:
            return None
        message = plain_of(message)
        Message.model_validate(message)
    except (ValueError, ValidationError, RecursionError):
        return None
    return dict(message)


class Lines:
    """Whole lines out of what arrives in pieces; a line that is too long is dropped."""

    def __init__(self) -> None:
        self.received = 0
        self._rest, self._dropping = bytearray(), False

    @property
    def flooded(self) -> bool:
        """Say whether more has arrived than a job may send."""
        return self.received > ALL

    def add(self, data: bytes) -> list[bytes]:
        """Take a piece; return the lines that are complete now."""
        self.received += len(data)
        *ends, rest = data.split(b"\n")
        lines = []
        for end in ends:
            if not self._dropping and len(self._rest) + len(end) <= LINE:
                lines.append(bytes(self._rest + end))
            self._rest, self._dropping = bytearray(), False
        self._dropping = self._dropping or len(self._rest) + len(rest) > LINE
        self._rest += b"" if self._dropping else rest
        return lines


def write_all(handle: int, data: bytes) -> None:
    """Write to a file descriptor until all is written."""
    while data:
        data = data[os.write(handle, data) :]
