"""The proof that the checks are right: stub, solution on later states, wrong and right answers, mutants."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import random

from workbook.course import release
from workbook.course.chapter import Chapter, Exercise
from workbook.course.index import Course
from workbook.course.snapshot import Snapshot
from workbook.course.snapshot import writes as _writes
from workbook.feedback import report
from workbook.feedback.outcome import Outcome
from workbook.feedback.verdict import CheckReport
from workbook.merge.assemble import CellError
from workbook.proof.answers import Answer, read_answers
from workbook.proof.mutants import mutants
from workbook.proof.table import Row
from workbook.running import pool
from workbook.running.proven import Cache, Found, Record
from workbook.running.worker import Worker

LIMIT = 10.0


@dataclass
class Trial:
    """One package on which an exercise is checked, and the verdict it must get."""

    exercise: str
    kind: str
    name: str
    package: Snapshot
    expected: tuple[Outcome, ...]
    message: str = ""
    answer: Answer | None = None


FAILED = (Outcome.WRONG, Outcome.RAISED)


class Verifier:
    """Proves exercises, with a cache by content.

    Args:
        root: the repository.
        course: its index.
        state: the folder for the cache.
        workers: as many as shall run at once.
    """

    def __init__(self, root: Path, course: Course, state: Path, workers: list[Worker]) -> None:
        self.root, self.course, self._workers = root, course, workers
        self._cache = Cache(state / "cache" / "verify", root)
        self.record = Record(root / "tests" / "proof.txt")
        self.known = self.ran = 0
        self._before = dict(_packages_before(course))
        self._known_answers: dict[int, list[Answer]] = {}

    def verify(
        self,
        chosen: list[Exercise],
        step: Callable[[int, int], None] = lambda _done, _all: None,
        *,
        sample: int = 0,
        every_state: bool = False,
    ) -> list[Row]:
        """Run every trial of the chosen exercises whose verdict is not known; return a row for each exercise.

        Args:
            step: told (done, all) after each trial.
            sample: about how many of the known trials are run all the same, chosen at random.
            every_state: also prove each exercise on the states inside of later chapters.

        Raises:
            SourceError: an answers file breaks a rule.
        """
        units = [[trial] for exercise in chosen for trial in self.trials(exercise)] + list(
            self._states(chosen, every=every_state)
        )
        rows = {one.id: Row(one.id, one.title) for one in chosen}
        total, done = sum(map(len, units)), 0
        share = sample / max(1, total)
        for known, pairs in pool.spread(
            self._workers, self._check, [(unit, random() < share) for unit in units if unit]
        ):
            for trial, found in pairs:
                _enter(rows[trial.exercise], trial, found)
            self.known, self.ran = self.known + known, self.ran + len(pairs) - known
            done += len(pairs)
            step(done, total)
        self._list_survivors(rows)
        return list(rows.values())

    def trials(self, exercise: Exercise) -> Iterator[Trial]:
        """Yield every trial of an exercise but those on the states that follow it."""
        chapter = self.course.chapter(exercise.chapter)
        cell = chapter.cells[exercise.cell]
        before = self._before[exercise.id]
        stubbed = before.copy()
        stubbed.run(release.learner_source(cell))
        untouched = (Outcome.NOT_ATTEMPTED,)
        # its names may stand there already, from an earlier exercise: then it counts as an attempt, but never passes
        yield Trial(exercise.id, "stub", "not there yet", before, (*untouched, *FAILED))
        yield Trial(exercise.id, "stub", "the stub", stubbed, untouched)
        yield self._with_later_stubs(chapter, exercise)
        yield from self._answer_trials(chapter, exercise, before)
        for mutant in mutants(cell.body):
            package = before.copy()
            try:
                package.run(f"{release.magic_line(cell)}\n{mutant.code}")
            except CellError:
                continue
            # a mutant may be the stub's own planted fault: then it is refused as not attempted
            yield Trial(exercise.id, "mutants", mutant.what, package, (*untouched, *FAILED))

    def _with_later_stubs(self, chapter: Chapter, exercise: Exercise) -> Trial:
        """Return the solved package with the chapter's later exercises as stubs.

        A later stub may take the place of what was solved: then it is not attempted, but never wrong.
        """
        package, reached = self._before[exercise.id].copy(), False
        for cell in chapter.writes:
            if reached:
                package.run(release.learner_source(cell))
            elif cell.exercise == exercise.id:
                package.run(release.solved_source(cell))
                reached = True
        return Trial(exercise.id, "solution", "with later stubs", package, (Outcome.PASSED, Outcome.NOT_ATTEMPTED))

    def _states(self, chosen: list[Exercise], *, every: bool) -> Iterator[list[Trial]]:
        """Yield, for each state of the course, the chosen exercises that must pass on it.

        At the end of a chapter these are all that are solved so far, inside of one those of the chapter itself; all of
        them there too, where `every` state is asked for: their number grows with the square of the course.
        """
        package, reached = Snapshot(), set[str]()
        ends = {chapter.exercises[-1].id for chapter in self.course.chapters if chapter.exercises}
        for cell in _writes(self.course):
            package.run(release.solved_source(cell))
            if cell.exercise:
                reached.add(cell.exercise)
                state, name = package.copy(), f"after {cell.exercise}"
                here, passed = self.course.exercises[cell.exercise].chapter, (Outcome.PASSED,)
                mine = [one for one in chosen if every or cell.exercise in ends or one.chapter == here]
                yield [Trial(one.id, "solution", name, state, passed) for one in mine if one.id in reached]

    def _answer_trials(self, chapter: Chapter, exercise: Exercise, before: Snapshot) -> Iterator[Trial]:
        for answer in self._answers(chapter):
            if answer.exercise == exercise.id and answer.kind != "survivor":
                package = before.copy()
                if answer.patch:
                    package.run(release.solved_source(chapter.cells[exercise.cell]))
                for source in answer.cells:
                    package.run(source)
                expected = FAILED if answer.kind == "wrong" else (Outcome.PASSED,)
                yield Trial(exercise.id, answer.kind, answer.name, package, expected, answer.message, answer)

    def _answers(self, chapter: Chapter) -> list[Answer]:
        if chapter.number not in self._known_answers:
            path = self.root / "tests" / "answers" / f"{chapter.name}.md"
            self._known_answers[chapter.number] = read_answers(path, chapter)
        return self._known_answers[chapter.number]

    def _check(self, worker: Worker, task: tuple[list[Trial], bool]) -> tuple[int, list[tuple[Trial, Found]]]:
        """Check trials that share one package, with True also those whose verdicts are known; say how many were."""
        unit, again = task
        keys = {trial.exercise: self._cache.key(self.course, trial.exercise, trial.package) for trial in unit}
        found: dict[str, Found] = {}
        for trial in unit if not again else ():
            key = keys[trial.exercise]
            if earlier := self._cache.get(key) or self.record.get(key, trial.message):
                found[trial.exercise] = earlier
        known = len(found)
        if missing := [trial.exercise for trial in unit if trial.exercise not in found]:
            with tempfile.TemporaryDirectory(prefix="workbook-", ignore_cleanup_errors=True) as folder:
                app = unit[0].package.write(Path(folder))
                for checked in self._checked(worker, unit[0].kind, missing, app):
                    found[checked.exercise] = Found(checked.outcome, report.text(checked))
                    self._cache.put(keys[checked.exercise], found[checked.exercise])
        for trial in unit:
            self.record.add(keys[trial.exercise], trial.message, found[trial.exercise])
        return known, [(trial, found[trial.exercise]) for trial in unit]

    def _checked(self, worker: Worker, kind: str, exercises: list[str], app: Path) -> list[CheckReport]:
        """Return the reports; of a mutant it is enough to know that something refuses it."""
        if kind == "mutants":
            return [worker.is_refused(self.course, id, app, limit=LIMIT) for id in exercises]
        return worker.check_all(self.course, exercises, app, limit=LIMIT)

    def _list_survivors(self, rows: dict[str, Row]) -> None:
        """Take mutants that the answers list with a reason from the problems; a listed one that died is a problem."""
        for chapter in self.course.chapters:
            mine = [one for one in chapter.exercises if one.id in rows]
            for answer in self._answers(chapter) if mine else []:
                if answer.kind == "survivor" and answer.exercise in rows:
                    _excuse(rows[answer.exercise], answer)


def _packages_before(course: Course) -> Iterator[tuple[str, Snapshot]]:
    """Yield, for each exercise, the solved package as it stands before the exercise's cell."""
    package = Snapshot()
    for cell in _writes(course):
        if cell.exercise:
            yield cell.exercise, package.copy()
        package.run(release.solved_source(cell))


SURVIVED = "mutant survives: "


def _excuse(row: Row, answer: Answer) -> None:
    excused = [p for p in row.problems if p.startswith(SURVIVED) and answer.covers(p.removeprefix(SURVIVED))]
    row.problems = [problem for problem in row.problems if problem not in excused]
    row.listed += len(excused)
    if not excused:
        row.problems.append(f"listed survivor {answer.mutant!r} (line {answer.line}) does not survive: take it out")


def _enter(row: Row, trial: Trial, found: Found) -> None:
    count = row.counts.setdefault(trial.kind, [0, 0])
    count[1] += 1
    if found.outcome not in trial.expected:
        problem = f"{trial.kind} {trial.name!r}: {found.outcome}, expected {' or '.join(trial.expected)}\n{found.text}"
        survived = trial.kind == "mutants" and found.outcome is Outcome.PASSED
        row.problems.append(SURVIVED + trial.name if survived else problem)
    elif trial.message and trial.message not in found.text:
        row.problems.append(f"{trial.kind} {trial.name!r}: the feedback lacks {trial.message!r}\n{found.text}")
    else:
        count[0] += 1
