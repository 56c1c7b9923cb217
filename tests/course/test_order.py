"""The finished app reads as if one person had written each file in one go, though cells made it piece by piece."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.course.conftest import ROOT

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef
Value = ast.Assign | ast.AnnAssign

APP = ROOT / "solutions" / "app"
FILES = sorted(APP.rglob("*.py"))
MOST_LINES = 130
# To part one of these, the cells of several chapters would have to write to another file; none may grow further.
LONG_FILES = {
    "auth/router.py": 139,
    "core/cache.py": 179,
    "core/config.py": 189,
    "core/security.py": 136,
    "db/migrate.py": 140,
}


def tree(path: Path) -> ast.Module:
    """Return a file's tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    """Return a file's path below `app`."""
    return path.relative_to(APP).as_posix()


def classes(module: ast.Module) -> Iterator[ast.ClassDef]:
    """Yield all classes of a file, those in classes included."""
    yield from (node for node in ast.walk(module) if isinstance(node, ast.ClassDef))


def bound(node: ast.stmt) -> set[str]:
    """Return the names that a definition or a value makes."""
    if isinstance(node, Definition):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}


def read(node: ast.AST) -> set[str]:
    """Return the names that a statement reads, now or later, and those that it asks `self` and `cls` for."""
    names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}
    return names | {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}


def low_values(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the constants that could stand above the first function or the first user of theirs, and stand below."""
    for at, node in enumerate(body):
        if not isinstance(node, Value):
            continue
        users = (n for n, one in enumerate(body[:at]) if isinstance(one, Function) or is_user(one, node))
        limit = next(users, at)
        if limit < at and not any(bound(one) & read(node) for one in body[limit:at]):
            yield node


def is_user(node: ast.stmt, value: ast.stmt) -> bool:
    """Tell whether a definition reads what a value is called."""
    return isinstance(node, Definition) and bool(read(node) & bound(value))


def low_fields(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield a class's fields that stand below a method, and need none."""
    for at, node in enumerate(body):
        above = [one for one in body[:at] if isinstance(one, Function)]
        if isinstance(node, Value) and above and not any(bound(one) & read(node) for one in above):
            yield node


def torn_helpers(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the private functions that stand between their users."""
    for at, node in enumerate(body):
        if isinstance(node, Function) and node.name.startswith("_") and not node.name.endswith("__"):
            users = [n for n, one in enumerate(body) if n != at and node.name in read(one)]
            if users and min(users) < at < max(users):
                yield node


def shown(nodes: Iterator[ast.stmt]) -> list[str]:
    """Return each statement's line and first words."""
    return [f"line {node.lineno}: {ast.unparse(node)[:60]}" for node in nodes]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_in_order(path: Path) -> None:
    """Constants above the functions, fields above the methods, private helpers on one side of their users.

    A constant or a field may stand lower where it needs a definition that stands there: `UserDep = Depends(get_user)`.
    """
    module = tree(path)
    bodies = [module.body, *(node.body for node in classes(module))]
    assert shown(low_values(module.body)) == [], "a constant goes above the first function, or what reads it"
    assert [line for node in classes(module) for line in shown(low_fields(node.body))] == [], "fields come first"
    assert [line for body in bodies for line in shown(torn_helpers(body))] == [], "a helper stands between its users"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_short(path: Path) -> None:
    """No file has more than 130 lines, but for those that are known."""
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONG_FILES.get(name_of(path), MOST_LINES)


def test_the_long_files_are_long() -> None:
    """A file that became short leaves the list."""
    short = [name for name in LONG_FILES if len((APP / name).read_text(encoding="utf-8").splitlines()) <= MOST_LINES]
    assert short == []


def test_imports_are_sorted() -> None:
    """Ruff's isort finds nothing to move."""
    command = [sys.executable, "-m", "ruff", "check", "--select", "I,E402", "--no-cache", str(APP)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("def f(): ...\nN = 1\n", 1),
        ("class A:\n    x = N\nN = 1\n", 1),
        ("class A: ...\nN = 1\ndef f(): ...\n", 0),
        ("def f(): ...\nN = f\nM = N\n", 0),
        ("class A:\n    def f(self): ...\n    x: int\n", 1),
        ("class A:\n    def f(self): ...\n    x = property(f)\n", 0),
        ("def f(): _h()\ndef _h(): ...\ndef g(): _h()\n", 1),
        ("def f(): _h()\ndef g(): _h()\ndef _h(): ...\n", 0),
    ],
)
def test_the_lint_finds_what_is_out_of_order(code: str, found: int) -> None:
    """Each rule finds what breaks it, and leaves what has a reason to stand lower."""
    module = ast.parse(code)
    low = [*low_values(module.body), *torn_helpers(module.body)]
    assert len(low + [field for node in classes(module) for field in low_fields(node.body)]) == found
