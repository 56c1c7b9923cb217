"""What checks need besides the learner's code: servers, which no check could start from its sandbox.

A check file says it with a line such as `NEEDS = ("postgres",)`. The worker's owner starts what is named there, and the
check learns the address from its environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from workbook.base.errors import WorkbookError
from workbook.servers import postgres

NEEDS = re.compile(r"^NEEDS = \(([^)]*)\)", re.MULTILINE)
STARTERS: dict[str, Callable[[], str]] = {"postgres": postgres.server}


class Unavailable(Exception):
    """A server that a check needs is not on this machine; the text says what helps."""


def provide(files: Iterable[Path]) -> dict[str, str]:
    """Start what check files need; return what their environment must tell: addresses, or why there is none."""
    told: dict[str, str] = {}
    for name in sorted({name for path in files for name in needed(path)} & STARTERS.keys()):
        try:
            told[_variable(name)] = STARTERS[name]()
        except WorkbookError as error:
            told[_variable(name, "LACKS")] = str(error)
    return told


def needed(path: Path) -> list[str]:
    """Return the names of the servers that a check file needs."""
    try:
        found = NEEDS.search(path.read_text(encoding="utf-8"))
    except OSError:
        return []
    return re.findall(r"\w+", found[1]) if found else []


def address(name: str) -> str:
    """Return the address of a server, for a check; where no worker has told it, the server is started here.

    Raises:
        Unavailable: this machine has none.
    """
    if lacking := os.environ.get(_variable(name, "LACKS")):
        raise Unavailable(lacking)
    try:
        return os.environ.get(_variable(name)) or STARTERS[name]()
    except WorkbookError as error:
        raise Unavailable(str(error)) from None


def _variable(name: str, *more: str) -> str:
    return "_".join(("WORKBOOK", name.upper(), *more))
