"""How a criterion ends when it does not pass: with a failure, or without having been asked."""

from __future__ import annotations

SHOWN = 160  # characters of what a stranger's server said


class Failure(Exception):
    """The backend did something else than its interface says.

    Args:
        did: the request.
        got: what came back.
        expected: what should have come back.
        why: what goes wrong for somebody, in one sentence.
    """

    def __init__(self, did: str, got: str, expected: str, why: str = "") -> None:
        super().__init__(did, got, expected, why)
        self.did, self.got, self.expected, self.why = did, got, expected, why


class Unasked(Exception):
    """The criterion could not be asked.

    Args:
        reason: why.
        chosen: whether the one who started the exam left it out; otherwise the backend is the reason.
    """

    def __init__(self, reason: str, *, chosen: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.chosen = reason, chosen


def shown(text: str, limit: int = SHOWN) -> str:
    """Return a stranger's text for a terminal and for XML: short, in one line, with nothing that steers either."""
    line = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text[: limit + 1])
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
