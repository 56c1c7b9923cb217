"""Bytecode of modules that lie in several folders: it is made once for each text, and put beside every file with it."""

from __future__ import annotations

import importlib.util
import py_compile
import warnings
from collections.abc import Mapping
from pathlib import Path


class Compiled:
    """Keeps bytecode by text. Importing a package without it takes half as long again."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def put(self, package: Path, files: Mapping[str, str]) -> None:
        """Put bytecode beside the modules of a package; it holds whatever happens to the modules.

        Args:
            package: a folder that nobody changes any more.
            files: texts by path in it; what is no Python, or gives a warning, is left to whoever imports it.
        """
        for path, text in files.items():
            source = package / path
            place = Path(importlib.util.cache_from_source(source))
            if text not in self._known:
                self._known[text] = self._made(source, place)
            elif self._known[text]:
                place.parent.mkdir(exist_ok=True)
                place.write_bytes(self._known[text])

    @staticmethod
    def _made(source: Path, place: Path) -> bytes:
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                py_compile.compile(str(source), str(place), doraise=True, invalidation_mode=mode)
            return place.read_bytes()
        except (py_compile.PyCompileError, Warning, OSError, ValueError, RecursionError, MemoryError):
            return b""
