"""A course of one chapter and two exercises, small enough to read, on which the engine is tested."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from workbook.checking.finder import PACKAGE, forget
from workbook.course.index import Course, read_course
from workbook.course.snapshot import Snapshot
from workbook.learner.workspace import Workspace
from workbook.running.worker import Worker

HINTS = "\n".join(
    f"<details><summary>Hint {number}: {name}</summary>\n\nThink.\n\n</details>\n"
    for number, name in enumerate(("the concept", "the place", "near-code"), 1)
)

SOURCE = f"""---
title: A demonstration
minutes: 10
goals: [show the engine at work]
files: [main.py]
---

# A demonstration

First words.


A second cell.

```python
%load_ext workbook
```

```python
%%app main.py
from fastapi import FastAPI

app = FastAPI()
```

#### Exercise 0.1 · `app/main.py`

Answer `GET /health`.

{HINTS}

```python exercise="0.1" points=2 title="A route"
%%app main.py --merge
@app.get("/health")
async def health() -> dict[str, str]:
    \"\"\"Say that the process is alive.\"\"\"
    ### BEGIN SOLUTION
    return {{"status": "ok"}}
    ### END SOLUTION
```

```python
%check 0.1
```

#### Exercise 0.2 · `app/numbers.py`

Add two numbers.

{HINTS}

```python exercise="0.2" points=3 title="A sum"
%%app numbers.py
def add(a: int, b: int) -> int:
    \"\"\"Return the sum.\"\"\"
    ### BEGIN SOLUTION
    return a + b
    ### STUB
    # return a - b
    ### END SOLUTION
```

```python
%check 0.2
```
"""

CHECKS = '''
from workbook import expect
from workbook.checks import exercise


@exercise("0.1")
class TestHealth:
    async def test_answers(self, client):
        """GET /health gives 200 and says that all is well"""
        response = await client.get("/health")
        expect.status(response, 200, why="a monitor reads the status", hint="add the route")
        expect.json(response, {"status": "ok"}, why="a monitor reads the body", hint="return the dict")

    async def test_second(self, client):
        """A second GET /health gives 200 too"""
        expect.status(await client.get("/health"), 200)


@exercise("0.2")
def test_sum(load):
    """add(2, 3) is 5"""
    add = load("numbers").add
    expect.equal(add(2, 3), 5, did="add(2, 3)", why="sums are for adding", hint="use +", at=add)
'''

ANSWERS = """
### 0.1 wrong: says OK in capitals
message: the body {'status': 'OK'}

```python
%%app main.py --merge
@app.get("/health")
async def health():
    return {"status": "OK"}
```

### 0.1 wrong: another path
message: 404 Not Found

```python
%%app main.py --merge
@app.get("/healthy")
async def health():
    return {"status": "ok"}
```

### 0.1 right: a plain function

```python
%%app main.py --merge
@app.get("/health")
def health():
    return dict(status="ok")
```

### 0.2 wrong: multiplies
message: use +

```python
%%app numbers.py
def add(a, b):
    return a * b
```

### 0.2 wrong: raises
message: ZeroDivisionError

```python
%%app numbers.py
def add(a, b):
    return a / 0
```

### 0.2 right: by sum

```python
%%app numbers.py
def add(a, b):
    return sum((a, b))
```
"""


@pytest.fixture(autouse=True)
def other_package() -> Iterator[None]:
    """Keep the `app` that tests of other folders have imported: tests here forget it, and import one of their own."""
    kept = {name: module for name, module in sys.modules.items() if name.split(".")[0] == PACKAGE}
    yield
    if {name: module for name, module in sys.modules.items() if name.split(".")[0] == PACKAGE} != kept:
        forget()
        sys.modules.update(kept)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a repository with the small course; WORKBOOK_* of the outer run do not reach it."""
    for name in ("WORKBOOK_ROOT", "WORKBOOK_APP", "WORKBOOK_STATE"):
        monkeypatch.delenv(name, raising=False)
    made = tmp_path / "course"
    files = {
        "pyproject.toml": '[tool.workbook]\npackage = "app"\n[tool.pytest.ini_options]\nasyncio_mode = "auto"\n',
        "solutions/00_demo.md": SOURCE,
        "tests/chapters/test_00_demo.py": CHECKS,
        "tests/answers/00_demo.md": ANSWERS,
        "app/__init__.py": '"""The app."""\n',
        "CONTRIBUTING.md": "# Table\n\n<!-- verify: begin -->\n<!-- verify: end -->\n",
    }
    for name, text in files.items():
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
    return made


@pytest.fixture
def course(root: Path) -> Course:
    """Give the small course's index."""
    return read_course(root)


@pytest.fixture
def workspace(root: Path) -> Workspace:
    """Give the learner's workspace in the small course."""
    return Workspace.at(root)


@pytest.fixture(scope="session")
def warm_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """Give one warm process for all tests: to start it takes longer than most of them."""
    with Worker(tmp_path_factory.mktemp("nowhere")) as made:
        yield made


@pytest.fixture
def worker(warm_worker: Worker, root: Path) -> Worker:
    """Give the warm worker with the small course's checks."""
    warm_worker.root = root
    return warm_worker


@pytest.fixture
def package(root: Path) -> PackageMaker:
    """Give a function that writes an app of `%%app` cells and returns its folder."""
    return PackageMaker(root.parent / "packages")


class PackageMaker:
    """Writes packages made of cells, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0

    def __call__(self, *cells: str) -> Path:
        made = Snapshot()
        for cell in cells:
            made.run(dedent(cell))
        self._count += 1
        return made.write(self._folder / str(self._count))


MAIN = "%%app main.py\nfrom fastapi import FastAPI\n\napp = FastAPI()\n"
HEALTH = '%%app main.py --merge\n@app.get("/health")\nasync def health() -> dict[str, str]:\n    """Say that the process is alive."""\n    {body}\n'
