"""Packages under other names: several versions of one app, side by side in one process."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from workbook.checking.finder import PACKAGE

IMPORT = re.compile(rf"^(\s*(?:from|import) ){PACKAGE}(?=[.\s])", re.MULTILINE)
NAMED = re.compile(rf"^\s*(?:from|import) {PACKAGE}((?:\.\w+)*)", re.MULTILINE)
HASHES = "/hashes"  # the instrument's path
WORK = ("hash", "verify")  # what costs time, of a passlib context


@dataclass(frozen=True)
class Original:
    """A replica whose modules others may take as they are.

    Args:
        files: its modules by path.
        name: what it is called.
    """

    files: Mapping[str, str]
    name: str


def replica(files: Mapping[str, str], name: str, folder: Path, original: Original | None = None) -> ModuleType:
    """Write a package under a name of its own, and import its `main`.

    What it imports of `app` is its own, also inside functions, so that no replica touches another, nor the learner's.
    With an original, a module is shared if neither it nor anything that it imports is different there: to import a
    whole package takes a tenth of a second. What modules find by a path, and not by an import, must be the same.

    Args:
        files: the package's modules by path.
        name: what it is called; nothing of this name may be imported yet.
        folder: an empty one; it stays on the path, for modules that are imported when they are first needed.
        original: an imported replica with nearly the same modules.
    """
    shared = _shared(files, original) if original else {}
    target = folder / name
    for path, text in files.items():
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if path not in shared:
            place.write_text(IMPORT.sub(rf"\g<1>{name}", text), encoding="utf-8")
    for inner in (target, *(one for one in target.rglob("*") if one.is_dir())):
        (inner / "__init__.py").touch()
    sys.path.append(str(folder))
    importlib.invalidate_caches()
    for path, module in shared.items():
        importlib.import_module(f"{name}{_module(path).rpartition('.')[0]}")  # the package that it is in
        sys.modules[f"{name}{_module(path)}"] = module
    return importlib.import_module(f"{name}.main")


def _shared(files: Mapping[str, str], original: Original) -> dict[str, ModuleType]:
    """Return the modules that need not be made anew, by path: those that were imported, but for packages."""
    own = changed(files, original.files)
    names = {path: f"{original.name}{_module(path)}" for path in files if path not in own}
    return {path: sys.modules[name] for path, name in names.items() if name in sys.modules and _is_module(path)}


def _is_module(path: str) -> bool:
    return not path.endswith("__init__.py")


def _module(path: str) -> str:
    """Return what a module is called below its package, with a dot before it: `.users.crud`."""
    return "".join(f".{part}" for part in Path(path).with_suffix("").parts)


def changed(files: Mapping[str, str], before: Mapping[str, str]) -> set[str]:
    """Return the paths whose text differs, and those that import one of them, directly or not.

    Imports inside functions count. Whoever imports a package is taken to need all that lies directly in it.
    """
    found = {path for path in files.keys() | before.keys() if files.get(path) != before.get(path)}
    needs = {path: set(_needed(text, files)) for path, text in files.items()}
    while more := {path for path, needed in needs.items() if path not in found and needed & found}:
        found |= more
    return found & files.keys()


def _needed(text: str, files: Mapping[str, str]) -> Iterator[str]:
    for dotted in NAMED.findall(text):
        place = dotted.removeprefix(".").replace(".", "/")
        if f"{place}.py" in files:
            yield f"{place}.py"
        else:
            yield from (path for path in files if Path(path).parent.as_posix() == (place or "."))


class Instrument:
    """An app with a counter: `GET /hashes` says how many times it has worked on a password.

    A clock would say the same, on a quiet machine, after a thousand requests.

    Args:
        app: the ASGI app.
        context: the passlib context that it hashes with; it is changed.
    """

    def __init__(self, app: Any, context: Any) -> None:
        self.app, self.worked = app, 0
        for name in WORK:
            setattr(context, name, self._counted(getattr(context, name)))

    def _counted(self, work: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.worked += 1
            return work(*args, **kwargs)

        return counted

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer for the counter, and pass everything else on."""
        if scope["type"] == "http" and scope["path"] == HASHES:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": str(self.worked).encode()})
        else:
            await self.app(scope, receive, send)
