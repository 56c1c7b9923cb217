"""The end of a test, or of an import, turned into a criterion: what was done, what came back, whose line it was."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence

from workbook import diagnose, expect
from workbook.package import Package
from workbook.verdict import Criterion, Exchange, Location, Outcome


class NotAttempted(Exception):
    """The exercise's hole still holds the stub."""


class Judge:
    """Turns the end of a test, or of an import, into a criterion.

    Args:
        package: the learner's package.
        exchanges: what was sent and received so far, newest last.
        forgotten: names of coroutines that nobody awaited; empty for one of the check's own.
        exercise: the exercise that is being checked.
    """

    def __init__(
        self,
        package: Package,
        exchanges: Sequence[Exchange] = (),
        forgotten: Sequence[str] = (),
        exercise: str = "",
    ) -> None:
        self.package, self.exchanges, self.forgotten, self.exercise = package, exchanges, forgotten, exercise

    def judge(self, id: str, text: str, seconds: float, error: BaseException | None) -> Criterion:
        """Return the verdict, which is `passed` when there was no error."""
        made = Criterion(id=id, text=text, outcome=Outcome.PASSED, seconds=seconds)
        if error is not None:
            self._fill(made, error)
        return made

    def _fill(self, made: Criterion, error: BaseException) -> None:
        made.exchange = self.exchanges[-1] if self.exchanges else None
        if isinstance(error, NotAttempted):
            made.outcome, made.exchange = Outcome.NOT_ATTEMPTED, None
        elif isinstance(error, expect.Wrong):
            self._wrong(made, error)
        elif where := self._last_own_line(error):
            self._raised(made, error, where)
        elif isinstance(error, AssertionError) and not self._app_raised():
            made.outcome, made.got = Outcome.WRONG, str(error).strip()
            made.where = made.exchange.endpoint if made.exchange else None
        elif self._app_raised() or type(error).__name__ in ("TimeExceeded", "MemoryError") or _not_awaitable(error):
            self._raised(made, error, made.exchange.endpoint if made.exchange else None)
        else:
            made.outcome, made.got = Outcome.BROKE, diagnose.summary(error)
            made.trace = traceback.format_exception(error)[-12:]
            made.hint = "this is not your mistake: please report it with the lines above"

    def _wrong(self, made: Criterion, error: expect.Wrong) -> None:
        made.outcome = Outcome.WRONG
        made.did, made.got, made.expected = error.did, error.got, error.expected
        made.why = error.why
        made.exchange = error.exchange
        found = expect.place(error.at) if error.at is not None else None
        made.where = self._last_own_line(error.error) if error.error else None
        if made.where is None and found:
            made.where = self.package.locate(*found)
        if made.where is None and error.exchange is not None:
            made.where = error.exchange.endpoint
        made.hint = self._hint(error.hint)

    def _raised(self, made: Criterion, error: BaseException, where: Location | None) -> None:
        made.outcome, made.where = Outcome.RAISED, where
        made.did = made.exchange.request_line if made.exchange else ""
        timed_out = type(error).__name__ == "TimeExceeded"
        made.got = str(error) if timed_out else diagnose.summary(error)
        made.hint = self._hint(diagnose.hint_for(error, self.exercise))
        made.trace = [str(place) for place in self._own_lines(error)]

    def _hint(self, otherwise: str) -> str:
        """Name a coroutine that was made and never awaited, whatever else went wrong."""
        if name := next(filter(None, self.forgotten), ""):
            return f"`{name}` was called without `await`: put `await` before the call"
        return otherwise or ("put `await` before the call: it gives a coroutine" if self.forgotten else "")

    def _own_lines(self, error: BaseException) -> Iterator[Location]:
        """Yield the lines of the learner's that an exception came through, outermost first."""
        if isinstance(error, SyntaxError) and error.filename:
            place = self.package.locate(error.filename, error.lineno or 1)
            if place is not None:
                yield place
        for chained in _chain(error):
            for frame in traceback.extract_tb(chained.__traceback__):
                place = self.package.locate(frame.filename, frame.lineno or 1)
                if place is not None:
                    yield place

    def _last_own_line(self, error: BaseException) -> Location | None:
        return next(iter(reversed(list(self._own_lines(error)))), None)

    def _app_raised(self) -> bool:
        """Say whether the newest request ended in an exception: what a route returned can be at fault, too."""
        return bool(self.exchanges) and self.exchanges[-1].status is None


def _not_awaitable(error: BaseException) -> bool:
    """Say whether a check awaited what the learner's function gave, and it was no coroutine."""
    return isinstance(error, TypeError) and "can't be used in 'await' expression" in str(error)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, what it was raised from, and the members of a group, without repeating one."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        current = todo.pop(0)
        if current is None or id(current) in seen or len(seen) > 50:
            continue
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            todo += current.exceptions
        todo.append(current.__cause__)


def as_lines(criterion: Criterion) -> str:
    """Return a failed criterion as plain lines: what was done, what came back, what was expected, why, where, hint."""
    lines = [f"{criterion.outcome}: {criterion.text}"]
    lines += [f"  {text}" for text in (criterion.did, criterion.got and f"got: {criterion.got}") if text]
    for label, text in (
        ("expected", criterion.expected),
        ("why", criterion.why),
        ("your code", str(criterion.where) if criterion.where else ""),
        ("hint", criterion.hint),
    ):
        lines += [f"  {label}: {text}"] if text else []
    return "\n".join(lines + criterion.trace)
