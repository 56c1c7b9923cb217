"""What each chapter's solutions leave in the package, kept beside the course's index: making it takes a second."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from workbook.base import engine
from workbook.base.errors import WorkbookError
from workbook.course import release
from workbook.course.chapter import Chapter
from workbook.course.snapshot import Snapshot

PREFIX = "states-"
States = dict[int, dict[str, str]]  # by chapter: the modules that its cells write, as they are after it


def made(chapters: Iterable[Chapter]) -> States:
    """Return the states of a course, by running the solved cells one after the other."""
    package, states = Snapshot(), States()
    for chapter in chapters:
        paths = {package.run(release.solved_source(cell)) for cell in chapter.writes}
        states[chapter.number] = {path: package.files[path] for path in sorted(paths)}
    return states


def _place(index: Path) -> Path:
    """Return where the states of an index are kept: under another name, once the code that makes them has changed."""
    digest = hashlib.sha256(index.name.encode())
    for path in engine.behind([Path(__file__)]):
        digest.update(path.read_bytes())
    return index.with_name(f"{PREFIX}{digest.hexdigest()[:16]}.json")


def states(chapters: Iterable[Chapter], index: Path | None) -> States:
    """Return the states of a course: those that are kept with its index, or new ones, which are kept then."""
    target = _place(index) if index else None
    try:
        found = json.loads(target.read_bytes()) if target else {}
        return {int(number): dict(files) for number, files in found.items()} or made(chapters)
    except (OSError, ValueError):
        new = made(chapters)
        _store(target, new)
        return new


def prepare(chapters: Iterable[Chapter], index: Path) -> None:
    """Keep the states of a course, where none are kept yet: a check may not write."""
    if not any(index.parent.glob(f"{PREFIX}*.json")):
        with contextlib.suppress(WorkbookError):  # a cell that cannot be run is told by who runs it
            states(chapters, index)


def _store(target: Path | None, new: States) -> None:
    """Write the states whole or not at all; a cache that cannot be written is no error."""
    if target is None:
        return
    with contextlib.suppress(OSError):
        for stale in target.parent.glob(f"{PREFIX}*.json"):
            stale.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(new, file)
        Path(name).replace(target)
