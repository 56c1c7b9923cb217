"""Notebooks as they were handed in: read tolerantly, held against the course, one chosen for each chapter."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from workbook.base.errors import WorkbookError
from workbook.base.plain import named
from workbook.base.tree import content
from workbook.course import release
from workbook.course.index import Course
from workbook.course.notebook import CONFLICT, conflict
from workbook.course.snapshot import writes
from workbook.learner import writing
from workbook.learner.desk import Draft
from workbook.merge.cells import MAGIC, app_cell
from workbook.merge.header import Header, parse_header
from workbook.merge.syntax import CellError

BYTES, CELL = 20 << 20, 200_000  # of a notebook, of one cell
UNSOLVED = re.compile(r"raise NotImplementedError\(['\"]exercise ")


@dataclass(frozen=True)
class AppCell:
    """A cell that the kernel would run as `%%app`; `number` counts the notebook's cells from 1."""

    number: int
    line: str
    code: str

    @property
    def header(self) -> Header:
        """Return what the `%%app` line asks for.

        Raises:
            CellError: it asks for something impossible.
        """
        return parse_header(self.line)


@dataclass
class Notebook:
    """One notebook: its `%%app` cells, and what was odd about it. `fault` says why it cannot be used at all."""

    path: Path
    cells: list[AppCell] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fault: str = ""

    @classmethod
    def read(cls, path: Path) -> Notebook:
        """Read a notebook; nothing that it holds is an error."""
        found = cls(path)
        try:
            found._take(found._raw_cells())
        except Unreadable as error:
            found.fault = str(error)
        return found

    def _raw_cells(self) -> list[Any]:
        if self.path.stat().st_size > BYTES:
            raise Unreadable(f"it has more than {BYTES >> 20} MB: clear its outputs")
        data = content(self.path)
        if data is None:
            raise Unreadable("it cannot be read")
        try:
            return raw_cells(json.loads(data))
        except (ValueError, RecursionError) as error:
            if line := conflict(data):
                raise Unreadable(f"it holds the conflict markers of a merge (line {line})") from None
            raise Unreadable(f"it is no notebook: {str(error) or type(error).__name__}") from None

    def _take(self, cells: list[Any]) -> None:
        for number, cell in enumerate(cells, 1):
            source = source_of(cell)
            if source is None:
                self.notes.append(f"cell {number} is no cell: it was passed over")
            elif f"%%{MAGIC}" in source:
                self._judge(number, str(cell.get("cell_type")), source)

    def _judge(self, number: int, kind: str, source: str) -> None:
        """Keep a cell that the kernel runs as `%%app`; say why another one that looks like it was not used."""
        found = app_cell(source) if len(source) <= CELL else None
        if len(source) > CELL:
            self.notes.append(f"cell {number} has more than {CELL:,} characters: it was not used")
        elif CONFLICT.search(source):
            self.notes.append(f"cell {number} holds the conflict markers of a merge: it was not used")
        elif found and kind == "code":
            self.cells.append(AppCell(number, *found))
        elif found:
            shown = {"markdown": "Markdown", "raw": "raw"}.get(kind, "no code")
            self.notes.append(f"cell {number} is {shown}, but begins with %%{MAGIC}: it was not used")
        elif kind == "code" and _looks_like_app(source):
            said = f"the kernel does not run it as %%{MAGIC}, for something stands before or directly after the word"
            self.notes.append(f"cell {number} was not used: {said}")

    def exercises(self) -> set[str]:
        """Return the exercises that its cells name."""
        found: set[str] = set()
        for cell in self.cells:
            try:
                found.add(cell.header.exercise or "")
            except CellError:
                continue
        return found - {""}


class Unreadable(Exception):
    """A notebook that cannot be used; the text says why."""


