"""What a learner has built, counted, and written into one HTML page that needs no other file."""

from __future__ import annotations

import ast
import html
import sys
from collections.abc import Mapping
from pathlib import Path

from workbook.base.tree import modules
from workbook.base.trouble import Trouble
from workbook.checking.finder import PACKAGE
from workbook.course.index import Course, read_course
from workbook.learner.standing import Standing, State, standing
from workbook.learner.workspace import Workspace

FILE = "record.html"  # in the workspace's state folder
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1f1f1f;"
    "background:#fff}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;"
    "border-bottom:1px solid #cfd8dc}td.n,th.n{text-align:right}h1{font-size:1.6rem}"
    "@media(prefers-color-scheme:dark){body{color:#eceff1;background:#182026}th,td{border-color:#37474f}}"
)


def record() -> str:
    """Count what was built, write the page, and return the numbers as text."""
    workspace = Workspace.at()
    course = read_course(workspace.root, workspace.state_dir / "cache")
    counted, found = figures(workspace.app_dir, course), standing(course, workspace)
    target = workspace.state_dir / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(counted, found), encoding="utf-8", newline="\n")
    return "\n".join(f"{number:>6,} {name}" for name, number in counted.items())


def figures(app: Path, course: Course) -> dict[str, int]:
    """Return what a package has, by name, read from its text; and what the course asks for.

    Raises:
        Trouble: a module is no Python.
    """
    trees = {path: _parsed(path, app) for path in modules(app)}
    tests = {path for path in trees if path.relative_to(app).parts[0] == "tests"}
    code = [path for path in trees if path not in tests]
    return {
        "routes": sum(_routes(trees[path]) for path in code),
        "tables": sum(_tables(trees[path]) for path in code),
        "modules": len(code),
        "lines of code": sum(_lines(path) for path in code),
        "lines of tests": sum(_lines(path) for path in tests),
        "tests": sum(_tests(trees[path]) for path in tests),
        "exercises": len(course.exercises),
        "points to reach": sum(exercise.points for exercise in course.exercises.values()),
        "minutes, about": sum(chapter.head.minutes for chapter in course.chapters),
    }


def _parsed(path: Path, app: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        name = f"{PACKAGE}/{path.relative_to(app).as_posix()}"
        raise Trouble(f"{name} is no Python: {error}", "repair it, then count again") from None


METHODS = ("get", "post", "patch", "put", "delete")


def _routes(tree: ast.Module) -> int:
    """Count decorators such as @router.get("/items")."""
    functions = (one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
    calls = (mark.func for one in functions for mark in one.decorator_list if isinstance(mark, ast.Call))
    return sum(isinstance(call, ast.Attribute) and call.attr in METHODS for call in calls)


def _tables(tree: ast.Module) -> int:
    """Count assignments to __tablename__."""
    names = (one.targets[0] for one in ast.walk(tree) if isinstance(one, ast.Assign))
    return sum(isinstance(name, ast.Name) and name.id == "__tablename__" for name in names)


def _lines(path: Path) -> int:
    return sum(bool(line.strip()) for line in path.read_text(encoding="utf-8", errors="replace").splitlines())


def _tests(tree: ast.Module) -> int:
    functions = (one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
    return sum(one.name.startswith("test_") for one in functions)


def page(counted: Mapping[str, int], found: Standing) -> str:
    """Return the page: the numbers, and each chapter with what was passed by the learner's own code."""
    numbers = "".join(f'<tr><td>{html.escape(name)}</td><td class="n">{n:,}</td></tr>' for name, n in counted.items())
    chapters = "".join(_row(found, number) for number in range(len(found.course.chapters)))
    version = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>What I built</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{STYLE}</style>\n<h1>What I built</h1>\n'
        f"<p>A backend with FastAPI, tested, attacked and repaired: {found.points} of {found.total} points, "
        f"each of them passed by my own code. {version}. This is a record, not a certificate: "
        f"the code in <code>{PACKAGE}/</code> says the same.</p>\n<table>{numbers}</table>\n"
        f'<h2>Chapter by chapter</h2>\n<table><tr><th>chapter</th><th class="n">passed</th>'
        f'<th class="n">points</th><th class="n">minutes</th></tr>{chapters}</table>\n</html>\n'
    )


def _row(found: Standing, number: int) -> str:
    chapter = found.course.chapters[number]
    passed = [one for one in chapter.exercises if found.states[one.id] == State.PASSED]
    points = f"{sum(one.points for one in passed)} of {sum(one.points for one in chapter.exercises)}"
    cells = (f"{len(passed)} of {len(chapter.exercises)}", points, str(chapter.head.minutes))
    numbers = "".join(f'<td class="n">{text}</td>' for text in cells)
    return f"<tr><td>{chapter.number:02d} {html.escape(chapter.head.title)}</td>{numbers}</tr>"
