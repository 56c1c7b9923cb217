"""A solved chapter run in a copy of the course, as a notebook with its outputs."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

import nbformat

from workbook.base.errors import WorkbookError
from workbook.course import notebook
from workbook.course.chapter import Chapter
from workbook.course.index import Course
from workbook.course.snapshot import solved_before

CELL_TIMEOUT = 120


class BuildError(WorkbookError):
    """A chapter cannot be built."""


def _environment(root: Path, copy: Path) -> dict[str, str]:
    """Return the environment of a chapter's run: whoever builds may have an app and a state of their own."""
    own = {"PYTHONPATH": str(root), "WORKBOOK_ROOT": str(copy), "WORKBOOK_STATE": str(copy / ".workbook")}
    return {**os.environ, **own, "WORKBOOK_APP": str(copy / "solutions" / "app")}


def execute(root: Path, course: Course, chapter: Chapter) -> str:
    """Run a solved chapter in a copy of the tree, on the chapters before it; return the notebook's text.

    Raises:
        BuildError: a cell raises or runs too long, with the cell's text.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    made = notebook.notebook(chapter, with_solutions=True)
    with tempfile.TemporaryDirectory(prefix="workbook-", ignore_cleanup_errors=True) as folder:
        copy = copy_tree(root, Path(folder))
        shutil.rmtree(copy / "solutions" / "app", ignore_errors=True)
        solved_before(course, chapter.number).write(copy / "solutions")
        resources = {"metadata": {"path": str(copy / "solutions")}}
        quiet = ["--IPKernelApp.log_level=40"]
        client = NotebookClient(
            made, timeout=CELL_TIMEOUT, kernel_name="python3", resources=resources, extra_arguments=quiet
        )
        client.coalesce_streams = True  # else a print may come in two pieces
        try:
            asyncio.run(client.async_execute(env=_environment(root, copy)))
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            raise BuildError(f"{chapter.name} does not run: {error}") from None
    made["metadata"] = notebook.METADATA
    return dumps(_stable(made))


def copy_tree(root: Path, folder: Path) -> Path:
    """Copy what running a notebook needs: sources, checks, settings; not the state, the cache or the environment."""
    for name in ("solutions", "tests/chapters"):
        ignore = shutil.ignore_patterns("__pycache__", "*.ipynb", ".ipynb_checkpoints")
        shutil.copytree(root / name, folder / name, ignore=ignore)
    shutil.copy(root / "pyproject.toml", folder / "pyproject.toml")
    return folder


def _stable(made: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what differs from run to run: execution times."""
    for cell in made.cells:
        cell.metadata.pop("execution", None)
    return made


def dumps(made: nbformat.NotebookNode) -> str:
    """Return a notebook's text: keys sorted, one space, a final newline."""
    return str(nbformat.writes(made, version=4)) + "\n"
