"""The answers that a check can give."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """The five answers that a check can give, and what is no answer: a busy machine left it no time."""

    PASSED = "passed"
    WRONG = "wrong"
    NOT_ATTEMPTED = "not attempted"
    RAISED = "your code raised"
    BROKE = "the check broke"
    LATE = "out of time"
