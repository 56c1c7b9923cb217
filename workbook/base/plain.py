"""Text from outside made fit for every reader: no control characters, nothing that UTF-8 cannot hold."""

from __future__ import annotations

import os
import re
from typing import Any

# C0 and C1 controls but tab and newline, lone surrogates, and the marks that turn the direction of a line around
ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    r"""Return text with what a screen, JSON or XML cannot bear written as an escape; `\r\n` becomes `\n`."""
    return ODD.sub(_escape, text.replace("\r\n", "\n"))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def named(path: str | os.PathLike[str]) -> str:
    r"""Return a path as a person can read it; bytes that are no UTF-8 are written as `\xe9`."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return plain(text).replace("\n", "\\n").replace("\t", "\\t")


def plain_of(value: Any, longest: int = 20_000) -> Any:
    """Return a JSON value whose texts are plain, and cut after `longest` characters."""
    if isinstance(value, str):
        cut = value if len(value) <= longest else f"{value[:longest]} … ({len(value) - longest:,} more characters)"
        return plain(cut)
    if isinstance(value, list):
        return [plain_of(item, longest) for item in value]
    if isinstance(value, dict):
        return {plain(str(key)): plain_of(item, longest) for key, item in value.items()}
    return value
