"""A copy of a package with faults that a seed chooses."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbook.base.errors import WorkbookError
from workbook.practice import sabotage
from workbook.practice.sabotage import Fault, choose, copy, edited, seed

POOL = {topic: [Fault(f"{topic} {number}", ()) for number in range(5)] for topic in ("doors", "windows")}


def test_a_seed_is_made_once(tmp_path: Path) -> None:
    """The seed of a folder stays; another folder has another one, and an empty file gets one."""
    first, other = seed(tmp_path / "one"), seed(tmp_path / "other")
    assert first == seed(tmp_path / "one")
    assert first != other
    (tmp_path / "other" / sabotage.SEED).write_text(" \n", encoding="utf-8")
    assert seed(tmp_path / "other") not in ("", other)


def test_a_seed_chooses_one_fault_of_each_topic() -> None:
    """The same seed chooses the same faults, on every machine; among many seeds each fault is chosen."""
    assert {topic: fault.name for topic, fault in choose(POOL, "course").items()} == {
        "doors": "doors 1",
        "windows": "windows 3",
    }
    chosen = [choose(POOL, str(number)) for number in range(100)]
    assert {one.name for some in chosen for one in some.values()} == {
        one.name for some in POOL.values() for one in some
    }


def test_a_package_is_copied_and_changed(tmp_path: Path) -> None:
    """The copy has the edits, one after the other, and neither tests nor caches; the package stays as it is."""
    package = tmp_path / "package"
    for path in ("core/doors.py", "tests/test_doors.py", "__pycache__/doors.pyc"):
        (package / path).parent.mkdir(parents=True, exist_ok=True)
        (package / path).write_text("open = False\nlocked = True\n", encoding="utf-8")
    edits = [("core/doors.py", "locked = True", "locked = open"), ("core/doors.py", "locked = open", "locked = 1")]
    folder = copy(package, tmp_path / "copy", edits)
    assert folder == tmp_path / "copy"
    files = {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.py")}
    assert files == {"app/core/doors.py": "open = False\nlocked = 1\n"}
    assert (package / "core/doors.py").read_text("utf-8") == "open = False\nlocked = True\n"


@pytest.mark.parametrize(("text", "times"), [("closed", 0), ("door", 2)])
def test_a_text_that_is_not_there_once_is_refused(text: str, times: int) -> None:
    """An edit that has lost its place is an error with the module, and changes nothing."""
    texts = {"doors.py": "door = door\n"}
    with pytest.raises(WorkbookError, match=rf"doors\.py has {times} times, not once: '{text}'"):
        edited(texts, [("doors.py", text, "x")])
    assert texts == {"doors.py": "door = door\n"}
