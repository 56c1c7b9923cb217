"""Which of the engine's own files a piece of code runs through: what a remembered result depends on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

FOLDER = Path(__file__).parent
# a syntax tree would say the same and take ten times as long
IMPORT = re.compile(
    rf"^[ \t]*(?:from|import) {FOLDER.name}((?:\.\w+)*)(?: import \(?([\w\s,]+?)\)?[ \t]*(?:#.*)?$|\b)", re.MULTILINE
)


def behind(files: Iterable[Path], folder: Path = FOLDER) -> list[Path]:
    """Return the files of the engine that these files import, directly or not; those of them that belong to it too.

    Imports inside functions count, so a module that is loaded when it is first needed is found. What `__init__.py`
    imports does not: it starts the notebook, and whoever imports a module runs nothing of that.

    Args:
        files: Python files, of the engine or not.
        folder: the engine.
    """
    todo, found = list(files), {folder / "__init__.py"}
    seen: set[Path] = set()
    while todo:
        path = todo.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        if folder in path.parents:
            found.add(path)
        for name in _imported(path):
            place = folder.joinpath(*name.split("."))
            todo += [place.with_suffix(".py"), *([place / "__init__.py"] if place.is_dir() else [])]
    return sorted(found)


def _imported(path: Path) -> Iterator[str]:
    """Yield the engine's modules that a file names in its imports, such as `clues` and `exam.run`.

    A package is among them with each of its modules that is named; what is no module is no file either.
    """
    text = path.read_text(encoding="utf-8")
    for dotted, names in IMPORT.findall(text):
        package = dotted.removeprefix(".")
        if package:
            yield package
        for name in names.split(","):
            if name.strip():
                yield ".".join(filter(None, [package, name.split()[0]]))
