"""How the engine starts a process of its own: with which environment, and what it may import."""

from __future__ import annotations

import os
import sys
from pathlib import Path

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


def launcher(module: str) -> list[str]:
    """Return the command that runs a module of the engine; the engine's folder comes last among the import paths."""
    last = [str(Path(__file__).resolve().parents[2]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    boot = BOOT.format(separator=os.pathsep)
    return [sys.executable, "-P", "-c", boot, module, os.pathsep.join(filter(None, last))]
