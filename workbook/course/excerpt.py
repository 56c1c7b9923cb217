"""The part of a module that holds certain definitions."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator


def names(code: str) -> list[str]:
    """Return the top-level names that code defines, in order: functions, classes, assigned variables."""
    return [name for node in ast.parse(code).body for name in _bound(node)]


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id


def excerpt(code: str, wanted: Collection[str], *, imports: bool = False, others: bool = False) -> str:
    """Return the text of the definitions in `wanted`, with decorators, as they stand in the module.

    Args:
        code: a module.
        wanted: top-level names.
        imports: also its import statements.
        others: also its top-level statements that bind no name, such as calls.
    """
    lines = code.split("\n")
    parts: list[str] = []
    for node in ast.parse(code).body:
        bound = list(_bound(node))
        is_import = isinstance(node, ast.Import | ast.ImportFrom)
        plain = not bound and not is_import and not _is_docstring(node)
        if (imports and is_import) or set(bound) & set(wanted) or (others and plain):
            parts.append("\n".join(lines[_start(node) - 1 : node.end_lineno]))
    return "\n".join(parts) + "\n" if parts else ""


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _start(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])
