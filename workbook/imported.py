"""The learner's package as the notebook's kernel has imported it, and whether its files have changed since."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from workbook.errors import WorkbookError

PACKAGE = "app"
Stamp = frozenset[tuple[str, int, int]]


def forget() -> None:
    """Drop every module of the package from this process, so that the next import reads the files again."""
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]
    importlib.invalidate_caches()


class Finder(importlib.abc.MetaPathFinder):
    """Finds one package by its folder, and nothing else that lies beside it.

    The package's parent need not stand before the installed packages then: a scratch file there, called `fastapi.py`
    or `email.py`, hides no module. It still stands last, for processes that the learner's code starts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def point(cls, folder: Path) -> None:
        """Let `import app` find this package; another that was found before is no longer."""
        mine = [finder for finder in sys.meta_path if isinstance(finder, cls)]
        if mine and mine[0] is sys.meta_path[0] and mine[0].folder == folder:
            return
        sys.meta_path[:] = [cls(folder), *[finder for finder in sys.meta_path if finder not in mine]]
        parent = str(folder.parent)
        sys.path[:] = [*[path for path in sys.path if path != parent], parent]

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002, importlib passes it
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return what to import for the package's own name."""
        if fullname != PACKAGE:
            return None
        init = self.folder / "__init__.py"
        if init.is_file():
            return importlib.util.spec_from_file_location(fullname, init, submodule_search_locations=[str(self.folder)])
        if not self.folder.is_dir():
            return None
        spec = ModuleSpec(fullname, None, is_package=True)
        spec.submodule_search_locations = [str(self.folder)]
        return spec


class CannotImport(WorkbookError):
    """The package, as its files are now, cannot be imported."""


class Imported:
    """What `import app` gives in this process.

    Args:
        folder: the package.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stamp = self._now()

    def _now(self) -> Stamp:
        """Return what tells one state of the files from another."""
        found = []
        for path in self.folder.rglob("*.py"):
            try:
                status = path.stat()
            except OSError:  # gone since it was listed
                continue
            found.append((str(path), status.st_mtime_ns, status.st_size))
        return frozenset(found)

    def forget(self) -> None:
        """Drop the package's modules, so that the next import reads the files."""
        self._stamp = self._now()
        forget()

    def refresh(self) -> bool:
        """Forget the modules when a file has changed since the last time, in an editor for example; say whether."""
        changed = self._now() != self._stamp
        if changed:
            self.forget()
        return changed

    def app(self) -> Any:
        """Return `app.main.app` as the files are now.

        Raises:
            CannotImport: it cannot be imported; the message names the file, the line and a hint.
        """
        self.refresh()
        try:
            return importlib.import_module(f"{PACKAGE}.main").app
        except Exception as error:
            self.forget()
            raise CannotImport(self._explained(error)) from error

    def _explained(self, error: Exception) -> str:
        from workbook.judge import Judge
        from workbook.package import Package

        found = Judge(Package(self.folder)).judge("main", "", 0.0, error)
        lines = [f"your app cannot be imported: {found.got}"]
        lines += [f"your code: {found.where}"] if found.where else []
        return "\n".join([*lines, "", f"hint: {found.hint}"] if found.hint else lines)
