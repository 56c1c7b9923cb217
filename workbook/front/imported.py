"""The learner's package as the notebook's kernel has imported it, and whether its files have changed since."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from workbook.base.errors import WorkbookError
from workbook.checking.finder import PACKAGE, forget
from workbook.checking.judge import Judge
from workbook.checking.package import Package

Stamp = frozenset[tuple[str, int, int]]


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
        found = Judge(Package(self.folder)).judge("main", "", 0.0, error)
        lines = [f"your app cannot be imported: {found.got}"]
        lines += [f"your code: {found.where}"] if found.where else []
        return "\n".join([*lines, "", f"hint: {found.hint}"] if found.hint else lines)
