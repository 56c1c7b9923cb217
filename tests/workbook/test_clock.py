"""The time that a process really had."""

from __future__ import annotations

import os

import pytest

from workbook.base import clock
from workbook.base.clock import PATIENCE, Stopwatch, longest


class Still(Stopwatch):
    """A stopwatch that shows what it is told."""

    def __init__(self, passed: float, missed: float, used: float) -> None:
        self._shown = passed, missed, used

    @property
    def passed(self) -> float:
        """Return the seconds on the wall."""
        return self._shown[0]

    @property
    def missed(self) -> float:
        """Return the seconds without a processor."""
        return self._shown[1]

    @property
    def used(self) -> float:
        """Return the seconds at work."""
        return self._shown[2]


@pytest.mark.parametrize(
    ("passed", "missed", "used", "left", "fair"),
    [
        (4.0, 0.0, 4.0, 6.0, False),  # on its way
        (10.0, 0.0, 10.0, 0.0, True),  # an endless loop on a quiet machine
        (10.0, 0.0, 0.0, 0.0, True),  # a wait that never ends
        (10.0, 7.0, 3.0, 7.0, False),  # a busy machine: it goes on
        (30.0, 22.0, 8.0, 0.0, True),  # a loop on a busy machine, which had most of its time
        (30.0, 27.0, 3.0, 0.0, False),  # no time at all: no verdict
    ],
)
def test_only_the_time_that_it_had_counts(passed: float, missed: float, used: float, left: float, fair: bool) -> None:
    """A limit of ten seconds is ten seconds with a processor, or thirty on the wall."""
    watch = Still(passed, missed, used)
    assert watch.left(10.0) == pytest.approx(left)
    assert watch.is_fair(10.0) is fair
    assert PATIENCE == 3
    assert longest(1.0) == 21.0


def test_a_loop_uses_time_and_a_quiet_watch_misses_none() -> None:
    """What a process does is counted as work, and never more than has passed."""
    watch = Stopwatch()
    while watch.used < 0.05:
        pass
    assert 0 <= watch.missed <= watch.passed
    assert watch.passed >= 0.05


def test_time_that_others_missed_can_be_excused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for processes that got no processor has missed that time too; of others nothing is excused."""
    monkeypatch.setattr(clock, "_excused", 0.0)
    before = clock.queued()
    clock.excuse(5.0)
    assert clock.queued() >= before + 5.0
    assert clock.queued("nobody") == 0.0


def test_without_a_count_the_load_is_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system counts nothing, a load of four on two processors leaves half of the time."""
    monkeypatch.setattr(clock, "_threads", lambda _process: [])
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (4.0, 4.0, 4.0), raising=False)
    monkeypatch.setattr(Stopwatch, "passed", 8.0)
    assert Stopwatch().missed == 4.0
