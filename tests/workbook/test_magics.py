"""The notebook's commands, in a real kernel: what a learner types and sees."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.notebook import Notebook
from tests.workbook.test_target import CHECKS, SECOND

Run = Callable[[str], str]
STUB = '%%app main.py --merge --exercise 0.1\n@app.get("/health")\nasync def health() -> dict[str, str]:\n    {body}\n'
APP = "%%app main.py\nfrom fastapi import FastAPI\n\napp = FastAPI()\n"


@pytest.fixture
def opened(root: Path) -> Iterator[Notebook]:
    """Give a notebook in the learner's folder, the engine loaded."""
    (root / "notebooks").mkdir(exist_ok=True)
    made = Notebook(root / "notebooks")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with made.client.setup_kernel(env=environment):
        assert "0 of 5 points; next: 0.1 A route." in made("%load_ext workbook")
        yield made


def test_from_nothing_to_a_pass(opened: Notebook, root: Path) -> None:
    """Write, fail with a message, solve, pass, look at the solution, and see the progress."""
    assert opened(APP) == "app/main.py: created: app (3 lines)\n"
    opened(STUB.replace("{body}", 'raise NotImplementedError("exercise 0.1")'))
    assert "0.1 A route: " in opened("%check 0.1")
    assert "not passed yet" in opened("%solution 0.1")
    said = opened(STUB.replace("{body}", 'return {"status": "OK"}'))
    assert "app/main.py: replaced health" in said
    said = opened("%check 0.1")
    assert "got: the body {'status': 'OK'}" in said
    assert said.endswith("ERROR not passed: 0.1 (the panel above says why)")
    opened("from app.main import health")
    opened(STUB.replace("{body}", 'return dict(status="ok")'))
    assert "'status': 'ok'" in opened("await health()"), "names from app are bound anew"
    assert opened("%check 0.1").startswith("0.1 A route: passed (2 of 2 points)")
    assert '200 OK\n{\n  "status": "ok"\n}' in opened('await client.get("/health")')
    assert '-    return dict(status="ok")' in opened("%solution 0.1")
    assert "2 of 5 points; next: 0.2 A sum." in opened("%progress")
    assert opened("%progress 0") == opened("%progress")
    assert "0.2 A sum: not attempted" in opened("%check 0.1 0.2")
    assert (root / "app/main.py").read_text(encoding="utf-8").count("def health") == 1


def test_nothing_is_lost(opened: Notebook, root: Path) -> None:
    """`%undo` goes back step by step, `%history` lists, and an edit made elsewhere is kept too."""
    opened(APP)
    path = root / "app/main.py"
    path.write_text("# written in the editor\n", encoding="utf-8")
    opened("%%app main.py\nx = 1")
    assert "%%app main.py" in opened("%history")
    assert "took back: %%app main.py" in opened("%undo main.py")
    assert path.read_text(encoding="utf-8") == "# written in the editor\n"


def test_a_cell_that_is_run_again_takes_nothing_away(opened: Notebook, root: Path) -> None:
    """The cell that begins a file keeps, the second time, what later cells added; an edited one begins anew."""
    opened(APP)
    opened(STUB.replace("{body}", 'return {"status": "ok"}'))
    assert "run again: what other cells added stays" in opened(APP)
    assert "passed" in opened("%check 0.1")
    assert "removed health" in opened(APP + "x = 1\n")
    path = root / "app/numbers.py"
    cell = "%%app numbers.py --exercise 0.2\ndef add(a, b):\n    return a\n\n\ndef mine():\n    ...\n"
    opened(cell)
    opened("%%app numbers.py --merge\nMORE = 1\n")
    opened(cell.replace("def mine():\n    ...\n", "").replace("return a", "return a + b"))
    text = path.read_text(encoding="utf-8")
    assert "MORE = 1" in text
    assert "mine" not in text
    assert "passed" in opened("%check 0.2")


BAD = [
    ("%%app main.py\nx = (", "was never closed"),
    ("%%app ../main.py\nx = 1", "leaves the package"),
    ("%%app /etc/x.py\nx = 1", "cannot write to '/etc/x.py'"),
    ("%%app 1x.py\nx = 1", "cannot write to '1x.py'"),
    ("%%app main.py --fast\nx = 1", "has no option '--fast'"),
    ("%%app main.py\nx = 'a\x00b'", "NUL"),
    ("%check 7.7", "no exercise '7.7'"),
    ("%catchup nine", "no exercise 'nine'"),
    ("%solution", "name one exercise"),
    ("%catchup", "catch up to where?"),
    ("%undo 5", "there is no version 5"),
    ("%undo x", "'x' is no file of app/"),
    ("%history 7", "there is no version 7"),
    ("%progress 7", "no chapter 7"),
]


