"""Verdicts that are known already, by content: on this machine in full, and in the repository as one line each.

The proof of the whole course is some thousands of checks. Each verdict depends on the package, the checks and the
engine alone; as long as none of them changes, it stays. `tests/proof.txt` holds the digests of the trials that held, so
that a fresh clone needs to run only what has changed, and a sample of the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from workbook.base import engine
from workbook.base.meaning import digest_of
from workbook.course.chapter import Exercise
from workbook.course.index import Course
from workbook.course.snapshot import Snapshot
from workbook.feedback.outcome import Outcome
from workbook.running.job import check_files

# where a check runs through: the handle, the warm process, the child, pytest's plugin, and the text of the verdict
ENTRIES = ("running/worker", "running/host", "running/session", "checking/plugin", "feedback/report")
SPEAKING = engine.FOLDER / "exam"  # its docstrings are what people read


@dataclass
class Found:
    """What a trial gave: outcome and feedback text."""

    outcome: Outcome
    text: str


class Cache:
    """Verdicts by content: the package, the checks and the engine."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder, self._root = folder, root
        self._packages = (engine.FOLDER, engine.shared(root))
        fixtures = root / "tests" / "chapters" / "conftest.py"
        files = engine.behind([*(engine.FOLDER / f"{name}.py" for name in ENTRIES), fixtures], *self._packages)
        settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        options = json.dumps(settings.get("tool", {}).get("pytest", {}), sort_keys=True)
        self._base = self._digest([*files, fixtures, root / "requirements.lock"]) + options.encode()
        self._by_exercise: dict[str, bytes] = {}

    def key(self, course: Course, id: str, package: Snapshot) -> str:
        """Return the digest of all that the verdict on an exercise depends on."""
        if id not in self._by_exercise:
            self._by_exercise[id] = self._of_exercise(course, course.exercises[id])
        content = json.dumps(sorted(package.files.items()))
        return hashlib.sha256(self._base + self._by_exercise[id] + content.encode()).hexdigest()

    def _of_exercise(self, course: Course, exercise: Exercise) -> bytes:
        """Return what stands for an exercise, its checks, and what the checks use."""
        checks = [path for path in check_files(self._root, [exercise.chapter]) if _asks(path, exercise.id)]
        # the learner's tests also run on what the chapters before have built
        cells = [cell.source for one in course.chapters if one.number < exercise.chapter for cell in one.writes]
        cell = course.chapter(exercise.chapter).cells[exercise.cell].source
        # neither the text around the exercise nor its place in the source has a part in a verdict
        what = exercise.model_dump(mode="json", exclude={"cell", "hints"})
        files = [*engine.behind(checks, *self._packages), *checks]
        return self._digest(files) + json.dumps([what, cell, cells]).encode()

    def _digest(self, files: Iterable[Path]) -> bytes:
        """Return a digest of files: of the engine's what they do, of any other, and of the exam, every byte."""
        digest = hashlib.sha256()
        for path in files:
            if engine.FOLDER in path.parents and SPEAKING not in path.parents:
                digest.update(digest_of(path, self._folder.parent / "meaning").encode())
            else:
                digest.update(path.read_bytes() if path.is_file() else b"-")
        return digest.digest()

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


def _asks(path: Path, id: str) -> bool:
    """Say whether a check file holds a check of an exercise."""
    return f'exercise("{id}"' in path.read_text(encoding="utf-8")


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
