"""Cells put into the package: what a later cell or the learner wrote is never silently replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from tests.workbook.conftest import HINTS, SOURCE
from workbook.base.errors import WorkbookError
from workbook.course.index import Course, read_course
from workbook.learner import writing
from workbook.learner.workspace import Workspace
from workbook.learner.written import Written
from workbook.merge.assemble import parse_header

SECOND = f"""---
title: Later
minutes: 10
goals: [go on]
---

```python
%load_ext workbook
```

```python
%%app numbers.py --merge
def add(a: int, b: int) -> int:
    \"\"\"Return the sum, logged.\"\"\"
    print(a, b)
    return a + b


def double(a: int) -> int:
    return 2 * a
```

```python
%%app words.py
import json


def old() -> str:
    return json.dumps("old")


def word() -> str:
    return "first"
```

Then anew.

```python
%%app words.py
def word() -> str:
    return "anew"
```

Then more.

```python
%%app words.py --merge
def word() -> str:
    return "more"


def other() -> str:
    return word()
```

#### Exercise 1.1 · `app/main.py`

{HINTS}

```python exercise="1.1" title="Better health"
%%app main.py --merge
@app.get("/health")
async def health() -> dict[str, str]:
    ### BEGIN SOLUTION
    return {{"status": "better"}}
    ### END SOLUTION
```

```python
%check 1.1
```
"""
RunCell = Callable[[str], Written]
MAIN = "%%app main.py\nfrom fastapi import FastAPI\n\napp = FastAPI()\n"
HEALTH = '@app.get("/health")\nasync def health():\n    return {"status": "ok"}\n'
SUM = "%%app numbers.py --exercise 0.2\ndef add(a, b):\n    return b + a\n"
STUB = '%%app numbers.py --exercise 0.2\ndef add(a: int, b: int) -> int:\n    """Return the sum."""\n    return a - b\n'
LATER, FIRST_WORDS, NEW_WORDS, MORE_WORDS = (part.split("```")[0] for part in SECOND.split("```python\n")[2:6])


@pytest.fixture
def course(root: Path) -> Course:
    """Give the small course with a second chapter, which rewrites what the first built."""
    (root / "solutions" / "01_later.md").write_text(dedent(SECOND), encoding="utf-8")
    assert "%%app numbers.py" in SOURCE
    return read_course(root)


@pytest.fixture
def run(course: Course, workspace: Workspace) -> RunCell:
    """Give a function that runs a cell."""

    def cell(source: str) -> Written:
        first, _, code = source.partition("\n")
        return writing.write(course, workspace, parse_header(first.removeprefix("%%app")), code)

    return cell


def text(workspace: Workspace, path: str) -> str:
    """Return what a module holds."""
    return (workspace.app_dir / path).read_text(encoding="utf-8")


def test_an_earlier_cell_leaves_what_a_later_one_wrote(run: RunCell, workspace: Workspace) -> None:
    """The cell of 0.2, run again after chapter 1, changes nothing; it says what it left, and how to write it."""
    run(SUM)
    run(LATER)
    before = text(workspace, "numbers.py")
    said = run(SUM).summary()
    assert text(workspace, "numbers.py") == before
    assert said.startswith("unchanged; left as written later: add (chapter 1)")
    assert "`--replace` in the first line writes the cell as it is" in said


def test_replace_writes_it_all_the_same(run: RunCell, workspace: Workspace) -> None:
    """`--replace` writes an earlier cell's definitions over later ones."""
    run(SUM)
    run(LATER)
    run(SUM.replace("--exercise", "--replace --exercise"))
    assert "b + a" in text(workspace, "numbers.py")


