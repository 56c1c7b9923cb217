"""What is wrong with this machine or checkout, and what repairs it.

The standard library is enough here: a broken environment must still be able to say what it lacks.
"""

import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from workbook.install.installer import LOCKED, PYTHONS, normalized
from workbook.install.lab import in_use

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
    looks = [
        python(),
        packages(root),
        rivals(root),
        kernel(),
        writable(root),
        shadows(root),
        notebooks(root),
        package(root),
    ]
    return [*looks, build(root), fork(), port()]


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


def rivals(root: Path) -> Finding:
    """Look for packages that were installed over others of the lock: both bring a module of one name."""
    lock = root / "requirements.lock"
    wanted = (
        {normalized(name) for name in LOCKED.findall(lock.read_text(encoding="utf-8"))} if lock.is_file() else set()
    )
    over: dict[str, str] = {}
    for module, owners in importlib.metadata.packages_distributions().items():
        ours = [name for name in owners if normalized(name) in wanted]
        for stranger in {name for name in owners if normalized(name) not in wanted} if ours else ():
            over[stranger] = f"{stranger} was installed over {ours[0]}: both bring the module {module}"
    repair = f"{sys.executable} -m pip uninstall {' '.join(sorted(over))}; then {REMAKE}"
    detail = "; ".join(over.values()) or "no package was installed over another"
    return Finding("rivals", not over, detail, repair)


def kernel() -> Finding:
    """Look for the kernel that runs the notebooks: it must be this environment's, and Jupyter must choose it."""
    own = Path(sys.prefix, "share", "jupyter", "kernels", "python3", "kernel.json")
    repair = f"{sys.executable} -m ipykernel install --sys-prefix"
    if not own.is_file():
        return Finding("kernel", False, f"no kernel specification at {own}", repair)
    try:
        from jupyter_client.kernelspec import KernelSpecManager

        chosen = KernelSpecManager().get_kernel_spec("python3")
        program, folder = str(chosen.argv[0]), str(chosen.resource_dir)
    except Exception as error:  # a broken file of a user's own kernel, a missing package
        return Finding("kernel", False, f"Jupyter cannot read its kernels: {error}", repair)
    if not _is_this_python(program):
        detail = f"Jupyter would start {program}, which is not this environment's Python"
        return Finding("kernel", False, detail, f"remove {folder}, or: unset JUPYTER_PATH JUPYTER_PREFER_ENV_PATH")
    return Finding("kernel", True, folder)


def _is_this_python(program: str) -> bool:
    """Say whether a kernel's program is this Python: by a bare name, Jupyter takes its own."""
    if program in ("python", "python3", f"python3.{sys.version_info.minor}"):
        return True
    return Path(program).parent == Path(sys.executable).parent


def writable(root: Path) -> Finding:
    """Look for folders that exercises write to but this user may not."""
    closed = [str(root / name) for name in WRITABLE if (root / name).is_dir() and not os.access(root / name, os.W_OK)]
    detail = f"not writable: {', '.join(closed)}" if closed else "every folder that exercises write to is writable"
    return Finding("folders", not closed, detail, "move the course to a folder of your own")


def shadows(root: Path) -> Finding:
    """Look for files beside the notebooks that a cell would import in place of a package of the same name."""
    taken = set(sys.stdlib_module_names) | set(importlib.metadata.packages_distributions())
    found = [
        path.relative_to(root).as_posix()
        for folder in (root, root / "notebooks")
        for path in sorted(folder.glob("*.py")) + sorted(folder.glob("*/__init__.py"))
        if (path.parent.name if path.name == "__init__.py" else path.stem) in taken - {"workbook"}
    ]
    detail = "; ".join(f"{path} hides the package of that name" for path in found)
    return Finding("names", not found, detail or "no file hides a package", f"rename {', '.join(found)}")


def notebooks(root: Path) -> Finding:
    """Look for notebooks that cannot be read: half saved, not UTF-8, or with the marks of a merge in them."""
    broken = [f"{path.name} {reason}" for path in sorted(root.glob("notebooks/*.ipynb")) if (reason := _broken(path))]
    repair = "git checkout notebooks/NAME brings it back as it was handed out; a copy first keeps your text"
    return Finding("notebooks", not broken, "; ".join(broken) or "every notebook can be read", repair)


def _broken(path: Path) -> str:
    try:
        data = path.read_bytes()
        if data.startswith(b"\xef\xbb\xbf"):
            return "begins with a byte order mark, which Jupyter does not read: save it as UTF-8 without one"
        if b"\n<<<<<<< " in data or data.startswith(b"<<<<<<< "):
            return "holds the marks of a merge (<<<<<<<)"
        cells = json.loads(data.decode("utf-8"))["cells"]
        return "" if isinstance(cells, list) else "has no list of cells"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except (ValueError, KeyError, TypeError) as error:
        return f"is no notebook: {type(error).__name__}: {error}"


def package(root: Path) -> Finding:
    """Look for files of the learner's package that no check can read."""
    try:
        from workbook.base.tree import Tree
    except ImportError as error:
        return Finding("package", False, f"the engine cannot be loaded: {error}", REMAKE)
    left_out = Tree.walk(root / "app", links=True).left_out
    odd = [f"app/{name}: {reason}" for name, reason in left_out.items() if not name.rpartition("/")[2].startswith(".")]
    detail = "; ".join(odd) or "every file of app/ can be read"
    return Finding("package", not odd, detail, "rename or delete these: checks and grading pass them over")


def build(root: Path) -> Finding:
    """Look for built files that are older than their sources; notebooks that were worked in are the learner's."""
    try:
        from workbook.course.build import stale
        from workbook.course.notebook import is_untouched
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
    findings = diagnose(Path(__file__).resolve().parents[2])
    for finding in findings:
        print(f"{'ok   ' if finding.ok else 'wrong'}  {finding.name}: {finding.detail}")
        if not finding.ok:
            print(f"       hint: {finding.repair}")
    return 0 if all(finding.ok for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
