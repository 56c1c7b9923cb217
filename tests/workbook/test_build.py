"""Building: what is written, what is left alone, what has drifted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.workbook.conftest import SOURCE
from workbook.course import build, execution, notebook
from workbook.course.chapter import SourceError
from workbook.install import doctor


def test_a_notebook_that_was_worked_in_is_kept(root: Path) -> None:
    """Building anew puts a learner's notebook aside, again and again; the doctor does not ask for it."""
    build.build(root)
    path = root / "notebooks/00_demo.ipynb"
    own = root / "notebooks/scratch.ipynb"
    own.write_text(path.read_text(encoding="utf-8").replace("First words", "My words"), encoding="utf-8")
    for name in ("00_demo", "00_demo-2"):
        text = path.read_text(encoding="utf-8").replace("raise NotImplementedError", f"return '{name}'")
        path.write_text(text, encoding="utf-8")
        assert not notebook.is_untouched(path)
        assert "notebooks" not in doctor.build(root).detail
        assert build.build(root) == [
            f"kept your notebooks/00_demo.ipynb as notebooks/mine/{name}.ipynb",
            "wrote notebooks/00_demo.ipynb",
        ]
        assert (root / f"notebooks/mine/{name}.ipynb").read_text(encoding="utf-8") == text
        assert notebook.is_untouched(path)
    assert own.is_file()


def test_build_writes_notebooks_and_package_once(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first build writes everything, the second nothing; drift of any built file is found and repaired.

    The notebooks run in a package and a state of their own, also for somebody whose environment names others.
    """
    for name in ("WORKBOOK_APP", "WORKBOOK_STATE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    written = build.build(root)
    assert not (tmp_path / "WORKBOOK_APP").exists()
    assert not list((tmp_path / "WORKBOOK_STATE").glob("*.sqlite3"))
    assert "wrote notebooks/00_demo.ipynb" in written
    assert "wrote solutions/00_demo.ipynb" in written
    assert "wrote solutions/app/numbers.py" in written
    assert build.build(root) == []
    assert build.stale(root, run=True) == []
    solved = json.loads((root / "solutions/00_demo.ipynb").read_text(encoding="utf-8"))
    outputs = [output for cell in solved["cells"] for output in cell.get("outputs", [])]
    assert any("passed (2 of 2 points)" in json.dumps(output) for output in outputs)

    (root / "notebooks/00_demo.ipynb").write_text("{}", encoding="utf-8")
    (root / "solutions/app/numbers.py").write_text("# edited", encoding="utf-8")
    (root / "solutions/app/stray.py").write_text("", encoding="utf-8")
    text = json.dumps(solved).replace("passed (2 of 2 points)", "passed (9 of 9 points)")
    (root / "solutions/00_demo.ipynb").write_text(text, encoding="utf-8")
    found = "\n".join(build.stale(root, run=True))
    for path in (
        "notebooks/00_demo.ipynb",
        "solutions/app/numbers.py",
        "solutions/app/stray.py",
        "a fresh run gives",
    ):
        assert path in found
    build.build(root)
    assert build.stale(root, run=True) == []


def test_a_solution_that_does_not_run_stops_the_build(root: Path) -> None:
    """A solved notebook that raises is an error with the cell, not a notebook with a traceback."""
    path = root / "solutions/00_demo.md"
    path.write_text(SOURCE.replace('return {"status": "ok"}', 'return {"status": "no"}'), encoding="utf-8")
    with pytest.raises(execution.BuildError, match="00_demo does not run"):
        build.build(root)
    assert not (root / "solutions/00_demo.ipynb").exists()


@pytest.mark.parametrize(("old", "new"), [("return a + b", "return a +"), ("# return a - b", "# return a -")])
def test_code_that_is_no_python_is_refused(root: Path, old: str, new: str) -> None:
    """A solution or a stub with a syntax error is told with the source's file and line."""
    path = root / "solutions/00_demo.md"
    path.write_text(SOURCE.replace(old, new), encoding="utf-8")
    with pytest.raises(SourceError, match=r"00_demo\.md:"):
        build.build(root)
