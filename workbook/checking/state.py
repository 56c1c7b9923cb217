"""What one run of checks knows: the course, the learner's package, what was sent, and how far each exercise got."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from workbook.checking.attempt import Attempt, attempt, hole
from workbook.checking.finder import PACKAGE
from workbook.checking.hole import Hole
from workbook.checking.marker import id_of
from workbook.checking.package import Package
from workbook.checking.suite import Suite
from workbook.checking.trail import Trail
from workbook.course.index import Course, read_course
from workbook.course.snapshot import Snapshot, solved_before
from workbook.feedback.verdict import Criterion, Exchange

Sink = Callable[[Criterion], None]


def course_of(root: Path) -> Course:
    """Return the index of the course whose checks run; it is kept where the course itself lies."""
    return read_course(root, root / ".workbook" / "cache")


class Checks:
    """The plugin's state for one run of pytest."""

    def __init__(self, config: pytest.Config, root: Path) -> None:
        self.begin(Path(config.getoption("--app") or root / PACKAGE), config.getoption("--exercise").split(","))
        self.course: Course = course_of(root)
        self.exchanges: list[Exchange] = []
        self.forgotten: list[str] = []
        self.sink: Sink = lambda _criterion: None
        self._attempts: dict[str, Attempt] = {}
        self._holes: dict[str, Hole] = {}
        self._suites: dict[int, Suite] = {}
        self._solved: dict[int, Snapshot] = {}

    def begin(self, app: Path, exercises: Iterable[str]) -> None:
        """Turn to a package, and to these exercises; to all of them if none is named."""
        self.package, self.only = Package(app), set(filter(None, exercises))

    def attempt(self, id: str) -> Attempt:
        """Say how far the learner got with an exercise before it is checked."""
        if id not in self._attempts:
            self._attempts[id] = attempt(self.course, self.course.exercises[id], self.package.folder)
        return self._attempts[id]

    def hole(self, id: str) -> Hole:
        """Say which definitions an exercise asks for."""
        if id not in self._holes:
            found = self.course.exercises[id]
            self._holes[id] = Hole(found.path, hole(self.course, found))
        return self._holes[id]

    def trail(self, item: pytest.Item) -> Trail:
        """Give what follows exceptions through the learner's code while a check runs."""
        return Trail(self.package, id_of(item), self.hole(id_of(item)).file, item.path.parent)

    def suite(self, chapter: int) -> Suite:
        """Give what runs the learner's tests in a chapter's checks."""
        if chapter not in self._suites:
            self._suites[chapter] = Suite(self.package.folder, lambda: self.solved(chapter))
        return self._suites[chapter]

    def solved(self, chapter: int) -> Snapshot:
        """Give the course's own package as it stands before a chapter."""
        if chapter not in self._solved:
            self._solved[chapter] = solved_before(self.course, chapter)
        return self._solved[chapter]


CHECKS = pytest.StashKey[Checks]()


def chosen(items: Iterable[pytest.Item], state: Checks) -> list[pytest.Item]:
    """Return the checks of the chosen exercises, in their order."""
    return [item for item in items if id_of(item) in state.only]


def state_of(config: pytest.Config) -> Checks:
    """Return the run's state, made at the first need so that other test runs pay nothing."""
    if CHECKS not in config.stash:
        root = Path(os.environ.get("WORKBOOK_ROOT") or config.rootpath)
        config.stash[CHECKS] = Checks(config, root)
    return config.stash[CHECKS]
