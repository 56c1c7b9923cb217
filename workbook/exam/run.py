"""An exam from its beginning to its end, which always comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from workbook.errors import WorkbookError
from workbook.exam import attack, auth, basics, items, permissions, users
from workbook.exam.cast import Exam
from workbook.exam.criteria import Criterion
from workbook.exam.finding import Failure, Unasked

SECONDS = 55.0  # for the whole exam
AT_ONCE = 4  # criteria: hashing a password takes the backend a quarter of a second and more
# what attacks comes last, one by one: too many tries would close the door for the others, times are compared,
# and leaks are looked for in all answers
TOGETHER = (basics, auth, users, items, permissions)
LAST = attack.topic.criteria
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

    def of(self, outcome: str) -> list[Result]:
        """Return the results that ended so."""
        return [one for one in self.results if one.outcome == outcome]

    @property
    def passed(self) -> bool:
        """Say whether all that was asked passed, and whatever could not be asked was left out by choice."""
        right = (one.outcome == PASSED or one.chosen for one in self.results)
        return all(right) and bool(self.of(PASSED))


def address(url: str) -> str:
    """Return where a backend runs, without a slash at the end.

    Raises:
        WorkbookError: it is no address.
    """
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    if wrong or parts.query or parts.fragment:
        raise WorkbookError(f"{url!r} is no address of a backend", "workbook exam http://127.0.0.1:8000")
    return url.rstrip("/")


def select(names: str) -> list[Criterion]:
    """Return the criteria of exercises such as 9.6 and chapters such as 9, with commas between them; all for "".

    Raises:
        WorkbookError: nothing is asked about one of them.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if not any(name in (one.exercise, one.chapter.zfill(len(name))) for one in CRITERIA):
            known = ", ".join(dict.fromkeys(one.exercise for one in sorted(CRITERIA, key=lambda one: one.order)))
            raise WorkbookError(f"the exam asks nothing about {name!r}", f"it knows {known}")
    chosen = [one for one in CRITERIA if one.exercise in wanted or any(_is_chapter(one, name) for name in wanted)]
    return chosen if wanted else list(CRITERIA)


def _is_chapter(criterion: Criterion, name: str) -> bool:
    return criterion.chapter.zfill(len(name)) == name


async def run(exam: Exam, chosen: Sequence[Criterion], seconds: float = SECONDS, step: Step | None = None) -> Report:
    """Ask all criteria; return what was found.

    Args:
        exam: whom and how to ask.
        chosen: which criteria.
        seconds: after them no criterion is asked any more.
        step: is told (done, all) after each criterion.

    Raises:
        WorkbookError: nothing answers at all.
    """
    started = time.monotonic()
    results: list[Result] = []

    async def ask(criterion: Criterion, turns: asyncio.Semaphore) -> None:
        async with turns:
            results.append(await _one(exam, criterion, started + seconds))
        if step:
            step(len(results), len(chosen))

    try:
        await _knock(exam)
        several, single = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(1)
        await asyncio.gather(*(ask(one, several) for one in chosen if one not in LAST))
        await asyncio.gather(*(ask(one, single) for one in chosen if one in LAST))
    finally:
        await exam.client.close()
    ordered = tuple(sorted(results, key=lambda one: one.criterion.order))
    return Report(exam.client.url, ordered, time.monotonic() - started, exam.client.asked)


async def _knock(exam: Exam) -> None:
    """See whether anything answers."""
    try:
        await exam.client.ask("GET", "/health", outside=True, limited=True)
    except Failure as failure:
        hint = "start it, and give the address that it prints: uvicorn --app-dir solutions app.main:app"
        raise WorkbookError(f"nothing answers at {exam.client.url}: {failure.got}", hint) from None


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
        result = Result(criterion, UNASKED, got="the time of the exam was over")
    except Exception as error:  # answers are a stranger's: no shape of theirs may end the exam
        told = f"an answer has a shape that the exam cannot read ({type(error).__name__}: {error})"
        result = Result(criterion, UNASKED, got=told)
    return replace(result, seconds=time.monotonic() - started)
