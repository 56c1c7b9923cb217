"""A cell is `%%app` for grading exactly where it is for the kernel."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from workbook.course.index import Course
from workbook.learner import writing
from workbook.learner.desk import Draft
from workbook.learner.workspace import Workspace
from workbook.merge.cells import app_cell
from workbook.merge.header import parse_header

CELLS = [
    "%%app main.py\nx = 1\n",
    "\n\n%%app main.py\nx = 1",
    "   \n  %%app main.py --merge\n  x = 1",
    "%%time\n%%app main.py\nx = 1",
    "%%capture\n\n%%app main.py\nx = 1",
    "%%time\n%%capture\n%%app main.py\nx = 1",
    ">>> %%app main.py\n>>> x = 1",
    "%%app  users/main.py   --merge  --exercise 2.2 \nx = 1",
    "get_ipython().run_cell_magic('app', 'main.py', 'x = 1\\n')",
    "%%app main.py",
    "# first\n%%app main.py\nx = 1",
    "\ufeff%%app main.py\nx = 1",
    "%%app\u00a0main.py\nx = 1",
    "%%app\tmain.py\nx = 1",
    "%%application main.py\nx = 1",
    "%%APP main.py\nx = 1",
    "y = 2\n%%app main.py\nx = 1",
    "y = '%%app main.py'",
    "%%html\n%%app main.py\nx = 1",
    "x = (",
]


@pytest.fixture(scope="module")
def shell() -> Any:
    """Give a kernel's shell, whose `%%app` only remembers its arguments."""
    kind: Any = InteractiveShell
    made = kind(display_page=False)
    made.seen = []
    made.register_magic_function(lambda line, cell: made.seen.append((line, cell)), "cell", "app")
    return made


@pytest.mark.parametrize("source", CELLS)
def test_it_is_read_as_the_kernel_runs_it(shell: Any, source: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Blank lines, spaces, other magics, comments, and marks that nobody sees: the same answer as live."""
    shell.seen.clear()
    shell.run_cell(source)
    capsys.readouterr()
    assert [found for found in [app_cell(source)] if found] == shell.seen


def test_a_cell_run_again_is_placed_alike_everywhere(course: Course, workspace: Workspace) -> None:
    """What a cell gave up goes, what other cells added to a file stays: in the notebook as in grading."""
    draft = Draft()
    for line, code in (
        ("main.py", "x = 1\n"),
        ("main.py --merge --exercise 0.1", "def a(): ...\n"),
        ("main.py --merge --exercise 0.1", "def b(): ...\n"),
        ("main.py", "x = 1\n"),
    ):
        for desk in (draft, workspace):
            writing.write(course, desk, parse_header(line), code)
    assert draft.files["main.py"] == (workspace.app_dir / "main.py").read_text(encoding="utf-8")
    assert draft.files["main.py"] == "x = 1\n\n\ndef b(): ...\n"
