"""Checks that were run, and how far the learner came."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

FILLED_IN = "filled in"  # an exercise's outcome when catching up has written it: no attempt


class Attempt(NamedTuple):
    """One check of an exercise."""

    time: str
    outcome: str
    points: int
    out_of: int
    source: str


@dataclass(frozen=True)
class Progress:
    """All checks of an exercise.

    Args:
        best: The most points of any check.
        out_of: The points that the last check could give.
        last: The last check's outcome.
        attempts: The number of checks; that it was filled in is none.
        passed_at: When it was first passed, in UTC; None where it never was.
        last_at: When it was last checked, in UTC.
    """

    best: int
    out_of: int
    last: str
    attempts: int
    passed_at: str | None
    last_at: str

    @property
    def passed(self) -> bool:
        """Whether it was ever passed."""
        return self.passed_at is not None

    @property
    def done(self) -> bool:
        """Whether the learner can go on: it was passed, or filled in by catching up."""
        return self.passed or self.last == FILLED_IN


def attempts(connection: sqlite3.Connection, exercise: str) -> list[Attempt]:
    """List the checks of an exercise, the first first."""
    rows = connection.execute(
        "SELECT time, outcome, points, out_of, source FROM attempts WHERE exercise = ? ORDER BY id",
        (exercise,),
    )
    return [Attempt(*row) for row in rows]


def progress(connection: sqlite3.Connection) -> dict[str, Progress]:
    """Sum up the checks, exercise by exercise."""
    rows = connection.execute(
        "SELECT exercise, best, out_of, outcome, number, passed_at, time FROM attempts JOIN ("
        "SELECT max(id) AS last, max(points) AS best, sum(outcome <> ?) AS number, "
        "min(CASE WHEN outcome = 'passed' THEN time END) AS passed_at "
        "FROM attempts GROUP BY exercise) ON id = last ORDER BY exercise",
        (FILLED_IN,),
    )
    return {row[0]: Progress(*row[1:]) for row in rows}
