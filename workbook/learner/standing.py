"""Where each exercise stands now: the last check, held against what the package holds today."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from workbook.course.index import Course
from workbook.course.timeline import Step, timeline
from workbook.feedback.outcome import Outcome
from workbook.feedback.verdict import CheckReport
from workbook.learner.aside import ASIDE, notice, short
from workbook.learner.origins import FRONTIER, Origins, key_of
from workbook.learner.score import FILLED_IN, Progress
from workbook.learner.workspace import Workspace
from workbook.learner.writing import FILLED

PASSED = "#passed "  # and an exercise: what it was when it passed
NOTE = "it was filled in by catching up: it earns its points when your own code stands there"


class State(StrEnum):
    """What can be said of an exercise besides the outcomes of a check."""

    PASSED = "passed"
    FILLED = FILLED_IN
    CHANGED = "changed since"
    NEVER = "not attempted"


@dataclass
class Standing:
    """Every exercise's state: an outcome, or one of `State`.

    Args:
        course: the index.
        states: by exercise, in the course's order.
    """

    course: Course
    states: dict[str, str] = field(default_factory=dict)

    @property
    def points(self) -> int:
        """Return the points of what passes."""
        return sum(self.course.exercises[id].points for id, state in self.states.items() if state == State.PASSED)

    @property
    def total(self) -> int:
        """Return the points that can be reached."""
        return sum(exercise.points for exercise in self.course.exercises.values())

    @property
    def following(self) -> str | None:
        """Return the first exercise that is open."""
        return next(iter(self.open), None)

    @property
    def open(self) -> list[str]:
        """Return the exercises that are neither passed nor filled in."""
        return [id for id, state in self.states.items() if state not in (State.PASSED, State.FILLED)]

    def of(self, *states: str) -> list[str]:
        """Return the exercises in these states."""
        return [id for id, state in self.states.items() if state in states]

    def lost(self, later: Standing) -> list[str]:
        """Return the exercises that passed here and do not in a later standing."""
        return [id for id in self.of(State.PASSED) if later.states[id] != State.PASSED]


def standing(course: Course, workspace: Workspace, path: str | None = None) -> Standing:
    """Say where every exercise stands, by the files as they are now; or those of one module."""
    package = _Package(course, workspace)
    found = workspace.progress()
    chosen = [id for id, one in course.exercises.items() if path in (None, one.path)]
    return Standing(course, {id: package.state(id, found.get(id)) for id in chosen})


def record(course: Course, workspace: Workspace, found: CheckReport, source: str) -> None:
    """Record a check. What passes only because it was filled in earns nothing, and the report says so.

    So does what passes though the exercise's newest cell is not in the package: what was earned before stays.
    """
    package = _Package(course, workspace)
    found.notice = package.notice(found.exercise)
    if found.passed and package.is_filled(found.exercise):
        found.points, found.note = 0, NOTE
        workspace.record(found.exercise, FILLED_IN, 0, found.out_of, source)
        return
    if found.passed and found.notice:
        before = package.state(found.exercise, workspace.progress().get(found.exercise))
        found.points = found.points if before == State.PASSED else 0
        return
    workspace.record(found.exercise, found.outcome.value, found.points, found.out_of, source)
    if found.passed:
        workspace.remember({f"{PASSED}{found.exercise}": package.fingerprint(found.exercise)})


def fingerprints(course: Course, workspace: Workspace, exercises: Iterable[str]) -> dict[str, str]:
    """Return what tells whether the exercises' definitions are still the same, as the files are now."""
    package = _Package(course, workspace)
    return {id: package.fingerprint(id) for id in exercises}


class _Package:
    """The learner's modules, read when they are first asked for."""

    def __init__(self, course: Course, workspace: Workspace) -> None:
        self.timeline, self.workspace = timeline(course), workspace
        self._origins: dict[str, Origins] = {}
        self._values = workspace.recall_all("#")

    def state(self, id: str, found: Progress | None) -> str:
        """Return an exercise's state."""
        if self.is_filled(id) and (found is None or found.last in (FILLED_IN, Outcome.PASSED)):
            return State.FILLED
        if found is None or found.last == FILLED_IN:
            return State.NEVER if found is None or not found.attempts else State.CHANGED
        if found.last != Outcome.PASSED:
            return found.last
        stored = self._values.get(f"{PASSED}{id}"[1:])
        return State.PASSED if stored is None or self._holds(id, stored) else State.CHANGED

    def is_filled(self, id: str) -> bool:
        """Say whether an exercise stands as catching up filled it in."""
        stored = self._values.get(f"{FILLED}{id}"[1:])
        return stored is not None and self._holds(id, stored)

    def notice(self, id: str) -> str:
        """Say that an exercise's newest cell is not in the package; "" where it is."""
        step = self.timeline.exercises[id]
        return notice(step, self._values.get(f"{ASIDE}{id}"[1:]), self._module(step.path))

    def fingerprint(self, id: str) -> str:
        """Return what tells whether an exercise's definitions are still the same."""
        step = self.timeline.exercises[id]
        mine = self._module(step.path)
        names = {name for name in mine.parts if name in step.hole or mine.wrote(name, step.mark)}
        return json.dumps({name: short(mine.parts[name]) for name in sorted(names)})

    def _holds(self, id: str, stored: str) -> bool:
        """Say whether definitions are as they were, or as a later cell of the course has made them."""
        step, known = self.timeline.exercises[id], json.loads(stored)
        mine = self._module(step.path)
        return all(self._is_same(mine, name, known.get(name), step) for name in {*step.hole, *known})

    def _is_same(self, mine: Origins, name: str, known: str | None, step: Step) -> bool:
        now = mine.parts.get(name)
        if now is None:
            return known is None or mine.whole > step.position
        return short(now) == known or mine.position(name) > step.position

    def _module(self, path: str) -> Origins:
        if path not in self._origins:
            file = self.workspace.app_dir / path
            text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None
            stored = self.workspace.recall([key_of(path)])[key_of(path)]
            self._origins[path] = Origins(self.timeline, path, text, stored, self._values.get(FRONTIER[1:]))
        return self._origins[path]
