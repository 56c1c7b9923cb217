"""Packages under other names: several versions of one app, side by side in one process."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from workbook.imported import PACKAGE

IMPORT = re.compile(rf"^(\s*(?:from|import) ){PACKAGE}(?=[.\s])", re.MULTILINE)
HASHES = "/hashes"  # the instrument's path
WORK = ("hash", "verify")  # what costs time, of a passlib context


def replica(files: Mapping[str, str], name: str, folder: Path) -> ModuleType:
    """Write a package under a name of its own, and import its `main`.

    What it imports of `app` is its own, also inside functions, so that no replica touches another, nor the learner's.

    Args:
        files: the package's modules by path.
        name: what it is called; nothing of this name may be imported yet.
        folder: an empty one; it stays on the path, for modules that are imported when they are first needed.
    """
    target = folder / name
    for path, text in files.items():
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(IMPORT.sub(rf"\g<1>{name}", text), encoding="utf-8")
    for inner in (target, *(one for one in target.rglob("*") if one.is_dir())):
        (inner / "__init__.py").touch()
    sys.path.append(str(folder))
    importlib.invalidate_caches()
    return importlib.import_module(f"{name}.main")


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
