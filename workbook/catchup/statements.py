"""What a module's top-level statements say: imports, decorated functions, calls."""

from __future__ import annotations

import ast

from workbook.merge.names import Function
from workbook.merge.syntax import clean


def imports(text: str) -> set[tuple[str, ...]]:
    """Return each name that a module imports at its top level, with where it is from."""
    statements = [node for node in ast.parse(clean(text)).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return {
        (f"{node.level}{node.module}" if isinstance(node, ast.ImportFrom) else "", alias.name, alias.asname or "")
        for node in statements
        for alias in node.names
    }


def decorated(text: str) -> set[str]:
    """Return the functions of a module that have decorators, such as routes."""
    functions = [node for node in ast.parse(clean(text)).body if isinstance(node, Function)]
    return {node.name for node in functions if node.decorator_list}


def callee(statement: str) -> str:
    """Return what a bare statement calls, and with which first argument; "" where it is no call."""
    try:
        node = ast.parse(statement, mode="eval").body
    except SyntaxError:
        return ""
    if not isinstance(node, ast.Call):
        return ""
    return f"{ast.unparse(node.func)}({ast.unparse(node.args[0]) if node.args else ''}"
