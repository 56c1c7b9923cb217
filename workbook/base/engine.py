"""Which files of the engine, and of what checks share, code runs through: what a remembered result depends on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

FOLDER = Path(__file__).parent.parent
SHARED = "course_checks"  # the package beside the check files: what several of them use
# a syntax tree would say the same and take ten times as long
IMPORT = r"^[ \t]*(?:from|import) ({})((?:\.\w+)*)(?: import \(?([\w\s,]+?)\)?[ \t]*(?:#.*)?$|\b)"


def shared(root: Path) -> Path:
    """Return the package that the check files of a course share; it need not exist."""
    return root / "tests" / "chapters" / SHARED


def behind(files: Iterable[Path], folder: Path = FOLDER, *others: Path) -> list[Path]:
    """Return the files of the engine that these files import, directly or not; those of them that belong to it too.

    Imports inside functions count, so a module that is loaded when it is first needed is found. What `__init__.py`
    imports does not: it starts the notebook, and whoever imports a module runs nothing of that.

    Args:
        files: Python files, of the engine or not.
        folder: the engine.
        others: further packages whose files are followed, and returned, in the same way.
    """
    packages = (folder, *others)
    todo, found = list(files), {package / "__init__.py" for package in packages}
    seen: set[Path] = set()
    while todo:
        path = todo.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        if any(package in path.parents for package in packages):
            found.add(path)
        for place in _imported(path, packages):
            todo += [place.with_suffix(".py"), *([place / "__init__.py"] if place.is_dir() else [])]
    return sorted(found)


def _imported(path: Path, packages: Sequence[Path]) -> Iterator[Path]:
    """Yield the places of the modules that a file names in its imports, such as `clues` and `exam/run` of the engine.

    A package is among them with each of its modules that is named; what is no module is no file either.
    """
    text, folders = path.read_text(encoding="utf-8"), {folder.name: folder for folder in packages}
    for name, dotted, names in re.findall(IMPORT.format("|".join(folders)), text, re.MULTILINE):
        package = folders[name].joinpath(*dotted.split("."))
        if dotted:
            yield package
        yield from (package / one.split()[0] for one in names.split(",") if one.strip())
