"""What a run's messages come to: reasons are kept, hints are chosen, and a busy machine is no verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workbook.feedback.outcome import Outcome
from workbook.feedback.verdict import CheckReport, Criterion, Location
from workbook.running.conclusion import Conclusion, hints
from workbook.running.job import NO_TIME, OUT_OF_TIME, Job

JOB = Job(app=Path("app"), root=Path())


def failed(hint: str = "", got: str = "", **facts: Any) -> Criterion:
    """Return a criterion that failed."""
    values = {"id": hint, "text": "", "outcome": Outcome.WRONG, "hint": hint, "got": got or hint, **facts}
    return Criterion.model_validate(values)


def passed() -> Criterion:
    """Return a criterion that passed."""
    return failed(outcome=Outcome.PASSED)


def raised(hint: str, cause: str, line: str = "app/x.py:1") -> Criterion:
    """Return a criterion that failed by an exception."""
    return failed(hint, cause=cause, trace=[line], seen=True)


def concluded(*messages: dict[str, Any], collected: int = 1, attempt: str = "made") -> CheckReport:
    """Return the report on exercise 1.1 from a run's messages."""
    items = [{"id": str(number), "text": f"criterion {number}", "exercise": "1.1"} for number in range(collected)]
    first = {"collected": items, "attempts": {"1.1": attempt}} if collected else {}
    report = CheckReport(exercise="1.1", title="x", outcome=Outcome.BROKE)
    Conclusion(report, [first, *messages], JOB).fill("# YOUR CODE HERE")
    return report


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"crashed": "pytest ended with an internal error"}, "pytest ended with an internal error"),
        ({"unusable": "pytest could not begin\nno such option"}, "no such option"),
        ({"ended": "the worker could not be started: no module"}, "no module"),
        ({"ended": ""}, "no check file"),
    ],
)
def test_a_reason_is_kept_where_nothing_was_collected(message: dict[str, Any], said: str) -> None:
    """Whatever says why there is no check is in the note."""
    report = concluded(message, collected=0)
    assert report.outcome is Outcome.BROKE
    assert said in report.note


def test_what_is_missing_says_what_stopped_the_check() -> None:
    """Not attempted hides no other fault: an import that fails may be the reason."""
    one = Criterion(
        id="0", text="", outcome=Outcome.RAISED, got="NameError: x", where=Location(path="app/y.py", line=3)
    )
    report = concluded({"criterion": one.model_dump(mode="json")}, attempt="missing")
    assert report.outcome is Outcome.NOT_ATTEMPTED
    assert report.note == "what the check met first: NameError: x\napp/y.py:3"


@pytest.mark.parametrize("attempt", ["stub", "missing"])
def test_an_untouched_exercise_has_one_hint(attempt: str) -> None:
    """Neither hint of the criteria is shown: they would tell what to write."""
    two = [raised("open it", "KeyError: a"), failed("return the pair", "None")]
    assert all(hints(two)), "the criteria have two hints"
    messages = [{"criterion": {**one.model_dump(mode="json"), "id": str(n)}} for n, one in enumerate(two)]
    assert concluded(*messages, collected=2).second == "return the pair"
    report = concluded(*messages, collected=2, attempt=attempt)
    assert report.outcome is Outcome.NOT_ATTEMPTED
    assert report.hint.endswith(("check again", "not in your app yet"))
    assert not report.second


def test_what_has_moved_is_an_attempt() -> None:
    """A function that lies elsewhere by now has its verdict, with its reasons."""
    report = concluded(
        {"criterion": failed("do it").model_copy(update={"id": "0"}).model_dump(mode="json")}, attempt="moved"
    )
    assert (report.outcome, report.hint) == (Outcome.WRONG, "do it")


def test_a_busy_machine_is_no_verdict_for_the_rest_either() -> None:
    """A criterion that got no time ends the run; those after it are not the learner's either."""
    late = Criterion(id="0", text="", outcome=Outcome.LATE, got="no time", hint="run it again")
    report = concluded({"criterion": late.model_dump(mode="json")}, {"ended": "exit status 0"}, collected=3)
    assert report.outcome is Outcome.LATE
    assert {one.outcome for one in report.criteria} == {Outcome.LATE}
    assert report.hint == "run it again"


@pytest.mark.parametrize(("ended", "outcome"), [(NO_TIME, Outcome.LATE), (OUT_OF_TIME, Outcome.RAISED)])
def test_a_run_that_was_ended_is_a_verdict_where_it_had_its_time(ended: str, outcome: Outcome) -> None:
    """Checks that had to be ended from outside loop, or the machine had too much to do."""
    report = concluded({"started": "0"}, {"ended": ended}, collected=2)
    assert {one.outcome for one in report.criteria} == {outcome}
    assert report.criteria[0].got == "it did not end within 30 seconds"


def test_a_wrong_answer_counts_although_the_machine_was_busy() -> None:
    """What was found wrong before is wrong."""
    late = Criterion(id="1", text="", outcome=Outcome.LATE)
    wrong = failed("do it").model_copy(update={"id": "0"})
    messages = [{"criterion": one.model_dump(mode="json")} for one in (wrong, late)]
    assert concluded(*messages, collected=2).outcome is Outcome.WRONG


@pytest.mark.parametrize(
    ("criteria", "first", "second"),
    [
        ([failed("a")], "a", ""),
        ([failed("a"), failed("b")], "a", ""),  # all fail, and nothing raised: begin with the first
        ([failed("a"), failed("b"), passed()], "a", "b"),  # the first one is what the others build on
        ([passed(), failed("a"), failed("a"), failed("b")], "b", "a"),  # the rarest is named most exactly
        ([passed(), failed("a", "404"), failed("b", "404")], "a", ""),  # one result is one mistake
        ([passed(), failed("a"), raised("r", "NameError: x")], "r", "a"),  # what raised comes first
        ([raised("r", "NameError: x"), raised("s", "KeyError: y", "app/z.py:2")], "r", "s"),  # two exceptions
        ([raised("r", "NotNull: a"), raised("s", "NotNull: b")], "r", ""),  # one kind on one line
        ([passed(), failed("slip", other="a", seen=True)], "slip", "a"),
        ([passed(), failed("", "x"), failed("b")], "b", ""),
        ([failed("a"), failed("forgotten", seen=True), passed()], "forgotten", "a"),
        ([passed()], "", ""),
        ([passed(), failed("catch it", other="half of a character"), failed("b"), failed("b")], "catch it", "b"),
        ([passed(), failed("catch it", other="half of a character")], "catch it", "half of a character"),
        ([passed(), raised("a", "E: 1").model_copy(update={"other": "more"}), failed("b")], "a", "more"),
    ],
)
def test_two_mistakes_have_two_hints_and_one_has_one(criteria: list[Criterion], first: str, second: str) -> None:
    """Hints are for mistakes, not for criteria."""
    assert hints(criteria) == (first, second)
