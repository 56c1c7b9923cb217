"""The records of a chapter: its head, its cells and its exercises; and the error of a source that breaks a rule."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from workbook.base.errors import WorkbookError

BEGIN, STUB, END = "### BEGIN SOLUTION", "### STUB", "### END SOLUTION"
HINTS = ("the concept", "the place", "near-code")


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

    @cached_property
    def writes(self) -> tuple[Cell, ...]:
        """Return the cells that write a module of `app`, in order; `model_copy` keeps the old ones."""
        return tuple(cell for cell in self.cells if cell.magic)
