"""All chapters together: the index that checks, magics and grading look things up in."""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import cached_property
from pathlib import Path

from workbook import __version__
from workbook.chapter import Chapter, Exercise, Frozen, SourceError, read_chapter
from workbook.errors import WorkbookError


class UnknownExercise(WorkbookError):
    """A name that is no exercise or chapter of the course."""


class Course(Frozen):
    """The chapters in order."""

    chapters: tuple[Chapter, ...]

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
    """Read every chapter below `root/solutions`.

    Args:
        root: the repository.
        cache: a folder for the index, so that unchanged sources are not parsed again.

    Raises:
        SourceError: a source breaks a rule.
    """
    sources = sorted((root / "solutions").glob("[0-9][0-9]_*.md"))
    stored = cache / f"course-{_digest(sources)}.json" if cache else None
    if stored and stored.is_file():
        try:
            return Course.model_validate_json(stored.read_bytes())
        except ValueError:
            stored.unlink(missing_ok=True)
    course = Course(chapters=tuple(read_chapter(path) for path in sources))
    _refuse_doubles(course, sources)
    if stored:
        _store(stored, course)
    return course


def _digest(sources: list[Path]) -> str:
    digest = hashlib.sha256(__version__.encode())
    digest.update((Path(__file__).with_name("chapter.py")).read_bytes())
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
        for stale in path.parent.glob("course-*.json"):
            stale.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(course.model_dump_json())
        Path(name).replace(path)
    except OSError:
        return
