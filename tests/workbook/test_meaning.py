"""What a remembered verdict depends on: what code does, and not how it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbook.base.meaning import digest_of
from workbook.course.index import read_course
from workbook.course.snapshot import Snapshot
from workbook.running.proven import Cache

CODE = '''"""A module."""


class A:
    """A class."""

    x: int = 1

    def f(self, y: str = "z") -> list[int]:
        """A method."""
        return [self.x, 2]
'''


def digest(tmp_path: Path, text: str) -> str:
    """Return the digest of a file with a text."""
    path = tmp_path / "a.py"
    path.write_text(text, encoding="utf-8")
    return digest_of(path, tmp_path / "known")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""', '"""Another text."""'),
        ('"""A module."""\n', "# no docstring\n"),
        ('        """A method."""\n', ""),
        ("    x: int = 1\n", "    x: int = 1  # a comment\n\n"),
        ("[self.x, 2]", "[\n            self.x,\n            2,\n        ]"),
    ],
)
def test_how_it_is_written_has_no_part(tmp_path: Path, old: str, new: str) -> None:
    """Docstrings, comments and layout may change."""
    assert digest(tmp_path, CODE) == digest(tmp_path, CODE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x: int = 1", "x: int = 2"),
        ("x: int = 1", "x = 1"),
        ('"z"', '"y"'),
        ('"z"', "None"),
        ("list[int]", "list[str]"),
        ("[self.x, 2]", "[self.x, 2.0]"),
        ("[self.x, 2]", "(self.x, 2)"),
        ("    def f", "    async def f"),
        ("return [", 'return "text" and ['),
    ],
)
def test_what_it_does_counts(tmp_path: Path, old: str, new: str) -> None:
    """Each change of the code is another digest."""
    assert digest(tmp_path, CODE) != digest(tmp_path, CODE.replace(old, new))


def test_what_is_no_python_counts_by_its_bytes(tmp_path: Path) -> None:
    """A file that cannot be parsed, and one that is gone, have digests too."""
    assert digest(tmp_path, "def") != digest(tmp_path, "def  ")
    assert digest_of(tmp_path / "gone.py") == digest_of(tmp_path / "gone too.py")


def test_a_key_changes_with_what_the_verdict_depends_on(root: Path, tmp_path: Path) -> None:
    """Package, checks of the exercise, cells and pytest's settings count; another exercise's checks do not."""
    folder, checks = tmp_path / "verify", root / "tests" / "chapters"
    (checks / "test_00_more.py").write_text('@exercise("0.2")\ndef test_more(): ...\n', encoding="utf-8")

    def keys(files: dict[str, str] | None = None) -> list[str]:
        cache, course = Cache(folder, root), read_course(root)
        return [cache.key(course, id, Snapshot(files or {"main.py": "x = 1\n"})) for id in ("0.1", "0.2")]

    first = keys()
    assert keys() == first
    assert all(one != other for one, other in zip(first, keys({"main.py": "x = 2\n"}), strict=True))
    (checks / "test_00_more.py").write_text('@exercise("0.2")\ndef test_more(): assert 1\n', encoding="utf-8")
    assert (keys()[0] == first[0], keys()[1] == first[1]) == (True, False)
    settings = root / "pyproject.toml"
    before, text = keys(), settings.read_text(encoding="utf-8")
    settings.write_text(f"{text}\n[tool.other]\nx = 1\n", encoding="utf-8")
    assert keys() == before
    settings.write_text(
        text.replace("[tool.pytest.ini_options]", "[tool.pytest.ini_options]\nxfail_strict = false"), encoding="utf-8"
    )
    assert keys() != before
