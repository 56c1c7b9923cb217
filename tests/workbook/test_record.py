"""The page that says what was built: counted from text, and whole without any other file."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from workbook.base.trouble import Trouble
from workbook.course.index import Course
from workbook.feedback.outcome import Outcome
from workbook.learner.standing import Standing, State, standing
from workbook.learner.workspace import Workspace
from workbook.practice.record import FILE, figures, page, record

ROUTES = """
from fastapi import APIRouter

router = APIRouter()


@router.get("/a")
async def a() -> int:
    return 1


@router.post("/a", status_code=201)
def b() -> int:
    return 2


@property
def get(self) -> int:
    return 3
"""
MODELS = 'class User:\n    __tablename__ = "users"\n\n\nclass Item:\n    __tablename__ = "items"\n'
TESTS = "async def test_a():\n    assert True\n\n\ndef helper():\n    pass\n\n\nclass TestB:\n    def test_b(self):\n        pass\n"


class Loaded(HTMLParser):
    """What a page would fetch or run, and its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag, and its attributes that name something else."""
        self.tags.append(tag)
        self.found += [f"{tag} {name}" for name, _ in attrs if name in {"src", "href", "srcset", "data", "action"}]


def written(workspace: Workspace) -> Workspace:
    """Write a small app into a workspace."""
    files = {"routes.py": ROUTES, "models.py": MODELS, "tests/test_a.py": TESTS}
    workspace.write({path: text.encode() for path, text in files.items()}, "cells")
    return workspace


def test_the_app_is_counted(course: Course, workspace: Workspace) -> None:
    """Routes, tables, modules, lines and tests, read from the text; and what the course asks for."""
    counted = figures(written(workspace).app_dir, course)
    assert counted["routes"] == 2
    assert counted["tables"] == 2
    assert counted["tests"] == 2
    assert counted["modules"] == 3, "the package's own __init__.py is one"
    assert counted["lines of tests"] == sum(bool(line.strip()) for line in TESTS.splitlines())
    assert counted["lines of code"] == sum(bool(line.strip()) for line in (ROUTES + MODELS).splitlines()) + 1
    assert (counted["exercises"], counted["points to reach"], counted["minutes, about"]) == (2, 5, 10)


def test_a_module_that_is_no_python_is_named(course: Course, workspace: Workspace) -> None:
    """It is told in words, and no page is written."""
    written(workspace)
    (workspace.app_dir / "broken.py").write_text("def a(:\n", encoding="utf-8")
    with pytest.raises(Trouble, match=r"^app/broken\.py is no Python"):
        figures(workspace.app_dir, course)


def test_the_page_is_whole(course: Course, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """record() says the numbers and writes them into a page that loads nothing and runs nothing."""
    monkeypatch.chdir(written(workspace).root)
    said = record()
    assert re.search(r"^ +2 routes$", said, re.MULTILINE)
    text = (workspace.state_dir / FILE).read_text(encoding="utf-8")
    loaded = Loaded()
    loaded.feed(text)
    assert loaded.found == []
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(loaded.tags)
    assert not re.search(r"https?:|//|url\(|@import", text)
    assert '<td>routes</td><td class="n">2</td>' in text
    assert "0 of 5 points" in text
    assert record() == said, "it can be written again"


def test_values_are_escaped(course: Course) -> None:
    """What stands in a title or a name is text, not HTML; a passed exercise counts, one that was changed since does not."""
    head = course.chapters[0].head.model_copy(update={"title": "<script>alert('a & b')</script>"})
    marked = Course(chapters=(course.chapters[0].model_copy(update={"head": head}),))
    text = page({"<b>routes</b>": 1234}, Standing(marked, {"0.1": State.PASSED, "0.2": State.CHANGED}))
    assert "<script" not in text
    assert "&lt;script&gt;alert(&#x27;a &amp; b&#x27;)&lt;/script&gt;" in text
    assert '&lt;b&gt;routes&lt;/b&gt;</td><td class="n">1,234</td>' in text
    assert '<td class="n">1 of 2</td><td class="n">2 of 5</td>' in text


def test_what_did_not_pass_earns_nothing(course: Course, workspace: Workspace) -> None:
    """Before any check the page says none of all points."""
    found = standing(course, workspace)
    assert Outcome.PASSED not in found.states.values()
    assert "0 of 5 points" in page({}, found)


def test_an_empty_app_counts_nothing(course: Course, tmp_path: Path) -> None:
    """A folder that is not there has no routes, and is no error."""
    assert figures(tmp_path / "nowhere", course)["modules"] == 0
