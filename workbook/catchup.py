"""Catching up: what passes stays the learner's, what is missing or failing comes from the solutions.

What the package lacks is told from its text alone. Only where something in it is the learner's own do checks run: an
answer is wrong when it fails in the package and also in the solved course with nothing else of the learner's.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from workbook import pool
from workbook.assemble import describe
from workbook.chapter import Exercise
from workbook.course import Course, UnknownExercise
from workbook.origins import FRONTIER, WHOLE, Origins, key_of
from workbook.outline import parts
from workbook.patch import Patch
from workbook.proven import Cache, Found
from workbook.score import FILLED_IN
from workbook.snapshot import Snapshot
from workbook.standing import PASSED, fingerprints, standing
from workbook.timeline import timeline
from workbook.verdict import Outcome
from workbook.worker import Worker
from workbook.workspace import Workspace
from workbook.writing import FILLED

ALL = "all"
CAUSE = "%catchup"
CHUNK, FEW, ROUNDS = 5, 6, 8
Say = Callable[[str, int, int], None]


def silent(_text: str, _done: int, _total: int) -> None:
    """Tell nobody how far it is."""


@dataclass
class Plan:
    """What catching up makes of a package.

    Args:
        mine: the package as it was.
        made: the package as it is to be.
        kept: exercises that stay as the learner has them.
        filled: exercises whose definitions are now the solution's.
        failing: exercises that fail all the same.
    """

    mine: Snapshot
    made: Snapshot
    kept: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)
    failing: list[str] = field(default_factory=list)

    def changes(self) -> dict[str, bytes | None]:
        """Return the files that differ, as bytes."""
        return {path: text.encode() for path, text in self.made.files.items() if self.mine.files.get(path) != text}


def run(course: Course, workspace: Workspace, worker: Worker, target: str, say: Say = silent) -> str:
    """Catch up to the start of a chapter (`3`) or of an exercise (`3.2`), or to the end (`all`); say what was done.

    Args:
        course: the index.
        workspace: the learner's package.
        worker: a warm worker.
        target: where to.
        say: told what is being done, how much of it is done, and of how much (0: not known).

    Raises:
        UnknownExercise: there is no such chapter or exercise, or none is named.
        WorkspaceError: a file cannot be written.
    """
    say("reading your package", 0, 0)
    before, end = _goal(course, target)
    mine = Snapshot.read(workspace.app_dir)
    plan, patch = plan_for(course, workspace, worker, mine, before, end, say)
    changes = plan.changes()
    if changes:
        workspace.write(changes, f"{CAUSE} {target}", _values(course, workspace, plan, patch))
    _record(course, workspace, before, plan, patch)  # once it is written: a file that cannot be is no exercise filled in
    return "\n".join(_said(target, plan, changes))


def _said(target: str, plan: Plan, changes: dict[str, bytes | None]) -> Iterator[str]:
    where = "everything" if target == ALL else f"all that comes before {target}"
    if plan.failing:
        yield f"these do not pass, though they are as the solution has them: {', '.join(plan.failing)}"
        yield "\nhint: `workbook doctor` looks for what is wrong with this machine's set-up\n"
    if not changes:
        yield f"nothing to do: {where} passes" if not plan.failing else "nothing was changed"
        return
    yield f"caught up to {target}"
    if plan.kept:
        yield f"  kept yours: {', '.join(plan.kept)}"
    if plan.filled:
        yield f"  filled in:  {', '.join(plan.filled)}"
    for path in changes:
        yield f"  app/{path}: {describe(plan.mine.files.get(path), plan.made.files[path])}"
    yield "\nhint: `%undo` takes it back"


def _goal(course: Course, target: str) -> tuple[list[Exercise], int]:
    """Return the exercises before the target, and the place in the course where it begins."""
    if not target:
        raise UnknownExercise("catch up to where?", "`%catchup 3` fills in what comes before chapter 3")
    steps = timeline(course).steps
    if target == ALL:
        return list(course.exercises.values()), len(steps)
    first = next(iter(course.select(target)), None)
    if first is not None and target == first.id:
        before = [one for one in course.exercises.values() if one.order < first.order]
        return before, timeline(course).exercises[first.id].position
    number = int(target)
    end = next((step.position for step in steps if step.chapter >= number), len(steps))
    return [one for one in course.exercises.values() if one.chapter < number], end


def plan_for(
    course: Course, workspace: Workspace, worker: Worker, mine: Snapshot, before: list[Exercise], end: int, say: Say
) -> tuple[Plan, Patch]:
    """Find what is to be filled in, so that every exercise of `before` passes."""
    steps = timeline(course)
    stored, frontier = workspace.recall_all(""), workspace.recall([FRONTIER])[FRONTIER]
    origins = {
        path: Origins(steps, path, text, stored.get(key_of(path)), frontier) for path, text in mine.files.items()
    }
    patch = Patch(steps, mine, end, origins)
    with Settling(course, workspace, worker, say) as settling:
        failing = settling.run(patch, [one.id for one in before])
    filled = [one.id for one in before if one.id in patch.filled | patch.blank]
    kept = [one.id for one in before if one.id not in filled]
    return Plan(mine, patch.made(), kept, filled, failing), patch


class Settling:
    """Checks a patched package, and fills in what fails, until all passes."""

    def __init__(self, course: Course, workspace: Workspace, worker: Worker, say: Say) -> None:
        self.course, self.workers, self.say = course, [worker], say
        self.cache = Cache(workspace.state_dir / "cache" / "catchup", worker.root)
        self._stack = ExitStack()

    def __enter__(self) -> Settling:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def run(self, patch: Patch, ids: list[str]) -> list[str]:
        """Fill in until all exercises pass; return those that fail even as the solution has them."""
        for number in range(ROUNDS + 2):
            made = patch.made()
            if not ids or patch.is_proven(made):
                return []
            failing = self._failing(made, ids, stop=number < ROUNDS)
            if not failing:
                return []
            if number < ROUNDS:
                self._fill(patch, made, failing)
            elif number == ROUNDS:
                for id in failing:
                    patch.take(patch.timeline.exercises[id].path)
            else:
                patch.take_all()
        return self._failing(patch.made(), ids, stop=False)

    def _fill(self, patch: Patch, made: Snapshot, failing: list[str]) -> None:
        """Fill in whatever is at fault for what fails."""
        own = [id for id in failing if id in patch.own - patch.filled]
        guilty = [id for id in own if not self._passes(patch.only(id), id)]
        if guilty or own:
            for id in guilty or own[:1]:
                patch.fill(id)
            return
        culprit = next((id for id in self._suspects(patch, failing[0]) if self._frees(patch, id, failing[0])), None)
        if culprit is None and self._passes(made, failing[0]):  # in a process of its own it does
            return
        patch.fill(culprit or failing[0])

    def _suspects(self, patch: Patch, failing: str) -> list[str]:
        """Return the learner's own answers that may be why another exercise fails, the likeliest first."""
        found = self.course.exercises[failing]
        own = [self.course.exercises[id] for id in patch.own - patch.filled]
        own.sort(key=lambda one: (one.path != found.path, one.chapter != found.chapter, one.order > found.order, one.order))
        return [one.id for one in own[:FEW]]

    def _frees(self, patch: Patch, suspect: str, failing: str) -> bool:
        """Say whether an exercise passes once another is filled in."""
        patch.filled.add(suspect)
        try:
            return self._passes(patch.made(), failing)
        finally:
            patch.filled.discard(suspect)

    def _passes(self, package: Snapshot, id: str) -> bool:
        """Check one exercise in a process of its own."""
        self.say(f"checking {id} by itself", 0, 0)
        key = self.cache.key(self.course, id, package)
        known = self.cache.get(key)
        if known is None:
            with tempfile.TemporaryDirectory(prefix="workbook-", ignore_cleanup_errors=True) as folder:
                report = self.workers[0].check(self.course, id, package.write(Path(folder)), limit=20.0)
            known = Found(report.outcome, "")
            self.cache.put(key, known)
        return known.outcome is Outcome.PASSED

    def _failing(self, package: Snapshot, ids: Sequence[str], *, stop: bool) -> list[str]:
        """Return the exercises that do not pass on a package; if `stop`, those of the first chapters where any fails."""
        keys = {id: self.cache.key(self.course, id, package) for id in ids}
        open_ones = [id for id in ids if not self._is_known(keys[id])]
        done = len(ids) - len(open_ones)
        failing: list[str] = []
        with tempfile.TemporaryDirectory(prefix="workbook-", ignore_cleanup_errors=True) as folder:
            app = package.write(Path(folder))
            chunks = list(self._chunks(open_ones))
            workers = self._enough(len(open_ones))
            for start in range(0, len(chunks), len(workers)):
                self.say("checking", done, len(ids))
                pair = chunks[start : start + len(workers)]
                for chunk, passed in zip(pair, pool.spread(workers, self._checker(app), pair), strict=True):
                    for id in passed:
                        self.cache.put(keys[id], Found(Outcome.PASSED, ""))
                    failing += [id for id in chunk if id not in passed]
                    done += len(chunk)
                if failing and stop:
                    break
        return failing

    def _is_known(self, key: str) -> bool:
        found = self.cache.get(key)
        return found is not None and found.outcome is Outcome.PASSED

    def _checker(self, app: Path) -> Callable[[Worker, list[str]], set[str]]:
        return lambda worker, chunk: {one.exercise for one in worker.check_together(self.course, chunk, app) if one.passed}

    def _chunks(self, ids: list[str]) -> Iterator[list[str]]:
        """Yield a few exercises of one chapter at a time: they share a process."""
        for _, group in groupby(ids, lambda id: self.course.exercises[id].chapter):
            chapter = list(group)
            yield from (chapter[start : start + CHUNK] for start in range(0, len(chapter), CHUNK))

    def _enough(self, count: int) -> list[Worker]:
        """Return the workers; for many exercises there are two."""
        if count > CHUNK and len(self.workers) == 1:
            self.workers.append(self._stack.enter_context(Worker(self.workers[0].root)))
        return self.workers