def _looks_like_app(source: str) -> bool:
    """Say whether `%%app` begins one of the first lines, behind spaces, comments, or a mark that nobody sees."""
    lines = [line for line in source.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    return bool(lines) and bool(re.match(rf"[\s\ufeff\u200b]*%%{MAGIC}(\W|$)", lines[0]))


def raw_cells(made: Any) -> list[Any]:
    """Return a notebook's cells, also of one in the format before 2014.

    Raises:
        Unreadable: it has none.
    """
    if isinstance(made, dict):
        if isinstance(cells := made.get("cells"), list):
            return cells
        sheets = made.get("worksheets")
        if isinstance(sheets, list):
            return [cell for sheet in sheets if isinstance(sheet, dict) for cell in sheet.get("cells") or []]
    raise Unreadable("it is no notebook: it has no cells")


def source_of(cell: Any) -> str | None:
    """Return a cell's text, whether it is a string or a list of lines; None for what is no cell."""
    source = (cell.get("source", cell.get("input")) or "") if isinstance(cell, dict) else None
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        return "".join(source)
    return source if isinstance(source, str) else None


@dataclass
class Choice:
    """Which notebooks are used, in the order in which they are run, and why the others are not."""

    used: list[Notebook] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Chooser:
    """Chooses one notebook for each chapter: one that was worked in first, then one of the course's own name.

    Args:
        course: the index, whose cells tell what is the learner's own.
    """

    def __init__(self, course: Course) -> None:
        self.course = course
        self.names = {chapter.name: chapter.number for chapter in course.chapters}

    @cached_property
    def given(self) -> set[str]:
        """Return the `%%app` cells that the course itself gives."""
        return {_squeezed(release.learner_source(cell)) for cell in writes(self.course)}

    def work(self, notebook: Notebook) -> int:
        """Count the cells that are neither given nor stubs."""
        sources = [(_squeezed(f"%%app {cell.line}\n{cell.code}"), cell.code) for cell in notebook.cells]
        return sum(whole not in self.given and not UNSOLVED.search(code) for whole, code in sources)

    def chapter(self, notebook: Notebook) -> int | None:
        """Return the chapter that a notebook is, by its name or by its exercises."""
        if notebook.path.stem in self.names:
            return self.names[notebook.path.stem]
        known = [self.course.exercises[id] for id in notebook.exercises() if id in self.course.exercises]
        numbers = {exercise.chapter for exercise in known}
        return numbers.pop() if len(numbers) == 1 else None

    def choose(self, notebooks: Sequence[Notebook]) -> Choice:
        """Choose among the notebooks, which come in the order in which their places are preferred."""
        choice = Choice()
        readable = [one for one in notebooks if not one.fault]
        choice.notes += [f"{named(one.path.name)} is left out: {one.fault}" for one in notebooks if one.fault]
        by_chapter: dict[int, list[Notebook]] = {}
        free: list[Notebook] = []
        for one in readable:
            number = self.chapter(one)
            (free if number is None else by_chapter.setdefault(number, [])).append(one)
        for _, candidates in sorted(by_chapter.items()):
            choice.used.append(self._best(candidates, choice))
        self._weigh_free([one for one in free if one.cells], choice)
        unused = [one for one in readable if not any(one is used for used in choice.used)]
        choice.notes += [f"{self._shown(one)}, {note}" for one in unused for note in one.notes]
        return choice

    def _best(self, candidates: list[Notebook], choice: Choice) -> Notebook:
        """Return the best of several notebooks of one chapter, and say so."""
        rank = {id(one): (self.work(one) == 0, one.path.stem not in self.names) for one in candidates}
        best = min(candidates, key=lambda one: rank[id(one)])
        for other in candidates:
            if other is not best and other.cells:
                why = ("it holds no work of the learner's", "its name is not the course's")
                reasons = [said for said, a, b in zip(why, rank[id(best)], rank[id(other)], strict=True) if b and not a]
                said = reasons[0] if reasons else "of two alike the first counts"
                choice.notes.append(f"{self._shown(best)} is used, and {self._shown(other)} is left out: {said}")
        if best.path.stem not in self.names:
            choice.notes.append(f"{self._shown(best)} is used for chapter {self.chapter(best):02d}, by its exercises")
        return best

    def _weigh_free(self, free: list[Notebook], choice: Choice) -> None:
        """Use notebooks that are no chapter's only where no chapter's notebook holds any work."""
        if not free:
            return
        listed = ", ".join(self._shown(one) for one in free)
        if any(self.work(one) for one in choice.used) or not any(self.work(one) for one in free):
            if choice.used:
                choice.notes.append(f"left out, for the course has no notebook of that name: {listed}")
                return
        elif choice.used:
            unused = ", ".join(self._shown(one) for one in choice.used)
            choice.notes.append(f"{listed}: used, for the course's own notebooks hold no work; left out: {unused}")
        choice.used = free

    def _shown(self, notebook: Notebook) -> str:
        return named(Path(notebook.path.parent.name, notebook.path.name))


def _squeezed(source: str) -> str:
    """Return a cell's text without the differences that no kernel sees."""
    lines = [" ".join(line.split()) if not number else line.rstrip() for number, line in enumerate(source.split("\n"))]
    return "\n".join(lines).strip()


def assemble(course: Course, notebooks: Iterable[Notebook], notes: list[str]) -> Iterator[Draft]:
    """Write the cells one after the other, as the notebook's `%%app` does; yield the package after each."""
    package = Draft()
    for notebook in notebooks:
        name = named(notebook.path.name)
        notes += [f"{name}, {note}" for note in notebook.notes]
        for cell in notebook.cells:
            try:
                writing.write(course, package, cell.header, cell.code)
            except WorkbookError as error:
                notes.append(f"{name}, cell {cell.number}, is left out: {error.message.splitlines()[0]}")
            yield package
