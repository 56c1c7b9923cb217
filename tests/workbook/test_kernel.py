"""What a notebook is told: its chapter, what is missing before it, and what to run after an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workbook.course.index import Course
from workbook.front import kernel
from workbook.front.kernel import Advice
from workbook.learner.workspace import Workspace


class Shell:
    """As much of IPython's shell as the advice needs."""

    def __init__(self, **names: str) -> None:
        self.user_ns = names


def advice(course: Course, monkeypatch: pytest.MonkeyPatch, notebook: str = "") -> Advice:
    """Return the advice that a notebook gets."""
    monkeypatch.setenv("JPY_SESSION_NAME", notebook)
    shell: Any = Shell()
    return Advice(lambda: course, shell, Path("app"))


def raised(source: str) -> BaseException:
    """Return what a cell raises."""
    try:
        exec(source, {})
    except Exception as error:
        return error
    raise AssertionError(source)


def test_the_notebook_is_known(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    """JupyterLab's variable and VS Code's name say which chapter it is; anything else says nothing."""
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/ada/course/notebooks/00_demo.ipynb")
    shell: Any = Shell()
    assert kernel.chapter_of(course, shell) == course.chapters[0]
    monkeypatch.setenv("JPY_SESSION_NAME", "7d1f")
    assert kernel.chapter_of(course, shell) is None
    code: Any = Shell(__vsc_ipynb_file__="C:\\course\\notebooks\\00_demo.ipynb")
    assert kernel.chapter_of(course, code) == course.chapters[0]


def test_a_gap_before_the_chapter_is_told(course: Course, workspace: Workspace) -> None:
    """A chapter whose earlier chapters have left no files names `%catchup`; the first chapter has none before it."""
    second = course.chapters[0].model_copy(update={"number": 1, "slug": "later"})
    both = Course(chapters=(course.chapters[0], second))
    said = kernel.gap(both, workspace, second)
    assert said == "This chapter builds on what chapter 0 made, and that is not there: run `%catchup 1` first."
    assert kernel.gap(both, workspace, course.chapters[0]) == ""
    workspace.write({"main.py": b"x = 1\n", "numbers.py": b"y = 1\n"}, "cells")
    assert kernel.gap(both, workspace, second) == ""


def test_a_module_of_an_earlier_chapter_names_catchup(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing module of the package says which chapter makes it; in its own chapter, to run the cells above."""
    missing = ModuleNotFoundError("No module named 'app.numbers'", name="app.numbers")
    assert "comes from chapter 0" in advice(course, monkeypatch).on(missing)
    assert "`%catchup all`" in advice(course, monkeypatch).on(missing)
    here = advice(course, monkeypatch, "notebooks/00_demo.ipynb")
    assert here.on(missing).startswith("a cell above writes `app.numbers`: run it")
    name = ImportError("cannot import name 'add' from 'app.numbers' (/x)", name="app.numbers")
    assert here.on(name).startswith("a cell above writes `add`: run it")
    assert here.on(ModuleNotFoundError("No module named 'nothing'", name="nothing")) == ""
    unknown = advice(course, monkeypatch)
    said = unknown.on_import("app.numbers", str(name), 0)
    assert said.startswith("a cell above writes `add`: run it"), "the cell's own chapter makes it"


def test_a_name_of_a_cell_above_is_told(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    """A NameError for a name that a cell of the notebook makes says to run the cells above; others get no advice."""
    cell = course.chapters[0].cells[2].model_copy(update={"source": "%time\nengine = make()\nimport os.path as p"})
    chapter = course.chapters[0].model_copy(update={"cells": (*course.chapters[0].cells, cell)})
    here = advice(Course(chapters=(chapter,)), monkeypatch, "00_demo.ipynb")
    assert here.on(raised("engine.begin()")).startswith("a cell above makes `engine`: run the cells above")
    assert here.on(raised("nowhere")) == ""
    assert kernel.bound(cell.source) == {"engine", "p"}


def test_a_name_that_another_cell_gives_to_the_module_is_told(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that lacks what a skipped cell brings says so; a name that only the exercise itself makes does not."""
    here = advice(course, monkeypatch, "00_demo.ipynb")
    said = here.on_name_in("main.py", "NameError: name 'FastAPI' is not defined", "0.1")
    assert said.startswith("a cell above writes `FastAPI`: run it")
    assert here.on_name_in("main.py", "NameError: name 'health' is not defined", "0.1") == ""
    assert here.on_name_in("main.py", "ValueError: no", "0.1") == ""


def test_a_coroutine_says_that_await_is_missing() -> None:
    """A coroutine at a cell's end is shown as a call without `await`, not as an address."""

    class Printer:
        said = ""

        def text(self, text: str) -> None:
            self.said += text

    async def get() -> int:
        return 1

    printer = Printer()
    kernel.print_coroutine(get(), printer, False)
    assert "`get` was called without `await`" in printer.said
    assert "0x" not in printer.said