def test_bad_input_is_told_and_changes_nothing(opened: Notebook, root: Path) -> None:
    """A wrong call gets its message and a hint, without a traceback, and no file changes."""
    before = sorted(root.rglob("*.py"))
    for source, said in BAD:
        shown = opened(source)
        assert said in shown
        assert "hint: " in shown
        assert "Traceback" not in shown
        assert sorted(root.rglob("*.py")) == before


def test_odd_code_does_not_take_the_kernel(opened: Notebook, root: Path) -> None:
    """Code that exits or fails on import is told, Windows line ends and a byte order mark are cleaned; all goes on."""
    assert "cannot be imported: SystemExit" in opened("%%app main.py\nimport sys\nsys.exit()")
    assert "ended the whole process" in opened("%%app main.py\nimport os\nos._exit(1)")
    assert "NameError: name 'nope' is not defined" in opened("%%app main.py\nnope")
    assert opened("1 + 1") == "2"
    opened("%%app main.py\n\ufeffdef f():\r\n\treturn 1\r\n")
    assert (root / "app/main.py").read_bytes() == b"def f():\n\treturn 1\n"


def test_a_file_that_was_broken_in_the_editor_is_told(opened: Notebook, root: Path) -> None:
    """`client` and `%serve` use the files as they are now, and say what is wrong with them in a few lines."""
    opened(APP)
    opened(STUB.replace("{body}", 'return {"status": "ok"}'))
    assert "200 OK" in opened('await client.get("/health")')
    path = root / "app/main.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"ok"', '"better"'), encoding="utf-8")
    assert "better" in opened('await client.get("/health")')
    for broken, said in ((text + "def (:\n", "SyntaxError"), (text + "nope\n", "name 'nope' is not defined")):
        path.write_text(broken, encoding="utf-8")
        for command in ('await client.get("/health")', "%serve"):
            shown = opened(command)
            assert shown.startswith("ERROR your app cannot be imported: ")
            assert said in shown
            assert f"your code: app/main.py:{broken.count(chr(10))}" in shown
            assert len(shown.splitlines()) < 6
            assert (" of this file back" in shown) == (said == "SyntaxError")
    path.write_text(text, encoding="utf-8")
    assert '"status": "ok"' in opened('await client.get("/health")')


def test_catchup_and_serve(opened: Notebook) -> None:
    """`%catchup` fills in and says so; `%serve` runs the app on a free port; `%serve stop` stops it."""
    assert "filled in:  0.1" in opened("%catchup 0.2")
    assert "run again: what other cells added stays" in opened(APP)
    assert "passed" in opened("%check 0.1")
    said = opened("%serve")
    assert "http://127.0.0.1:" in said
    port = said.split("127.0.0.1:")[1].split("/")[0]
    assert "404" in opened(f"import httpx\nhttpx.get('http://127.0.0.1:{port}/none').status_code")
    assert "stopped" in opened("%serve stop")
    assert "no server runs" in opened("%serve stop")


def test_a_latecomer_is_told_to_catch_up(opened: Notebook, root: Path) -> None:
    """A check in a package without the earlier chapters' files names `%catchup 1`; bare, it is this notebook's."""
    (root / "solutions/01_second.md").write_text(SECOND, encoding="utf-8")
    check = CHECKS.format(id="1.2", name="loud", call='load("words").loud("a")', value="'A!'")
    (root / "tests/chapters/test_01_second.py").write_text(check, encoding="utf-8")
    said = opened("%check 1.2")
    assert "1.2 Loud: not attempted" in said
    assert "hint: This chapter builds on what chapter 0 made, and that is not there: run `%catchup 1` first." in said
    opened("import os\nos.environ['JPY_SESSION_NAME'] = 'notebooks/01_second.ipynb'")
    assert "caught up to 1\n  filled in:  0.1, 0.2" in opened("%catchup")
    assert "run `%catchup 1` first" not in opened("%check 1.2")


def test_a_bare_check_names_another_notebook(opened: Notebook, root: Path) -> None:
    """Where no cell was run yet, it means this notebook's first open exercise, and says where another one stands."""
    (root / "solutions/01_second.md").write_text(SECOND, encoding="utf-8")
    check = CHECKS.format(id="1.2", name="loud", call='load("words").loud("a")', value="'A!'")
    (root / "tests/chapters/test_01_second.py").write_text(check, encoding="utf-8")
    opened("import os\nos.environ['JPY_SESSION_NAME'] = 'notebooks/01_second.ipynb'")
    assert opened("%check").startswith("1.1 Better health: ")
    opened("%catchup 1")
    opened("os.environ['JPY_SESSION_NAME'] = 'notebooks/00_first.ipynb'")
    assert opened("%check").startswith("note: 1.1 stands in notebooks/01_second.ipynb\n")


