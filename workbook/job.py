"""What a worker is asked to do."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, Field

LATE = "it did not end within"
LONGEST = 25.0  # seconds that a test may ask for


class Job(BaseModel):
    """What to check: the checks of `exercises`, or only that `module` can be imported.

    `limit` is the wall time of one test in seconds, `total` that of all of them; `memory` is in bytes.
    `scratch` is a folder that does not exist yet, for the checks' temporary files.
    """

    app: Path
    root: Path
    exercises: list[str] = Field(default_factory=list)
    module: str = ""
    files: list[Path] = Field(default_factory=list)
    limit: float = 10.0
    total: float = 30.0
    memory: int = 3 << 30
    nonce: str = ""
    scratch: Path = Path("scratch")


def digest(folder: Path) -> str:
    """Return the SHA-256 of a package's Python files, names and contents, in sorted order."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        found.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()
