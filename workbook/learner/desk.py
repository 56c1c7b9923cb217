"""What a cell is written to: the learner's workspace, or a package in memory that grading puts together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from workbook.learner.memory import Values


class Memory(Protocol):
    """What remembers values by key."""

    def recall(self, keys: list[str]) -> dict[str, str | None]:
        """Return the values of keys; None where there is none."""


class Desk(Memory, Protocol):
    """What `writing.write` needs of a workspace."""

    def recall_cell(self, key: str) -> str | None:
        """Return a cell's text as of its last run."""

    def keep_draft(self, path: str, code: str, cause: str) -> int:
        """Keep a cell that could not be written."""

    def newest_readable(self, path: str) -> int:
        """Return the number of a file's newest kept version that is Python; 0 where there is none."""

    def update(
        self, path: str, change: Callable[[str | None], str], cause: str, values: Values | None = None
    ) -> object:
        """Make a file's new text from the one it has."""


class Draft:
    """A package in memory; `files` maps paths below `app` to texts."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self._values: dict[str, str | None] = {}

    def recall(self, keys: list[str]) -> dict[str, str | None]:
        """Return the values of keys; None where there is none."""
        return {key: self._values.get(key) for key in keys}

    def recall_cell(self, key: str) -> str | None:
        """Return a cell's text as of its last run."""
        return self._values.get(key)

    def keep_draft(self, path: str, code: str, cause: str) -> int:
        """Keep nothing: the cell stays in its notebook."""
        del path, code, cause
        return 0

    def newest_readable(self, path: str) -> int:
        """Return 0: no versions are kept."""
        del path
        return 0

    def update(
        self, path: str, change: Callable[[str | None], str], cause: str, values: Mapping[str, str | None] | None = None
    ) -> None:
        """Make a file's new text from the one it has; remember the values, which `change` may add to."""
        del cause
        self.files[path] = change(self.files.get(path))
        self._values |= values or {}
