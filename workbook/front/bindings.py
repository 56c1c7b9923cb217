"""The names that a notebook's own import statements bind to objects of the package, renewed when it is written anew."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from workbook.checking.finder import PACKAGE

Inner = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda


@dataclass
class Binding:
    """What an import statement bound a name to: a module, or (with `member`) something in it."""

    module: str
    member: str = ""
    value: Any = None

    def current(self) -> Any:
        """Import again, and return what the statement would bind now."""
        module = importlib.import_module(self.module)
        if not self.member:
            return module
        if not hasattr(module, self.member):
            return importlib.import_module(f"{self.module}.{self.member}")
        return getattr(module, self.member)


class Bindings:
    """What the notebook imported from the package.

    Args:
        names: the notebook's variables.
    """

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._bound: dict[str, Binding] = {}
        self._loaded: set[str] = set()

    def note(self, source: str) -> None:
        """Read the imports of a cell that has run; a name that another statement bound is nobody's any more."""
        with suppress(SyntaxError, ValueError, RecursionError):
            for name, found in self._imported(ast.parse(source)):
                if name in self._names:
                    found.value = self._names[name]
                    self._bound[name] = found

    def renew(self) -> None:
        """Bind each name anew that still holds what its import gave; one that cannot be imported stays as it is."""
        for module in sorted(self._loaded):
            with suppress(Exception):
                importlib.import_module(module)
        for name, found in self._bound.items():
            if self._names.get(name) is found.value:
                with suppress(Exception):  # another module is broken: its own cell or check says so
                    self._names[name] = found.value = found.current()

    def _imported(self, tree: ast.AST) -> Iterator[tuple[str, Binding]]:
        """Yield the names that the statements bind, outside functions and classes."""
        for node in ast.iter_child_nodes(tree):
            if isinstance(node, ast.Import):
                yield from self._modules(node)
            elif isinstance(node, ast.ImportFrom) and not node.level and _is_ours(node.module or ""):
                yield from _members(node)
            elif not isinstance(node, Inner):
                yield from self._imported(node)

    def _modules(self, node: ast.Import) -> Iterator[tuple[str, Binding]]:
        for alias in filter(lambda one: _is_ours(one.name), node.names):
            if alias.asname:
                yield alias.asname, Binding(alias.name)
            else:
                self._loaded.add(alias.name)
                yield PACKAGE, Binding(PACKAGE)


def _members(node: ast.ImportFrom) -> Iterator[tuple[str, Binding]]:
    module = node.module or ""
    for alias in node.names:
        if alias.name != "*":
            yield alias.asname or alias.name, Binding(module, alias.name)
            continue
        found = sys.modules.get(module)
        public = [name for name in vars(found) if not name.startswith("_")] if found else []
        yield from ((name, Binding(module, name)) for name in getattr(found, "__all__", public))


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == PACKAGE
