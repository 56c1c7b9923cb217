"""Where the blame lies: the learner's line that is at fault, and whether the exercise asks for what stands there."""

from __future__ import annotations

import ast
import re

from workbook.checking.hole import Hole
from workbook.checking.package import Package
from workbook.feedback import definition
from workbook.feedback.awaits import unawaited
from workbook.feedback.slips import Slip, slips
from workbook.feedback.verdict import Criterion, Fault, Location


class Blame:
    """Finds the learner's line behind a criterion that is not met.

    Args:
        package: the learner's package.
        hole: what the exercise asks to write, if one is checked.
    """

    def __init__(self, package: Package, hole: Hole | None) -> None:
        self.package, self.hole = package, hole

    def place(self, made: Criterion, at: object, fault: Fault | None = None) -> Location | None:
        """Return the learner's line that is at fault.

        That is a line in the exercise's file that an exception came through, or one that alone can cause it; else what
        the check names; else the endpoint where it lies in the exercise's file, or the exercise's own definition.
        """
        file = self.hole.file if self.hole else ""
        raised = fault.where if fault else None
        named = definition.place(at) if at is not None else None
        named_place = self.package.locate(*named) if named else None
        endpoint = made.exchange.endpoint if made.exchange else None
        if raised is not None and (raised.path == file or not self.hole or (fault and fault.local)):
            return raised
        if named_place is None and endpoint is not None and endpoint.path == file:
            named_place = endpoint
        return named_place or self._own(made) or raised or endpoint

    def _own(self, made: Criterion) -> Location | None:
        """Return the exercise's own definition: the one that the endpoint calls, or that the feedback speaks of."""
        if self.hole is None:
            return None
        calls = " ".join(made.exchange.calls) if made.exchange else ""
        return self.hole.place(self.package, f"{calls} {made.did} {made.text}")

    def is_asked(self, fault: Fault) -> bool:
        """Say whether an exception rose in what the exercise asks for, or nobody knows where."""
        found = re.match(r"(\S+):(\d+)", fault.trace[-1]) if fault.trace else None
        if self.hole is None or found is None:
            return True
        nodes, line = self.hole.nodes(self.package).values(), int(found[2])
        held = not nodes or any(one.lineno <= line <= (one.end_lineno or 0) for one in nodes)
        return found[1] == self.hole.file and held

    def is_asked_for(self, name: str) -> bool:
        """Say whether a coroutine is what the exercise asks to write, or stands inside of that."""
        owner, _, short = name.rpartition(".")
        owner = owner.rpartition(".")[2]
        for asked, node in self.hole.nodes(self.package).items() if self.hole else ():
            inside = [one.name for one in ast.walk(node) if isinstance(one, ast.AsyncFunctionDef)]
            mine = owner in ("", "<locals>") or owner in asked.split(".")
            if mine and short in inside:
                return True
        return False

    def unawaited(self, name: str) -> Slip | None:
        """Return the slip by which a coroutine of this name is not awaited, where the text shows one."""
        if self.hole is None:
            return None
        return unawaited(name, self.hole.text(self.package), self.hole.nodes(self.package).values())

    def slip(self) -> Slip | None:
        """Return the first slip that can be seen in the exercise's own text."""
        nodes = self.hole.nodes(self.package) if self.hole else {}
        return next(slips(nodes.values(), self.hole.text(self.package) if self.hole else ""), None)

    def place_of(self, slip: Slip) -> Location | None:
        """Return the line of a slip in the exercise's file."""
        return self.package.locate(str(self.package.folder / self.hole.path), slip.line) if self.hole else None
