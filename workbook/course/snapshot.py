"""A package at some point of the course, in memory: cells applied one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from workbook.base.tree import content, modules
from workbook.course import release
from workbook.course.chapter import Cell
from workbook.merge.assemble import check_syntax, clean, merge, parse_header
from workbook.merge.header import Header

if TYPE_CHECKING:
    from workbook.course.index import Course

PACKAGE_DOCSTRING = '"""The backend that you build: it grows as you run the exercises."""\n'


def placed(existing: str | None, header: Header, code: str, previous: str | None = None) -> str:
    """Return a module's text after a cell was written or merged into it.

    Args:
        existing: the module as it is, or None.
        header: what the `%%app` line says.
        code: the cell below that line.
        previous: what the same cell merged before, so that names it gave up are removed.

    Raises:
        CellError: the cell or the module is no Python.
    """
    text = clean(code)
    check_syntax(text, f"app/{header.path}")
    return merge(existing or "", text, previous) if header.merge else text


class Snapshot:
    """The modules of `app` by path.

    `files` maps a path below `app`, such as `users/schemas.py`, to its text.
    """

    def __init__(self, files: dict[str, str] | None = None) -> None:
        self.files = dict(files or {})

    @classmethod
    def read(cls, folder: Path) -> Snapshot:
        """Return a package's modules as they are; an `__init__.py` that holds nothing is left out."""
        found: dict[str, str] = {}
        for path in modules(folder):
            text = (content(path) or b"").decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
            if not (path.name == "__init__.py" and not text.strip()):
                found[path.relative_to(folder).as_posix()] = text
        return cls(found)

    def run(self, source: str) -> str:
        """Apply a whole `%%app` cell; return the path it wrote."""
        first, _, code = source.partition("\n")
        header = parse_header(first.removeprefix("%%app"))
        self.files[header.path] = placed(self.files.get(header.path), header, code)
        return header.path

    def copy(self) -> Snapshot:
        """Return an independent copy."""
        return Snapshot(self.files)

    def write(self, folder: Path) -> Path:
        """Write the package below `folder/app`; return that path."""
        app = folder / "app"
        for path, text in {"__init__.py": PACKAGE_DOCSTRING, **self.files}.items():
            target = app / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")
        for inner in app.rglob("*"):
            if inner.is_dir() and inner.name != "__pycache__" and not (inner / "__init__.py").exists():
                (inner / "__init__.py").write_text("", encoding="utf-8")
        return app


def writes(course: Course) -> Iterable[Cell]:
    """Yield every cell of the course that writes a module, in order."""
    for chapter in course.chapters:
        yield from chapter.writes


def solved_until(course: Course, exercise: str | None, *, including: bool = True) -> Snapshot:
    """Return the package as the solutions make it, up to an exercise's cell (None: to the end)."""
    made = Snapshot()
    for cell in writes(course):
        if exercise is not None and cell.exercise == exercise and not including:
            break
        made.run(release.solved_source(cell))
        if exercise is not None and cell.exercise == exercise:
            break
    return made


def solved_before(course: Course, chapter: int) -> Snapshot:
    """Return the package as the solutions make it in all chapters before `chapter`."""
    made = Snapshot()
    for number, files in sorted(course.states().items()):
        if number < chapter:
            made.files |= files
    return made
