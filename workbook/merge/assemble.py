"""A cell's code put into a package: the argument line, the text, the merge. Text in, text out."""

from __future__ import annotations

from dataclasses import replace

from workbook.merge.blocks import one_block
from workbook.merge.bodies import Module, read_module
from workbook.merge.header import Header, parse_header
from workbook.merge.imports import Imports
from workbook.merge.merging import BUILTINS, Merging
from workbook.merge.names import Key, is_import
from workbook.merge.order import Order
from workbook.merge.outline import definitions, describe
from workbook.merge.pieces import Piece
from workbook.merge.syntax import CellError, bounded, check, check_syntax, clean

__all__ = [
    "CellError",
    "Header",
    "check_syntax",
    "clean",
    "definitions",
    "describe",
    "in_order",
    "merge",
    "parse_header",
]

FILE = "the module that is there already"


@bounded
def merge(existing: str, cell: str, previous: str | None = None) -> str:
    """Put a cell's top-level definitions into a module.

    The same name is replaced in place, classes member by member; new constants and fields are put
    among their like, above the functions; other new names are inserted in the cell's order, at the
    end where nothing tells otherwise; imports are united at the top, but for
    those marked `# noqa: E402` and those that follow something they may depend on: see `effects`.
    Comments and formatting of both are kept.

    Args:
        existing: The module's text; "" where there is none.
        cell: The cell's code.
        previous: The code of the same cell's last run: what it put there and the cell no longer
            has is removed, unless it was edited since.

    Raises:
        CellError: Either text is not right Python.
    """
    check(clean(existing), FILE, "", "repair it in the editor, or take back its change with `%undo`")
    check(clean(cell), "the cell", "")
    module, new = read_module(clean(existing)), read_module(clean(cell))
    old = last_run(previous)
    for part in (module, new, old):
        part.pieces = one_block(part.pieces)
    merge_top(module, new, old)
    module.pieces = Merging(module.pieces, new.pieces, old.pieces, names_above(module)).run()
    code = "\n".join(piece.text for piece in module.pieces)
    module.imports.drop(set(old.imports.names) - set(new.imports.names), code)
    moved = heal(module)
    text = module.render()
    check(text, "the module with the cell in it", "", "run the cell without `--merge`")
    return read_module(text).render() if moved else text  # an import that moved up may be one of those at the top now


@bounded
def in_order(text: str) -> str:
    """Return a module in which what a statement needs at import time stands above it; as it is, where it does.

    Raises:
        CellError: The text is not right Python.
    """
    check(clean(text), FILE, "", "repair it in the editor, or take back its change with `%undo`")
    module = read_module(clean(text))
    return read_module(module.render()).render() if heal(module) else text


def heal(module: Module) -> bool:
    """Move up what stands below its first use at import time; say whether anything did."""
    lazy = any(name.section == 0 and name.name == "annotations" for name in module.imports.names)
    star = any(name.name == "*" for name in module.imports.names)  # nobody knows what it brings
    return not star and Order(module.pieces, names_above(module), lazy, whole=True).heal()


def names_above(module: Module) -> frozenset[str]:
    """Return the names that are there before a module's own statements run."""
    return BUILTINS | {name.bound.split(".")[0] for name in module.imports.names}


def last_run(previous: str | None) -> Module:
    """Read the cell of the last run; nothing, where there was none or it cannot be read."""
    try:
        text = clean(previous or "")
        check(text, "the last run", "")
    except CellError:
        return Module()
    return read_module(text)


def is_there(piece: Piece, module: Module) -> bool:
    """Say whether a piece is a late import of what the module imports at its top already."""
    if piece.node is None or not is_import(piece.node) or "E402" in piece.text:
        return False
    return set(Imports.read([piece.text]).names) <= set(module.imports.names)


def comments(module: Module) -> set[frozenset[Key]]:
    """Return the comments that stand alone: one that opens a cell's constants may come to open the module."""
    return {piece.keys for piece in [*module.header, *module.pieces] if piece.node is None}


def merge_top(module: Module, new: Module, old: Module) -> None:
    """Merge what stands above the definitions: the header, the docstring, the imports."""
    header = {piece.keys for piece in module.header}
    if module.is_empty:
        module.header, module.tight = new.header, new.tight
    else:
        gone = comments(old) - comments(new)
        module.header = [piece for piece in module.header if piece.keys not in gone]
        new.pieces = [piece for piece in new.pieces if piece.node or piece.keys not in header]
        own = [piece for piece in new.header if piece.keys not in header]
        new.pieces[:0] = [replace(piece, blank=1) for piece in own]
    if not new.docstring and module.docstring == old.docstring:
        module.docstring = ""
    module.docstring = new.docstring or module.docstring
    new.pieces = [piece for piece in new.pieces if not is_there(piece, module)]
    module.imports.add(new.imports)
    old.pieces[:0] = old.header
