"""A chapter's source, `solutions/NN_slug.md`, read into cells and exercises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from workbook.course.chapter import HINTS, STUB, Cell, Chapter, Exercise, Head, SourceError
from workbook.course.rules import validate

FILE_NAME = re.compile(r"(\d\d)_([a-z0-9_]+)\.md")
_HINT = re.compile(r"<details>\s*<summary>Hint \d: ([^<]+)</summary>(.*?)</details>", re.DOTALL | re.IGNORECASE)


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
    validate(path, chapter, exercises)
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