def _values(course: Course, workspace: Workspace, plan: Plan, patch: Patch) -> dict[str, str | None]:
    """Return what is remembered with the change: who wrote what, and the cells that count as run."""
    values: dict[str, str | None] = {}
    for path in plan.changes():
        values[key_of(path)] = json.dumps(_origins(patch, path, plan.made.files[path]))
    for step in patch.timeline.steps[: patch.end]:
        if not step.header.merge:  # when it is run, in an earlier notebook, what came later stays
            values[str(step.header.key(step.given))] = step.given
    furthest = patch.timeline.steps[: patch.end][-1:]
    for step in furthest:
        there = workspace.recall([FRONTIER])[FRONTIER] or ""
        if Origins(patch.timeline, step.path, None).place(there) < step.position:
            values[FRONTIER] = f"{step.path}#{step.mark}"
    return values


def _origins(patch: Patch, path: str, text: str) -> dict[str, str]:
    """Return the origin of each definition of a module that was filled in."""
    owners, before = patch.owners[path], patch.origins.get(path)
    found: dict[str, str] = {}
    for name, tree in parts(text).items():
        step = owners.get(name)
        if step is not None and tree == step.parts.get(name):
            found[name] = step.mark
        elif before is not None and before.is_remembered(name):
            found[name] = before.mark(name)
        elif step is not None:
            found[name] = step.mark
    wholes = [one for one in patch.timeline.by_path[path] if not one.header.merge and one.position < patch.reach]
    return found | ({WHOLE: wholes[-1].mark} if wholes else {})


def _record(course: Course, workspace: Workspace, before: list[Exercise], plan: Plan, patch: Patch) -> None:
    """Record what passes as passed, and what is not the learner's as filled in: it is no attempt and earns nothing."""
    states = standing(course, workspace).states
    marks = fingerprints(course, workspace, [one.id for one in before])
    filled, values = set(plan.filled), dict[str, str | None]()
    for one in before:
        if one.id in filled:
            values[f"{FILLED}{one.id}"] = marks[one.id]
            workspace.record(one.id, FILLED_IN, 0, one.points, CAUSE)
        elif states[one.id] not in (FILLED_IN, Outcome.PASSED) and one.id not in plan.failing and patch.is_mine(one.id):
            values[f"{PASSED}{one.id}"] = marks[one.id]
            workspace.record(one.id, Outcome.PASSED.value, one.points, one.points, CAUSE)
    workspace.remember(values)
