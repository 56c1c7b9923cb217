"""`if TYPE_CHECKING:` blocks, united as the imports at the top are."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace

from workbook.merge.imports import WIDTH, Imports
from workbook.merge.names import TYPE_CHECKING
from workbook.merge.pieces import Piece, reread, split


def one_block(pieces: Sequence[Piece]) -> list[Piece]:
    """Unite the `if TYPE_CHECKING:` blocks of a module in the first of them."""
    blocks = [piece for piece in pieces if TYPE_CHECKING in piece.keys]
    kept = [piece for piece in pieces if piece not in blocks[1:]]
    for block in blocks[1:]:
        at = next(at for at, piece in enumerate(kept) if TYPE_CHECKING in piece.keys)
        united = unite_block(kept[at], block, None, "")
        kept[at] = replace(united, blank=kept[at].blank)
    return kept


def unite_block(piece: Piece, new: Piece, last: Piece | None, code: str) -> Piece:
    """Unite the imports of two `if TYPE_CHECKING:` blocks."""
    head, imports = read_block(piece)
    head, added = read_block(new)
    gone = set(read_block(last)[1].names) - set(added.names) if last else set()
    imports.add(added)
    imports.drop(gone, code)
    lines = imports.render(WIDTH - 4).split("\n")
    return new.with_text("\n".join([head, *("    " + line if line else "" for line in lines)]))


def read_block(piece: Piece) -> tuple[str, Imports]:
    """Read an `if TYPE_CHECKING:` block: the lines up to the colon, and the imports."""
    lines, node = reread(piece)
    assert isinstance(node, ast.If)
    inner = split(lines, node.body, node.lineno + 1, len(lines))
    texts, waiting = [], ""
    for part in inner:
        waiting += part.text + "\n"
        if part.node:
            texts.append(waiting.rstrip())
            waiting = ""
    imports = Imports.read(texts)
    return "\n".join(lines[: node.lineno]), imports
