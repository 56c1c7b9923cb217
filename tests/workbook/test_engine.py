"""What a remembered result depends on."""

from __future__ import annotations

import ast
from pathlib import Path

from workbook.base import engine


def test_what_is_imported_is_found_at_any_depth(tmp_path: Path) -> None:
    """A file's engine modules count, those that they import, and imports inside functions."""
    folder = tmp_path / "workbook"
    folder.mkdir()
    texts = {
        "__init__": "",
        "first": "import os\nfrom workbook import second as two, third\n",
        "second": "def run():\n    from workbook.fourth import x\n",
        "third": "from workbook.first import y\n",
        "fourth": "from workbook import (\n    fifth,\n    second,\n)\n",
        "fifth": "x = 1\n",
        "sixth": "import workbook.first\n",
    }
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    outside = tmp_path / "test_it.py"
    outside.write_text("from workbook import third\n", encoding="utf-8")
    found = engine.behind([outside], folder)
    assert [path.stem for path in found] == ["__init__", "fifth", "first", "fourth", "second", "third"]
    assert folder / "sixth.py" in engine.behind([folder / "sixth.py"], folder)


def test_packages_of_the_engine_are_followed(tmp_path: Path) -> None:
    """A module of a package below the engine counts, with what it imports, and with the package's own file."""
    folder = tmp_path / "workbook"
    (folder / "exam").mkdir(parents=True)
    texts = {
        "__init__": "",
        "errors": "x = 1\n",
        "exam/__init__": "",
        "exam/run": "from workbook.exam import told, items as things\nfrom workbook.errors import x\n",
        "exam/told": "x = 1\n",
        "exam/items": "from workbook.exam.client import Client\n",
        "exam/client": "class Client: ...\n",
        "exam/other": "x = 1\n",
    }
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    for line in ("from workbook.exam.run import run", "from workbook.exam import run", "import workbook.exam.run"):
        outside = tmp_path / "test_it.py"
        outside.write_text(f"{line}\n", encoding="utf-8")
        found = [path.relative_to(folder).with_suffix("").as_posix() for path in engine.behind([outside], folder)]
        assert found == ["__init__", "errors", "exam/__init__", "exam/client", "exam/items", "exam/run", "exam/told"]


def test_what_checks_share_counts_where_it_is_imported(tmp_path: Path) -> None:
    """A check file rests on the shared modules that it names, on those behind them, and on the engine's behind these."""
    folder, shared = tmp_path / "workbook", engine.shared(tmp_path)
    texts = {
        folder / "__init__.py": "",
        folder / "expect.py": "",
        shared / "__init__.py": "",
        shared / "people.py": "from course_checks.paths import API\n",
        shared / "paths.py": "def f():\n    from workbook import expect\n",
        shared / "words.py": "",
        shared.parent / "test_01_a.py": "from course_checks.people import (\n    People,\n    sign_in,\n)\n",
        shared.parent / "test_02_b.py": "from course_checks import words\n",
    }
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def found(name: str) -> list[str]:
        return [path.stem for path in engine.behind([shared.parent / name], folder, shared)]

    assert found("test_01_a.py") == ["__init__", "paths", "people", "__init__", "expect"]
    assert found("test_02_b.py") == ["__init__", "words", "__init__"]


def test_every_import_of_the_engine_is_seen() -> None:
    """What the syntax tree says of each of the engine's files is what is found by its text."""
    for path in engine.FOLDER.rglob("*.py"):
        modules = set()
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom):
                modules |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
        names = {module.partition(".")[2] for module in modules if module.startswith("workbook.")}
        names |= {name.rpartition(".")[0] or name for name in names}
        places = (engine.FOLDER.joinpath(*name.split(".")).with_suffix(".py") for name in names)
        files = {place for place in places if place.is_file()}
        assert files <= set(engine.behind([path])), path
