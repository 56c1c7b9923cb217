"""Where `import app` finds the learner's package, and how it is forgotten again."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

PACKAGE = "app"


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
