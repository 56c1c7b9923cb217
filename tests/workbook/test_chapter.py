"""Chapter sources: what is read, and how a malformed one is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.workbook.conftest import HINTS, SOURCE
from workbook.course.chapter import SourceError
from workbook.course.index import Course, UnknownExercise, read_course
from workbook.course.reading import read_chapter


def test_a_source_is_read(root: Path) -> None:
    """Cells, exercises, hints and lines are what the source says."""
    chapter = read_chapter(root / "solutions/00_demo.md")
    assert [cell.kind for cell in chapter.cells].count("code") == 6
    first, second = chapter.exercises
    assert (first.id, first.points, first.title, first.path, first.planted) == ("0.1", 2, "A route", "main.py", False)
    assert first.hints == ("Think.",) * 3
    assert second.planted
    cell = chapter.cells[first.cell]
    lines = SOURCE.split("\n")
    assert lines[cell.line - 1] == cell.source.split("\n")[0] == "%%app main.py --merge"


BROKEN = [
    ("goals: [show the engine at work]\n", "", "goals", 1),
    ("minutes: 10", "minutes: soon", "minutes", 1),
    ("---\ntitle", "title", "YAML head is missing", 1),
    ("%load_ext workbook", "%load_ext other", "the first code cell", 15),
    ('exercise="0.1" points=2', 'exercise="0.1" point=2', "the fence has", 49),
    ('exercise="0.1" points=2', 'exercise="0.1" points=0', "the fence is wrong", 49),
    ('exercise="0.1" points=2', 'exercise="1.1" points=2', "no heading", 49),
    ('exercise="0.2" points=3', 'exercise="0.1" points=3', "second cell", None),
    ("### BEGIN SOLUTION\n    return {", "return {", "solution block", None),
    ("    ### END SOLUTION\n```\n\n```python\n%check 0.1", "```\n\n```python\n%check 0.1", "never closed", None),
    ("%check 0.1", "%check 0.3", "no cell `%check 0.1`", None),
    ("Hint 3: near-code", "Hint 3: the code", "a hint is named", None),
    ("Think.", "word " * 60, "a hint has 60 words", None),
    ("%%app numbers.py", "numbers.py", "does not begin with `%%app`", None),
    ("First words.", "word " * 200, "203 words", None),
]


@pytest.mark.parametrize(("old", "new", "rule", "line"), BROKEN)
def test_a_malformed_source_is_refused(root: Path, old: str, new: str, rule: str, line: int | None) -> None:
    """Each broken rule is told with file, line, rule and repair."""
    path = root / "solutions/00_demo.md"
    text = SOURCE.replace(old, new, 1)
    assert text != SOURCE
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SourceError) as caught:
        read_chapter(path)
    assert rule in str(caught.value)
    assert "hint: " in str(caught.value)
    assert caught.value.path == path
    if line:
        assert abs(caught.value.line - line) <= 4


def test_too_few_hints_are_refused(root: Path) -> None:
    """An exercise without its three hints is refused."""
    path = root / "solutions/00_demo.md"
    path.write_text(SOURCE.replace(HINTS, "", 1), encoding="utf-8")
    with pytest.raises(SourceError, match="0 hints"):
        read_chapter(path)


def test_names_select_exercises(course: Course) -> None:
    """An id selects one exercise, a number a chapter, nothing all; another name is told what there is."""
    assert [one.id for one in course.select("0.2")] == ["0.2"]
    assert [one.id for one in course.select("0")] == [one.id for one in course.select("")] == ["0.1", "0.2"]
    for name in ("0.9", "7", "x", "²"):
        with pytest.raises(UnknownExercise, match="hint:"):
            course.select(name)


def test_the_index_is_kept_and_renewed(root: Path, tmp_path: Path) -> None:
    """An unchanged source is not parsed again; a changed one is; a damaged index is replaced."""
    cache = tmp_path / "cache"
    first = read_course(root, cache)
    (stored,) = cache.glob("course-*.json")
    assert read_course(root, cache) == first
    stored.write_text("{", encoding="utf-8")
    assert read_course(root, cache) == first
    path = root / "solutions/00_demo.md"
    path.write_text(SOURCE.replace("A route", "Another title"), encoding="utf-8")
    assert read_course(root, cache).exercises["0.1"].title == "Another title"


def test_states_are_kept_and_renewed(root: Path, tmp_path: Path) -> None:
    """What the solutions leave in the package is kept with the index; a changed source, or a damaged file, renews it."""
    cache = tmp_path / "cache"
    expected = read_course(root).states()
    assert read_course(root, cache).states() == expected
    (stored,) = cache.glob("states-*.json")
    assert json.loads(stored.read_text(encoding="utf-8")) == {str(number): found for number, found in expected.items()}
    stored.write_text("{", encoding="utf-8")
    assert read_course(root, cache).states() == expected
    path = root / "solutions/00_demo.md"
    path.write_text(SOURCE.replace("### END SOLUTION", "# new\n### END SOLUTION", 1), encoding="utf-8")
    assert read_course(root, cache).states() != expected
    assert len(list(cache.glob("states-*.json"))) == 1


def test_two_sources_with_one_number_are_refused(root: Path) -> None:
    """Two chapters cannot share a number."""
    (root / "solutions/00_again.md").write_text(SOURCE, encoding="utf-8")
    with pytest.raises(SourceError, match="two sources"):
        read_course(root)
