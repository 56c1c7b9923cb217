"""A module's or a class's body as pieces of source text, comments and decorators included."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace

from workbook.merge.names import Function, Key, keys


@dataclass(eq=False, repr=False)
class Piece:
    """One statement, or a comment that stands alone.

    Args:
        keys: What it defines; a piece of the same key is the same definition.
        text: Its lines, from the comment directly above to its end.
        blank: How many blank lines stand above it.
        node: The statement; None for a comment.
    """

    keys: frozenset[Key]
    text: str
    blank: int
    node: ast.stmt | None = None

    @property
    def is_definition(self) -> bool:
        """Whether PEP 8 wants blank lines around it."""
        return isinstance(self.node, Function | ast.ClassDef)

    @property
    def is_named(self) -> bool:
        """Whether it has a name, so that another text can take its place."""
        return not any(kind in ("text", "comment") for kind, _ in self.keys)

    @property
    def is_placeholder(self) -> bool:
        """Whether it is `...` or `pass`."""
        value = self.node.value if isinstance(self.node, ast.Expr) else None
        ellipsis = isinstance(value, ast.Constant) and value.value is ...
        return ellipsis or isinstance(self.node, ast.Pass)

    def with_text(self, text: str) -> Piece:
        """Return the piece with another text of the same statement."""
        return replace(self, text=text, node=reread(replace(self, text=text))[1])


def reread(piece: Piece) -> tuple[list[str], ast.stmt]:
    """Parse a statement's text by itself; return the lines, which its node counts, and the node."""
    lines = piece.text.split("\n")
    if piece.node is None or not piece.node.col_offset:
        return lines, ast.parse(piece.text).body[0]
    outer = ast.parse("if 1:\n" + piece.text).body[0]
    assert isinstance(outer, ast.If)
    return ["if 1:", *lines], outer.body[0]


def split(lines: Sequence[str], nodes: Sequence[ast.stmt], start: int, end: int) -> list[Piece]:
    """Cut the lines `start` to `end` (counted from 1, `end` included) into pieces."""
    pieces: list[Piece] = []
    groups = with_docstrings(nodes)
    limits = [first_line(group[0], lines) - 1 for group in groups[1:]] + [end]
    for group, limit in zip(groups, limits, strict=False):
        top = first_line(group[0], lines)
        comments, above, blank = read_gap(lines[start - 1 : top - 1])
        stop = last_line(lines, group[-1], limit)
        text = "\n".join([*above, *lines[top - 1 : stop]])
        pieces += [*comments, Piece(keys(group[0]), text, blank, group[0])]
        start = stop + 1
    comments, above, _ = read_gap([*lines[start - 1 : end], ""])
    return pieces + comments


def with_docstrings(nodes: Sequence[ast.stmt]) -> list[list[ast.stmt]]:
    """Put a string that stands directly below an assignment, its documentation, with it."""
    groups: list[list[ast.stmt]] = []
    for node in nodes:
        above = groups[-1][-1] if groups else None
        below = isinstance(above, ast.Assign | ast.AnnAssign) and is_string(node)
        if above and below and node.lineno == (above.end_lineno or 0) + 1:
            groups[-1].append(node)
        else:
            groups.append([node])
    return groups


def is_string(node: ast.stmt) -> bool:
    """Tell whether a statement is a string, as a docstring is."""
    constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return constant and isinstance(node.value.value, str)  # type: ignore[attr-defined]


def first_line(node: ast.stmt, lines: Sequence[str]) -> int:
    """Return the line of the statement's first decorator, or its own."""
    decorators = getattr(node, "decorator_list", [])
    row = int(min([node.lineno, *(decorator.lineno for decorator in decorators)]))
    while decorators and not lines[row - 1].lstrip().startswith("@"):
        row -= 1  # `@(` stands above the expression
    return row


def last_line(lines: Sequence[str], node: ast.stmt, limit: int) -> int:
    """Return the statement's last line, with the comments inside its block that follow it."""
    end = stop = int(node.end_lineno or node.lineno)
    if not hasattr(node, "body") and not hasattr(node, "cases"):
        return end
    for number in range(end + 1, limit + 1):
        line = lines[number - 1]
        if line.strip() and len(line) - len(line.lstrip()) <= node.col_offset:
            break
        stop = number if line.strip() else stop
    return stop


def read_gap(lines: Sequence[str]) -> tuple[list[Piece], list[str], int]:
    """Read the lines between two statements.

    Returns:
        The comments that stand alone; the comment directly above the statement that follows;
        the number of blank lines above both.
    """
    comments: list[Piece] = []
    block: list[str] = []
    blank = 0
    for line in lines:
        if line.strip():
            block.append(line)
            continue
        if block:
            comments.append(comment(block, blank))
            block, blank = [], 0
        blank += 1
    return comments, block, blank


def comment(block: Sequence[str], blank: int) -> Piece:
    """Make a piece of a comment that stands alone."""
    name = "\n".join(line.strip() for line in block)
    return Piece(frozenset({("comment", name)}), "\n".join(block), blank)


def shifted(piece: Piece, indent: str, to: str) -> Piece:
    """Move a piece to another indentation; the lines inside strings stay as they are."""
    if indent == to:
        return piece
    if piece.node is None:
        lines = [to + line.strip() for line in piece.text.split("\n")]
        return replace(piece, text="\n".join(lines))
    inside = string_lines(piece.text)
    lines = [
        to + line.removeprefix(indent) if number not in inside and line.startswith(indent) else line
        for number, line in enumerate(piece.text.split("\n"), 1)
    ]
    return piece.with_text("\n".join(lines))


def string_lines(text: str) -> set[int]:
    """Return the numbers of the lines that begin inside a string."""
    kinds = tuple(getattr(ast, name) for name in ("Constant", "JoinedStr", "TemplateStr")
                  if hasattr(ast, name))  # fmt: skip
    tree = ast.parse(f"if 1:\n{text}")
    strings = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    return {n - 1 for node in strings for n in range(node.lineno + 1, node.end_lineno + 1)}
