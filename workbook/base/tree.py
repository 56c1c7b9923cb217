"""A folder's files, walked so that nothing odd that lies there can stop the walk."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from workbook.base.plain import named

DEPTH, NAME = 16, 150
SILENT = ("__pycache__",)
KINDS = (
    (stat.S_ISFIFO, "it is a pipe"),
    (stat.S_ISSOCK, "it is a socket"),
    (stat.S_ISCHR, "it is a device"),
    (stat.S_ISBLK, "it is a device"),
)


@dataclass
class Tree:
    """The regular files below a folder, sorted by name, and what was left out, with the reason."""

    folder: Path
    files: list[Path] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    @classmethod
    def walk(cls, folder: Path, *, links: bool = False, most: int = 20_000) -> Tree:
        """Walk a folder.

        Args:
            folder: where to begin; it may be missing.
            links: also take links that lead to regular files, as Python does when it imports.
            most: how many files and folders to look at.
        """
        found = cls(folder)
        for number, (path, reason) in enumerate(_entries(folder, links, 0)):
            if number >= most:
                found.left_out[named(folder)] = f"it holds more than {most} files; the rest was not looked at"
                break
            if reason:
                found.left_out[named(path.relative_to(folder))] = reason
            else:
                found.files.append(path)
        return found


def modules(folder: Path) -> list[Path]:
    """Return a package's Python files, sorted: regular ones with a readable name."""
    return sorted(path for path in Tree.walk(folder, links=True).files if path.suffix == ".py")


def content(path: Path) -> bytes | None:
    """Return what a regular file holds; None where it cannot be read, or has become something else by now."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            return file.read() if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
    except OSError:
        return None


def text_of(path: Path) -> str:
    """Return a regular file's text.

    Raises:
        FileNotFoundError: there is no regular file: nothing, a folder, a pipe.
        PermissionError: it cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    data = content(path)
    if data is None:
        raise PermissionError(str(path)) if path.is_file() else FileNotFoundError(str(path))
    return data.decode("utf-8")


def _entries(folder: Path, links: bool, depth: int) -> Iterator[tuple[Path, str]]:
    """Yield every file below a folder, with the reason where it is left out."""
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: os.fsencode(entry.name))
    except FileNotFoundError:
        return
    except OSError as error:
        yield folder, f"it cannot be read: {error.strerror or error}"
        return
    for entry in entries:
        path = folder / entry.name
        reason = fault(entry, links)
        if reason or entry.name in SILENT:
            yield from [(path, reason)] if entry.name not in SILENT else []
        elif not entry.is_dir(follow_symlinks=False):
            yield path, ""
        elif depth >= DEPTH:
            yield path, f"it lies more than {DEPTH} folders deep"
        else:
            yield from _entries(path, links, depth + 1)


def fault(entry: os.DirEntry[str], links: bool) -> str:
    """Say why a file or folder cannot be part of a package; empty where it can."""
    if reason := name_fault(entry.name):
        return reason
    try:
        if entry.is_symlink():
            return "" if links and entry.is_file() else link_fault(entry)
        if entry.is_dir(follow_symlinks=False):
            return folder_fault(entry.name)
        mode = entry.stat(follow_symlinks=False).st_mode
    except OSError as error:
        return f"it cannot be looked at: {error.strerror or error}"
    return "" if stat.S_ISREG(mode) else kind_fault(mode)


def name_fault(name: str) -> str:
    """Say what is wrong with a name."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if len(name) > NAME:
        return f"its name has more than {NAME} characters"
    return "its name begins with a dot" if name.startswith(".") else ""


def folder_fault(name: str) -> str:
    """Say why a folder cannot hold modules."""
    return "it is a folder with a file's name" if name.endswith((".py", ".ipynb")) else ""


def link_fault(entry: os.PathLike[str]) -> str:
    """Say where a link leads."""
    try:
        return f"it is a link to {named(Path(entry).readlink())}, and links are not followed"
    except OSError:
        return "it is a link, and links are not followed"


def kind_fault(mode: int) -> str:
    """Say what a file is that is no regular one."""
    return next((said for test, said in KINDS if test(mode)), "it is no regular file")
