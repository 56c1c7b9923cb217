"""Which of the engine's own files a piece of code runs through: what a remembered result depends on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

FOLDER = Path(__file__).parent
# a syntax tree would say the same and take ten times as long
IMPORT = re.compile(rf"^[ \t]*(?:from|import) {FOLDER.name}(?:\.(\w+)| import \(?([\w\s,]+?)\)?$)", re.MULTILINE)


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
        if path.parent == folder:
            found.add(path)
        todo += [folder / f"{name}.py" for name in _imported(path)]
    return sorted(found)


def _imported(path: Path) -> Iterator[str]:
    """Yield the engine's modules that a file names in its imports."""
    text = path.read_text(encoding="utf-8")
    for module, names in IMPORT.findall(text):
        yield from [module] if module else [name.split()[0] for name in names.split(",") if name.strip()]
