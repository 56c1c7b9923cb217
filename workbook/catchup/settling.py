"""A patched package checked, and what fails in it filled in, until all passes.

What the package lacks is told from its text alone. Only where something in it is the learner's own do checks run: an
answer is wrong when it fails in the package and also in the solved course with nothing else of the learner's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path

from workbook.catchup.patch import Patch
from workbook.course.index import Course
from workbook.course.snapshot import Snapshot
from workbook.feedback.outcome import Outcome
from workbook.learner.workspace import Workspace
from workbook.running import pool
from workbook.running.proven import Cache, Found
from workbook.running.worker import Worker

CHUNK, FEW, ROUNDS = 5, 6, 8
FAILED = (Outcome.WRONG, Outcome.RAISED, Outcome.NOT_ATTEMPTED, Outcome.BROKE)
Say = Callable[[str, int, int], None]


def silent(_text: str, _done: int, _total: int) -> None:
    """Tell nobody how far it is."""


class Settling:
    """Checks a patched package, and fills in what fails, until all passes."""

    def __init__(self, course: Course, workspace: Workspace, worker: Worker, say: Say) -> None:
        self.course, self.workers, self.say = course, [worker], say
        self.cache = Cache(workspace.state_dir / "cache" / "catchup", worker.root)
        self.seen: set[str] = set()  # what passed in an earlier round: it is checked again last
        self.late: set[str] = set()  # what a busy machine left no time, by its key: it is not tried for ever
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
            if number < ROUNDS and (self._mends(patch) or self._widens(patch, failing)):
                continue
            if number < ROUNDS:
                self._fill(patch, made, failing)
            elif number == ROUNDS:
                for id in [id for id in failing if not self._passes(made, id)]:
                    patch.take(patch.timeline.exercises[id].path)
            else:
                patch.take_all()
        return self._failing(patch.made(), ids, stop=False)

    def _widens(self, patch: Patch, failing: list[str]) -> bool:
        """Say whether the cause lies past the target, not in an answer before it, and the package is another now."""
        if patch.reach == patch.end or all(self._passes(patch.only(), id) for id in failing[:FEW]):
            return False
        return patch.widen()

    def _mends(self, patch: Patch) -> bool:
        """Give back lost imports, and fill in answers with which nothing can be imported; say whether any was.

        As long as the package cannot be imported every check fails, and none tells which answer is at fault.
        """
        if not patch.own - patch.filled:
            return False
        mends = not patch.mended and patch.mend()
        while (module := self._broken(patch, patch.made())) is not None:
            culprit = self._culprit(patch, partial(self._imports, module))
            if culprit is None:
                break
            patch.fill(culprit)
            mends = True
        return mends

    def _broken(self, patch: Patch, package: Snapshot) -> str | None:
        """Return a module that cannot be imported, of those that lead to the learner's answers; None where all can."""
        self.say("importing your package", 0, 0)
        paths = {patch.timeline.exercises[id].path for id in patch.own - patch.filled}
        paths = {"main.py"} if "main.py" in package.files else paths & set(package.files)
        names = [path.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for path in sorted(paths)]
        return next((name for name in names if not self._imports(name, package)), None)

    def _imports(self, module: str, package: Snapshot) -> bool:
        with laid_out(package) as app:
            found = self.workers[0].can_import(module, app)
        return found.outcome not in FAILED

    def _culprit(self, patch: Patch, works: Callable[[Snapshot], bool]) -> str | None:
        """Return an answer of the learner's with which a package does not work that works without it.

        None where it does not work without any of them either. With all of them it does not: whoever asks has seen
        that.
        """
        own = [id for id in self.course.exercises if id in patch.own - patch.filled]
        return by_halves(own, lambda kept: works(patch.only(*kept)))

    def _fill(self, patch: Patch, made: Snapshot, failing: list[str]) -> None:
        """Fill in whatever is at fault for what fails. What passes in a process of its own does not fail."""
        own = [id for id in failing if id in patch.own - patch.filled and not self._passes(made, id)]
        guilty = [id for id in own if not self._passes(patch.only(id), id)]
        if guilty:
            for id in guilty:
                patch.fill(id)
            return
        first = next((id for id in own or failing if not self._passes(made, id)), None)
        if first is not None:
            culprit = self._culprit(patch, lambda package: self._passes(package, first))
            patch.fill(culprit or first)

    def _passes(self, package: Snapshot, id: str) -> bool:
        """Check one exercise in a process of its own. What a busy machine left no time is not held against it."""
        self.say(f"checking {id} by itself", 0, 0)
        key = self.cache.key(self.course, id, package)
        if key in self.late:
            return True
        known = self.cache.get(key)
        if known is None:
            with laid_out(package) as app:
                report = self.workers[0].check(self.course, id, app, limit=20.0)
            known = Found(report.outcome, "")
            if known.outcome is Outcome.LATE:
                self.late.add(key)
            else:
                self.cache.put(key, known)
        return known.outcome not in FAILED

    def _failing(self, package: Snapshot, ids: Sequence[str], *, stop: bool) -> list[str]:
        """Return the exercises that do not pass on a package; if `stop`, of the first chapters where any fails.

        What passed in an earlier round is checked last: where several answers are wrong, the ones that nobody has
        looked at yet come first, and all the others once, at the end.
        """
        keys = {id: self.cache.key(self.course, id, package) for id in ids}
        open_ones = [id for id in ids if not self._is_known(keys[id])]
        open_ones.sort(key=self.seen.__contains__)
        done = len(ids) - len(open_ones)
        failing: list[str] = []
        with laid_out(package) as app:
            chunks = list(self._chunks(open_ones))
            workers = self._enough(len(open_ones))
            for start in range(0, len(chunks), len(workers)):
                self.say("checking", done, len(ids))
                pair = chunks[start : start + len(workers)]
                for chunk, passed in zip(pair, pool.spread(workers, self._checker(app), pair), strict=True):
                    self.seen |= passed
                    for id in passed:
                        self.cache.put(keys[id], Found(Outcome.PASSED, ""))
                    failing += [id for id in chunk if id not in passed]
                    done += len(chunk)
                if failing and stop:
                    break
        return failing

    def _is_known(self, key: str) -> bool:
        found = self.cache.get(key)
        return key in self.late or (found is not None and found.outcome is Outcome.PASSED)

    def _checker(self, app: Path) -> Callable[[Worker, list[str]], set[str]]:
        return lambda worker, chunk: {
            one.exercise for one in worker.check_together(self.course, chunk, app) if one.passed
        }

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


@contextmanager
def laid_out(package: Snapshot) -> Iterator[Path]:
    """Give a folder with a package in it, for as long as it is looked at."""
    with tempfile.TemporaryDirectory(prefix="workbook-", ignore_cleanup_errors=True) as folder:
        yield package.write(Path(folder))


def by_halves(ids: Sequence[str], works: Callable[[Sequence[str]], bool]) -> str | None:
    """Return the one of several answers that must go: with those before it all works, with it nothing does.

    Args:
        ids: the answers, in the course's order; with all of them it does not work.
        works: says whether it works with the first few of them; it is asked once, and once for each halving.
    """
    if not ids or not works([]):
        return None
    good, bad = 0, len(ids)
    while bad - good > 1:
        middle = (good + bad) // 2
        if works(ids[:middle]):
            good = middle
        else:
            bad = middle
    return ids[good]
