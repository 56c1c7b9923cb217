"""All chapters together: the index that checks, magics and grading look things up in."""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import cached_property
from pathlib import Path

from pydantic import PrivateAttr

from workbook import __version__
from workbook.base.errors import WorkbookError
from workbook.course import states
from workbook.course.chapter import Chapter, Exercise, Frozen, SourceError
from workbook.course.reading import read_chapter

READERS = ("chapter", "reading", "rules")  # what a kept index depends on, beside the sources


class UnknownExercise(WorkbookError):
    """A name that is no exercise or chapter of the course."""


class Course(Frozen):
    """The chapters in order."""

    chapters: tuple[Chapter, ...]
    _index: Path | None = PrivateAttr(None)  # where it is kept

    def states(self) -> states.States:
        """Return what each chapter's solutions leave in the package."""
        return states.states(self.chapters, self._index)

    @cached_property
    def exercises(self) -> dict[str, Exercise]:
        """Return every exercise by id, in course order."""
        return {exercise.id: exercise for chapter in self.chapters for exercise in chapter.exercises}

    def chapter(self, number: int) -> Chapter:
        """Return a chapter by its number.

        Raises:
            UnknownExercise: no chapter has that number.
        """
        for chapter in self.chapters:
            if chapter.number == number:
                return chapter
        known = ", ".join(str(chapter.number) for chapter in self.chapters)
        raise UnknownExercise(f"no chapter {number}", f"the chapters are {known}")

    def select(self, name: str) -> list[Exercise]:
        """Return the exercises that a name means: `2.2` one, `2` a chapter's, empty all.

        Raises:
            UnknownExercise: the name fits nothing.
        """
        if not name:
            return list(self.exercises.values())
        if name in self.exercises:
            return [self.exercises[name]]
        if name.isascii() and name.isdigit():
            return list(self.chapter(int(name)).exercises)
        number = name.split(".")[0]
        near = [id for id in self.exercises if id.split(".")[0] == number] or list(self.exercises)
        raise UnknownExercise(f"no exercise {name!r}", f"there are {', '.join(near)}")


def read_course(root: Path, cache: Path | None = None) -> Course:
    """Read every chapter below `root/solutions`; once a process, as long as no source changes.

    Args:
        root: the repository.
        cache: a folder for the index, so that unchanged sources are not parsed again.

    Raises:
        SourceError: a source breaks a rule.
    """
    sources = sorted((root / "solutions").glob("[0-9][0-9]_*.md"))
    digest = _digest(sources)
    if (cache, digest) not in _newest:
        found = _read(sources, cache / f"course-{digest}.json" if cache else None)
        _newest.clear()
        _newest[cache, digest] = found
    return _newest[cache, digest]


_newest: dict[tuple[Path | None, str], Course] = {}


def _read(sources: list[Path], stored: Path | None) -> Course:
    if stored and stored.is_file():
        try:
            return _kept(Course.model_validate_json(stored.read_bytes()), stored)
        except ValueError:
            stored.unlink(missing_ok=True)
    course = Course(chapters=tuple(read_chapter(path) for path in sources))
    _refuse_doubles(course, sources)
    if stored:
        _store(stored, course)
    return _kept(course, stored)


def _kept(course: Course, index: Path | None) -> Course:
    """Let a course know where it is kept; keep its states there too."""
    course._index = index
    if index and index.is_file():
        states.prepare(course.chapters, index)
    return course


def _digest(sources: list[Path]) -> str:
    digest = hashlib.sha256(__version__.encode())
    for name in READERS:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    for path in sources:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _refuse_doubles(course: Course, sources: list[Path]) -> None:
    for index, chapter in enumerate(course.chapters[1:], 1):
        if chapter.number == course.chapters[index - 1].number:
            rule = f"two sources have number {chapter.number}"
            raise SourceError(sources[index], 1, rule, "give each chapter a number of its own")


def _store(path: Path, course: Course) -> None:
    """Write the index whole or not at all; a cache that cannot be written is no error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in [*path.parent.glob("course-*.json"), *path.parent.glob(f"{states.PREFIX}*.json")]:
            stale.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(course.model_dump_json())
        Path(name).replace(path)
    except OSError:
        return
