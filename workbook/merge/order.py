"""The order of statements: what one needs when it is imported stands above it, and a new value among its like."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from workbook.merge.effects import Above, effect
from workbook.merge.names import (
    MAIN,
    TYPE_CHECKING,
    Function,
    Key,
    bound,
    called,
    is_import,
    needs,
    runs_through,
    target_names,
    targets,
)
from workbook.merge.pieces import Piece


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


@dataclass(eq=False, repr=False)
class Shelf:
    """The pieces of one body, among which a new value finds its place: a constant of a module, a field of a class.

    Args:
        pieces: The body.
        outer: Names that are there before the body runs.
        nested: Whether the body is a class's.
    """

    pieces: list[Piece]
    outer: frozenset[str]
    nested: bool

    def place(self, node: ast.stmt, end: int) -> int:
        """Return where a value belongs: below the last of its like, above the functions, and below what it needs."""
        names = {name for target in targets(node) for name in target_names(target)}
        return max(self.field_place() if self.nested else self.constant_place(names), self.floor(node, names, end))

    def field_place(self) -> int:
        """Return the place below the last field, or above the first method."""
        first = next((at for at, piece in enumerate(self.pieces) if piece.is_definition), len(self.pieces))
        return self.below_values(len(self.pieces)) or self.above_comments(first)

    def constant_place(self, names: set[str]) -> int:
        """Return the place below the last constant above all functions and users of the names, or the top."""
        users = (at for at, piece in enumerate(self.pieces) if is_function(piece) or mentioned(piece.node) & names)
        limit = next(users, len(self.pieces))
        first = next((at for at, piece in enumerate(self.pieces[:limit]) if piece.is_definition), limit)
        return self.below_values(limit) or self.above_comments(first)

    def below_values(self, limit: int) -> int:
        """Return the place below the last value above a limit, and below the comment that follows it; 0 without one."""
        at = max((at + 1 for at, piece in enumerate(self.pieces[:limit]) if is_value(piece.node)), default=0)
        comment = self.pieces[at] if 0 < at < len(self.pieces) else None
        return at + 1 if comment and comment.node is None and not comment.blank else at

    def above_comments(self, at: int) -> int:
        """Return the place above the comments that stand before a piece."""
        while at and self.pieces[at - 1].node is None:
            at -= 1
        return at

    def floor(self, node: ast.stmt, names: set[str], end: int) -> int:
        """Return the highest place where a value means what it means at the end of the body."""
        needed, shadowed = self.needed(node), names & self.outer
        plain = not (needs(node) or called(node))
        floor = 0
        for at, piece in enumerate(self.pieces[:end]):
            if piece.keys & {MAIN, TYPE_CHECKING}:
                continue
            acts = piece.node is not None and (effect(piece.node) is Above.EFFECTS or is_import(piece.node))
            clash = binds(piece) & names or needs(piece.node) & shadowed
            if clash or piece in needed or (acts and not plain):
                floor = at + 1
        return floor

    def needed(self, node: ast.stmt) -> set[Piece]:
        """Return the pieces that a value speaks of; in a module also those that they speak of: it may call them."""
        found: set[Piece] = set()
        wanted = needs(node) if self.nested else mentioned(node)
        while more := {piece for piece in self.pieces if piece not in found and binds(piece) & wanted}:
            found |= more
            wanted |= set() if self.nested else set().union(*(mentioned(piece.node) for piece in more))
        return found


def is_value(node: ast.stmt | None) -> bool:
    """Tell whether a statement gives names a value: a constant, an alias, a field."""
    found = [name for target in targets(node) for name in target_names(target)] if node else []
    return bool(found) and all(name.isidentifier() for name in found)


def is_function(piece: Piece) -> bool:
    """Tell whether a piece is a function."""
    return isinstance(piece.node, Function)


def mentioned(node: ast.stmt | None) -> set[str]:
    """Return the names that a statement reads, when it is imported or later."""
    inner = ast.walk(node) if node else ()
    return {one.id for one in inner if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}


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
