"""A cell without what it must leave alone: those definitions stand in it as the module has them, or not at all."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import replace

from workbook.merge.bodies import Module, read_class, read_module
from workbook.merge.imports import Name
from workbook.merge.names import bound
from workbook.merge.outline import DOCSTRING, is_loose, qualified, statement_name
from workbook.merge.pieces import Piece
from workbook.merge.syntax import check, clean


def reduced(cell: str, module: str, kept: Collection[str]) -> str:
    """Return a cell's code in which the definitions in `kept` are the module's.

    What the module does not have is left out. So a merge puts the rest in its place, and changes nothing of them.

    Args:
        cell: the code of a cell; right Python.
        module: the module that it is to be merged into; right Python.
        kept: names as `outline.parts` gives them.
    """
    if not kept:
        return cell
    new, old = read_module(clean(cell)), read_module(clean(module))
    before = [*new.pieces]
    new.pieces = [made for piece in before if (made := _piece(piece, old.pieces, kept)) is not None]
    wanted = [piece for piece in new.pieces if not any(piece.text == there.text for there in old.pieces)]
    _keep_imports(new, old, before, wanted)
    if DOCSTRING in kept:
        new.docstring = ""
    new.header = []
    if not any(piece.node for piece in new.pieces):
        new.pieces = []
    return "" if new.is_empty else new.render()


def lost_imports(cell: str, module: str) -> bool:
    """Say whether a module uses a name that a cell imports, and neither imports nor defines it itself."""
    return bool(_lacking(read_module(clean(cell)), read_module(clean(module))))


def remembered(cell: str, kept: Collection[str], now: Collection[str]) -> str:
    """Return the code of a cell's last run without what it must leave alone, which so counts as written by others.

    Args:
        cell: the code of the last run.
        kept: names as `outline.parts` gives them.
        now: the names that the cell defines now; what it gives up of a class that is among them still goes.

    Raises:
        CellError: the cell is not right Python.
    """
    if not kept:
        return cell
    classes = {node.name for node in check(clean(cell), "the last run", "").body if isinstance(node, ast.ClassDef)}
    found = read_module(without(cell, set(kept) - (classes & set(now))))
    found.header = []
    if DOCSTRING in kept:
        found.docstring = ""
    return "" if found.is_empty else found.render()


def _piece(piece: Piece, module: list[Piece], kept: Collection[str]) -> Piece | None:
    """Return a piece as it goes into the reduced cell; None where it does not."""
    if piece.node is None:  # a comment goes in only where it is there already, and keeps its place
        return next((other for other in module if other.keys == piece.keys), None)
    names = [statement_name(piece.node)] if is_loose(piece.node) else qualified(piece.node, "")
    there = next((other for other in module if other.keys & piece.keys), None)
    if isinstance(piece.node, ast.ClassDef):
        return _class(piece, there, names[0], kept)
    return there if set(names) & set(kept) else piece


def _class(piece: Piece, there: Piece | None, name: str, kept: Collection[str]) -> Piece | None:
    """Return a class whose kept members, and whose head if that is kept, are the module's."""
    cell = read_class(piece)
    inner = [key for member in cell.members for key in _member_names(member, name)]
    if name not in kept and not set(inner) & set(kept):
        return piece
    if there is None or not isinstance(there.node, ast.ClassDef):
        return None if name in kept else piece.with_text(_without(piece, name, kept))
    if name in kept and set(inner) <= set(kept):
        return there
    old = read_class(there)
    cell.shift(old.indent)
    members = [_member(member, old.members, name, kept) for member in cell.members]
    cell.members = [member for member in members if member is not None]
    if name in kept:
        cell.comment, cell.head, cell.docstring = old.comment, old.head, old.docstring
    return piece.with_text(cell.render())


def _member(member: Piece, module: list[Piece], name: str, kept: Collection[str]) -> Piece | None:
    there = next((other for other in module if other.keys & member.keys), None)
    if member.node is None or set(_member_names(member, name)) & set(kept):
        return there
    return member


def _without(piece: Piece, name: str, kept: Collection[str]) -> str:
    """Return a class's text without its kept members."""
    cell = read_class(piece)
    cell.members = [member for member in cell.members if not set(_member_names(member, name)) & set(kept)]
    return cell.render()


def _member_names(member: Piece, name: str) -> list[str]:
    return [] if member.node is None else qualified(member.node, f"{name}.")


def _keep_imports(new: Module, old: Module, before: list[Piece], wanted: list[Piece]) -> None:
    """Leave out the imports that only what was left out needs, but for those that the module lacks."""
    lacking = _lacking(new, old)
    whole = "\n".join(piece.text for piece in before)
    code = "\n".join(piece.text for piece in wanted)
    used = replace(new.imports, names=dict(new.imports.names))
    used.drop(list(new.imports.names), whole)
    new.imports.drop([name for name in used.names if name not in lacking], code)
    there = {*old.imports.names, *lacking}
    if not code:
        for name in [name for name in new.imports.names if name not in there]:
            new.imports.names.pop(name)


def _lacking(new: Module, old: Module) -> set[Name]:
    """Return those of a cell's imports whose names the module uses and does not bind."""
    there = {name.bound.split(".")[0] for name in old.imports.names}
    there = there.union(*(bound(piece.node) for piece in old.pieces))
    lacking = {name for name in new.imports.names if name.name != "*" and name.bound.split(".")[0] not in there}
    read = {node.id for piece in old.pieces for node in _names(piece)}
    return {name for name in lacking if name.bound.split(".")[0] in read}


def _names(piece: Piece) -> Iterator[ast.Name]:
    """Yield the names that a piece reads, also in its functions."""
    tree = ast.Module([], []) if piece.node is None else piece.node
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))


def without(module: str, names: Collection[str]) -> str:
    """Return a module without some of its definitions, and without the imports that only they need."""
    if not names:
        return module
    found = read_module(clean(module))
    before = [*found.pieces]
    found.pieces = [made for piece in before if (made := _rest(piece, names)) is not None]
    gone = "\n".join(piece.text for piece in before)
    left = "\n".join(piece.text for piece in found.pieces)
    unused = replace(found.imports, names=dict(found.imports.names))
    unused.drop(list(found.imports.names), gone)  # those that were used before, and are not any more
    found.imports.drop(list(unused.names), left)
    return found.render()


def _rest(piece: Piece, names: Collection[str]) -> Piece | None:
    if piece.node is None:
        return piece
    own = [statement_name(piece.node)] if is_loose(piece.node) else qualified(piece.node, "")
    if set(own) & set(names):
        return None
    if not isinstance(piece.node, ast.ClassDef):
        return piece
    inner = read_class(piece)
    kept = [member for member in inner.members if not set(_member_names(member, own[0])) & set(names)]
    if len(kept) == len(inner.members):
        return piece
    inner.members = kept
    return piece.with_text(inner.render())
