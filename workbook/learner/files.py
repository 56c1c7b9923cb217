"""The files of a package: read and replaced whole, never half, never outside the package."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from workbook.base.errors import WorkbookError

PREFIX, SUFFIX = ".workbook-", ".tmp"
CLOSE_IT = "close the programs that use it, or look at its permissions, then run the cell again"


class WorkspaceError(WorkbookError):
    """A file or folder that cannot be used."""


def locate(folder: Path, path: str) -> Path:
    """Return where a path of the package lies, its symlinks followed.

    Raises:
        WorkspaceError: It lies outside the folder, or a directory stands there.
    """
    parts = PurePosixPath(path).parts
    odd = "\\" in path or ":" in path or "\0" in path
    if not parts or odd or ".." in parts or path.startswith("/"):
        raise WorkspaceError(f"{path!r} is no path inside {folder}", "write it as `users/schemas.py`")
    try:
        target = (folder / path).resolve()
        outside = not target.is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a circle of symlinks
        outside = True
    if outside:
        raise WorkspaceError(f"{folder / path} leads out of {folder} by a symlink", "replace the symlink by a file")
    if target.is_dir():
        raise WorkspaceError(f"{target} is a folder, not a file", "rename or delete the folder")
    return target


def read(target: Path) -> bytes | None:
    """Return a file's content; None where there is none."""
    try:
        if target.exists() and not target.is_file():
            raise WorkspaceError(f"{target} is no regular file", "rename or delete it")
        return target.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise refused(error, target) from None


def with_packages(folder: Path, changes: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    """Add an empty `__init__.py` for each folder that the changes begin."""
    found: dict[str, bytes | None] = {}
    for path, content in changes.items():
        parents = [*PurePosixPath(path).parents][::-1] if path.endswith(".py") else []
        for parent in parents if content is not None else []:
            init = (parent / "__init__.py").as_posix()
            if init not in changes and not any((folder / parent).glob("*.py")):
                found[init] = b""
    return found | dict(changes)


def prune(folder: Path, paths: Iterable[str]) -> None:
    """Delete the folders that are empty now that these files are gone; bytecode counts for nothing."""
    for path in paths:
        for parent in [*PurePosixPath(path).parents][:-1]:
            found = folder / parent
            if found.is_dir() and all(inner.name == "__pycache__" for inner in found.iterdir()):
                with suppress(OSError):
                    shutil.rmtree(found)


def replace_all(changes: Mapping[Path, bytes | None], before: Mapping[Path, bytes | None]) -> None:
    """Replace files as one change: all of them, or none where one is refused.

    Raises:
        WorkspaceError: A file cannot be written; all are as they were.
    """
    staged: dict[Path, Path | None] = {}
    done: list[Path] = []
    target = Path()
    try:
        for target, content in changes.items():
            guard(target)
            staged[target] = None if content is None else stage(target, content)
        for target, temporary in staged.items():
            swap(temporary, target)
            done.append(target)
    except OSError as error:
        with suppress(OSError):
            restore({path: before[path] for path in done})
        raise refused(error, target) from None
    finally:
        for temporary in staged.values():
            if temporary:
                temporary.unlink(missing_ok=True)


def restore(before: Mapping[Path, bytes | None]) -> None:
    """Put files back after a change that failed half way."""
    for target, content in before.items():
        swap(None if content is None else stage(target, content), target)


def guard(target: Path) -> None:
    """Refuse a file that its owner made read-only: replacing it would go past that.

    Raises:
        PermissionError: The file is read-only.
    """
    try:
        mode = target.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not mode & stat.S_IWUSR:
        raise PermissionError(errno.EACCES, "read-only file", str(target))


def stage(target: Path, content: bytes) -> Path:
    """Write the content to a temporary file beside the target, safely on the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{PREFIX}{os.getpid()}-{time.monotonic_ns()}{SUFFIX}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def swap(temporary: Path | None, target: Path) -> None:
    """Put the temporary file in the target's place, or delete the target."""
    for attempt in range(8):
        try:
            if temporary:
                temporary.replace(target)
            else:
                target.unlink(missing_ok=True)
            return
        except PermissionError:
            # On Windows a virus scanner or an editor may hold the file for a moment.
            if os.name != "nt" or attempt == 7:
                raise
            time.sleep(0.05)


def sweep(folder: Path) -> None:
    """Delete the temporary files of a process that was killed; call it under the lock."""
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.startswith(PREFIX) and name.endswith(SUFFIX):
                Path(parent, name).unlink(missing_ok=True)


def refused(error: OSError, target: Path) -> WorkspaceError:
    """Say why the system refused a file."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT if hasattr(errno, "EDQUOT") else errno.ENOSPC):
        return WorkspaceError(f"{target} cannot be written: the disk is full", "free some space")
    if error.errno == errno.EROFS or isinstance(error, PermissionError):
        message = f"{target} cannot be written: {error.strerror or error}"
        return WorkspaceError(message, f"make the file and its folder {target.parent} writable")
    if isinstance(error, NotADirectoryError | FileExistsError):
        message = f"{target} cannot be written: a file stands where a folder should be"
        return WorkspaceError(message, f"rename or delete the file {target.parent}")
    return WorkspaceError(f"{target} cannot be used: {error.strerror or error}", CLOSE_IT)
