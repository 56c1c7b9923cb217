"""Whether an import may rise to the top of its module, past what stands above it."""

from __future__ import annotations

import ast
from enum import IntEnum

from workbook.merge.imports import FIRST_PARTY
from workbook.merge.names import TYPE_CHECKING, Function, is_import, keys, targets


class Above(IntEnum):
    """What stands above an import, as far as it matters."""

    NOTHING = 0
    """Imports, texts and constants."""
    DEFINITIONS = 1
    """Also definitions, which a module that is imported in a circle may need, and calls whose results get names."""
    EFFECTS = 2
    """Also statements that change something, such as `os.environ["STAGE"] = "test"`."""


def effect(node: ast.stmt | None) -> Above:
    """Return what a statement is to the imports below it."""
    if node is None or is_import(node) or TYPE_CHECKING in keys(node):
        return Above.NOTHING
    if isinstance(node, Function | ast.ClassDef):
        return Above.DEFINITIONS
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return Above.NOTHING
    found = targets(node)
    if found and all(isinstance(target, ast.Name | ast.Tuple | ast.List) for target in found):
        return Above.DEFINITIONS if any(isinstance(part, ast.Call) for part in ast.walk(node)) else Above.NOTHING
    return Above.EFFECTS


def may_rise(node: ast.stmt, above: Above) -> bool:
    """Say whether an import means the same at the top: nothing above has an effect, and it closes no circle there."""
    if above is Above.EFFECTS:
        return False
    return above is Above.NOTHING or not _is_first_party(node)


def _is_first_party(node: ast.stmt) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.level > 0 or (node.module or "").split(".")[0] in FIRST_PARTY
    return isinstance(node, ast.Import) and any(alias.name.split(".")[0] in FIRST_PARTY for alias in node.names)
