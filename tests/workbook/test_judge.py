"""How an exception becomes a verdict, where no request and no line of the learner's tells whose it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbook import expect
from workbook.judge import Judge
from workbook.package import Package
from workbook.verdict import Criterion, Outcome


async def await_it(value: object) -> None:
    """Await what a learner's function gave."""
    await value  # type: ignore[misc]


def judged(error: BaseException, *forgotten: str) -> Criterion:
    """Return the verdict on an exception."""
    return Judge(Package(Path("none")), forgotten=forgotten).judge("id", "text", 0.0, error)


def test_a_plain_function_where_a_coroutine_is_awaited() -> None:
    """What a check awaits and cannot be awaited is the learner's `def`, not a fault of the check."""
    with pytest.raises(TypeError) as caught:
        await_it(3).send(None)
    found = judged(caught.value)
    assert found.outcome is Outcome.RAISED
    assert "`async def`" in found.hint
    assert judged(TypeError("unsupported operand")).outcome is Outcome.BROKE


def test_a_coroutine_of_the_checks_own_has_no_name() -> None:
    """A learner's coroutine is named before any other hint; one that a check defines only where there is none."""
    assert "`find` was called without `await`" in judged(expect.Wrong(hint="add the row"), "", "find").hint
    assert judged(expect.Wrong(hint="add the row"), "").hint == "add the row"
    assert judged(expect.Wrong(), "").hint == "put `await` before the call: it gives a coroutine"
    assert judged(expect.Wrong()).hint == ""
