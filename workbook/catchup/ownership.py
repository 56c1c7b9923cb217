"""Whose the definitions of a package are: the learner's own, the course's, or nobody's yet.

Whoever wrote them is not asked: a text that no cell of the course gives or solves is the learner's own.
"""

from __future__ import annotations

from collections.abc import Mapping

from workbook.course.timeline import Step, Timeline
from workbook.learner.origins import Origins

Place = tuple[str, str]  # a module's path and a definition's name


class Ownership:
    """Tells whose a definition is.

    Args:
        timeline: the course's cells.
        parts: what the package defines, by path and name.
        origins: by path, what is remembered of who wrote what.
        owners: by path and name, the cell that gives a definition of the goal.
    """

    def __init__(
        self,
        timeline: Timeline,
        parts: Mapping[str, Mapping[str, str]],
        origins: Mapping[str, Origins],
        owners: Mapping[str, Mapping[str, Step]],
    ) -> None:
        self.timeline, self.parts, self.origins, self.owners = timeline, parts, origins, owners

    def holes(self, id: str) -> list[str]:
        """Return the definitions of an exercise that the learner writes, and no later cell rewrote."""
        hole = self.timeline.exercises[id].hole
        return [name for _, name in self._names(id) if name in hole]

    def is_own(self, id: str) -> bool:
        """Say whether the learner wrote something where the exercise asks for it, under its name or another."""
        step = self.timeline.exercises[id]
        mine, holes = self.parts.get(step.path), self.holes(id)
        if mine is None or not holes:
            return False
        if all(mine.get(name) == step.given_parts.get(name) for name in holes):
            return False
        if all(mine.get(name) == step.parts.get(name) for name in holes):
            return False
        if any(self._is_written_for(step, name) for name in holes if name in mine):
            return True
        return any(name not in mine for name in holes) and bool(self.extras(step))

    def is_blank(self, id: str) -> bool:
        """Say whether an exercise's place is empty: what it asks for is missing, a stub, or an earlier cell's."""
        step = self.timeline.exercises[id]
        mine = self.parts.get(step.path, {})
        holes = self.holes(id)
        if holes:
            return any(mine.get(name) != step.parts.get(name) for name in holes)
        dropped = step.path in self.origins and self.origins[step.path].whole > step.position
        return not dropped and all(mine.get(name) in (None, step.given_parts.get(name)) for name in step.hole)

    def extras(self, step: Step) -> list[str]:
        """Return the learner's own definitions in a module that may be an exercise's, under names of their own."""
        mine, origins = self.parts[step.path], self.origins[step.path]
        known = self.owners.get(step.path, {})
        own = [name for name in mine if name not in known and not self.is_courses(step.path, name)]
        marked = [name for name in own if origins.wrote(name, step.mark)]
        return marked or [name for name in own if not origins.is_remembered(name)]

    def is_courses(self, path: str, name: str) -> bool:
        """Say whether a definition of the package is a text that a cell of the course gives or solves."""
        return bool(self.timeline.written(path, name, self.parts[path][name]))

    def _names(self, id: str) -> list[Place]:
        """Return the definitions of an exercise that no later cell rewrote."""
        step = self.timeline.exercises[id]
        owners = self.owners.get(step.path, {})
        return [(step.path, name) for name in step.parts if owners.get(name) is step]

    def _is_written_for(self, step: Step, name: str) -> bool:
        """Say whether a definition was written for an exercise, and is not left from an earlier cell of its name."""
        origins = self.origins[step.path]
        if origins.is_remembered(name):
            return origins.position(name) >= step.position
        known = self.timeline.written(step.path, name, self.parts[step.path][name])
        return not known or step in known
