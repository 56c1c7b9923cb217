"""An exam from its beginning to its end, which always comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from workbook.base.errors import WorkbookError
from workbook.exam import attack, auth, basics, items, operations, permissions, users
from workbook.exam.cast import Exam
from workbook.exam.criteria import Criterion
from workbook.exam.door import knock
from workbook.exam.finding import Failure, Unasked

SECONDS = 180.0  # for the whole exam
AT_ONCE = 2  # criteria: hashing a password takes the backend a quarter of a second and more, on a busy machine many
TOGETHER = (basics, auth, users, items, permissions, operations)
# what attacks comes last, one by one: too many tries would close the door for the others, times are compared,
# and leaks are looked for in all answers
LAST = (*attack.topic.criteria, *permissions.risky.criteria)
CRITERIA = (*(criterion for module in TOGETHER for criterion in module.topic.criteria), *LAST)
PASSED, FAILED, UNASKED = "passed", "failed", "not asked"
Step = Callable[[int, int], None]


@dataclass(frozen=True)
class Result:
    """How one criterion ended.

    Args:
        criterion: which one.
        outcome: passed, failed, or not asked.
        did: the request that showed it.
        got: what came back, or why it was not asked.
        expected: what should have come back.
        why: what goes wrong for somebody.
        chosen: not asked, because the one who started the exam left it out.
        seconds: how long it took.
    """

    criterion: Criterion
    outcome: str
    did: str = ""
    got: str = ""
    expected: str = ""
    why: str = ""
    chosen: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class Report:
    """All results of an exam, in the order of the exercises."""

    url: str
    results: tuple[Result, ...]
    seconds: float
    requests: int
    interrupted: bool = False

    def of(self, outcome: str) -> list[Result]:
        """Return the results that ended so."""
        return [one for one in self.results if one.outcome == outcome]

    @property
    def passed(self) -> bool:
        """Say whether all that was asked passed, and whatever could not be asked was left out by choice."""
        right = (one.outcome == PASSED or one.chosen for one in self.results)
        return all(right) and bool(self.of(PASSED))


def select(names: str) -> list[Criterion]:
    """Return the criteria of exercises such as 9.6 and chapters such as 9, with commas between them; all for "".

    Raises:
        WorkbookError: nothing is asked about one of them.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if not any(_is_meant(one, name) for one in CRITERIA):
            known = ", ".join(dict.fromkeys(one.exercise for one in sorted(CRITERIA, key=lambda one: one.order)))
            raise WorkbookError(f"the exam asks nothing about {name!r}", f"it knows {known}")
    return [one for one in CRITERIA if not wanted or any(_is_meant(one, name) for name in wanted)]


def _is_meant(criterion: Criterion, name: str) -> bool:
    return name in (criterion.exercise, criterion.chapter.zfill(len(name)))


async def run(
    exam: Exam,
    chosen: Sequence[Criterion],
    seconds: float = SECONDS,
    step: Step | None = None,
    results: list[Result] | None = None,
) -> Report:
    """Ask all criteria; return what was found.

    Args:
        exam: whom and how to ask.
        chosen: which criteria.
        seconds: after them no criterion is asked any more.
        step: is told (done, all) after each criterion.
        results: where each result is put as soon as it is there.

    Raises:
        WorkbookError: nothing answers at all, or something else than a backend with this interface.
    """
    started = time.monotonic()
    found: list[Result] = [] if results is None else results
    exam.client.until = started + seconds

    async def ask(criterion: Criterion, turns: asyncio.Semaphore) -> None:
        async with turns:
            found.append(await _one(exam, criterion, started + seconds))
        if step:
            step(len(found), len(chosen))

    try:
        await knock(exam.client)
        several, single = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(1)
        await asyncio.gather(*(ask(one, several) for one in chosen if one not in LAST))
        await asyncio.gather(*(ask(one, single) for one in chosen if one in LAST))
    finally:
        await exam.client.close()
    return _report(exam, found, started)


def sit(exam: Exam, chosen: Sequence[Criterion], seconds: float = SECONDS, step: Step | None = None) -> Report:
    """Ask all criteria, in an event loop of its own; Ctrl-C ends it with what was found until then.

    Raises:
        WorkbookError: nothing answers at all, or something else than a backend with this interface.
    """
    started = time.monotonic()
    results: list[Result] = []
    try:
        return asyncio.run(run(exam, chosen, seconds, step, results))
    except KeyboardInterrupt:
        asked = {one.criterion for one in results}
        rest = [Result(one, UNASKED, got="the exam was interrupted") for one in chosen if one not in asked]
        return replace(_report(exam, [*results, *rest], started), interrupted=True)


def _report(exam: Exam, results: Sequence[Result], started: float) -> Report:
    ordered = tuple(sorted(results, key=lambda one: one.criterion.order))
    return Report(exam.client.url, ordered, time.monotonic() - started, exam.client.asked)


async def _one(exam: Exam, criterion: Criterion, deadline: float) -> Result:
    """Ask one criterion; whatever the backend does, this ends, and with a result."""
    started = time.monotonic()
    result = Result(criterion, PASSED)
    try:
        async with asyncio.timeout(deadline - started):
            await criterion.ask(exam)
    except Failure as failure:
        result = Result(criterion, FAILED, failure.did, failure.got, failure.expected, failure.why)
    except Unasked as reason:
        result = Result(criterion, UNASKED, got=reason.reason, chosen=reason.chosen)
    except TimeoutError:
        result = Result(criterion, UNASKED, got="the time of the exam was over: --seconds gives it more")
    except Exception as error:  # answers are a stranger's: no shape of theirs may end the exam
        told = f"an answer has a shape that the exam cannot read ({type(error).__name__}: {error})"
        result = Result(criterion, UNASKED, got=told)
    return replace(result, seconds=time.monotonic() - started)
