"""The argument line of `%%app PATH [--merge] [--exercise 2.2] [--replace]`."""

from __future__ import annotations

import hashlib
import keyword
import re
from dataclasses import dataclass

from workbook.merge.syntax import CellError

EXAMPLE = "write `%%app users/schemas.py`"
OPTIONS = "write `%%app users/schemas.py --merge --exercise 2.2`; the options are --merge, --exercise and --replace"
# Windows opens a device, not a file, under these names, with any ending.
LONGEST, DEEPEST = 100, 8  # characters of a name, folders
DEVICES = re.compile(r"(?i:con|prn|aux|nul|com\d|lpt\d)")


@dataclass(frozen=True)
class Header:
    """What an `%%app` line asks for.

    Args:
        path: The module's path in the package, with `/`.
        merge: Whether the cell is merged into the module instead of replacing it.
        exercise: The exercise the cell belongs to, such as "2.2".
        replace: Whether it replaces also what cells further on in the course wrote.
    """

    path: str
    merge: bool = False
    exercise: str | None = None
    replace: bool = False

    def key(self, code: str) -> str | None:
        """Return the name under which a cell's last run is remembered; None for a merge that no exercise names.

        Args:
            code: The cell below its `%%app` line.
        """
        if self.exercise is None and self.merge:
            return None
        mark = self.exercise or hashlib.sha256(code.strip().encode("utf-8", "replace")).hexdigest()[:12]
        return f"{self.path}#{mark}"


def parse_header(line: str) -> Header:
    """Read the arguments of an `%%app` line.

    Raises:
        CellError: The path lies outside the package or cannot be imported; an unknown option.
    """
    words = re.sub(r"--exercise\s*=\s*", "--exercise ", line.removeprefix("%%app")).split()
    paths: list[str] = []
    merge, replace, exercise = False, False, None
    while words:
        word = words.pop(0)
        if word == "--merge":
            merge = True
        elif word == "--replace":
            replace = True
        elif word == "--exercise":
            exercise = exercise_name(words.pop(0) if words else "")
        elif word.startswith("-"):
            raise CellError(f"%%app has no option {word!r}", OPTIONS)
        else:
            paths.append(word)
    if len(paths) > 1:
        raise CellError(f"%%app takes one path, but here are {len(paths)}: {paths}", EXAMPLE)
    return Header(module_path(paths[0] if paths else ""), merge, exercise, replace)


def exercise_name(word: str) -> str:
    """Return the exercise's number, if it is one."""
    if not re.fullmatch(r"\d+(\.\d+)*[a-z]?", word):
        raise CellError(f"--exercise needs a number such as 2.2, not {word!r}", OPTIONS)
    return word


def module_path(text: str) -> str:
    """Return a module's path inside the package, with `/` and without a leading `app/`.

    Raises:
        CellError: The path is empty, absolute, leaves the package, or is no importable module.
    """
    path = text.strip("'\"").replace("\\", "/")
    if not path:
        raise CellError("%%app needs the path of a module", EXAMPLE)
    fault = fault_of(path)
    if fault:
        shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
        raise CellError(f"%%app cannot write to {shown!r}: {fault}", EXAMPLE)
    return path.removeprefix("app/")


def fault_of(path: str) -> str | None:
    """Say what is wrong with a path, if anything is."""
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path):
        return "the path must be relative to the package `app`"
    parts = path.split("/")
    if ".." in parts:
        return "`..` leaves the package `app`"
    if not path.endswith(".py"):
        return "a module's name ends with `.py`"
    if max(map(len, parts)) > LONGEST or len(parts) > DEEPEST:
        return f"a name has at most {LONGEST} characters, and a module lies at most {DEEPEST - 1} folders deep"
    names = [*parts[:-1], parts[-1].removesuffix(".py")]
    wrong = next((name for name in names if not importable(name)), None)
    return None if wrong is None else f"{wrong!r} is no name that Python can import"


def importable(name: str) -> bool:
    """Tell whether Python, on every platform, can import a module of this name."""
    plain = name.isidentifier() and not keyword.iskeyword(name)
    return plain and not DEVICES.fullmatch(name)
