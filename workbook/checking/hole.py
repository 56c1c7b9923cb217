"""Where in the learner's file the code stands that an exercise asks for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workbook.checking.finder import PACKAGE
from workbook.checking.package import Package
from workbook.feedback.verdict import Location
from workbook.merge.names import Function, keys


@dataclass(frozen=True)
class Hole:
    """What one exercise asks to write.

    Args:
        path: the file, below the package.
        names: the definitions, as `outline` names them: `UserService.update`.
    """

    path: str
    names: Sequence[str]

    @property
    def file(self) -> str:
        """Return the file as feedback names it."""
        return f"{PACKAGE}/{self.path}"

    def text(self, package: Package) -> str:
        """Return the learner's file, or an empty text."""
        try:
            return (package.folder / self.path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    def nodes(self, package: Package) -> dict[str, ast.stmt]:
        """Return the statements of the learner's that define the asked names, in the order of the exercise."""
        try:
            found = dict(_outline(ast.parse(self.text(package)), ""))
        except (SyntaxError, ValueError):
            return {}
        return {name: found[name] for name in self.names if name in found}

    def place(self, package: Package, words: str = "") -> Location | None:
        """Return the line of the definition that is meant, or of the class around it.

        Args:
            words: what the feedback speaks of; of several definitions, the one whose name is in it is meant.
        """
        nodes = self.nodes(package)
        spoken = set(re.findall(r"\w+", words))
        lacking = [name for name in self.names if name not in nodes and name.rpartition(".")[2] in spoken]
        if lacking and not any(name.rpartition(".")[2] in spoken for name in nodes):
            return self._line(package, self._classes(package, lacking))
        named = [node for name, node in nodes.items() if name.rpartition(".")[2] in spoken]
        functions = [node for node in nodes.values() if isinstance(node, Function | ast.ClassDef)]
        chosen = (named or functions or list(nodes.values()))[:1]
        if not named and len(nodes) > 1 and not functions:
            chosen = self._classes(package, self.names) or chosen
        return self._line(package, chosen)

    def _line(self, package: Package, nodes: Sequence[ast.stmt]) -> Location | None:
        return package.locate(str(package.folder / self.path), nodes[0].lineno) if nodes else None

    def _classes(self, package: Package, names: Sequence[str]) -> list[ast.stmt]:
        """Return the one class in which all of these names stand."""
        around = {name.rpartition(".")[0] for name in names}
        found = dict(_outline(ast.parse(self.text(package)), "")) if len(around) == 1 else {}
        return [found[name] for name in around if name in found]


def _outline(parent: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the definitions in a body by qualified name; of several with one name, the last counts."""
    for node in parent.body:
        for kind, name in keys(node):
            if kind == "":
                yield prefix + name, node
        if isinstance(node, ast.ClassDef):
            yield from _outline(node, f"{prefix}{node.name}.")
