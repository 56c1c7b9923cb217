"""What the system keeps checked code from: writing outside its scratch folder, and living on after its check.

On Linux with Landlock (kernel 5.13) a process gives up, for itself and all that it starts, every right to change files
that lie elsewhere. It needs no privilege, takes no measurable time, and cannot be taken back. Elsewhere nothing is held
back: the worker then compares the course's files before and after a check.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import signal
import stat
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path

from workbook.base.engine import FOLDER
from workbook.base.tree import content

# system calls, the same on every architecture that Python runs on but alpha
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION, PATH_BENEATH = 1, 1
NO_NEW_PRIVILEGES, SUBREAPER, DEATH_SIGNAL = 38, 36, 1  # prctl
# rights by the version of the interface that knows them: what changes files and folders
WRITE_FILE, TRUNCATE = 1 << 1, 1 << 14
CHANGES = {1: WRITE_FILE | sum(1 << bit for bit in range(4, 13)), 2: 1 << 13, 3: TRUNCATE}
FOR_FILES = WRITE_FILE | TRUNCATE
SCOPES = {6: 1 << 1}  # signals reach no process outside
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty")
SHARED_MEMORY = "/dev/shm"  # locks of multiprocessing
ISOLATED, OPEN = "files outside a scratch folder are read-only (Landlock)", "none"


class Ruleset(ctypes.Structure):
    """`struct landlock_ruleset_attr`."""

    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class Beneath(ctypes.Structure):
    """`struct landlock_path_beneath_attr`."""

    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """Return the version of Landlock's interface; 0 where there is none, or where WORKBOOK_NO_SANDBOX is set."""
    return 0 if os.environ.get("WORKBOOK_NO_SANDBOX") else _version()


@cache
def _version() -> int:
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(_library().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(VERSION))))


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def isolation() -> str:
    """Say in words what holds checked code on this machine."""
    return ISOLATED if version() else OPEN


def confine(scratch: Path) -> None:
    """Give up, for good, the right of this process and its children to change anything outside a folder.

    Raises:
        OSError: the system has Landlock and refuses it.
    """
    if not version():
        return
    changes = _of_version(CHANGES)
    size = ctypes.sizeof(Ruleset) if version() >= 6 else 16 if version() >= 4 else 8
    asked = Ruleset(changes, 0, _of_version(SCOPES))
    ruleset = _call(CREATE_RULESET, ctypes.byref(asked), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for path in (scratch, Path(SHARED_MEMORY)):
            _allow(ruleset, path, changes)
        for name in DEVICES:
            _allow(ruleset, Path(name), changes & FOR_FILES)
        _library().prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        _call(RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _of_version(rights: dict[int, int]) -> int:
    return sum(bits for since, bits in rights.items() if since <= version())


def _allow(ruleset: int, path: Path, rights: int) -> None:
    """Allow changes beneath a path; one that is not there needs no rule."""
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)  # type: ignore[attr-defined, unused-ignore]
    except OSError:
        return
    try:
        rule = Beneath(rights, handle)
        _call(ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(handle)


def _call(number: int, *arguments: object) -> int:
    result = int(_library().syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result


def adopt() -> None:
    """Become the parent of every orphan among this process's descendants, so that none gets lost (Linux)."""
    if sys.platform.startswith("linux"):
        _library().prctl(SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Ask to be killed when the parent dies (Linux)."""
    if sys.platform.startswith("linux"):
        _library().prctl(DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)


def end_descendants(kept: Collection[int] = (), seconds: float = 5.0) -> None:
    """Kill the children of this process but those kept, and the orphans that it then adopts, until none is left."""
    deadline = time.monotonic() + seconds
    while (found := set(children(os.getpid())) - set(kept)) and time.monotonic() < deadline:
        for process in found:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        for process in found:
            with contextlib.suppress(OSError):
                os.waitpid(process, 0)


def end_tree(process: int) -> None:
    """Kill a process's descendants, whatever sessions and groups they have put themselves into."""
    for child in list(children(process)):
        end_tree(child)
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)


def children(parent: int) -> Iterator[int]:
    """Yield the numbers of a process's children; none where the system does not say."""
    try:
        texts = [(task / "children").read_text() for task in Path(f"/proc/{parent}/task").iterdir()]
    except OSError:
        return
    for text in texts:
        yield from map(int, text.split())


def fingerprint(root: Path) -> dict[Path, str]:
    """Return a digest of each file that a verdict rests on: checks, engine, sources, settings."""
    return {path: hashlib.sha256(content(path) or b"").hexdigest() for path in _trusted(root)}


def changed(before: dict[Path, str], root: Path) -> list[Path]:
    """Return the files that differ from what they were, are gone, or are new."""
    now = fingerprint(root)
    return sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))


def _trusted(root: Path) -> Iterable[Path]:
    """Yield the files that decide what is right."""
    yield root / "pyproject.toml"
    for folder, pattern in (
        (root / "tests", "*.py"),
        (root / "tests" / "chapters", "**/*.py"),
        (root / "solutions", "*.md"),
        (FOLDER, "**/*.py"),
    ):
        yield from (path for path in folder.glob(pattern) if stat.S_ISREG(path.lstat().st_mode))
