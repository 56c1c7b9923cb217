"""A module or a class read as a whole, and written again with PEP 8's blank lines."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass, field

from workbook.merge.effects import Above, effect, may_rise
from workbook.merge.imports import Imports
from workbook.merge.names import is_import
from workbook.merge.pieces import Piece, comment, first_line, is_string, reread, shifted, split
from workbook.merge.statements import inner_indent, one_a_line

FILE_COMMENT = re.compile(r"#!|#.*coding[:=]|#\s*(ruff|mypy|flake8|pylint|isort)\s*:")


@dataclass(eq=False, repr=False)
class Module:
    """A module's text, by parts.

    Args:
        header: The comments above everything else.
        docstring: Its lines.
        tight: Whether the docstring stands directly below the header.
        imports: Those at the top, and those further below that may rise to it.
        pieces: All the rest.
    """

    header: list[Piece] = field(default_factory=list)
    docstring: str = ""
    tight: bool = False
    imports: Imports = field(default_factory=Imports)
    pieces: list[Piece] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether the module holds nothing at all."""
        return not (self.header or self.docstring or self.imports.names or self.pieces)

    def render(self) -> str:
        """Write the module."""
        text = "\n\n".join(piece.text for piece in self.header)
        for part in (self.docstring, self.imports.render()):
            tight = self.tight and part == self.docstring
            text += ("\n" if tight else "\n\n" if text and part else "") + part
        if self.pieces:
            bare = not (self.docstring or self.imports.names)
            gap = min(max(self.pieces[0].blank, 1), 2) if bare else 1
            gap = 2 if self.pieces[0].is_definition else gap
            text += "\n" * (gap + 1) if text else ""
        return (text + layout(self.pieces, 2)).rstrip() + "\n"


@dataclass(eq=False, repr=False)
class Class:
    """A class's text, by parts: the comment above, decorators and bases, docstring, members."""

    comment: str
    head: str
    docstring: Piece | None
    members: list[Piece]
    placeholders: list[Piece]
    indent: str

    def shift(self, indent: str) -> None:
        """Move the body to another indentation."""
        move = [self.docstring] if self.docstring else []
        for pieces in (move, self.members, self.placeholders):
            pieces[:] = [shifted(piece, self.indent, indent) for piece in pieces]
        self.docstring = move[0] if move else None
        self.indent = indent

    def render(self) -> str:
        """Write the class; `pass` where nothing else is in it."""
        members = self.members
        if not any(piece.node for piece in members):
            members = members + self.placeholders
        if not self.docstring and not any(piece.node for piece in members):
            members = [*members, Piece(frozenset(), f"{self.indent}pass", 0, ast.Pass())]
        parts = [self.comment, self.head, self.docstring.text if self.docstring else ""]
        if self.docstring and members:
            parts[-1] += "\n"
        return "\n".join([*filter(None, parts), *filter(None, [layout(members, 1)])])


def layout(pieces: Sequence[Piece], most: int) -> str:
    """Write pieces below each other, `most` blank lines around definitions, else at most that."""
    text = ""
    for above, below in zip([None, *pieces], pieces, strict=False):
        if above is None:
            text = below.text
            continue
        blank = min(below.blank, most)
        if above.is_definition or below.is_definition:
            blank = most
        elif above.node is None or (below.node and is_string(below.node)):
            blank = max(blank, 1)  # else it would belong to its neighbour
        text += "\n" * (blank + 1) + below.text
    return text


def read_module(text: str) -> Module:
    """Cut a module into its parts; the text must be right Python."""
    lines = one_a_line(text).rstrip().split("\n")
    tree = ast.parse("\n".join(lines))
    pieces = split(lines, tree.body, 1, len(lines))
    module = Module()
    while pieces and pieces[0].node is None:
        module.header.append(pieces.pop(0))
    if pieces:
        read_top(module, pieces)
    waiting: list[Piece] = []
    statements: list[str] = []
    above = Above.NOTHING
    for piece in pieces:
        waiting.append(piece)
        above = max(above, effect(piece.node))
        if piece.node and is_import(piece.node) and "E402" not in piece.text and may_rise(piece.node, above):
            statements.append("\n".join(part.text for part in waiting))
            waiting.clear()
        elif piece.node:
            module.pieces += waiting
            waiting.clear()
    module.pieces += waiting
    module.imports = Imports.read(statements)
    return module


def read_top(module: Module, pieces: list[Piece]) -> None:
    """Take the docstring, and the comments that speak of the file, off the first piece."""
    lines, node = reread(pieces[0])
    above = lines[: first_line(node, lines) - 1]
    if is_string(node):
        module.docstring = "\n".join(lines[len(above) :])
        module.tight = bool(above)
        pieces.pop(0)
    else:
        marks = [number for number, line in enumerate(above, 1) if FILE_COMMENT.match(line)]
        above = above[: marks[-1] if marks else 0]
        pieces[0] = pieces[0].with_text("\n".join(lines[len(above) :]))
    if above:
        module.header.append(comment(above, 1))


def read_class(piece: Piece) -> Class:
    """Cut a class into its parts."""
    lines, node = reread(piece)
    assert isinstance(node, ast.ClassDef)
    skipped = len(lines) - len(piece.text.split("\n"))
    top, start = first_line(node, lines), head_end(lines, node) + 1
    comment_above, body = "\n".join(lines[skipped : top - 1]), node.body
    docstring = None
    if is_string(body[0]):
        end, begin = body[0].end_lineno or start, min(start, body[0].lineno)  # comments above it are its own
        docstring = Piece(frozenset(), "\n".join(lines[begin - 1 : end]), 0, body[0])
        head = "\n".join(lines[top - 1 : begin - 1])
        body, start = body[1:], end + 1
    else:
        head = "\n".join(lines[top - 1 : start - 1])
    members = split(lines, body, start, len(lines))
    lone = [member for member in members if member.node]
    placeholders = lone if all(member.is_placeholder for member in lone) else []
    members = [member for member in members if member not in placeholders]
    return Class(comment_above, head, docstring, members, placeholders, inner_indent(node, lines))


def head_end(lines: Sequence[str], node: ast.ClassDef) -> int:
    """Return the line on which the class's colon stands."""
    source = io.StringIO("\n".join(lines[node.lineno - 1 :]) + "\n")
    tokens = tokenize.generate_tokens(source.readline)
    return next(t.end[0] for t in tokens if t.type == tokenize.NEWLINE) + node.lineno - 1