def test_a_later_exercise_is_named(run: RunCell, workspace: Workspace) -> None:
    """What would be undone is named by its exercise, and only that stays: the rest of the cell is written."""
    run(MAIN)
    run("%%app main.py --merge --exercise 0.1\n" + HEALTH)
    run("%%app main.py --merge --exercise 1.1\n" + HEALTH.replace("ok", "better"))
    done = run("%%app main.py --merge --exercise 0.1\nimport math\n\nHALF = math.pi / 2\n\n\n" + HEALTH)
    assert done.summary().startswith("added HALF; left as written later: health (1.1)")
    assert "better" in text(workspace, "main.py")
    assert "import math" in text(workspace, "main.py")


def test_the_cell_that_begins_a_file_is_merged_when_later_cells_were_there(run: RunCell, workspace: Workspace) -> None:
    """`%%app main.py`, run for the first time on a file with later code, takes nothing away."""
    run("%%app main.py --merge --exercise 0.1\n" + "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n" + HEALTH)
    assert "removed" not in run(MAIN).summary()
    assert "def health" in text(workspace, "main.py")


def test_a_cell_as_it_was_given_leaves_an_answer(run: RunCell, workspace: Workspace) -> None:
    """An untouched stub does not replace an answer; where there is none, it is written."""
    assert run(STUB).summary().startswith("created: add")
    run(SUM)
    said = run(STUB).summary()
    assert said.startswith("unchanged; left as you have it: this cell is still as it was given (`--replace`")
    assert "b + a" in text(workspace, "numbers.py")
    run(STUB.replace("--exercise", "--replace --exercise"))
    assert "a - b" in text(workspace, "numbers.py")


def test_twice_in_any_order_is_the_same(run: RunCell, workspace: Workspace) -> None:
    """Cells run again, backwards and forwards, leave the files byte for byte."""
    cells = [MAIN, "%%app main.py --merge --exercise 0.1\n" + HEALTH, SUM, LATER]
    for cell in cells:
        run(cell)
    before = {path.name: path.read_bytes() for path in workspace.app_dir.glob("*.py")}
    for cell in [*cells[::-1], *cells]:
        run(cell)
        assert {path.name: path.read_bytes() for path in workspace.app_dir.glob("*.py")} == before


def test_an_undo_takes_back_what_is_remembered_of_a_cell(run: RunCell, workspace: Workspace) -> None:
    """A helper that one attempt added goes with the next, also when an undo lies between."""
    first = SUM + "\n\ndef helper():\n    return 1\n"
    run(first)
    run(SUM)
    assert "helper" not in text(workspace, "numbers.py")
    workspace.undo()
    assert "helper" in text(workspace, "numbers.py")
    run(SUM)
    assert "helper" not in text(workspace, "numbers.py")


def test_a_bare_statement_is_told(run: RunCell) -> None:
    """A cell that adds an import and a call says both."""
    run(MAIN)
    said = run("%%app main.py --merge\nfrom app import extra\n\napp.include_router(extra)\n").summary()
    assert said == "changed imports; added `app.include_router(extra)`"


REFUSED = [
    ("%%app numbers.py --exercise 9.9\nx = 1\n", "no exercise '9.9'"),
    ("%%app number.py --exercise 0.2\nx = 1\n", "exercise 0.2 writes app/numbers.py, not app/number.py"),
    ("%%app numbers.py --exercise 0.2\nx = (\n", "line 2 of the cell"),
]


@pytest.mark.parametrize(("source", "said"), REFUSED)
def test_what_is_refused_is_kept(run: RunCell, workspace: Workspace, source: str, said: str) -> None:
    """A cell that cannot be written changes no file, and its text is in the history."""
    with pytest.raises(WorkbookError, match=said) as caught:
        run(source)
    kept = workspace.history(limit=1)[0]
    assert kept.content == source.split("\n", 1)[1].encode()
    assert f"`%history {kept.id}` shows it" in str(caught.value)
    assert [path.name for path in workspace.app_dir.rglob("*.py")] == ["__init__.py"]
    assert workspace.undo() is None


