"""A task for pytest: a folder with a package, run in a process of its own, which is spent afterwards.

Run as `python -m workbook.checking.task`, it writes one JSON line for each thing that happens.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from workbook.base.wording import shortened, summary
from workbook.checking.finder import PACKAGE, Finder
from workbook.checking.package import Package
from workbook.checking.teller import Teller, forgotten
from workbook.checking.trail import Trail

TESTS = "tests"
# as in the course's pyproject.toml, so that a terminal and a check give one verdict
INI = """[pytest]
addopts = --import-mode=importlib --strict-markers --strict-config
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
asyncio_default_test_loop_scope = function
xfail_strict = true
filterwarnings =
    error
    ignore::pytest.PytestAssertRewriteWarning
"""
PLUGINS = ("pytest_asyncio.plugin", "anyio.pytest_plugin")
LEFT_OUT = (
    "cacheprovider",
    "terminal",
    "junitxml",
    "doctest",
    "pastebin",
    "faulthandler",
    "nbval",
    "workbook.checking.plugin",
)


@dataclass(frozen=True)
class Task:
    """A folder with a package, and what pytest does there; `added` are files in it that are not the learner's."""

    name: str
    folder: Path
    paths: tuple[str, ...]
    first_failure: bool
    added: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """Return pytest's command line."""
        left_out = [word for name in LEFT_OUT for word in ("-p", f"no:{name}")]
        paths = [str(self.folder / PACKAGE / path) for path in self.paths]
        fixed = ["-c", str(self.folder / "pytest.ini"), "--rootdir", str(self.folder / PACKAGE), "--capture=sys"]
        stop = ["-x"] if self.first_failure else []
        return [*left_out, *fixed, *stop, *paths]


def perform(task: Task, sink: int, nonce: str) -> None:
    """Run pytest in this process, which is spent afterwards."""

    def emit(message: dict[str, Any]) -> None:
        data = (json.dumps({**message, "nonce": nonce}) + "\n").encode()
        while data:
            data = data[os.write(sink, data) :]

    for name in [name for name in sys.modules if name.split(".")[0] in (PACKAGE, "conftest")]:
        del sys.modules[name]
    gc.freeze()  # what is here already is no garbage of theirs: pytest looks for that ten times
    Finder.point(task.folder / PACKAGE)  # the check may have imported the learner's own package by now
    sys.path.insert(0, str(task.folder))
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.chdir(task.folder)
    try:
        # handed over as modules: for a name, pytest reads what every installed package says of itself
        plugins = [importlib.import_module(name) for name in PLUGINS]
        code = pytest.main(task.arguments(), plugins=[*plugins, Teller(emit, _trail(task))])
    except BaseException as error:  # a conftest.py that raises is told, as a test that fails is
        told = forgotten(error)
        emit({"broken": told.summary if told else shortened(summary(error))})
        raise
    if code == pytest.ExitCode.USAGE_ERROR:
        emit({"broken": _why_unusable(task)})
    emit({"done": True})


def _trail(task: Task) -> Trail:
    """Return what follows exceptions to the learner's tests; files that a check added are not theirs."""
    package = Package(task.folder / PACKAGE)
    package.foreign = frozenset(task.added)
    return Trail(package, path=f"{PACKAGE}/{TESTS}/")


def _why_unusable(task: Task) -> str:
    """Say why pytest refused to begin: a path that is not there, or a conftest.py that cannot be imported."""
    missing = [path for path in task.paths if not (task.folder / PACKAGE / path.split("::")[0]).exists()]
    if missing:
        return f"there is no {PACKAGE}/{missing[0]}"
    for path in sorted((task.folder / PACKAGE / TESTS).rglob("conftest.py")):
        module = ".".join(path.relative_to(task.folder).with_suffix("").parts)
        sys.modules.pop(module, None)  # pytest leaves what it could not import
        try:
            importlib.import_module(module)
        except BaseException as error:
            return f"{PACKAGE}/{path.relative_to(task.folder / PACKAGE).as_posix()}: {type(error).__name__}: {error}"
    return "pytest could not begin"


@contextlib.contextmanager
def _silenced() -> Iterator[int]:
    """Give the standard output's handle, and point standard output itself to nowhere."""
    sink, null = os.dup(1), os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    yield sink


if __name__ == "__main__":
    name, folder, paths, added = json.loads(sys.argv[1])
    with _silenced() as handle:
        perform(Task(name, Path(folder), tuple(paths), sys.argv[2] == "1", tuple(added)), handle, sys.argv[3])
