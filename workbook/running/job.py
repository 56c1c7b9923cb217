"""What a worker is asked to do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, Field

from workbook.base.tree import content, modules

Key = tuple[tuple[str, int, int], ...]
LATE = "it did not end within"
# how a process ended that had all of its time, and one that a busy machine gave none
OUT_OF_TIME, NO_TIME = "out of time", "out of time: the machine was busy"
GRACE, START = 3.0, 60.0  # seconds: beyond a limit, and until the first test begins


class Job(BaseModel):
    """What to check: the checks of `exercises`, or only that `module` can be imported.

    `limit` is the wall time of one test in seconds, `total` that of all of them; `memory` is in bytes.
    With `ahead` the checks are collected for jobs that will come, and none is run.
    With `first_failure` nothing is run after a check that fails.
    `scratch` is a folder that does not exist yet, for the checks' temporary files;
    `services` goes into the environment.
    """

    app: Path
    root: Path
    exercises: list[str] = Field(default_factory=list)
    module: str = ""
    files: list[Path] = Field(default_factory=list)
    limit: float = 10.0
    total: float = 30.0
    memory: int = 3 << 30
    first_failure: bool = False
    ahead: bool = False
    nonce: str = ""
    services: dict[str, str] = Field(default_factory=dict)
    scratch: Path = Path("scratch")


def check_files(root: Path, chapters: Iterable[int]) -> list[Path]:
    """Return the check files of chapters."""
    folder = root / "tests" / "chapters"
    return [path for number in chapters for path in sorted(folder.glob(f"test_{number:02d}_*.py"))]


def key_of(root: Path, files: Iterable[Path]) -> Key:
    """Return what tells one collection of check files from another: all that it comes from, with times and sizes."""
    tests = root / "tests"
    fixed = (*files, root / "pyproject.toml", tests / "conftest.py", tests / "chapters" / "conftest.py")
    shared = (*sorted((tests / "chapters").glob("*/*.py")), *sorted((root / "solutions").glob("*.md")))
    return tuple(_stamp(path) for path in (*fixed, *shared))


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), found.st_mtime_ns, found.st_size


def digest(folder: Path) -> str:
    """Return the SHA-256 of a package's Python files, names and contents, in sorted order."""
    found = hashlib.sha256()
    for path in modules(folder):
        found.update(path.relative_to(folder).as_posix().encode() + b"\0" + (content(path) or b"") + b"\0")
    return found.hexdigest()
