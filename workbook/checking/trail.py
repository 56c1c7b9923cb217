"""The way of an exception through the learner's code, and what it comes to: a Fault."""

from __future__ import annotations

import ast
import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType

from workbook.checking.finder import PACKAGE
from workbook.checking.package import Package
from workbook.feedback import diagnose
from workbook.feedback.verdict import Fault, Location

OF_CLASSES = (r"annotation (Mapped\[.*?\])\.", r"schema for (Field)Info\(")  # what a message says of a class's line
ON_THE_LINE = (NameError, SyntaxError, ImportError, NotImplementedError)  # the line that raises is the one to change
VAGUE = (KeyError, UnicodeError, RecursionError)  # they tell what came in, and not what was to be done with it


@dataclass
class Step:
    """One line that an exception came through; its place is None where it is not the learner's.

    `calls_own` says that it called another line of theirs, and not a library that came back to them later.
    """

    place: Location | None
    frame: FrameType | None = None
    calls_own: bool = False


class Trail:
    """An exception, seen from the learner's code.

    Args:
        package: the learner's package.
        exercise: the id of the exercise that is checked, if one is.
        path: the exercise's file, such as `app/main.py`, or its folder with a slash at the end.
        checks: the folder of the checks: what they raise below the learner's code, they raise on purpose.
    """

    def __init__(self, package: Package, exercise: str = "", path: str = "", checks: Path | None = None) -> None:
        self._package, self._exercise, self._path, self._checks = package, exercise, path, checks

    def fault(self, error: BaseException, *, unanswered: bool = False) -> Fault:
        """Put an exception into words.

        Args:
            unanswered: nothing turned it into an answer, and it became a 500.
        """
        steps = self.steps(error)
        places = [step.place for step in steps if step.place and (step.calls_own or step is steps[-1])]
        return Fault(
            summary=diagnose.shortened(diagnose.summary(error)),
            hint=self._hint(error, steps, unanswered=unanswered),
            where=self._where(error, steps),
            trace=[diagnose.shortened(str(place)) for place in places],
            planted=self._is_planted(error),
            local=isinstance(error, ON_THE_LINE),
            vague=isinstance(error, VAGUE),
        )

    def steps(self, error: BaseException) -> list[Step]:
        """Return the learner's lines that an exception came through, outermost first.

        Where its own traceback has none, those of what it was raised from.
        """
        if isinstance(error, SyntaxError) and error.filename:
            place = self._package.locate(error.filename, error.lineno or 1)
            if place is not None:
                return [Step(place)]
        ways = ([step for step in self._frames(one) if step.place] for one in chain(error))
        return next(filter(None, ways), [])

    def _frames(self, error: BaseException) -> list[Step]:
        """Return each frame of a traceback, without a place where it is not the learner's."""
        found = []
        for frame, line in traceback.walk_tb(error.__traceback__):
            place = self._package.locate(frame.f_code.co_filename, line)
            found.append(Step(place, frame))
        for step, following in pairwise(found):
            step.calls_own = following.place is not None
            if _is_asgi(following.frame) and not step.calls_own:
                step.place = None  # a middleware that hands the request on: what rises beyond it is not its own
        return found

    def _where(self, error: BaseException, steps: list[Step]) -> Location | None:
        """Return the line to look at: of a class, the line in it that the message speaks of."""
        place = self._innermost(error, steps)
        return place and self._in_class(place, diagnose.said(error))

    def _in_class(self, place: Location, message: str) -> Location:
        keys = [key for pattern in OF_CLASSES for key in re.findall(pattern, message)]
        if not keys or not place.source.startswith("class "):
            return place
        file = self._package.folder.parent / place.path
        lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
        numbers = range(place.line, len(lines))
        found = next(
            (one for one in numbers if any(re.search(rf": *{re.escape(key)}", lines[one]) for key in keys)), None
        )
        return place if found is None else self._package.locate(str(file), found + 1) or place

    def _innermost(self, error: BaseException, steps: list[Step]) -> Location | None:
        """Return the innermost line in the exercise's file, if it came through that at all."""
        here = [step.place for step in steps if step.place and self._is_here(step.place)]
        if here and not isinstance(error, ON_THE_LINE):
            return here[-1]
        return steps[-1].place if steps else None

    def _is_here(self, place: Location) -> bool:
        return place.path == self._path or (self._path.endswith("/") and place.path.startswith(self._path))

    def _hint(self, error: BaseException, steps: list[Step], *, unanswered: bool) -> str:
        """Return the hint; whatever goes wrong while one is looked for, the exception itself is told."""
        try:
            return self._looked_for(error, steps, unanswered=unanswered)
        except Exception:  # an object of the learner's that cannot be looked at, or Python itself at its limits
            return ""

    def _looked_for(self, error: BaseException, steps: list[Step], *, unanswered: bool) -> str:
        scene = diagnose.Scene(error, folder=self._package.folder)
        if steps:
            frame, place = steps[-1].frame, steps[-1].place
            if place is not None:
                scene.line, scene.number = place.source, place.line
                scene.file = str(self._package.folder.parent / place.path)
            scene.names = {**frame.f_globals, **frame.f_locals} if frame else {}
            scene.definition = _definition(frame) if frame else ""
        kind = type(error)
        if kind.__module__.split(".")[0] == PACKAGE and isinstance(error, Exception):
            told = "and nobody caught it: what turns this error of your own into an answer?"
            asked = "an error of your own: is this a case for it?"
            return f"{kind.__name__} was raised, {told if unanswered else asked}"
        return diagnose.hint_for(error, self._exercise, scene)

    def _is_planted(self, error: BaseException) -> bool:
        """Say whether a line of the checks raised it, below the learner's code or without it."""
        if self._checks is None:
            return False
        files = [
            Path(frame.f_code.co_filename)
            for chained in chain(error)
            for frame, _line in traceback.walk_tb(chained.__traceback__)
        ]
        ours = [one.is_relative_to(self._checks) for one in files]
        theirs = [self._package.locate(str(one), 1) is not None for one in files]
        last = max((number for number, own in enumerate(theirs) if own), default=-1)
        return any(ours[last + 1 :])


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, what it was raised from, and the members of a group, without repeating one."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        current = todo.pop(0)
        if current is None or id(current) in seen or len(seen) > 50:
            continue
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            todo += current.exceptions
        todo.append(current.__cause__)


def _is_asgi(frame: FrameType | None) -> bool:
    """Say whether a frame is the call of an ASGI app."""
    return frame is not None and {"scope", "receive", "send"} <= set(frame.f_code.co_varnames)


def _definition(frame: FrameType) -> str:
    """Return the text of the definition that a frame is at, with its decorators: they run when it is made."""
    try:
        text = Path(frame.f_code.co_filename).read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError):
        return ""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in ast.walk(tree):
        first = node.decorator_list[0].lineno if isinstance(node, kinds) and node.decorator_list else 0
        if isinstance(node, kinds) and first and first <= frame.f_lineno <= node.body[0].lineno:
            return ast.unparse(node)
    return ""
