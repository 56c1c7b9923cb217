"""What a target's owner is told: how many faults are left, also where one hides behind another."""

from __future__ import annotations

from collections.abc import Collection

from workbook.practice.faults import FOUND_BY, TOPICS
from workbook.practice.tally import told

EIGHT = [names[0] for names in TOPICS.values()]
HALF = "the hash is shown"
RACE, TRACEBACK = "two at the same moment", "a 500 that shows the traceback"
ALL = {name for names in FOUND_BY.values() for name in names}


def said(
    faults: Collection[str], left: Collection[str], also: Collection[str] = (), unasked: Collection[str] = ()
) -> list[str]:
    """Return the lines where some faults are left, and some more criteria fail or were not asked."""
    failed = ({name for fault in left for name in FOUND_BY[fault]} | set(also)) - set(unasked)
    return told(faults, {name: name for name in sorted(failed)}, ALL - failed - set(unasked)).splitlines()


def test_each_repair_counts() -> None:
    """Eight, seven, and so on to none, with a word of praise."""
    for number in range(8, 0, -1):
        assert said(EIGHT, EIGHT[:number]) == [f"{number} of 8 faults are left"]
    assert said(EIGHT, []) == ["0 of 8 faults are left", "  all are repaired, and everything else works as before"]


def test_half_a_repair_is_none() -> None:
    """A fault is left while one of its criteria fails."""
    assert said([HALF], [], FOUND_BY[HALF][-1:]) == ["1 of 1 faults are left"]


def test_one_that_hides_behind_another() -> None:
    """Where all that a fault breaks is broken by another one, it may be there or not; afterwards it is seen."""
    hidden = ["1 of 2 faults are left", "  and 1 more may be: what else is broken stands in the way"]
    assert said([RACE, TRACEBACK], [RACE, TRACEBACK]) == hidden
    assert said([RACE, TRACEBACK], [TRACEBACK]) == hidden
    assert said([RACE, TRACEBACK], [RACE]) == ["1 of 2 faults are left"]
    assert said([RACE, TRACEBACK], [])[0] == "0 of 2 faults are left"


def test_what_was_not_asked() -> None:
    """A fault that nobody could look for may be there; and nothing is praised."""
    (name,) = FOUND_BY[EIGHT[0]]
    assert said(EIGHT, EIGHT[1:], unasked=[name]) == [
        "7 of 8 faults are left",
        "  and 1 more may be: what else is broken stands in the way",
    ]
    assert len(said(EIGHT, [], unasked=[name])) == 2


def test_what_a_repair_broke() -> None:
    """What fails and belongs to no fault is told, and why."""
    assert said(EIGHT, [], ["create_and_read"])[1] == "  fails too, a repair broke it: create_and_read"
    assert said(EIGHT, EIGHT[:1], ["create_and_read"])[-1] == "  fails too, by a fault, or by a repair: create_and_read"


def test_what_failed_before_the_first_repair() -> None:
    """Where it is known, what a repair broke is told from what failed before it."""
    failed = {name: name for name in (*FOUND_BY[EIGHT[0]], "create_and_read", "delete_an_item")}
    lines = told(EIGHT, failed, ALL - failed.keys(), {*FOUND_BY[EIGHT[0]], "create_and_read"}).splitlines()
    assert lines == [
        "1 of 8 faults are left",
        "  fails too, as before any repair: create_and_read",
        "  fails too, a repair broke it: delete_an_item",
    ]


def test_no_two_topics_look_alike() -> None:
    """Only one pair of faults of two topics shares a criterion, and one of the two is always seen."""
    topics = {name: topic for topic, names in TOPICS.items() for name in names}
    pairs = {
        frozenset((one, other))
        for one in FOUND_BY
        for other in FOUND_BY
        if topics[one] != topics[other] and set(FOUND_BY[one]) & set(FOUND_BY[other])
    }
    assert pairs == {frozenset((RACE, TRACEBACK))}
