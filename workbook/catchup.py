"""Catching up: what passes stays the learner's, what is missing or failing comes from the solutions."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from workbook import release
from workbook.assemble import describe, parse_header
from workbook.chapter import Exercise
from workbook.course import Course, UnknownExercise
from workbook.excerpt import excerpt, names
from workbook.score import FILLED_IN
from workbook.snapshot import Snapshot, solved_before, solved_until
from workbook.verdict import Outcome
from workbook.worker import Worker
from workbook.workspace import Workspace

ALL = "all"
CAUSE = "%catchup"


@dataclass
class Plan:
    """What catching up would make of a package."""

    mine: Snapshot
    made: Snapshot
    kept: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)

    def changes(self) -> dict[str, bytes | None]:
        """Return the files that differ, as bytes."""
        return {path: text.encode() for path, text in self.made.files.items() if self.mine.files.get(path) != text}


def run(course: Course, workspace: Workspace, worker: Worker, target: str) -> str:
    """Catch up to the start of a chapter (`3`) or of an exercise (`3.2`), or to the end (`all`); say what was done.

    Raises:
        UnknownExercise: there is no such chapter or exercise, or none is named.
        WorkspaceError: a file cannot be written.
    """
    goal, before = _goal(course, target)
    plan = plan_for(course, worker, Snapshot.read(workspace.app_dir), goal, before)
    changes = plan.changes()
    if changes:
        workspace.write(changes, f"{CAUSE} {target}")
        _remember(workspace, course, before)
    _record(workspace, before, plan)  # once it is written: a file that cannot be is no exercise filled in
    if not changes:
        return f"nothing to do: {'everything' if target == ALL else f'all that comes before {target}'} passes"
    lines = [f"caught up to {target}"]
    lines += [f"  kept yours: {', '.join(plan.kept)}"] if plan.kept else []
    lines += [f"  filled in:  {', '.join(plan.filled)}"] if plan.filled else []
    lines += [f"  app/{path}: {describe(plan.mine.files.get(path), plan.made.files[path])}" for path in changes]
    return "\n".join([*lines, "", "hint: `%undo` takes it back"])


def _record(workspace: Workspace, before: list[Exercise], plan: Plan) -> None:
    """Record what passes as passed, and what is not the learner's as filled in: it is no attempt and earns nothing."""
    found = workspace.progress()
    for one in before:
        if one.id in plan.filled:
            workspace.record(one.id, FILLED_IN, 0, one.points, CAUSE)
        elif one.id not in found or not found[one.id].done:
            workspace.record(one.id, Outcome.PASSED.value, one.points, one.points, CAUSE)


def _remember(workspace: Workspace, course: Course, before: list[Exercise]) -> None:
    """Take the cells that begin a file for run: when they are, in an earlier notebook, what came later stays."""
    chapters = {one.chapter for one in before}
    for chapter in course.chapters:
        for cell in chapter.writes if chapter.number in chapters else ():
            source, code = release.learner_source(cell).split("\n", 1)
            header = parse_header(source)
            key = None if header.merge else header.key(code)
            if key and workspace.recall_cell(key) is None:
                workspace.remember_cell(key, code)


def _goal(course: Course, target: str) -> tuple[Snapshot, list[Exercise]]:
    """Return the solved package at the target, and the exercises before it."""
    if not target:
        raise UnknownExercise("catch up to where?", "`%catchup 3` fills in what comes before chapter 3")
    if target == ALL:
        return solved_until(course, None), list(course.exercises.values())
    first = next(iter(course.select(target)), None)
    if first is not None and target == first.id:
        goal = solved_until(course, first.id, including=False)
        return goal, [one for one in course.exercises.values() if one.order < first.order]
    number = int(target)
    before = [one for one in course.exercises.values() if one.chapter < number]
    return solved_before(course, number), before


def plan_for(course: Course, worker: Worker, mine: Snapshot, goal: Snapshot, before: list[Exercise]) -> Plan:
    """Find the smallest set of exercises whose definitions, taken from the goal, make all of `before` pass.

    First only what is missing is added. Then the definitions of what was never attempted are replaced by the goal's,
    all at once, and after that those of wrong answers, one at a time in the course's order: a later exercise often
    fails only because of an earlier one. An exercise that still fails gets its whole file.
    """
    lacking = _failing(course, worker, mine, before)
    plan = Plan(mine, _with_missing(mine, goal) if lacking else mine)
    replaced: set[str] = set()
    for _round in range(2 * len(before) + 1 if lacking else 0):
        failing = _failing(course, worker, plan.made, before)
        untouched = [one for one, outcome in failing.items() if outcome is Outcome.NOT_ATTEMPTED]
        for exercise in untouched or list(failing)[:1]:
            _fill(plan, course, goal, exercise, whole=exercise.id in replaced)
            replaced.add(exercise.id)
        if not failing:
            break
    blank = {one.id for one, outcome in lacking.items() if outcome is Outcome.NOT_ATTEMPTED}
    plan.filled = [one.id for one in before if one.id in replaced | blank]
    plan.kept = [one.id for one in before if one.id not in plan.filled]
    return plan


def _with_missing(mine: Snapshot, goal: Snapshot) -> Snapshot:
    """Add the goal's definitions that the learner's package lacks altogether."""
    made = mine.copy()
    for path, text in goal.files.items():
        existing = made.files.get(path)
        if existing is None:
            made.files[path] = text
            continue
        try:
            lacking = set(names(text)) - set(names(existing))
        except SyntaxError:
            continue
        if lacking:
            made.run(f"%%app {path} --merge\n{excerpt(text, lacking, imports=True)}")
    return made


def _failing(course: Course, worker: Worker, package: Snapshot, before: list[Exercise]) -> dict[Exercise, Outcome]:
    """Return the exercises that do not pass on a package, in order, with what they are instead."""
    with tempfile.TemporaryDirectory(prefix="workbook-", ignore_cleanup_errors=True) as folder:
        app = package.write(Path(folder))
        reports = worker.check_all(course, [one.id for one in before], app)
    return {one: report.outcome for one, report in zip(before, reports, strict=True) if not report.passed}


def _fill(plan: Plan, course: Course, goal: Snapshot, exercise: Exercise, *, whole: bool) -> None:
    """Put an exercise's definitions, as they are in the goal, into the package; or the goal's whole file."""
    path = exercise.path
    text = goal.files[path]
    wanted = names(release.solved(course.chapter(exercise.chapter).cells[exercise.cell].body))
    try:
        if whole:
            raise SyntaxError
        plan.made.run(f"%%app {path} --merge\n{excerpt(text, wanted, imports=True, others=True)}")
    except Exception:
        plan.made.files[path] = text
