"""What a worker's messages about one exercise come to: its report."""

from __future__ import annotations

from typing import Any

from workbook.base.clock import BUSY
from workbook.base.wording import count
from workbook.checking.attempt import Attempt
from workbook.course.release import YOUR_CODE
from workbook.feedback.outcome import Outcome
from workbook.feedback.report import signature
from workbook.feedback.verdict import CheckReport, Criterion, overall
from workbook.running.job import LATE, NO_TIME, OUT_OF_TIME, Job


class Conclusion:
    """Turns a job's messages into a report: every criterion that was collected must have a result."""

    def __init__(self, report: CheckReport, messages: list[dict[str, Any]], job: Job) -> None:
        self.report, self.messages, self.job = report, messages, job

    def fill(self, given: str) -> None:
        """Fill in criteria, outcome, hint and note; `given` is the exercise's cell as the learner gets it."""
        everything = self._first("collected") or []
        collected = [item for item in everything if item["exercise"] == self.report.exercise]
        if broken := self._first("broken"):
            self.report.note = f"the check file cannot be read: {broken}"
            return
        if not collected:
            self.report.note = f"no check was collected for exercise {self.report.exercise} ({self._why_nothing()})"
            return
        results = self._results()
        started = [message["started"] for message in self.messages if "started" in message]
        failed = any(one.outcome is not Outcome.PASSED for one in results.values())
        for item in collected:
            if self.job.first_failure and failed and item["id"] not in started:
                continue  # nobody asked for more
            criterion = results.get(item["id"]) or self._missing(item, item["id"] in started)
            self.report.criteria.append(criterion)
        self._conclude(given)

    def imported(self) -> Criterion:
        """Return the verdict of a job that only imports."""
        item = {"id": self.job.module, "text": f"app.{self.job.module} can be imported"}
        return self._results().get(self.job.module) or self._missing(item, started=True)

    def _conclude(self, given: str) -> None:
        report = self.report
        report.outcome = overall(report.criteria)
        report.output = str(self._first("output") or "")
        report.hint, report.second = hints(report.criteria)
        self._weigh_attempt((self._first("attempts") or {}).get(report.exercise, ""), given)
        if crash := self._first("crashed"):
            report.outcome, report.note = Outcome.BROKE, str(crash)
        if tampering := self._first("tampered"):
            report.outcome, report.note = Outcome.BROKE, f"the checks were tampered with: {tampering}"

    def _weigh_attempt(self, attempt: str, given: str) -> None:
        """A stub that fails is not a wrong answer; a stub that passes is a fault of the check."""
        report = self.report
        failed = report.outcome in (Outcome.WRONG, Outcome.RAISED, Outcome.NOT_ATTEMPTED)
        if attempt == Attempt.STUB and report.passed:
            report.outcome, report.note = Outcome.BROKE, "the code as given passes every check"
        elif failed and self._died():
            return  # what ended the process is told, also where the exercise's own definitions are not found
        elif attempt == Attempt.MISSING and failed:
            self.report.note = _reason(report.failures)
            self._not_attempted("run the exercise's cell: what it defines is not in your app yet")
        elif attempt in (Attempt.STUB, Attempt.NOTHING) and failed:
            hole = YOUR_CODE in given
            where = f"write your code where it says `{YOUR_CODE}`" if hole else "change it as the text above it asks"
            self._not_attempted(f"the cell is still as it was given: {where}, run it, check again", seen=not hole)

    def _died(self) -> bool:
        """Say whether the process ended before it was done, by itself and not by the clock."""
        return not self._first("done") and OUT_OF_TIME not in str(self._first("ended") or OUT_OF_TIME)

    def _not_attempted(self, hint: str, *, seen: bool = False) -> None:
        """Leave what is asked, and of a planted bug what is seen of it: the hints would tell what to write."""
        kept = {"id", "text", "seconds"} | ({"did", "got", "expected"} if seen else set())
        for index, one in enumerate(self.report.criteria):
            if one.outcome is not Outcome.PASSED:
                blank = Criterion(**one.model_dump(include=kept), outcome=Outcome.NOT_ATTEMPTED)
                self.report.criteria[index] = blank
        self.report.outcome, self.report.hint, self.report.second = Outcome.NOT_ATTEMPTED, hint, ""

    def _results(self) -> dict[str, Criterion]:
        """Return the criteria by id; of two results for one, the failure counts."""
        found: dict[str, Criterion] = {}
        for message in self.messages:
            if "criterion" in message:
                criterion = Criterion.model_validate(message["criterion"])
                earlier = found.get(criterion.id)
                if earlier is None or earlier.outcome is Outcome.PASSED:
                    found[criterion.id] = criterion
        return found

    def _missing(self, item: dict[str, str], started: bool) -> Criterion:
        made = Criterion(id=item["id"], text=item["text"], outcome=Outcome.RAISED)
        ended = str(self._first("ended") or "")
        if not started:
            made.got = "not run: a criterion before it did not end"
            if self._is_late():
                made.outcome = Outcome.LATE
        elif ended == NO_TIME:
            made.outcome, made.hint = Outcome.LATE, BUSY
            made.got = f"{LATE} {count(self._first('total') or self.job.total, 'second')}"
        elif ended == OUT_OF_TIME:
            made.got = f"{LATE} {count(self._first('total') or self.job.total, 'second')}"
            made.hint = "look for a loop or a wait that never ends"
        else:
            made.got = f"your code ended the whole process ({ended or 'no result'})"
            made.hint = "look for `os._exit`, `quit` or a crash: a server must live on"
        return made

    def _is_late(self) -> bool:
        """Say whether the run ended because a busy machine left it no time."""
        told = any(one.outcome is Outcome.LATE for one in self._results().values())
        return told or self._first("ended") == NO_TIME

    def _why_nothing(self) -> str:
        """Say why there is no check: what pytest or the process said at its end."""
        reasons = [str(self._first(key) or "").strip() for key in ("crashed", "unusable", "stderr", "ended")]
        return "\n".join(filter(None, dict.fromkeys(reasons))) or "no check file"

    def _first(self, key: str) -> Any:
        return next((message[key] for message in self.messages if key in message), None)


