"""The criteria: each is a coroutine that ends, or raises what it found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbook.exam.cast import Exam

Ask = Callable[["Exam"], Awaitable[None]]


@dataclass(frozen=True)
class Criterion:
    """One thing that a backend must do.

    Args:
        exercise: of the course, such as 9.6: where it is taught.
        name: for programs.
        text: for people.
        ask: finds out.
    """

    exercise: str
    name: str
    text: str
    ask: Ask

    @property
    def order(self) -> tuple[int, ...]:
        """Return the exercise as numbers: 9.6 stands before 10.1."""
        return tuple(int(part) for part in self.exercise.split("."))

    @property
    def chapter(self) -> str:
        """Return the chapter's number."""
        return self.exercise.partition(".")[0]


@dataclass
class Topic:
    """The criteria of one module, in the order in which they are asked."""

    criteria: list[Criterion] = field(default_factory=list)

    def __call__(self, exercise: str) -> Callable[[Ask], Ask]:
        """Let the coroutine below be a criterion of this exercise; its docstring's first line is the text."""

        def add(ask: Ask) -> Ask:
            text = (ask.__doc__ or "").strip().partition("\n")[0].removesuffix(".")
            self.criteria.append(Criterion(exercise, ask.__name__, text, ask))
            return ask

        return add
