"""A chapter's source, `solutions/NN_slug.md`, read into cells and exercises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workbook.errors import WorkbookError

BEGIN, STUB, END = "### BEGIN SOLUTION", "### STUB", "### END SOLUTION"
HINTS = ("the concept", "the place", "near-code")
HINT_WORDS = 50
PROSE_WORDS = 160
FILE_NAME = re.compile(r"(\d\d)_([a-z0-9_]+)\.md")
EXERCISE_ID = re.compile(r"\d{1,2}\.\d{1,2}")
_HINT = re.compile(r"<details>\s*<summary>Hint \d: ([^<]+)</summary>(.*?)</details>", re.DOTALL | re.IGNORECASE)


class SourceError(WorkbookError):
    """A chapter source breaks a rule of the format."""

    def __init__(self, path: Path, line: int, rule: str, repair: str) -> None:
        self.path, self.line, self.rule, self.repair = path, line, rule, repair
        super().__init__(f"{path}:{line}: {rule}", repair)


class Frozen(BaseModel):
    """A record that is not changed after it was read."""

    model_config = ConfigDict(frozen=True)


class Cell(Frozen):
    """One cell of a chapter.

    `line` is the 1-based line of the source on which the cell's text begins.
    """

    kind: Literal["markdown", "code"]
    source: str
    line: int
    exercise: str | None = None

    @property
    def magic(self) -> str | None:
        """Return the cell's first line when it is a `%%app` line, else None."""
        first = self.source.split("\n", 1)[0]
        return first if first.startswith("%%app") else None

    @property
    def body(self) -> str:
        """Return the code below the `%%app` line."""
        return self.source.split("\n", 1)[1] if "\n" in self.source else ""

    @property
    def argument(self) -> str:
        """Return what follows `%%app` on its line."""
        return (self.magic or "").removeprefix("%%app").strip()


class Exercise(Frozen):
    """One exercise: its identity, its worth and the cell that holds its solution."""

    id: str
    title: str
    points: int = Field(ge=1, le=20)
    chapter: int
    cell: int
    path: str
    hints: tuple[str, ...]
    planted: bool = False

    @property
    def order(self) -> tuple[int, int]:
        """Return the exercise's place in the course as (chapter, number)."""
        chapter, number = self.id.split(".")
        return int(chapter), int(number)


class Head(Frozen):
    """The YAML head of a source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    minutes: int = Field(ge=5, le=120)
    goals: tuple[str, ...] = Field(min_length=1)
    files: tuple[str, ...] = ()


class Chapter(Frozen):
    """A chapter as its source says it."""

    number: int
    slug: str
    head: Head
    cells: tuple[Cell, ...]
    exercises: tuple[Exercise, ...]

    @property
    def name(self) -> str:
        """Return the chapter's file stem, such as `02_schemas`."""
        return f"{self.number:02d}_{self.slug}"

    @property
    def writes(self) -> tuple[Cell, ...]:
        """Return the cells that write a module of `app`, in order."""
        return tuple(cell for cell in self.cells if cell.magic)


def read_chapter(path: Path) -> Chapter:
    """Read and validate one source.

    Raises:
        SourceError: with file, line, rule and repair, at the first broken rule.
    """
    match = FILE_NAME.fullmatch(path.name)
    if match is None:
        raise SourceError(path, 1, f"the name {path.name!r} is not NN_slug.md", "rename it")
    text = path.read_text(encoding="utf-8")
    head = _head(path, text)
    cells, attributes = _cells(path, text)
    number, slug = int(match[1]), match[2]
    chapter = Chapter(number=number, slug=slug, head=head, cells=tuple(cells), exercises=())
    exercises = tuple(_exercises(path, chapter, attributes))
    _validate(path, chapter, exercises)
    return chapter.model_copy(update={"exercises": exercises})


def _head(path: Path, text: str) -> Head:
    import yaml  # only a build reads sources; a notebook reads the index

    if not text.startswith("---\n") or "\n---\n" not in text[4:]:
        raise SourceError(path, 1, "the YAML head is missing", "begin with `---`, title, minutes, goals")
    try:
        return Head.model_validate(yaml.safe_load(text[4:].split("\n---\n", 1)[0]))
    except (ValidationError, yaml.YAMLError) as error:
        raise SourceError(path, 1, f"the YAML head is wrong: {error}", "see CONTRIBUTING") from None


def _cells(path: Path, text: str) -> tuple[list[Cell], dict[int, dict[str, object]]]:
    """Return the cells, and the fence attributes of those that have any, by cell index."""
    import jupytext

    lines = text.split("\n")
    cells: list[Cell] = []
    attributes: dict[int, dict[str, object]] = {}
    cursor = 0
    for raw in jupytext.reads(text, fmt="md").cells:
        cursor = _find(lines, raw.source.split("\n"), cursor)
        if raw.cell_type != "raw":
            if raw.metadata:
                attributes[len(cells)] = dict(raw.metadata)
            name = raw.metadata.get("exercise")
            exercise = None if name is None else str(name)
            cells.append(Cell(kind=raw.cell_type, source=raw.source, line=cursor + 1, exercise=exercise))
        cursor += raw.source.count("\n") + 1
    if not cells:
        raise SourceError(path, 1, "the chapter has no cells", "write some below the head")
    return cells, attributes


def _find(lines: list[str], wanted: list[str], start: int) -> int:
    """Return the index of the first line from `start` on where `wanted` stands."""
    for index in range(start, len(lines) - len(wanted) + 1):
        if lines[index] == wanted[0] and lines[index : index + len(wanted)] == wanted:
            return index
    return start


