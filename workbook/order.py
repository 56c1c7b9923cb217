"""The order of a module's statements: what one needs when it is imported stands above it."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from workbook.names import Function, Key, bound, called, is_import, needs, runs_through
from workbook.pieces import Piece


@dataclass(eq=False, repr=False)
class Order:
    """The pieces of one body, which are moved up where another needs them at import time.

    Args:
        pieces: The body.
        outer: Names that are there before the body runs.
        lazy: Whether annotations are left unread.
        whole: Whether the body is all that there will be: then the functions that it calls are looked into, and
            an import moves as well.
    """

    pieces: list[Piece]
    outer: frozenset[str]
    lazy: bool = False
    whole: bool = False

    def heal(self) -> bool:
        """Move up all that stands below its first use; say whether anything did."""
        before = [*self.pieces]
        for piece in before:
            if piece.node is not None and not is_import(piece.node) and not is_lazy(piece.node):
                self.hoist(piece)
        return self.pieces != before

    def hoist(self, piece: Piece) -> None:
        """Move what a piece needs at import time, and stands below it, above it."""
        at = self.pieces.index(piece)
        needed: list[Piece] = []
        if not self.gather(piece, at, needed, {piece}) or not needed:
            return
        rest = [other for other in self.pieces if other not in needed]
        at = rest.index(piece)
        self.pieces[:] = [*rest[:at], *needed, *rest[at:]]

    def gather(self, piece: Piece, at: int, needed: list[Piece], seen: set[Piece]) -> bool:
        """Collect what a piece needs from below the place; return False where none may be moved."""
        above, below = self.pieces[:at], self.pieces[at + 1 :]
        for name in sorted(self.wanted(piece) - self.outer):
            if any(name in binds(other) for other in above):
                continue
            if name in binds(self.pieces[at]) and piece is not self.pieces[at]:
                return False
            found = next((other for other in below if name in binds(other)), None)
            if found is None or found in needed or name in binds(piece):
                continue
            if found in seen or not self.may_move(found):
                return False
            seen.add(found)
            if not self.gather(found, at, needed, seen):
                return False
            needed.append(found)
        return True

    def may_move(self, piece: Piece) -> bool:
        """Say whether a piece may be moved past others."""
        if piece.node is not None and is_import(piece.node):
            return self.whole  # in a body that grows, it stands so low for a reason
        return not any(defined(other) & defined(piece) for other in self.pieces if other is not piece)

    def wanted(self, piece: Piece) -> set[str]:
        """Return the names that a piece reads when it is imported, by the functions that it calls, too."""
        found = needs(piece.node, lazy=self.lazy)
        waiting, seen = called(piece.node) if self.whole else set(), set[str]()
        while waiting - seen:
            name = (waiting - seen).pop()
            seen.add(name)
            for function in self.functions(name):
                found |= runs_through(function)
                waiting |= set().union(*map(called, function.body))
        return found

    def functions(self, name: str) -> list[Function]:
        """Return the body's functions of a name."""
        nodes = [piece.node for piece in self.pieces]
        return [node for node in nodes if isinstance(node, Function) and node.name == name]


def is_lazy(node: ast.stmt) -> bool:
    """Tell whether a statement evaluates nothing before its name is used: `type A = B`."""
    alias = getattr(ast, "TypeAlias", None)  # Python 3.12
    return alias is not None and isinstance(node, alias)


def defined(piece: Piece) -> set[Key]:
    """Return what a piece defines; an overload, a setter and the function itself are one, whose order counts."""
    return {(kind if kind in ("text", "comment") else "", name) for kind, name in piece.keys}


def binds(piece: Piece) -> set[str]:
    """Return the names that a piece binds; a setter or an overload alone makes none."""
    if isinstance(piece.node, Function):
        return {name for kind, name in piece.keys if not kind}
    return {name for kind, name in piece.keys if not kind} | bound(piece.node)