def test_errors_say_what_to_run(opened: Notebook) -> None:
    """A missing module of the package and a forgotten `await` are answered below the usual traceback, or in its place."""
    shown = opened("from app.numbers import add")
    assert "No module named 'app.numbers'" in shown
    assert "hint: `app.numbers` comes from chapter 0: do that chapter first, or run `%catchup all`" in shown
    assert "hint: " not in opened("nowhere")
    assert opened('await client.get("/health")').startswith("ERROR there is no app/main.py yet")
    opened(APP)
    assert "`get` was called without `await`" in opened('client.get("/health")')


def test_an_error_of_the_app_is_shown_without_the_way_through_libraries(opened: Notebook) -> None:
    """Of an error that a request meets the cell and the package are shown, and what led to it; others as ever."""
    opened(APP)
    body = (
        "try:\n        return {}['name']\n    except KeyError as error:\n        raise ValueError('no name') from error"
    )
    opened(STUB.replace("{body}", body))
    said = re.sub(r"\x1b\[[\d;]*m", "", opened('await client.get("/health")'))
    assert said.count("site-packages") == said.count("starlette") == 0
    assert "KeyError" in said
    assert "app/main.py" in said
    assert 'await client.get("/health")' in said
    assert re.search(r"ValueError: .*no name", said)
    assert re.search(r"\(\d+ frames of libraries left out\)", said)
    assert len(said.split("\n")) < 60
    assert opened("1 / 0").count("frames of libraries") == 0
    assert "ZeroDivisionError" in opened("1 / 0")


def test_a_bare_check_means_the_exercise_at_hand(opened: Notebook) -> None:
    """`%check` checks the exercise whose cell ran last; a cell that was not written is told; an undo says what it broke."""
    assert "0.1 A route: not attempted" in opened("%check")
    sum_cell = "%%app numbers.py --exercise 0.2\ndef add(a, b):\n    return b + a\n"
    opened(sum_cell.replace("b + a", "a"))
    opened(sum_cell)
    assert opened("%check").startswith("0.2 A sum: passed")
    assert "line 4 of the cell" in opened(sum_cell + "x = (\n")
    assert opened("%check").startswith("note: the newest cell was not written: app/numbers.py was checked")
    kept = opened("%history")
    assert "not written: %%app numbers.py (0.2)" in kept
    said = opened("%undo")
    assert "took back: %%app numbers.py (0.2)" in said
    assert "note: 0.2 had passed before this change" in said
    assert "0 of 5 points" in opened("%progress")
    assert "done again: %%app numbers.py (0.2)" in opened("%redo")
    assert "3 of 5 points" in opened("%progress")


def test_a_known_verdict_is_not_computed_again(opened: Notebook, root: Path) -> None:
    """The same code and the same checks give the same panel at once; a changed file, or `--anew`, is another run."""
    cell = "%%app numbers.py --exercise 0.2\ndef add(a, b):\n    return a\n"
    opened(cell)
    first = opened("%check 0.2")
    again = opened("%check 0.2")
    assert again.startswith("nothing has changed since this check, so it was not run again: `%check 0.2 --anew`")
    assert first.partition("0.2 A sum")[2] == again.partition("0.2 A sum")[2]
    assert "nothing has changed" not in opened("%check 0.2 --anew")
    opened(cell.replace("return a", "return a + b"))
    assert opened("%check 0.2").startswith("0.2 A sum: passed")
    assert "nothing has changed" in opened("%check")
    (root / "app" / "settings.json").write_text("{}")
    assert opened("%check 0.2").startswith("0.2 A sum: passed")
    checks = root / "tests" / "chapters" / "test_00_demo.py"
    checks.write_text(checks.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert opened("%check 0.2").startswith("0.2 A sum: passed")


def test_what_was_imported_from_app_is_renewed(opened: Notebook, root: Path) -> None:
    """Modules, aliases and constants are new after a cell was written, also below `%%time`; a scratch file is named."""
    opened("%%app numbers.py\nLIMIT = 1\n")
    opened("%%time\nfrom app import numbers\nimport app.numbers as n\nfrom app.numbers import LIMIT\n")
    opened("%%app numbers.py\nLIMIT = 2\n")
    assert opened("LIMIT, numbers.LIMIT, n.LIMIT") == "(2, 2, 2)"
    (root / "app" / "numbers.py").write_text("LIMIT = 33\n")  # in an editor, or by another notebook
    assert opened("LIMIT, numbers.LIMIT, n.LIMIT") == "(33, 33, 33)"
    (root / "notebooks" / "httpx.py").write_text("raise RuntimeError('a scratch file')")
    assert "httpx.py is called like the module `httpx`" in opened("%reload_ext workbook")
    opened(APP)
    assert "404 Not Found" in opened('await client.get("/nothing")')
    assert opened("import httpx; hasattr(httpx, 'AsyncClient')") == "True"
