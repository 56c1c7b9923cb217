"""What is wrong with this machine or checkout, and what repairs it.

The standard library is enough here: a broken environment must still be able to say what it lacks.
"""

import importlib.metadata
import importlib.util
import multiprocessing
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from workbook.lab import in_use

PYTHONS = ((3, 11), (3, 15))
PORT = 8888
WRITABLE = ("", "app", "notebooks")
REMAKE = "make clean, then make lab"
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)\s*(?:;\s*(?P<marker>[^\\]+))?")


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is as it should be, and if not, the one action that repairs it."""

    name: str
    ok: bool
    detail: str
    repair: str = ""


def diagnose(root: Path) -> list[Finding]:
    """Look at all that a learner's machine needs.

    Args:
        root: the repository.

    Returns:
        The findings, in the order in which they are worth repairing.
    """
    return [python(), packages(root), kernel(), writable(root), build(root), fork(), port()]


def python() -> Finding:
    """Look at the version of Python."""
    oldest, beyond = PYTHONS
    detail = f"{sys.version.split()[0]} at {sys.executable}"
    repair = "install Python 3.11 to 3.14, then: make clean, then make lab PYTHON=python3.12"
    return Finding("Python", oldest <= sys.version_info[:2] < beyond, detail, repair)


def packages(root: Path) -> Finding:
    """Compare the installed packages with the locked ones."""
    lock = root / "requirements.lock"
    if not lock.is_file():
        return Finding("packages", False, "requirements.lock is missing", "git checkout requirements.lock")
    if importlib.util.find_spec("packaging") is None:
        return Finding("packages", False, "packaging is missing", REMAKE)
    wanted = dict(locked(lock.read_text(encoding="utf-8")))
    found = {name: installed(name) for name in wanted}
    wrong = [
        f"{name} {found[name] or 'missing'} (wanted {wanted[name]})" for name in wanted if found[name] != wanted[name]
    ]
    detail = "; ".join(wrong) if wrong else f"{len(wanted)} packages, all as locked"
    return Finding("packages", not wrong, detail, REMAKE)


def locked(lock: str) -> Iterator[tuple[str, str]]:
    """Give name and version of each package that the lock wants on this platform."""
    from packaging.markers import Marker

    for match in filter(None, map(PINNED.match, lock.splitlines())):
        marker = match["marker"]
        if not marker or Marker(marker.strip()).evaluate():
            yield match["name"], match["version"]


def installed(name: str) -> str | None:
    """Give the version of an installed package, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def kernel() -> Finding:
    """Look for the kernel that runs the notebooks in this environment."""
    spec = Path(sys.prefix, "share", "jupyter", "kernels", "python3", "kernel.json")
    detail = str(spec) if spec.is_file() else f"no kernel specification at {spec}"
    return Finding("kernel", spec.is_file(), detail, f"{sys.executable} -m ipykernel install --sys-prefix")


def writable(root: Path) -> Finding:
    """Look for folders that exercises write to but this user may not."""
    closed = [str(root / name) for name in WRITABLE if (root / name).is_dir() and not os.access(root / name, os.W_OK)]
    detail = f"not writable: {', '.join(closed)}" if closed else "every folder that exercises write to is writable"
    return Finding("folders", not closed, detail, "move the course to a folder of your own")


def build(root: Path) -> Finding:
    """Look for built files that are older than their sources; notebooks that were worked in are the learner's."""
    try:
        from workbook.build import stale
        from workbook.notebook import is_untouched
    except ImportError as error:
        return Finding("build", False, f"the engine cannot be loaded: {error}", REMAKE)
    old = [line for line in stale(root) if not _is_worked_in(root / line.split(": ")[0], is_untouched)]
    return Finding("build", not old, "\n       ".join(old) or "every notebook agrees with its source", "make build")


def _is_worked_in(path: Path, is_untouched: Callable[[Path], bool]) -> bool:
    return path.parent.name == "notebooks" and path.is_file() and not is_untouched(path)


def fork() -> Finding:
    """Say how checks run here: warm where the system can fork, in a fresh process elsewhere."""
    warm = "forkserver" in multiprocessing.get_all_start_methods()
    detail = "checks run in warm processes" if warm else "no fork on this system: a check takes some seconds"
    return Finding("fork", True, detail)


def port() -> Finding:
    """Say whether JupyterLab's usual port is free."""
    taken = in_use(PORT)
    detail = f"port {PORT} is in use: JupyterLab will take the next free one" if taken else f"port {PORT} is free"
    return Finding("port", True, detail)


def main() -> int:
    """Print the findings, one a line, for an environment too broken for the `workbook` command."""
    findings = diagnose(Path(__file__).resolve().parent.parent)
    for finding in findings:
        print(f"{'ok   ' if finding.ok else 'wrong'}  {finding.name}: {finding.detail}")
        if not finding.ok:
            print(f"       hint: {finding.repair}")
    return 0 if all(finding.ok for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