def _reason(failures: list[Criterion]) -> str:
    """Return what a check met where the exercise is not there: it may be another fault that hides it."""
    met = next((one for one in failures if one.outcome is Outcome.RAISED and one.where), None)
    return f"what the check met first: {met.got}\n{met.where}" if met else ""


def hints(criteria: list[Criterion]) -> tuple[str, str]:
    """Return what to do first, and what to do about another mistake, if there is one.

    Failures with one cause, one hint or one result are one mistake. What was seen comes first. Then, where the first
    criterion fails, the order of the criteria counts, because the later ones build on it; else the mistake that fewest
    criteria fail by, because its criterion names it most exactly. Where all fail, and nothing raised, one is enough.
    """
    failures = [one for one in criteria if one.outcome is not Outcome.PASSED]
    mistakes: list[list[Criterion]] = []
    for one in failures:
        group = next((group for group in mistakes if any(_alike(one, other) for other in group)), None)
        if group is None:
            mistakes.append([one])
        else:
            group.append(one)
    basic = bool(failures) and failures[0] is criteria[0]
    ranked = sorted(mistakes, key=lambda group: (not group[0].seen, 0 if basic else len(group)))
    found = [hint for group in ranked for hint in (_hint(group), group[0].other if group[0].seen else "")]
    found += [group[0].other for group in ranked]
    first, second, *_ = [*dict.fromkeys(filter(None, found)), "", ""]
    alone = len(failures) == len(criteria) and not any(one.seen for one in failures)
    return first, "" if alone else second


def _alike(one: Criterion, other: Criterion) -> bool:
    if one.cause or other.cause:  # one kind of exception, on one line
        kinds = (one.cause.partition(":")[0], other.cause.partition(":")[0])
        return kinds[0] == kinds[1] and one.trace[-1:] == other.trace[-1:]
    return one.hint == other.hint or signature(one)[2:3] == signature(other)[2:3] != ("",)


def _hint(group: list[Criterion]) -> str:
    return next((one.hint for one in group if one.hint), "")
