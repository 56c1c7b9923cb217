"""What a check found: the records that the worker sends and the reports show."""

from __future__ import annotations

import re

from pydantic import BaseModel, Field

from workbook.base.wording import shortened
from workbook.feedback.outcome import Outcome


class Location(BaseModel):
    """A line of the learner's code. `path` is relative to the folder that holds the package."""

    path: str
    line: int
    source: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" + (f"  {self.source.strip()}" if self.source else "")


class Fault(BaseModel):
    """An exception that rose from the learner's code, in words.

    `where` is the line to look at, `trace` every line of the learner's that it came through, outermost first.
    `planted` says that a check raised it on purpose below the learner's code, `local` that its line alone can cause it,
    `vague` that its hint says what the line met, and not why.
    """

    summary: str
    hint: str = ""
    where: Location | None = None
    trace: list[str] = Field(default_factory=list)
    planted: bool = False
    local: bool = False
    vague: bool = False

    @property
    def cause(self) -> str:
        """Return what tells this fault from another one: criteria that fail by the same are told once."""
        return f"{self.summary} {self.trace[-1] if self.trace else ''}".strip()

    @property
    def line(self) -> str:
        """Return the exception and its place in one line."""
        place = re.match(r"\S+:\d+", self.trace[-1]) if self.trace else None
        return f"{self.summary} ({place[0]})" if place else self.summary


class Exchange(BaseModel):
    """One recorded request and what came back. Bodies are text, cut to a readable length.

    `replay` says whether the notebook's `client` can send the request too: some apps live only inside a check.
    `fault` is the exception behind a 500.
    """

    method: str
    url: str
    headers: dict[str, str] = Field(default_factory=dict)
    body: str = ""
    status: int | None = None
    reason: str = ""
    response_headers: dict[str, str] = Field(default_factory=dict)
    response_body: str = ""
    endpoint: Location | None = None
    calls: tuple[str, ...] = Field(default=(), exclude=True)
    replay: bool = True
    fault: Fault | None = None

    @property
    def request_line(self) -> str:
        """Return the request as a person writes it: method, path, body; tokens in it are shortened."""
        return shortened(f"{self.method} {self.url}" + (f"  {self.body}" if self.body else ""))

    @property
    def answer_line(self) -> str:
        """Return the answer in one line: status, reason, body."""
        if self.status is None:
            return "no answer: your code raised"
        body = self.fault.line if self.fault and not self.fault.planted else self.response_body
        return f"{self.status} {self.reason}".strip() + (f"  {body}" if body else "")


class Criterion(BaseModel):
    """One criterion of an exercise and its verdict. `seconds` is the wall time of its test.

    `cause` is the same for criteria that fail by the same exception; `other` is the hint for a second mistake. `seen`
    says that the hint is about something that was seen to happen, and not what a criterion supposes.
    """

    id: str
    text: str
    outcome: Outcome
    did: str = ""
    got: str = ""
    expected: str = ""
    why: str = ""
    hint: str = ""
    other: str = ""
    cause: str = ""
    seen: bool = False
    where: Location | None = None
    exchange: Exchange | None = None
    trace: list[str] = Field(default_factory=list)
    seconds: float = 0.0


class Provenance(BaseModel):
    """What a verdict rests on; of a check outside grading only `isolation` is known.

    `used` names what was graded, `notes` what was left out and why, `checks` whose checks ran with the SHA-256 of their
    files, `isolation` what held the checked code.
    """

    used: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    checks: str = ""
    isolation: str = ""


class CheckReport(BaseModel):
    """The verdict on one exercise.

    `notice` is what stands before all else: that something other than the newest cell was checked.
    `hint` is what to do first, `second` what to do about another mistake. `points` is what was earned of `out_of`.
    `package` is the folder that was really imported and `digest` the SHA-256 of its Python files. `output` is what
    the code printed, cut.
    """

    exercise: str
    title: str
    outcome: Outcome
    points: int = 0
    out_of: int = 0
    criteria: list[Criterion] = Field(default_factory=list)
    notice: str = ""
    note: str = ""
    hint: str = ""
    second: str = ""
    output: str = ""
    package: str = ""
    digest: str = ""
    seconds: float = 0.0
    provenance: Provenance = Field(default_factory=Provenance)

    @property
    def passed(self) -> bool:
        """Say whether every criterion passed."""
        return self.outcome is Outcome.PASSED

    @property
    def failures(self) -> list[Criterion]:
        """Return the criteria that did not pass."""
        return [one for one in self.criteria if one.outcome is not Outcome.PASSED]


def overall(criteria: list[Criterion]) -> Outcome:
    """Return the verdict of an exercise from those of its criteria: the first kind that applies."""
    found = {criterion.outcome for criterion in criteria}
    if found == {Outcome.PASSED}:
        return Outcome.PASSED
    for outcome in (Outcome.BROKE, Outcome.NOT_ATTEMPTED, Outcome.RAISED, Outcome.WRONG, Outcome.LATE):
        if outcome in found:
            return outcome
    return Outcome.BROKE
