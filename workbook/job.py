"""What a worker is asked to do."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from pydantic import BaseModel, Field

from workbook.tree import content, modules

LATE = "it did not end within"
LONGEST = 25.0  # seconds that a test may ask for
GRACE, START = 3.0, 60.0  # seconds: beyond a limit, and until the first test begins
# what a program needs of its environment; whatever else is there belongs to the learner
NEEDED = (
    *("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TEMP", "TMP", "VIRTUAL_ENV", "CONDA_PREFIX"),
    *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "PYTHONHOME"),
    *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "APPDATA", "LOCALAPPDATA", "USERPROFILE"),
)
# Neither the course's folder nor PYTHONPATH may come before the standard library and the installed packages: a file
# there that is called `email.py` or `fastapi.py` is nobody's library.
BOOT = """
import runpy, sys
module, last = sys.argv.pop(1), sys.argv.pop(1)
sys.path += [path for path in last.split({separator!r}) if path not in sys.path]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


class Job(BaseModel):
    """What to check: the checks of `exercises`, or only that `module` can be imported.

    `limit` is the wall time of one test in seconds, `total` that of all of them; `memory` is in bytes.
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
    nonce: str = ""
    services: dict[str, str] = Field(default_factory=dict)
    scratch: Path = Path("scratch")


def digest(folder: Path) -> str:
    """Return the SHA-256 of a package's Python files, names and contents, in sorted order."""
    found = hashlib.sha256()
    for path in modules(folder):
        found.update(path.relative_to(folder).as_posix().encode() + b"\0" + (content(path) or b"") + b"\0")
    return found.hexdigest()


def launcher(module: str) -> list[str]:
    """Return the command that runs a module of the engine; the engine's folder comes last among the import paths."""
    last = [str(Path(__file__).resolve().parent.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    boot = BOOT.format(separator=os.pathsep)
    return [sys.executable, "-P", "-c", boot, module, os.pathsep.join(filter(None, last))]
