"""Verdicts that are known already, by content: on this machine in full, and in the repository as one line each.

The proof of the whole course is some thousands of checks. Each verdict depends on the package, the checks and the
engine alone; as long as none of them changes, it stays. `tests/proof.txt` holds the digests of the trials that held, so
that a fresh clone needs to run only what has changed, and a sample of the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from workbook import engine
from workbook.course import Course
from workbook.outcome import Outcome
from workbook.snapshot import Snapshot

# where a check runs through: the handle, the child, pytest's plugin, and the text of the verdict
ENTRIES = ("worker", "session", "checks", "report")


@dataclass
class Found:
    """What a trial gave: outcome and feedback text."""

    outcome: Outcome
    text: str


class Cache:
    """Verdicts by content: the package, the checks and the engine."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder, self._root = folder, root
        shared = root / "tests" / "chapters" / "conftest.py"
        files = engine.behind([*(engine.FOLDER / f"{name}.py" for name in ENTRIES), shared])
        files += [shared, root / "requirements.lock", root / "pyproject.toml"]
        self._base = _digest(files)
        self._by_chapter: dict[int, bytes] = {}

    def key(self, course: Course, id: str, package: Snapshot) -> str:
        """Return the digest of all that the verdict on an exercise depends on."""
        exercise = course.exercises[id]
        if exercise.chapter not in self._by_chapter:
            checks = sorted((self._root / "tests" / "chapters").glob(f"test_{exercise.chapter:02d}_*.py"))
            # the learner's tests also run on what the chapters before have built
            cells = [cell.source for one in course.chapters if one.number < exercise.chapter for cell in one.writes]
            files = [*engine.behind(checks), *checks]
            self._by_chapter[exercise.chapter] = _digest(files) + json.dumps(cells).encode()
        cell = course.chapter(exercise.chapter).cells[exercise.cell].source
        # neither the text around the exercise nor its place in the source has a part in a verdict
        what = exercise.model_dump(mode="json", exclude={"cell", "hints"})
        content = json.dumps([what, cell, sorted(package.files.items())])
        whole = self._base + self._by_chapter[exercise.chapter] + content.encode()
        return hashlib.sha256(whole).hexdigest()

    def get(self, key: str) -> Found | None:
        """Return a known verdict."""
        try:
            outcome, text = json.loads((self._folder / key).read_text(encoding="utf-8"))
            return Found(Outcome(outcome), text)
        except (OSError, ValueError):
            return None

    def put(self, key: str, found: Found) -> None:
        """Keep a verdict; one that speaks of the check's own fault is never kept."""
        if found.outcome is not Outcome.BROKE:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{key}.{os.getpid()}"
            path.write_text(json.dumps([found.outcome.value, found.text]), encoding="utf-8")
            path.replace(self._folder / key)


def _digest(files: Iterable[Path]) -> bytes:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes() if path.is_file() else b"-")
    return digest.digest()


class Record:
    """The trials that held when the record was written: a digest of trial and message, and the outcome.

    Args:
        path: the record's file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        self._known = dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))
        self._held: dict[str, str] = {}

    def get(self, key: str, message: str) -> Found | None:
        """Return what is known of a trial; its text is only the message that it is known to hold."""
        outcome = self._known.get(_short(key, message))
        return Found(Outcome(outcome), message) if outcome else None

    def add(self, key: str, message: str, found: Found) -> None:
        """Note a trial for the record, if its message is in the feedback."""
        if message in found.text and found.outcome is not Outcome.BROKE:
            self._held[_short(key, message)] = found.outcome.value

    def write(self) -> None:
        """Write what was noted."""
        head = "# what `workbook verify --write` has seen hold: a digest of each trial, and its outcome"
        lines = [head, *(f"{key} {outcome}" for key, outcome in sorted(self._held.items()))]
        self._path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _short(key: str, message: str) -> str:
    return hashlib.sha256(f"{key} {message}".encode()).hexdigest()[:16]
