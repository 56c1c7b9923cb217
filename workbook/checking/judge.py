"""The end of a test, or of an import, turned into a criterion: what was done, what came back, whose line it was."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from workbook import expect
from workbook.base.clock import BUSY
from workbook.base.wording import shortened
from workbook.checking import mishap
from workbook.checking.blame import Blame
from workbook.checking.hole import Hole
from workbook.checking.package import Package
from workbook.checking.trail import Trail
from workbook.feedback import diagnose
from workbook.feedback.outcome import Outcome
from workbook.feedback.verdict import Criterion, Exchange, Fault

# raised and caught again by a check: these are slips wherever they rise
SLIPS = (NameError, ImportError, SyntaxError, AttributeError, NotImplementedError)
LIBRARIES = ("sqlalchemy", "fastapi")
# what a criterion expects that is about input which must be refused: 422, a ValidationError, False
REFUSED = re.compile(r"4\d\d\b|an? [A-Z]+[a-z]\w*|[A-Z][a-z]+[A-Z]\w*|\(?False\b|.*\brefuse")


class NotAttempted(Exception):
    """The exercise's hole still holds the stub."""


class Judge:
    """Turns the end of a test, or of an import, into a criterion.

    Args:
        package: the learner's package.
        exchanges: what was sent and received so far, newest last.
        forgotten: names of coroutines that nobody awaited; empty for one of the check's own.
        exercise: the exercise that is being checked.
        hole: what it asks to write.
        checks: the folder of its checks.
        made_in: says where the course puts a name into `app.state`; empty where it does not.
    """

    def __init__(
        self,
        package: Package,
        exchanges: Sequence[Exchange] = (),
        forgotten: Sequence[str] = (),
        exercise: str = "",
        hole: Hole | None = None,
        checks: Path | None = None,
        made_in: Callable[[str], str] = lambda _name: "",
    ) -> None:
        self.package, self.exchanges, self.forgotten, self.hole = package, exchanges, forgotten, hole
        self._checks, self._made_in = checks, made_in
        self._blame = Blame(package, hole)
        self._trail = Trail(package, exercise, hole.file if hole else "", checks)

    def judge(self, id: str, text: str, seconds: float, error: BaseException | None) -> Criterion:
        """Return the verdict, which is `passed` when there was no error."""
        made = Criterion(id=id, text=text, outcome=Outcome.PASSED, seconds=seconds)
        if error is not None:
            self._fill(made, error)
            made.did, made.got, made.expected = map(shortened, (made.did, made.got, made.expected))
        return made

    def _fill(self, made: Criterion, error: BaseException) -> None:
        made.exchange = self.exchanges[-1] if self.exchanges else None
        if isinstance(error, NotAttempted):
            made.outcome, made.exchange = Outcome.NOT_ATTEMPTED, None
        elif type(error).__name__ == "MachineBusy":
            made.outcome, made.exchange, made.got, made.hint = Outcome.LATE, None, str(error), BUSY
        elif type(error).__name__ == "Unavailable":
            made.outcome, made.exchange = Outcome.BROKE, None
            made.got, _, made.hint = str(error).partition("\n\nhint: ")
        elif isinstance(error, expect.Wrong):
            self._wrong(made, error)
        elif self._trail.steps(error) or self._app_raised():
            self._raised(made, error)
        elif isinstance(error, AssertionError):
            made.outcome, made.got = Outcome.WRONG, str(error).strip()
            made.where = self._blame.place(made, None)
        elif type(error).__name__ in ("TimeExceeded", "MemoryError") or _not_awaitable(error):
            self._raised(made, error)
        elif self.package.used and self.hole is not None and mishap.is_learners(error, self._checks):
            self._mishap(made, error)
        else:
            made.outcome, made.got = Outcome.BROKE, diagnose.summary(error)
            made.trace = traceback.format_exception(error)[-12:]
            made.hint = "this is not your mistake: please report it with the lines above"

    def _wrong(self, made: Criterion, error: expect.Wrong) -> None:
        made.outcome, made.exchange = Outcome.WRONG, error.exchange
        made.did, made.got, made.expected = error.did, error.got, error.expected
        made.why, made.hint = error.why, error.hint
        fault, of_answer = self._behind(error)
        made.where = self._blame.place(made, error.at, fault)
        if fault is not None:
            self._by_fault(made, fault, of_answer=of_answer, sure=error.sure)
            seen = error.__context__ if error.__suppress_context__ and error.error is None else None
            if made.hint != error.hint and isinstance(seen, Exception) and not isinstance(seen, SLIPS):
                made.other = error.hint  # the check has seen the exception, too: its hint may know more
        elif not error.sure:
            self._by_slip(made)
        self._by_forgotten(made, fault)

    def _behind(self, error: expect.Wrong) -> tuple[Fault | None, bool]:
        """Return the exception behind a wrong answer, and whether a request ended in it."""
        if error.fault is not None:
            return error.fault, False
        caught = error.error or error.__cause__ or _told(error.__context__)
        if caught is not None and (self._trail.steps(caught) or type(caught).__module__.split(".")[0] in LIBRARIES):
            return self._trail.fault(caught), False
        told = error.exchange or next((one for one in reversed(self.exchanges) if one.fault), None)
        fault = told.fault if told else None
        if fault is None or fault.planted or re.match(r"5\d\d\b", error.expected):
            return None, False
        return fault, error.exchange is not None

    def _by_fault(self, made: Criterion, fault: Fault, *, of_answer: bool, sure: bool) -> None:
        """Let the exception speak: its hint where a rule knows one, and what it was, in place of what it led to."""
        if sure:
            made.cause, made.trace, made.seen = fault.cause, fault.trace, True
            return
        if of_answer and made.exchange is not None:
            made.got = made.exchange.answer_line
        if fault.hint or of_answer:
            made.seen = not (made.hint and self._knows_less(fault, made.expected))
            if made.seen:
                made.hint = (
                    fault.hint or "begin with the exception: what does the line that it names need, and not get?"
                )
            else:
                made.other = fault.hint
            made.cause, made.trace = fault.cause, fault.trace
        forgotten = re.match(r"`([\w.]+)` was called without `await`", fault.summary)
        slip = self._blame.unawaited(forgotten[1]) if forgotten else None
        if slip is not None and self.hole is not None:
            made.hint, made.where = slip.hint, self._blame.place_of(slip)

    def _knows_less(self, fault: Fault, expected: str) -> bool:
        """Say whether a criterion's hint knows more than what an exception tells.

        That is so where it only says what the input was, and the input must be refused; and where it rose in code that
        the exercise does not ask for, and no rule knows why.
        """
        if fault.vague and REFUSED.match(expected):
            return True
        knows_little = fault.vague or not fault.hint or fault.summary.startswith("IndexError")
        return knows_little and not self._blame.is_asked(fault)

    def _by_slip(self, made: Criterion) -> None:
        """Name a slip that can be seen in the exercise's own text, and keep the criterion's hint beside it."""
        slip = self._blame.slip()
        if slip is not None and self.hole is not None:
            made.hint, made.other, made.seen = slip.hint, made.hint, True
            made.where = self._blame.place_of(slip)

    def _raised(self, made: Criterion, error: BaseException) -> None:
        fault = self._trail.fault(error)
        made.outcome, made.where = Outcome.RAISED, fault.where
        if made.where is None or made.exchange is not None:
            made.where = self._blame.place(made, None, fault)
        made.did = made.exchange.request_line if made.exchange else ""
        timed_out = type(error).__name__ == "TimeExceeded"
        made.got = str(error) if timed_out else fault.summary
        made.hint, made.trace, made.cause, made.seen = fault.hint, fault.trace, fault.cause, True
        self._by_forgotten(made, fault)

    def _by_forgotten(self, made: Criterion, fault: Fault | None) -> None:
        """Name a coroutine that was made and never awaited, whatever else went wrong."""
        if not self.forgotten or (fault is not None and "MissingGreenlet" in fault.summary):
            return
        name = next(filter(None, self.forgotten), "")
        slip = self._blame.unawaited(name) if name else None
        short = name.rpartition(".")[2]
        if slip is not None and self.hole is not None:
            made.hint, made.where = slip.hint, self._blame.place_of(slip)
        elif self._blame.is_asked_for(name):
            made.hint = f"`{short}` is `async`, and what calls it does not await it: is a plain `def` asked for here?"
        elif name:
            made.hint = f"`{name}` was called without `await`: put `await` before the call"
        else:
            made.hint = made.hint or "put `await` before the call: it gives a coroutine"
        made.other, made.seen = "", bool(name)

    def _mishap(self, made: Criterion, error: BaseException) -> None:
        """A check cannot go on with what the learner's code made."""
        made.outcome, made.where = Outcome.WRONG, self._blame.place(made, None)
        if self.hole is not None and mishap.is_librarys(error):
            made.where = mishap.place(error, self.hole, self.package) or made.where
        made.got, made.expected, made.hint = mishap.told(error, self._checks, self._made_in)
        self._by_forgotten(made, None)

    def _app_raised(self) -> bool:
        """Say whether the newest request ended in an exception: what a route returned can be at fault, too."""
        return bool(self.exchanges) and self.exchanges[-1].status is None


def _told(context: BaseException | None) -> BaseException | None:
    """Return the exception that a check has caught before it raised its own `from None`, where it tells a mistake."""
    is_meant = isinstance(context, AssertionError | ValidationError)
    return context if isinstance(context, Exception) and not is_meant else None


def _not_awaitable(error: BaseException) -> bool:
    """Say whether a check awaited what the learner's function gave, and it was no coroutine."""
    return isinstance(error, TypeError) and "can't be used in 'await' expression" in str(error)


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