def _exercises(path: Path, chapter: Chapter, attributes: dict[int, dict[str, object]]) -> Iterator[Exercise]:
    for index, words in attributes.items():
        cell = chapter.cells[index]
        unknown = set(words) - {"exercise", "points", "title"}
        if unknown or "exercise" not in words or "title" not in words:
            rule = f"the fence has {', '.join(sorted(words))}"
            repair = 'write exercise="2.2" points=3 title="…", and nothing else'
            raise SourceError(path, cell.line - 1, rule, repair)
        argument = cell.argument.split()
        found = {
            "id": str(words["exercise"]),
            "title": str(words["title"]),
            "points": words.get("points", 1),
            "chapter": chapter.number,
            "cell": index,
            "path": argument[0] if argument else "",
            "hints": tuple(_hints(path, chapter, index)),
            "planted": STUB in cell.source,
        }
        try:
            yield Exercise.model_validate(found)
        except ValidationError as error:
            raise SourceError(path, cell.line - 1, f"the fence is wrong: {error}", "mend it") from None


def _hints(path: Path, chapter: Chapter, index: int) -> Iterator[str]:
    """Yield the hints that stand between the exercise's heading and its check."""
    heading = f"Exercise {chapter.cells[index].exercise}"
    above = chapter.cells[:index]
    start = next((i for i in range(index - 1, -1, -1) if heading in above[i].source), None)
    if start is None:
        rule = f"no heading `#### {heading} · …` stands above the cell"
        raise SourceError(path, chapter.cells[index].line - 1, rule, "write it above the cell")
    for cell in chapter.cells[start : index + 2]:
        for name, text in _HINT.findall(cell.source) if cell.kind == "markdown" else ():
            if name.strip() not in HINTS:
                rule = f"a hint is named {name.strip()!r}"
                raise SourceError(path, cell.line, rule, f"name it one of {', '.join(HINTS)}")
            yield text.strip()


def _validate(path: Path, chapter: Chapter, exercises: tuple[Exercise, ...]) -> None:
    _validate_start(path, chapter)
    seen: set[str] = set()
    for exercise in exercises:
        _validate_exercise(path, chapter, exercise, seen)
        seen.add(exercise.id)
    for cell in chapter.cells:
        if cell.kind == "code":
            _validate_markers(path, cell)
        else:
            _validate_prose(path, cell)
    order = [exercise.order for exercise in exercises]
    if order != sorted(order):
        raise SourceError(path, 1, "the exercises do not stand in order", "sort them by number")


def _validate_start(path: Path, chapter: Chapter) -> None:
    first = next((cell for cell in chapter.cells if cell.kind == "code"), None)
    if first is None or first.source.strip() != "%load_ext workbook":
        line = first.line if first else 1
        rule = "the first code cell is not `%load_ext workbook`"
        raise SourceError(path, line, rule, "put it first: it starts the engine")


def _validate_exercise(path: Path, chapter: Chapter, exercise: Exercise, seen: set[str]) -> None:
    cell = chapter.cells[exercise.cell]

    def refuse(rule: str, repair: str) -> None:
        raise SourceError(path, cell.line - 1, f"exercise {exercise.id}: {rule}", repair)

    if not EXERCISE_ID.fullmatch(exercise.id) or exercise.order[0] != chapter.number:
        refuse("its id does not fit the chapter", f"write {chapter.number}.N")
    if exercise.id in seen:
        refuse("it has a second cell", "one `%%app` cell an exercise; make the other given code")
    if cell.magic is None:
        refuse("its cell does not begin with `%%app`", "begin it with `%%app PATH`")
    if BEGIN not in cell.source:
        refuse("it has no solution block", f"put the solution between `{BEGIN}` and `{END}`")
    if len(exercise.hints) != len(HINTS):
        refuse(f"it has {len(exercise.hints)} hints, not {len(HINTS)}", "write the three hints")
    for hint in exercise.hints:
        if not hint or len(hint.split()) > HINT_WORDS:
            refuse(f"a hint has {len(hint.split())} words", f"write 1 to {HINT_WORDS}")
    check = f"%check {exercise.id}"
    if not any(later.source.strip() == check for later in chapter.cells[exercise.cell + 1 :]):
        refuse(f"no cell `{check}` follows", "add one below the cell")


def _validate_markers(path: Path, cell: Cell) -> None:
    expected = BEGIN
    for offset, line in enumerate(cell.source.split("\n")):
        marker = line.strip()
        if marker not in (BEGIN, STUB, END) or (marker == STUB and expected == END):
            continue
        if marker != expected:
            rule = f"`{marker}` where `{expected}` was expected"
            raise SourceError(path, cell.line + offset, rule, "blocks open, close and do not nest")
        expected = END if marker == BEGIN else BEGIN
    if expected == END:
        raise SourceError(path, cell.line, f"`{BEGIN}` is never closed", f"add `{END}`")
    if BEGIN in cell.source and cell.exercise is None:
        rule = "a solution block without an exercise"
        raise SourceError(path, cell.line, rule, "name the exercise in the fence")


def _validate_prose(path: Path, cell: Cell) -> None:
    prose = re.sub(r"<details>.*?</details>|```.*?```", "", cell.source, flags=re.DOTALL)
    prose = "\n".join(line for line in prose.split("\n") if not line.lstrip().startswith("|"))
    words = len(prose.split())
    if words > PROSE_WORDS:
        rule = f"a Markdown cell has {words} words, more than {PROSE_WORDS}"
        raise SourceError(path, cell.line, rule, "split it with two blank lines, or say less")
