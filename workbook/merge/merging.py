"""A cell's pieces put among a module's: replaced in place; else a value among its like, the rest in cell order."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from workbook.merge.blocks import unite_block
from workbook.merge.bodies import read_class
from workbook.merge.names import MAIN, TYPE_CHECKING, Key, needs
from workbook.merge.order import Order, Shelf, binds, is_value
from workbook.merge.pieces import Piece

BUILTINS = frozenset(dir(builtins))


@dataclass(eq=False, repr=False)
class Merging:
    """The pieces of one body while a cell's are put among them.

    Args:
        pieces: The body as it stands; the result at the end.
        cell: The cell's pieces, in their order.
        previous: The pieces of the cell's last run.
        outer: Names that are there before the body runs.
        nested: Whether the body is a class's.
    """

    pieces: list[Piece]
    cell: Sequence[Piece]
    previous: Sequence[Piece]
    outer: frozenset[str]
    nested: bool = False
    places: dict[int, Piece] = field(default_factory=dict)
    fresh: list[Piece] = field(default_factory=list)

    def run(self) -> list[Piece]:
        """Remove, replace, insert, and put first what is needed first."""
        self.remove()
        for group in groups(self.cell):
            self.replace(group)
        new = [number for number in range(len(self.cell)) if number not in self.places]
        for number in sorted(new, key=lambda number: self.value(number) is not None):  # what they may need first
            self.insert(number)
        order = Order(self.pieces, self.outer)
        for piece in self.fresh:
            order.hoist(piece)
        return self.pieces

    def remove(self) -> None:
        """Remove what the cell's last run put here and the cell no longer has."""
        kept = frozenset(key for piece in self.cell for key in piece.keys)
        for piece in [*self.pieces]:
            before = [old for old in self.previous if old.keys & piece.keys]
            if piece.keys <= kept or not before:
                continue
            if any(old.text == piece.text for old in before):
                self.pieces.remove(piece)
            elif isinstance(piece.node, ast.ClassDef):
                self.put(piece, without_members(piece, before[0], self.outer))

    def put(self, piece: Piece, new: Piece | None) -> None:
        """Put a piece in the place of another, or nothing."""
        at = self.pieces.index(piece)
        self.pieces[at : at + 1] = [new] if new else []

    def replace(self, group: Sequence[int]) -> None:
        """Replace the pieces that the cell defines anew, one by one, in place."""
        names = frozenset(key for number in group for key in self.cell[number].keys)
        there = [piece for piece in self.pieces if piece.keys <= names]
        for number, piece in zip(group, there, strict=False):
            new = self.united(piece, self.cell[number])
            self.put(piece, new)
            self.places[number] = new
            if new.text != piece.text:
                self.fresh.append(new)
        if self.cell[group[0]].is_named:
            for piece in there[len(group) :]:
                self.pieces.remove(piece)

    def united(self, piece: Piece, new: Piece) -> Piece:
        """Return the cell's piece as it stands in the place of one that is there."""
        if piece.text == new.text:
            return piece
        before = [old for old in self.previous if old.keys & piece.keys]
        if isinstance(piece.node, ast.ClassDef) and isinstance(new.node, ast.ClassDef):
            outer = self.outer | {name for p in self.pieces for kind, name in p.keys if not kind}
            new = merge_class(piece, new, before[0] if before else None, outer)
        elif TYPE_CHECKING in piece.keys:
            code = "\n".join(other.text for other in self.pieces if other is not piece)
            new = unite_block(piece, new, before[0] if before else None, code)
        return replace(new, blank=piece.blank)

    def insert(self, number: int) -> None:
        """Insert a new piece: a value among its like, others before the next of the cell, or at the end."""
        piece = self.cell[number]
        lower = max((self.at(n) + 1 for n in self.places if n < number and self.tells(n, number)), default=0)
        upper = min((self.at(n) for n in self.places if n > number and self.tells(n, number)), default=-1)
        end = upper if upper >= lower else len(self.pieces)
        at = min(end, self.shelved(number, end))
        if at > lower and at == len(self.pieces) and MAIN in self.pieces[-1].keys - piece.keys:
            at -= 1
        if TYPE_CHECKING in piece.keys:
            at = 0
        if not self.follows(number, at):
            piece = replace(piece, blank=0 if self.nested else 1)
        below = self.pieces[at] if at < len(self.pieces) else None
        if below and not self.nested and not below.blank:
            self.loosen(below, number + 1)
        self.pieces.insert(at, piece)
        self.places[number] = piece
        self.fresh.append(piece)

    def value(self, number: int) -> ast.stmt | None:
        """Return the value that a piece of the cell gives names, or a comment stands above; None where order counts."""
        piece = next((piece for piece in self.cell[number:] if piece.node), None)
        if piece is None or not is_value(piece.node) or any(o.keys & piece.keys for o in self.cell if o is not piece):
            return None
        return piece.node

    def tells(self, there: int, number: int) -> bool:
        """Say whether a piece of the cell that is there bounds the place of a new one."""
        new, value = self.cell[number], self.value(there)
        if self.value(number):
            return value is not None or (there > number and not self.cell[there].is_definition)
        if value is None or not new.is_definition:
            return True
        return bool(needs(value) & binds(new) or needs(new.node) & binds(self.cell[there]))

    def shelved(self, number: int, end: int) -> int:
        """Return where a value belongs, below the new ones that stand above it in the cell; the end for the rest."""
        node = self.value(number)
        if node is None:
            return len(self.pieces)
        above = [n for n in self.places if n < number and self.value(n) and self.places[n] in self.fresh]
        lower = max((self.at(n) + 1 for n in above), default=0)
        return max(lower, Shelf(self.pieces, self.outer, self.nested).place(node, end))

    def follows(self, number: int, at: int) -> bool:
        """Say whether a new piece has the same kind of piece above it as in the cell, so that the cell's gap fits."""
        if number == 0 or self.cell[number - 1].is_definition:
            return False
        return self.value(number) is None or (at > 0 and self.places.get(number - 1) is self.pieces[at - 1])

    def loosen(self, below: Piece, number: int) -> None:
        """Part a piece from one that is inserted above it, unless the cell has them together."""
        together = self.places.get(number) is below and not self.cell[number].blank
        new = replace(below, blank=0 if together else 1)
        self.put(below, new)
        self.places = {n: new if p is below else p for n, p in self.places.items()}
        self.fresh = [new if piece is below else piece for piece in self.fresh]

    def at(self, number: int) -> int:
        """Return where a piece of the cell stands."""
        return self.pieces.index(self.places[number])


