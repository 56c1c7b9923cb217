"""Source text with each statement on a line of its own: no `a = 1; b = 2`, no `class A: ...`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence


def one_a_line(text: str) -> str:
    """Put each statement of the module and of its classes on a line of its own."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    lines = text.split("\n")
    cuts: list[tuple[int, int, str]] = []
    for node, indent in joinable(ast.parse(text), lines, ""):
        column = len(lines[node.lineno - 1].encode()[: node.col_offset].decode())
        offset = starts[node.lineno - 1] + column
        cut = joint(text, offset)
        if cut is not None:
            cuts.append((cut, offset, "\n" + indent))
    for begin, end, new in sorted(cuts, reverse=True):
        text = text[:begin] + new + text[end:]
    return text


def joinable(parent: ast.Module | ast.ClassDef, lines: Sequence[str], indent: str) -> Iterator[tuple[ast.stmt, str]]:
    """Yield the statements of a body, and of the classes in it, each with its indentation."""
    for node in parent.body:
        yield node, indent
    for node in parent.body:
        if isinstance(node, ast.ClassDef):
            yield from joinable(node, lines, inner_indent(node, lines))


def inner_indent(node: ast.ClassDef, lines: Sequence[str]) -> str:
    """Return the indentation of a class's members; four more spaces where they share its line."""
    first = node.body[0]
    indent = lines[first.lineno - 1].encode()[: first.col_offset].decode()
    indent = indent[: len(indent) - len(indent.lstrip())]
    head = lines[node.lineno - 1]
    outer = head[: len(head) - len(head.lstrip())]
    return indent if len(indent) > len(outer) else outer + "    "


def joint(text: str, offset: int) -> int | None:
    """Return where the `;`, or the space after `:`, begins that joins a statement to another."""
    start = offset
    while text[start - 1 : start] in (" ", "\t", "\f") or text[max(start - 2, 0) : start] == "\\\n":
        start -= 2 if text[start - 1] == "\n" else 1
    line = text[text.rfind("\n", 0, start) + 1 : start]
    if line[-1:] not in (";", ":") or ("\n" in text[start:offset] and "#" in line):
        return None
    return start - 1 if line[-1] == ";" else start
