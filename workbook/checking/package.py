"""The learner's package as the checks see it: where it lies, how its modules are imported, which lines are its own."""

from __future__ import annotations

import importlib
import types
from pathlib import Path
from typing import Any

from workbook import expect
from workbook.checking.finder import PACKAGE, Finder, forget
from workbook.feedback.verdict import Location


class Package:
    """The learner's package: where it lies, how its modules are imported, which frames are its.

    `used` says whether a check has come to the learner's code yet: what fails before that is the check's own fault.
    `foreign` are files below the folder that are not the learner's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.used, self.foreign = folder.absolute(), False, frozenset[str]()

    def locate(self, file: str, line: int) -> Location | None:
        """Return a Location for a line of the package's own code, else None."""
        path = Path(file)
        if not path.is_absolute() or not path.is_relative_to(self.folder):
            return None
        if path.relative_to(self.folder).as_posix() in self.foreign:
            return None
        relative = Path(PACKAGE) / path.relative_to(self.folder)
        return Location(path=relative.as_posix(), line=line, source=_line(path, line))

    def load(self, name: str) -> Module:
        """Import `app.<name>` and return it behind a face whose missing names are explained.

        Raises:
            expect.Wrong: the file is not there.
        """
        self.used = True
        file = self.folder / Path(*name.split(".")).with_suffix(".py")
        shown = f"app/{file.relative_to(self.folder).as_posix()}"
        folder = file.with_suffix("")
        if not file.is_file() and not (folder / "__init__.py").is_file():
            raise expect.Wrong(
                did=f"import app.{name}",
                got=f"there is no file {shown}",
                expected=f"{shown} exists",
                hint="run the cells above this exercise, or `%catchup`",
            )
        Finder.point(self.folder)
        module = importlib.import_module(f"{PACKAGE}.{name}")
        self._refuse_other(module)
        return Module(module, shown)

    def _refuse_other(self, module: types.ModuleType) -> None:
        """Refuse a module that came from anywhere else: another package of that name must never be judged."""
        found = Path(module.__file__ or "").resolve()
        if not found.is_relative_to(self.folder.resolve()):
            raise ImportError(f"{module.__name__} was imported from {found}, not from {self.folder}")


class Module:
    """A module of the learner's; asking for a name that it lacks is a wrong answer, not an AttributeError."""

    def __init__(self, module: types.ModuleType, file: str) -> None:
        self._module, self._file = module, file

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self._module, name)
        except AttributeError:
            raise expect.Wrong(
                did=f"from {self._module.__name__} import {name}",
                got=f"{self._file} has no {name}",
                expected=f"{self._file} defines {name}",
                hint=f"define `{name}` in {self._file}; mind the spelling",
            ) from None


class Loader:
    """The `load` fixture: `load("users.schemas")`, and `load.fresh(...)` to import the package anew."""

    def __init__(self, package: Package) -> None:
        self._package = package

    def __call__(self, name: str) -> Module:
        """Import a module of the learner's package."""
        return self._package.load(name)

    def fresh(self, name: str) -> Module:
        """Import the whole package anew, as a new process would."""
        forget()
        return self._package.load(name)


def _line(path: Path, line: int) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return lines[line - 1].strip() if 0 < line <= len(lines) else ""
