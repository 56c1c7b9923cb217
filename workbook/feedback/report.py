"""A CheckReport as text, and what its other forms share with that: the verdict, and what there is to say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from workbook.base.wording import shortened
from workbook.feedback.outcome import Outcome
from workbook.feedback.replay import replay
from workbook.feedback.verdict import CheckReport, Criterion

LABELS = {
    Outcome.PASSED: "passed",
    Outcome.WRONG: "wrong",
    Outcome.NOT_ATTEMPTED: "not yet",
    Outcome.RAISED: "raised",
    Outcome.BROKE: "broke",
    Outcome.LATE: "no time",
}
AGAIN = "(as above)"
ASKED = 90  # characters of a request that failed as another one did
CALLERS = 3
IMPORT = re.compile(r":\d+  (from|import) ")  # on the way of every exception that rises while a module is read
WIDTH = max(len(label) for label in LABELS.values())


def verdict_line(report: CheckReport) -> str:
    """Return the verdict in one line: what every other form begins with."""
    name = f"{report.exercise} {report.title}"
    if report.passed:
        return f"{name}: passed ({report.points} of {report.out_of} points)"
    if report.outcome is Outcome.LATE:
        return f"{name}: {report.outcome}: the machine was busy; run it again"
    if report.criteria and report.outcome is not Outcome.NOT_ATTEMPTED:
        failed = len(report.failures)
        fail = "criteria fail" if len(report.criteria) != 1 and failed != 1 else "criteria fails"
        fail = "criterion fails" if len(report.criteria) == 1 else fail
        return f"{name}: {report.outcome} ({failed} of {len(report.criteria)} {fail})"
    return f"{name}: {report.outcome}"


def facts(criterion: Criterion) -> Iterator[tuple[str, str]]:
    """Yield what there is to say of a failed criterion, as (label, text)."""
    if criterion.did:
        yield "did", criterion.did
    sent = criterion.exchange.headers.get("authorization", "") if criterion.exchange else ""
    if sent:
        yield "sent", f"Authorization: {shortened(sent)}"
    if criterion.got:
        yield "got", criterion.got
    if criterion.expected:
        yield "expected", criterion.expected
    if criterion.why:
        yield "why", criterion.why
    if criterion.where:
        yield "your code", str(criterion.where)
    yield from _ways(criterion)
    if criterion.exchange and (code := replay(criterion.exchange)):
        yield "replay", code


def _ways(criterion: Criterion) -> Iterator[tuple[str, str]]:
    """Yield the other lines of the learner's that an exception came through."""
    if criterion.outcome in (Outcome.RAISED, Outcome.WRONG) and criterion.trace:
        where, last = str(criterion.where), criterion.trace[-1]
        if last != where:
            yield "raised at", last
        callers = [one for one in dict.fromkeys(criterion.trace[:-1]) if one != where and not IMPORT.search(one)]
        for place in callers[-CALLERS:]:
            yield "called from", place


def text(report: CheckReport) -> str:
    """Return the report as plain text."""
    lines = [report.notice, ""] if report.notice else []
    lines.append(verdict_line(report))
    if report.criteria:
        lines.append("")
        for criterion, again in told_apart(report):
            lines += _criterion_lines(criterion, again)
    lines += ["", report.note] if report.note else []
    lines += ["", "your code printed:", *_indented(report.output, 2)] if report.output.strip() else []
    lines += ["", *(f"hint: {hint}" for hint in hints_of(report))] if hints_of(report) else []
    return "\n".join(lines)


def hints_of(report: CheckReport) -> list[str]:
    """Return what a report advises; nothing when it passed."""
    return [] if report.passed else [hint for hint in (report.hint, report.second) if hint]


def told_apart(report: CheckReport) -> Iterator[tuple[Criterion, str]]:
    """Yield the criteria; with those that failed as an earlier one did, what is said in place of the same again."""
    told: dict[tuple[object, ...], str] = {}
    for criterion in report.criteria:
        key, again = signature(criterion), ""
        if criterion.outcome in (Outcome.WRONG, Outcome.RAISED):
            if key in told:
                same = criterion.did in ("", told[key])
                again = AGAIN if same else f"{AGAIN[:-1]}, for {_cut(criterion.did)})"
            told.setdefault(key, criterion.did)
        yield criterion, again


def signature(criterion: Criterion) -> tuple[object, ...]:
    """Return what is the same for criteria that fail in one way: ids, times and the request may differ."""
    if criterion.cause:
        return (criterion.outcome, "cause", criterion.cause)
    seen = (_without_ids(said) for said in (criterion.got, criterion.expected))
    return (criterion.outcome, criterion.did if not criterion.got else "", *seen, criterion.why, str(criterion.where))


def _without_ids(said: str) -> str:
    """Return a text without what differs from run to run: ids, times, addresses in memory."""
    said = re.sub(r"""(id['"]: ?)(?:\d+|"[^"]*"|'[^']*')""", r"\1…", said)
    said = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.]*(?:Z|[+-]\d\d:\d\d)?", "…", said)
    return shortened(said)


def _cut(said: str) -> str:
    first = said.split("\n")[0]
    return first if len(first) <= ASKED else f"{first[: ASKED - 1]}…"


def _criterion_lines(criterion: Criterion, again: str) -> list[str]:
    first = f"  {LABELS[criterion.outcome]:<{WIDTH}} {criterion.text}"
    if criterion.outcome is Outcome.PASSED:
        return [first]
    if again:
        return [first, " " * (WIDTH + 3) + again]
    body: list[str] = []
    for label, said in facts(criterion):
        body += said.split("\n") if label == "did" else f"{label}: {said}".split("\n")
    if criterion.outcome is Outcome.BROKE:
        body += [line for part in criterion.trace for line in part.rstrip().split("\n")]
    return [first, *("    " + " " * (WIDTH - 1) + line for line in body)]


def _indented(body: str, width: int) -> list[str]:
    return [" " * width + line for line in body.rstrip().split("\n")]
