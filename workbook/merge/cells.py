"""A cell read as the kernel reads it: whether it is `%%app`, and what stands below its first line."""

from __future__ import annotations

import ast
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.inputtransformer2 import TransformerManager

MAGIC = "app"
# cell magics that run the cell below them, whatever it is
OUTER = ("capture", "prun", "time", "timeit")


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


def plain_code(source: str) -> str:
    """Return a cell as the Python that the kernel runs; of one with `%%time`, or a magic like it, what stands below."""
    while (call := _magic_call(source)) is not None and call[0] in OUTER:
        source = call[2]
    try:
        return str(_transformer().transform_cell(source))
    except Exception:  # the kernel could not run it either
        return ""


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
