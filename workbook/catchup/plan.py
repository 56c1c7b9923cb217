"""Catching up: what passes stays the learner's, what is missing or failing comes from the solutions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from workbook.catchup.patch import Patch
from workbook.catchup.settling import Say, Settling, silent
from workbook.course.chapter import Exercise
from workbook.course.index import Course, UnknownExercise
from workbook.course.snapshot import Snapshot
from workbook.course.timeline import Parts, Step, Timeline, timeline
from workbook.feedback.outcome import Outcome
from workbook.learner.broken import require_python
from workbook.learner.origins import FRONTIER, WHOLE, Origins, key_of
from workbook.learner.score import FILLED_IN
from workbook.learner.standing import PASSED, State, fingerprints, standing
from workbook.learner.workspace import Workspace
from workbook.learner.writing import FILLED
from workbook.merge.assemble import describe
from workbook.merge.outline import parts
from workbook.running.worker import Worker

ALL = "all"
CAUSE = "%catchup"


@dataclass
class Plan:
    """What catching up makes of a package.

    Args:
        mine: the package as it was.
        made: the package as it is to be.
        kept: exercises that stay as the learner has them.
        filled: exercises whose definitions are now the solution's; after the target only where nothing else helped.
        earlier: exercises that were filled in before, and stay so.
        failing: exercises that fail all the same.
    """

    mine: Snapshot
    made: Snapshot
    kept: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)
    earlier: list[str] = field(default_factory=list)
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
        CellError: a module of the course's is no Python; nothing is changed.
        WorkspaceError: a file cannot be written.
    """
    say("reading your package", 0, 0)
    before, end = _goal(course, target)
    mine = Snapshot.read(workspace.app_dir)
    require_python(workspace, {path: text for path, text in mine.files.items() if path in timeline(course).by_path})
    plan, patch = plan_for(course, workspace, worker, mine, before, end, say)
    changes = plan.changes()
    if changes:
        workspace.write(changes, f"{CAUSE} {target}", _values(workspace, plan, patch))
    _record(
        course, workspace, before, plan, patch
    )  # once it is written: a file that cannot be is no exercise filled in
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
    if plan.earlier:
        yield f"  filled in before: {len(plan.earlier)}"
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
    made = patch.made()
    states = standing(course, workspace).states
    filled = [one.id for one in before if one.id in patch.filled | patch.blank or _is_nobodys(patch, one.id, states)]
    earlier = [one.id for one in before if one.id not in filled and states[one.id] == FILLED_IN]
    kept = [one.id for one in before if one.id not in {*filled, *earlier}]
    return Plan(mine, made, kept, filled + _beyond(steps, patch, made), earlier, failing), patch


def _is_nobodys(patch: Patch, id: str, states: dict[str, str]) -> bool:
    """Say whether an exercise was never attempted, and what stands in its place is from a later cell of the course."""
    return states[id] == State.NEVER and patch.is_rewritten(id) and not patch.is_mine(id)


def _beyond(steps: Timeline, patch: Patch, made: Snapshot) -> list[str]:
    """Return the exercises past the end whose solutions came into the package all the same."""
    now = {path: parts(text) for path, text in made.files.items() if text != patch.mine.files.get(path)}
    old = {path: [patch.parts.get(path, {}), parts(patch.lower.get(path, ""))] for path in now}
    return [
        str(step.header.exercise)
        for step in steps.steps[patch.end :]
        if step.header.exercise and step.path in now and _came(step, old[step.path], now[step.path])
    ]


def _came(step: Step, old: list[Parts], now: Parts) -> bool:
    """Say whether anything that a step asks for is as its solution has it, and comes neither from here nor before."""
    names = [name for name in step.hole if name in now and now[name] == step.parts.get(name)]
    return any(all(there.get(name) != now[name] for there in old) for name in names)


def _values(workspace: Workspace, plan: Plan, patch: Patch) -> dict[str, str | None]:
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
    owners = patch.timeline.owners(path, patch.reach) if path in patch.whole else patch.owners[path]
    before = patch.origins.get(path)
    found: dict[str, str] = {}
    for name, tree in parts(text).items():
        step = owners.get(name)
        if step is not None and tree == step.parts.get(name):
            found[name] = step.mark
        elif before is not None and before.is_remembered(name):
            found[name] = before.mark(name)
        elif step is not None:
            found[name] = step.mark
    wholes = [one for one in patch.timeline.by_path[path] if not one.header.merge]
    wholes = [one for one in wholes if one.position < patch.end or one in owners.values()]
    return found | ({WHOLE: wholes[-1].mark} if wholes else {})


def _record(course: Course, workspace: Workspace, before: list[Exercise], plan: Plan, patch: Patch) -> None:
    """Record what passes as passed, and what is not the learner's as filled in: it is no attempt and earns nothing."""
    states = standing(course, workspace).states
    filled, values = set(plan.filled), dict[str, str | None]()
    beyond = [course.exercises[id] for id in plan.filled if course.exercises[id] not in before]
    marks = fingerprints(course, workspace, [one.id for one in [*before, *beyond]])
    for one in [*before, *beyond]:
        if one.id in filled:
            values[f"{FILLED}{one.id}"] = marks[one.id]
            workspace.record(one.id, FILLED_IN, 0, one.points, CAUSE)
        elif states[one.id] not in (FILLED_IN, Outcome.PASSED) and one.id not in plan.failing and patch.is_mine(one.id):
            values[f"{PASSED}{one.id}"] = marks[one.id]
            workspace.record(one.id, Outcome.PASSED.value, one.points, one.points, CAUSE)
    workspace.remember(values)