def groups(cell: Sequence[Piece]) -> Iterator[list[int]]:
    """Yield the numbers of the pieces that share names, such as `a = 1` and `a, b = f(a)`."""
    found: list[tuple[set[Key], list[int]]] = []
    for number, piece in enumerate(cell):
        names, numbers = set(piece.keys), [number]
        for other in [pair for pair in found if pair[0] & names]:
            names |= other[0]
            numbers = other[1] + numbers
            found.remove(other)
        found.append((names, numbers))
    yield from (sorted(numbers) for _, numbers in found)


def merge_class(piece: Piece, new: Piece, before: Piece | None, outer: frozenset[str]) -> Piece:
    """Merge a class member by member; decorators and bases are the cell's."""
    old, cell = read_class(piece), read_class(new)
    last = read_class(before) if before and isinstance(before.node, ast.ClassDef) else None
    cell.shift(old.indent)
    if last:
        last.shift(old.indent)
    if not cell.comment and not (last and last.comment == old.comment):
        cell.comment = old.comment
    documented = last.docstring if last else None
    dropped = documented and old.docstring and documented.text == old.docstring.text
    if not cell.docstring and not dropped:
        cell.docstring = old.docstring
    previous = last.members if last else []
    cell.members = Merging(old.members, cell.members, previous, outer, nested=True).run()
    cell.placeholders = cell.placeholders or old.placeholders
    return new.with_text(cell.render())


def without_members(piece: Piece, before: Piece, outer: frozenset[str]) -> Piece | None:
    """Remove from a class the members that stand as the cell's last run wrote them."""
    if not isinstance(before.node, ast.ClassDef):
        return piece
    old, last = read_class(piece), read_class(before)
    last.shift(old.indent)
    count = len(old.members)
    old.members = Merging(old.members, [], last.members, outer, nested=True).run()
    if count and not old.members and last.head == old.head:
        return None
    return piece if len(old.members) == count else piece.with_text(old.render())
