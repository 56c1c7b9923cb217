"""A cell read as the kernel reads it: whether it is `%%app`, and what running it again makes of a module."""

from __future__ import annotations

import ast
from collections.abc import MutableMapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Protocol

from workbook.header import Header
from workbook.snapshot import placed

if TYPE_CHECKING:
    from IPython.core.inputtransformer2 import TransformerManager

MAGIC = "app"
# cell magics that run the cell below them, whatever it is
OUTER = ("capture", "prun", "time", "timeit")


class Memory(Protocol):
    """What remembers a cell's text as of its last run."""

    def recall_cell(self, key: str) -> str | None:
        """Return the text, or None."""

    def remember_cell(self, key: str, text: str) -> None:
        """Keep the text."""


@dataclass(frozen=True)
class Runs:
    """A memory in a dictionary, for cells that are put together without a notebook."""

    texts: MutableMapping[str, str]

    def recall_cell(self, key: str) -> str | None:
        """Return the text, or None."""
        return self.texts.get(key)

    def remember_cell(self, key: str, text: str) -> None:
        """Keep the text."""
        self.texts[key] = text


@dataclass(frozen=True)
class Placement:
    """How a cell goes into its module: as a merge that knows the last run, or as the whole file."""

    header: Header
    code: str
    key: str | None
    previous: str | None
    again: bool

    @classmethod
    def of(cls, header: Header, code: str, memory: Memory) -> Placement:
        """Look up the cell's last run: one that begins a file must not take away what later cells have put there."""
        key = header.key(code)
        previous = memory.recall_cell(key) if key else None
        again = previous is not None and not header.merge
        return cls(replace(header, merge=True) if again else header, code, key, previous, again)

    def text(self, existing: str | None) -> str:
        """Return the module's text with the cell in it.

        Raises:
            CellError: the cell or the module is no Python.
        """
        return placed(existing, self.header, self.code, self.previous)

    def remember(self, memory: Memory) -> None:
        """Keep the cell's text, now that it was run."""
        if self.key:
            memory.remember_cell(self.key, self.code)


def app_cell(source: str) -> tuple[str, str] | None:
    """Return the argument line and the code of an `%%app` cell; None for a cell that the kernel would not run as one.

    IPython's own transformer decides: blank lines and spaces above are nothing, `%%time` runs what stands below it, a
    comment above or a no-break space after `%%app` make it something else.
    """
    if f"%%{MAGIC}" not in source and "run_cell_magic" not in source:
        return None
    while (call := _magic_call(source)) is not None:
        name, line, body = call
        if name == MAGIC:
            return (line, body) if body else None  # the kernel refuses an empty one
        if name not in OUTER:
            return None
        source = body
    return None


@cache
def _transformer() -> TransformerManager:
    from IPython.core.inputtransformer2 import TransformerManager  # slow to import

    return TransformerManager()  # type: ignore[no-untyped-call]


def _magic_call(source: str) -> tuple[str, str, str] | None:
    """Return name, line and body of the cell magic that a cell is, if it is one."""
    try:
        statements = ast.parse(_transformer().transform_cell(source)).body
    except Exception:  # what the transformer or the parser cannot bear, the kernel cannot run
        return None
    call = statements[0].value if len(statements) == 1 and isinstance(statements[0], ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    values = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
    if call.func.attr != "run_cell_magic" or len(values) != 3:
        return None
    name, line, body = map(str, values)
    return name, line, body
