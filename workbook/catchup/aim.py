"""A module as catching up aims at it: the solved course, without the exercises past the target that did not run."""

from __future__ import annotations

from dataclasses import dataclass

from workbook.course.snapshot import placed
from workbook.course.timeline import Step, Timeline
from workbook.learner.origins import Origins
from workbook.merge.reduction import reduced

ALL, NO_STUBS, NONE = range(3)  # which exercises past the target keep the place of what earlier cells wrote


@dataclass
class Aim:
    """What is aimed at.

    Args:
        timeline: the course's cells.
        end: the place of the first cell that is not asked for.
        reach: the place behind the last cell that has run.
        later: which exercises past the end keep the place of what earlier cells wrote: all that were begun, only those
            that are not as they were given, or none.
    """

    timeline: Timeline
    end: int
    reach: int
    later: int = ALL

    def module(self, path: str, mine: Origins | None) -> tuple[str, dict[str, Step]]:
        """Return a module's text, and the step that each of its definitions is from.

        Args:
            path: the module.
            mine: what the package has there, and who wrote it.
        """
        steps = [step for step in self.timeline.by_path.get(path, ()) if step.position < self.reach]
        if not any(self._is_past(step) for step in steps):
            return self.timeline.states[self.reach][path], self.timeline.owners(path, self.reach)
        text: str | None = None
        owners: dict[str, Step] = {}
        for step in steps:
            out = {name for name in step.parts if name in owners and not self._has(step, name, mine, owners[name])}
            out = out if self._is_past(step) else set()
            if out and not step.header.merge:
                if len(out) < len(set(step.parts) & set(owners)):
                    out = set()  # it has begun the file anew
                else:
                    continue
            code = reduced(step.solved, text, out) if out and text is not None else step.solved
            if not step.header.merge:
                owners.clear()
            owners.update({name: step for name in step.parts if name not in out})
            text = placed(text, step.header, code) if code or text is None else text
        return text or "", owners

    def _is_past(self, step: Step) -> bool:
        return step.header.exercise is not None and step.position >= self.end

    def _has(self, step: Step, name: str, mine: Origins | None, owner: Step) -> bool:
        """Say whether a definition that an earlier cell wrote is an exercise's by now."""
        tree = mine.parts.get(name) if mine is not None else None
        if mine is None or tree is None or self.later == NONE or tree == owner.parts[name]:
            return False
        if tree == step.given_parts.get(name) != step.parts[name]:
            return self.later == ALL
        return tree == step.parts[name] or mine.position(name) >= step.position
