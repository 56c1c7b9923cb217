"""The course's `%%app` cells in their order: what each defines, and which of them wrote a definition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from workbook.base.errors import WorkbookError
from workbook.course import release
from workbook.course.index import Course
from workbook.course.snapshot import placed, writes
from workbook.merge.header import Header, parse_header
from workbook.merge.outline import parts

Parts = Mapping[str, str]  # what a module defines, by name: `UserCreate.check_password` and its tree


@dataclass(frozen=True)
class Step:
    """One `%%app` cell of the course.

    Args:
        position: its place among all of them, from 0.
        chapter: the chapter's number.
        header: what its `%%app` line says.
        solved: its code as the solved notebook has it.
        given: its code as the learner gets it.
    """

    position: int
    chapter: int
    header: Header
    solved: str
    given: str

    @property
    def path(self) -> str:
        """Return the module that it writes."""
        return self.header.path

    @property
    def mark(self) -> str:
        """Return the name that stays the same when other cells come or go: the exercise, or the code's digest."""
        return mark_of(self.header, self.given)

    @property
    def label(self) -> str:
        """Return what people call it."""
        return self.header.exercise or f"chapter {self.chapter}"

    @cached_property
    def parts(self) -> Parts:
        """Return what it defines, solved."""
        return parts(self.solved)

    @cached_property
    def given_parts(self) -> Parts:
        """Return what it defines as the learner gets it."""
        return parts(self.given) if self.header.exercise else self.parts

    @cached_property
    def hole(self) -> frozenset[str]:
        """Return the names that the learner has to write."""
        names = {*self.parts, *self.given_parts}
        return frozenset(name for name in names if self.parts.get(name) != self.given_parts.get(name))


def mark_of(header: Header, code: str) -> str:
    """Return the name under which a cell is remembered, whether it is merged or not."""
    return str(Header(header.path, exercise=header.exercise).key(code)).split("#", 1)[1]


class Timeline:
    """All steps of a course.

    Args:
        course: the index of the chapters.
    """

    def __init__(self, course: Course) -> None:
        chapters = [chapter.number for chapter in course.chapters for _ in chapter.writes]
        self.steps = [
            Step(
                position,
                chapter,
                parse_header(release.magic_line(cell).removeprefix("%%app")),
                release.solved(cell.body),
                release.stub(cell.body, cell.exercise) if cell.exercise else cell.body,
            )
            for position, (chapter, cell) in enumerate(zip(chapters, writes(course), strict=True))
        ]
        self.exercises = {step.header.exercise: step for step in self.steps if step.header.exercise}
        self._marks = {(step.path, step.mark): step for step in self.steps}

    @cached_property
    def by_path(self) -> dict[str, list[Step]]:
        """Return the steps that write each module."""
        found: dict[str, list[Step]] = {}
        for step in self.steps:
            found.setdefault(step.path, []).append(step)
        return found

    def step(self, path: str, mark: str) -> Step | None:
        """Return the step of a mark; None where the course has none."""
        return self._marks.get((path, mark))

    def find(self, header: Header, code: str) -> Step | None:
        """Return the course's step that a learner's cell is."""
        return self.step(header.path, mark_of(header, code))

    @cached_property
    def states(self) -> list[dict[str, str]]:
        """Return the solved package before each step, and at the end."""
        found: list[dict[str, str]] = [{}]
        for step in self.steps:
            files = found[-1]
            found.append({**files, step.path: placed(files.get(step.path), step.header, step.solved)})
        return found

    def owners(self, path: str, end: int) -> dict[str, Step]:
        """Return the step that wrote each definition of a module last, of the steps before `end`."""
        found: dict[str, Step] = {}
        for step in self.by_path.get(path, ()):
            if step.position < end:
                if not step.header.merge:
                    found.clear()
                found.update(dict.fromkeys(step.parts, step))
        return found

    def written(self, path: str, name: str, tree: str) -> list[Step]:
        """Return the steps that give or solve a definition with just this tree."""
        steps = self.by_path.get(path, ())
        return [step for step in steps if tree in (step.parts.get(name), step.given_parts.get(name))]

    def guess(self, path: str, name: str, tree: str) -> int:
        """Return the place of the step that a definition is from, told by its text: -1 where nothing tells.

        A text of the course is from the first step that has it, the learner's own from the first exercise
        that asks for it.
        """
        known = self.written(path, name, tree)
        asked = [step for step in self.by_path.get(path, ()) if name in step.hole]
        return next((step.position for step in known or asked), -1)

    def require(self, header: Header) -> None:
        """Refuse a cell that claims to belong to an exercise and does not fit it.

        Raises:
            Misplaced: there is no such exercise, or it writes another module.
        """
        if header.exercise is None or not self.exercises:
            return
        step = self.exercises.get(header.exercise)
        if step is None:
            chapter = header.exercise.split(".")[0]
            near = [id for id in self.exercises if id and id.split(".")[0] == chapter] or self.exercises
            hint = f"there are {', '.join(map(str, near))}; leave `--exercise` out for code of your own"
            raise Misplaced(f"no exercise {header.exercise!r}", hint)
        if step.path != header.path:
            line = f"%%app {step.path}" + (" --merge" if step.header.merge else "")
            message = f"exercise {header.exercise} writes app/{step.path}, not app/{header.path}: nothing is written"
            raise Misplaced(message, f"begin the cell with `{line} --exercise {header.exercise}`")


class Misplaced(WorkbookError):
    """A cell that names an exercise it does not belong to."""


@lru_cache(maxsize=2)
def timeline(course: Course) -> Timeline:
    """Return the course's timeline; the newest are kept."""
    return Timeline(course)


def labels(steps: Iterable[tuple[str, Step | None]]) -> str:
    """Join names with the exercise or chapter that each is from: `login, logout (9.3); User (chapter 9)`."""
    groups: dict[str, list[str]] = {}
    for name, step in steps:
        groups.setdefault(step.label if step else "", []).append(name)
    return "; ".join(", ".join(names) + (f" ({label})" if label else "") for label, names in groups.items())
