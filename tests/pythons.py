"""The Pythons of this machine that the course supports."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from workbook.install.installer import PYTHONS as SUPPORTED

_VERSION = "import sys; print('.'.join(map(str, sys.version_info[:3])), sys._base_executable or sys.executable)"


@cache
def pythons() -> dict[str, str]:
    """Return the path of each Python with its version: the one that runs this first, one of each minor version.

    Every candidate is started to ask it, so not while a module is imported: each check imports tests/conftest.py.
    """
    (_, oldest), (_, beyond) = SUPPORTED
    names = [f"3.{minor}" for minor in range(oldest, beyond)]
    candidates: list[str | Path] = [sys.executable]
    for name in names:
        candidates += [*sorted(Path.home().glob(f".pyenv/versions/{name}.*/bin/python3"), reverse=True)]
        candidates += filter(None, [shutil.which(f"python{name}")])
    found: dict[str, tuple[str, str]] = {}
    for candidate in candidates:
        done = subprocess.run([candidate, "-c", _VERSION], capture_output=True, text=True, check=False)
        if done.returncode == 0:  # a launcher without that version behind it fails
            version, path = done.stdout.split(maxsplit=1)
            found.setdefault(version.rpartition(".")[0], (path.strip(), version))
    return dict(found.values())


if __name__ == "__main__":
    for path, version in pythons().items():
        print(version.rpartition(".")[0], path)
