"""What is filled in, decided by verdicts: only what fails by itself, and nothing because a busy machine was late."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workbook.conftest import HEALTH, MAIN
from workbook.catchup.patch import Patch
from workbook.catchup.settling import Settling, by_halves
from workbook.course.index import Course
from workbook.course.snapshot import Snapshot
from workbook.course.timeline import timeline
from workbook.learner.origins import Origins
from workbook.learner.workspace import Workspace
from workbook.running.worker import Worker

OWN_SUM = "%%app numbers.py\ndef add(a, b):\n    return sum((a, b))\n"
OWN_HEALTH = HEALTH.replace("{body}", 'return dict(status="ok")')


class Decided(Settling):
    """Settling with verdicts that are decided beforehand: `together` fail in a batch, `alone` by themselves."""

    together: frozenset[str] = frozenset()
    alone: frozenset[str] = frozenset()

    def _failing(self, package: Snapshot, ids: object, *, stop: bool) -> list[str]:
        late, self.together = self.together, frozenset()
        return sorted(late | {id for id in self.alone if "return a + b" not in package.files["numbers.py"]})

    def _passes(self, package: Snapshot, id: str) -> bool:
        return id not in self.alone

    def _imports(self, module: str, package: Snapshot) -> bool:
        return True


@pytest.fixture
def patch(course: Course) -> Patch:
    """Give a patch of a package in which both answers are the learner's own."""
    made = Snapshot()
    for cell in (MAIN, OWN_HEALTH, OWN_SUM):
        made.run(cell)
    steps = timeline(course)
    origins = {path: Origins(steps, path, text) for path, text in made.files.items()}
    return Patch(steps, made, len(steps.steps), origins)


def settle(course: Course, workspace: Workspace, patch: Patch, together: set[str], alone: set[str]) -> Patch:
    """Settle a patch with decided verdicts."""
    settling = Decided(course, workspace, Worker(workspace.root), lambda *_: None)
    settling.together, settling.alone = frozenset(together), frozenset(alone)
    assert settling.run(patch, ["0.1", "0.2"]) == []
    return patch


def test_what_passes_by_itself_is_not_filled_in(course: Course, workspace: Workspace, patch: Patch) -> None:
    """A check that fails beside others, for want of time, and passes alone takes nothing from the learner."""
    assert patch.own == {"0.1", "0.2"}
    assert settle(course, workspace, patch, {"0.1", "0.2"}, set()).filled == set()
    assert patch.made().files == patch.mine.files


def test_only_what_fails_by_itself_is_filled_in(course: Course, workspace: Workspace, patch: Patch) -> None:
    """Of two that fail together, the one that fails alone is filled in, and the other stays."""
    assert settle(course, workspace, patch, {"0.1", "0.2"}, {"0.2"}).filled == {"0.2"}
    assert "dict(status" in patch.made().files["main.py"]


@given(
    st.integers(1, 200).flatmap(lambda size: st.tuples(st.just(size), st.sets(st.integers(0, size - 1), min_size=1)))
)
def test_of_answers_that_clash_one_is_found_by_halves(case: tuple[int, set[int]]) -> None:
    """Whichever answers fail together, the last of them is found, and few packages are tried."""
    size, clash = case
    ids, asked = [str(number) for number in range(size)], []

    def works(kept: Sequence[str]) -> bool:
        asked.append(kept)
        return not {str(number) for number in clash} <= set(kept)

    assert by_halves(ids, works) == str(max(clash))
    assert len(asked) <= 1 + (size - 1).bit_length()


def test_where_no_answer_is_at_fault_none_is_found() -> None:
    """What does not work without any answer is nobody's fault, and an empty list has no culprit."""
    assert by_halves(["0.1", "0.2"], lambda _kept: False) is None
    assert by_halves([], lambda _kept: True) is None
