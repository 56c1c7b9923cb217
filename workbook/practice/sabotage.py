"""A copy of a package with faults in it: which ones, a seed in the learner's workspace decides."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbook.base.errors import WorkbookError

SEED = "sabotage.seed"  # in the workspace's state folder
Edit = tuple[str, str, str]  # a module below the package, a text that it has once, and what stands in its place


@dataclass(frozen=True)
class Fault:
    """One fault that can be put into a package.

    Args:
        name: what is wrong, in a few words.
        edits: how to make it so.
    """

    name: str
    edits: tuple[Edit, ...]


def seed(state: Path) -> str:
    """Return the seed of a workspace; make one the first time.

    Args:
        state: the folder with the workspace's state.
    """
    target = state / SEED
    try:
        known = target.read_text(encoding="utf-8").strip()
    except OSError:
        known = ""
    if known:
        return known
    state.mkdir(parents=True, exist_ok=True)
    made = secrets.token_hex(8)
    target.write_text(f"{made}\n", encoding="utf-8")
    return made


def choose(pool: Mapping[str, Sequence[Fault]], seed: str) -> dict[str, Fault]:
    """Return one fault of each topic; the same for the same seed, on every machine and in every version of Python."""
    chosen = {}
    for topic, faults in pool.items():
        number = int.from_bytes(hashlib.sha256(f"{seed}/{topic}".encode()).digest())
        chosen[topic] = faults[number % len(faults)]
    return chosen


def copy(package: Path, folder: Path, edits: Sequence[Edit] = ()) -> Path:
    """Copy a package into a folder as `app`, without its tests, and change it; return the folder.

    Raises:
        WorkbookError: a text is not there exactly once: the package has changed, and the edit must follow.
    """
    target = folder / "app"
    shutil.copytree(package, target, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    paths = dict.fromkeys(path for path, _old, _new in edits)
    texts = {path: (target / path).read_text(encoding="utf-8") for path in paths}
    for path, text in edited(texts, edits).items():
        (target / path).write_text(text, encoding="utf-8")
    return folder


def edited(texts: Mapping[str, str], edits: Sequence[Edit]) -> dict[str, str]:
    """Return a package's modules, changed.

    Raises:
        WorkbookError: a text is not there exactly once.
    """
    found = dict(texts)
    for path, old, new in edits:
        if found[path].count(old) != 1:
            raise WorkbookError(f"{path} has {found[path].count(old)} times, not once: {old!r}")
        found[path] = found[path].replace(old, new)
    return found