def test_a_path_like_one_of_the_course_is_noticed(course: Course) -> None:
    """`number.py` is close to `numbers.py`; a name of its own is not."""
    assert writing.near_path(course, "number.py") == "numbers.py"
    assert writing.near_path(course, "numbers.py") is None
    assert writing.near_path(course, "greetings.py") is None


def test_what_a_later_cell_wrote_survives_another_name(run: RunCell, workspace: Workspace) -> None:
    """A cell whose function has another name now keeps the old one, if a later cell wrote it; it says so."""
    run(SUM)
    run(LATER)
    said = run(SUM.replace("def add", "def plus")).summary()
    assert "print(a, b)" in text(workspace, "numbers.py")
    assert said.startswith("added plus; left as written later: add (chapter 1)")
    said = run(SUM.replace("def add", "def total")).summary()
    assert said.startswith("added total; removed plus (this cell had it before")
    assert "def add" in text(workspace, "numbers.py")


def test_what_a_later_cell_wrote_in_a_class_survives_another_name(run: RunCell, workspace: Workspace) -> None:
    """Of a class, too, only what the cell itself brought goes."""
    first = "%%app numbers.py --exercise 0.2\nimport math\n\n\nclass Sum:\n    A = math.pi\n\n    def add(self): ...\n"
    run(first)
    run("%%app numbers.py --merge --exercise 0.2\n" + first.split("\n", 1)[1])
    run("%%app main.py --merge --exercise 1.1\n" + HEALTH)
    run("%%app numbers.py --merge\nclass Sum:\n    def add(self):\n        return 1\n")
    done = run(first.replace("A =", "B =").replace("add", "plus"))
    assert [name for name, _ in done.left] == ["Sum.add"]
    module = text(workspace, "numbers.py")
    assert "B = math.pi" in module
    assert "A = " not in module
    assert "def plus" in module
    assert "return 1" in module


def test_an_import_that_the_module_lacks_comes_with_an_earlier_cell(run: RunCell, workspace: Workspace) -> None:
    """A later cell was run first: the cell that imports what it uses brings the import, though nothing else."""
    run("%%app main.py --merge --exercise 1.1\nHALF = math.pi / 2\n\n\n" + HEALTH.replace("ok", "better"))
    run("%%app main.py --merge --exercise 0.1\nimport json\nimport math\n\nHALF = math.pi\n\n\n" + HEALTH)
    module = text(workspace, "main.py")
    assert module.startswith("import math\n")
    assert "HALF = math.pi / 2" in module
    assert "better" in module


def test_a_file_that_is_begun_anew_loses_what_earlier_cells_wrote(run: RunCell, workspace: Workspace) -> None:
    """A later cell ran first: the cell that begins the file anew leaves that, and removes what came before it."""
    for cell in (FIRST_WORDS, NEW_WORDS, MORE_WORDS):
        run(cell)
    straight = text(workspace, "words.py")
    (workspace.app_dir / "words.py").unlink()
    run(FIRST_WORDS)
    run(MORE_WORDS)
    run("%%app words.py --merge\ndef mine(): ...\n")
    said = run(NEW_WORDS).summary()
    assert said.startswith(
        "removed old; removed the import of json (`%undo` brings it back); left as written later: word"
    )
    assert text(workspace, "words.py") == straight + "\n\ndef mine(): ...\n"
    assert run(FIRST_WORDS).summary().startswith("unchanged")


def test_a_cell_heals_the_order(run: RunCell, workspace: Workspace) -> None:
    """A module whose app stands below its route is put in order by any of its cells, also by one that adds nothing."""
    broken = HEALTH + "\n\nfrom fastapi import FastAPI\n\napp = FastAPI()\n"
    for cell in (MAIN, "%%app main.py --merge --exercise 0.1\n" + HEALTH):
        (workspace.app_dir / "main.py").write_text(broken, encoding="utf-8")
        run(cell)
        module = text(workspace, "main.py")
        assert module.index("import FastAPI") < module.index("app = FastAPI()") < module.index("@app.get"), module
