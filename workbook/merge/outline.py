"""What a module defines, and what a change did to it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from workbook.merge.names import Function, is_import, keys
from workbook.merge.pieces import is_string
from workbook.merge.syntax import CellError, check, clean

MOST = 6  # names in one line
LONGEST = 60  # characters of a statement


def definitions(code: str) -> dict[str, str]:
    """Return each definition's tree, by qualified name, without positions and docstrings.

    A class's own name stands for its header: decorators, bases, keywords. A setter of `area` is
    `Square.area.setter`. Statements that define no name are not in it.

    Raises:
        CellError: The code is not right Python.
    """
    tree = check(clean(code), "the code", "")
    found: dict[str, str] = {}
    for name, dump in outline(tree, ""):
        found[name] = f"{found[name]}\n{dump}" if name in found else dump
    return found


DOCSTRING = "__doc__"


def parts(code: str) -> dict[str, str]:
    """Return all that a module holds but its imports and comments, by name, each with its tree.

    Besides the definitions these are the module's docstring, under `__doc__`, and the statements that define no name,
    each under its own text.

    Raises:
        CellError: The code is not right Python.
    """
    tree = check(clean(code), "the code", "")
    docstring = ast.get_docstring(tree)
    found = {} if docstring is None else {DOCSTRING: docstring}
    loose = tree.body if docstring is None else tree.body[1:]
    found |= {statement_name(node): ast.dump(node) for node in loose if is_loose(node)}
    return found | definitions(code)


def is_loose(node: ast.stmt) -> bool:
    """Tell whether a statement defines no name and is no import."""
    return not is_import(node) and any(kind in ("text", "block") for kind, _ in keys(node))


def statement_name(node: ast.stmt) -> str:
    """Return the name under which a statement that defines none is known: its text, or `if TYPE_CHECKING`."""
    blocks = [name for kind, name in keys(node) if kind == "block"]
    return f"if {blocks[0]}" if blocks else ast.unparse(node)


def qualified(node: ast.stmt, prefix: str) -> list[str]:
    """Return the qualified names that a statement defines."""
    return [
        prefix + (name if kind in ("", "overload") or name == "_" else f"{name}.{kind}")
        for kind, name in sorted(keys(node))
        if kind not in ("text", "block")
    ]


def outline(parent: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield the qualified names in a body, each with its tree."""
    for node in parent.body:
        names = qualified(node, prefix)
        strip_docstrings(node)
        if isinstance(node, ast.ClassDef):
            inner = list(outline(node, f"{names[0]}."))
            node.body = []
            yield names[0], ast.dump(node)
            yield from inner
        else:
            yield from ((name, ast.dump(node)) for name in names)


def strip_docstrings(node: ast.AST) -> None:
    """Take the docstrings out of a function or class, and of those in it."""
    for inner in ast.walk(node):
        if isinstance(inner, Function | ast.ClassDef) and ast.get_docstring(inner) is not None:
            del inner.body[0]


def describe(before: str | None, after: str) -> str:
    """Say in one line what a change did to a module.

    Args:
        before: The module's text before; None where there was no file.
        after: Its text now.
    """
    count = after.count("\n") + (not after.endswith("\n") and bool(after))
    lines = "1 line" if count == 1 else f"{count} lines"
    if before == after:
        return "unchanged"
    try:
        new = definitions(after)
        if before is None or not before.strip():
            names = [name for name in new if "." not in name]
            return f"created: {listed(names)} ({lines})" if names else f"created ({lines})"
        old = definitions(before)
    except CellError:
        return f"replaced the file ({lines})"
    said = compare(old, new)
    if not said:
        return other_change(before, after)
    gone = sorted(imported(before) - imported(after))
    return f"{said}; removed the import of {listed(gone)}" if gone else said


def imported(code: str) -> set[str]:
    """Return the names that a module's imports bind."""
    statements = [node for node in ast.parse(clean(code)).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return {alias.asname or alias.name for node in statements for alias in node.names}


def compare(old: dict[str, str], new: dict[str, str]) -> str:
    """Say which definitions were replaced, added and removed; "" where none was."""
    replaced = [name for name in new if name in old and old[name] != new[name]]
    added = [name for name in new if name not in old]
    removed = [name for name in old if name not in new]
    parts = []
    for verb, names in (("replaced", replaced), ("added", added), ("removed", removed)):
        outer = [name for name in names if verb == "replaced" or not inside(name, names)]
        if outer:
            parts.append(f"{verb} {listed(outer)}")
    return "; ".join(parts)


def inside(name: str, names: Sequence[str]) -> bool:
    """Tell whether a name belongs to a class that is itself among the names."""
    return any(name.startswith(f"{other}.") for other in names)


def listed(names: Sequence[str]) -> str:
    """Join names with commas; count those that are too many for one line."""
    more = len(names) - MOST
    return ", ".join(names[:MOST]) + (f" and {more} more" if more > 0 else "")


def other_change(before: str, after: str) -> str:
    """Say what changed where every definition is the same."""
    old, new = ast.parse(clean(before)), ast.parse(clean(after))
    if ast.dump(old) == ast.dump(new):
        return "changed comments or layout"
    said = statements_said(before, after)
    if imports_of(old) != imports_of(new):
        return f"changed imports; {said}" if said else "changed imports"
    for tree in (old, new):
        strip_docstrings(tree)
    if said or statements_of(old) != statements_of(new):
        return said or "changed the order of statements"
    return "changed only docstrings, or the order of definitions"


def statements_said(before: str, after: str) -> str:
    """Say which statements that define no name were added and removed."""
    old, new = (
        [statement_name(node) for node in ast.parse(clean(code)).body if is_loose(node) and not is_string(node)]
        for code in (before, after)
    )
    said = {"added": [name for name in new if name not in old], "removed": [name for name in old if name not in new]}
    return "; ".join(f"{verb} {listed([shortened(name) for name in names])}" for verb, names in said.items() if names)


def shortened(statement: str) -> str:
    """Return a statement's first line, quoted, cut where it is long."""
    line = statement.split("\n")[0]
    return f"`{line if len(line) <= LONGEST else line[: LONGEST - 1] + '…'}`"


def imports_of(tree: ast.Module) -> set[str]:
    """Return the module's imports."""
    return {ast.dump(node) for node in tree.body if is_import(node)}


def statements_of(tree: ast.Module) -> list[str]:
    """Return the statements that define no name, but for the docstring."""
    found = [ast.dump(node) for node in tree.body if any(kind == "text" for kind, _ in keys(node))]
    return found[1:] if ast.get_docstring(tree) is not None else found
