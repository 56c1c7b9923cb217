"""What Python code does, apart from how it is written: comments, docstrings and layout have no part in it."""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def digest_of(path: Path, known: Path | None = None) -> str:
    """Return the SHA-256 of what a file's code does; of its bytes if it is no Python, and of nothing if it is gone.

    Args:
        path: the file.
        known: a folder in which results are kept by content, so that a file is parsed once.
    """
    data = path.read_bytes() if path.is_file() else b"-"
    raw = hashlib.sha256(data).hexdigest()
    kept = known / raw if known else None
    if kept and kept.is_file():
        return kept.read_text(encoding="ascii")
    try:
        found = hashlib.sha256("".join(_parts(ast.parse(data))).encode()).hexdigest()
    except (SyntaxError, ValueError):
        found = raw
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        new = kept.with_name(f"{raw}.{os.getpid()}")
        new.write_text(found, encoding="ascii")
        new.replace(kept)
    return found


def _parts(node: object) -> Iterator[str]:
    """Yield the tree as text; what is empty or None is left out, since Python versions differ in what they add."""
    if isinstance(node, ast.AST):
        yield f"{type(node).__name__}("
        documented = isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None
        for name, found in ast.iter_fields(node):
            value = found[1:] if name == "body" and documented else found
            if value is not None and value != []:
                yield f"{name}="
                yield from _parts(value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for one in node:
            yield from _parts(one)
        yield "]"
    else:
        yield f"{type(node).__name__}:{node!r},"
