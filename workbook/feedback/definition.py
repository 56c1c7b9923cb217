"""Where a thing was defined, as far as Python knows: the file and the line."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

from workbook.merge.names import keys


def place(thing: object) -> tuple[str, int] | None:
    """Return file and line of a function, method, class or instance, or None where Python knows none.

    Args:
        thing: the object; or a pair of a module and the name of a variable in it, which has no line of its own.
    """
    if isinstance(thing, tuple) and len(thing) == 2:
        return _assignment(*thing)
    target = thing if inspect.isroutine(thing) or inspect.isclass(thing) else type(thing)
    try:
        target = inspect.unwrap(target)
        path, line = inspect.getsourcefile(target), inspect.getsourcelines(target)[1]
    except (TypeError, OSError, ValueError):
        return None
    return (path, line) if path else None


def _assignment(module: object, name: object) -> tuple[str, int] | None:
    """Return where a module binds a name at its top level, the last time."""
    path = getattr(module, "__file__", None)
    try:
        body = ast.parse(Path(path or "").read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return None
    lines = [one.lineno for one in body if ("", name) in keys(one)]
    return (str(path), lines[-1]) if lines else None
