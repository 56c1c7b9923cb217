"""Which cell of the course wrote each definition of a module last: remembered, and guessed where nothing is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress

from workbook.course.timeline import Step, Timeline
from workbook.learner.desk import Memory
from workbook.merge.assemble import CellError
from workbook.merge.outline import parts

WHOLE = "*"  # the cell that wrote the module as a whole
FRONTIER = "#frontier"  # the cell that stands furthest on in the course, of all that were ever run
OWN = "~"  # before a mark: a cell of the learner's own, run when that cell was the furthest


def key_of(path: str) -> str:
    """Return the key under which a module's origins are remembered."""
    return f"{path}#origins"


class Origins:
    """The origins of one module's definitions.

    Args:
        timeline: the course's cells in order.
        path: the module.
        text: what it holds now; None where there is no such file.
        stored: what is remembered of it, as `changed` made it.
        frontier: what is remembered of the furthest cell.
    """

    def __init__(
        self, timeline: Timeline, path: str, text: str | None, stored: str | None = None, frontier: str | None = None
    ) -> None:
        self.timeline, self.path, self.frontier = timeline, path, frontier or ""
        self.parts: Mapping[str, str] = {}
        with suppress(CellError):  # nothing can be told of a module that is no Python
            self.parts = parts(text or "")
        self._stored: dict[str, str] = json.loads(stored or "{}")
        self._exists = text is not None

    @classmethod
    def read(cls, workspace: Memory, timeline: Timeline, path: str, text: str | None) -> Origins:
        """Return the origins of a module as they are remembered."""
        found = workspace.recall([key_of(path), FRONTIER])
        return cls(timeline, path, text, found[key_of(path)], found[FRONTIER])

    def step(self, name: str) -> Step | None:
        """Return the cell that wrote a definition last; None where it is not the course's."""
        mark = self._stored.get(name)
        if mark is not None:
            return self.timeline.step(self.path, mark)
        place = self.timeline.guess(self.path, name, self.parts.get(name, ""))
        return self.timeline.steps[place] if place >= 0 else None

    def position(self, name: str) -> int:
        """Return how far on in the course a definition was written; -1 where nothing tells."""
        mark = self._stored.get(name, "")
        if mark.startswith(OWN):
            return self.place(mark.removeprefix(OWN))
        found = self.step(name)
        return found.position if found else -1

    def wrote(self, name: str, mark: str) -> bool:
        """Say whether it is remembered that a cell wrote a definition."""
        return self._stored.get(name) == mark

    def is_remembered(self, name: str) -> bool:
        """Say whether it is remembered who wrote a definition."""
        return name in self._stored

    @property
    def whole(self) -> int:
        """Return the place of the cell that wrote the module as a whole; -1 where there is none."""
        if not self._exists:
            return -1
        found = self.timeline.step(self.path, self._stored.get(WHOLE, ""))
        if found is not None:
            return found.position
        furthest = max((self.position(name) for name in self.parts), default=-1)
        wholes = [one.position for one in self.timeline.by_path.get(self.path, ()) if not one.header.merge]
        return max((place for place in wholes if place <= furthest), default=-1)

    def place(self, address: str) -> int:
        """Return the place of a remembered `path#mark`."""
        path, _, mark = address.partition("#")
        found = self.timeline.step(path, mark)
        return found.position if found else -1

    def changed(self, after: str, names: set[str], step: Step | None, *, whole: bool) -> dict[str, str]:
        """Return what is to be remembered once a cell has written: the module's origins, and the furthest cell.

        Args:
            after: the module's new text.
            names: what the cell wrote.
            step: the cell; None for one of the learner's own.
            whole: whether it wrote the module as a whole.
        """
        mark = step.mark if step else f"{OWN}{self.frontier}"
        there = parts(after)
        found = {name: mark if name in names else self.mark(name) for name in there}
        found = {name: one for name, one in found.items() if one}
        if WHOLE in self._stored or whole:
            found[WHOLE] = mark if whole else self._stored[WHOLE]
        values = {key_of(self.path): json.dumps(found)}
        if step is not None and step.position > self.place(self.frontier):
            values[FRONTIER] = f"{step.path}#{step.mark}"
        return values

    def mark(self, name: str) -> str:
        """Return the mark of the cell that wrote a definition; "" where nothing tells."""
        if name in self._stored:
            return self._stored[name]
        found = self.step(name)
        return found.mark if found else ""
