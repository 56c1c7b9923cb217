"""A package held against the solved course: what is missing or outdated in it, and the course's text put there.

The learner's own definitions stand as they are. Whoever wrote them is not asked: a text that no cell of the course
gives or solves is the learner's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from workbook.catchup.aim import NO_STUBS, NONE, Aim
from workbook.catchup.ownership import Ownership, Place
from workbook.catchup.statements import callee, decorated, imports
from workbook.course.snapshot import Snapshot
from workbook.course.timeline import Step, Timeline
from workbook.learner.origins import Origins
from workbook.merge.assemble import CellError, merge
from workbook.merge.outline import DOCSTRING, parts
from workbook.merge.reduction import lost_imports, reduced, without


@dataclass
class Patch:
    """A package on its way to the goal.

    Args:
        timeline: the course's cells.
        mine: the package as it was found.
        end: the place of the first cell that is not asked for.
        origins: by path, what is remembered of who wrote what.
        filled: exercises whose definitions are the course's.
        whole: modules that are taken from the course as they are.
        onward: whether what cells past the end give, and the package lacks, is put in too.
        mended: whether imports that the learner's own code uses and its module has lost are put back.
    """

    timeline: Timeline
    mine: Snapshot
    end: int
    origins: Mapping[str, Origins]
    filled: set[str] = field(default_factory=set)
    whole: set[str] = field(default_factory=set)
    onward: bool = False
    mended: bool = False

    def __post_init__(self) -> None:
        self.parts = {path: self.origins[path].parts for path in self.mine.files}
        self.reach = max(self.end, 1 + max((step.position for step in self._evidence()), default=-1))
        self.full = self.timeline.states[self.reach]
        self.lower = self.timeline.states[self.end]
        self.aim = Aim(self.timeline, self.end, self.reach)
        self._aim()

    def _aim(self) -> None:
        """Work out what the package is held against, and what of it is the learner's own or missing."""
        found = {path: self.aim.module(path, self.origins.get(path)) for path in self.full}
        self.goal = {path: text for path, (text, _) in found.items()}
        self.owners = {path: owners for path, (_, owners) in found.items()}
        self._whose = Ownership(self.timeline, self.parts, self.origins, self.owners)
        self.own = {id for id in self._exercises() if self._whose.is_own(id)}
        self.blank = {id for id in self._exercises() if id not in self.own and self._whose.is_blank(id)}

    def _evidence(self) -> Iterable[Step]:
        """Yield the cells past the end that must have run: a definition is first given there."""
        for path, found in self.parts.items():
            for name, tree in found.items():
                known = self.timeline.written(path, name, tree)
                if known and known[0].position >= self.end:
                    yield known[0]

    def _exercises(self) -> list[str]:
        return [str(step.header.exercise) for step in self.timeline.steps[: self.end] if step.header.exercise]

    def stays(self, path: str, name: str, step: Step) -> bool:
        """Say whether a definition of the goal is left as the package has it, there or not there."""
        id = step.header.exercise
        mine = self.parts[path].get(name)
        if id is not None and step.position < self.end:
            return id in self.own - self.filled
        if id is not None or (mine is None and step.position >= self.end and not self.onward):
            return True  # nobody asked for what is past the end
        if name == DOCSTRING:
            return mine is None or not self._whose.is_courses(path, name)
        if mine is None:
            return False
        return not self._whose.is_courses(path, name) and self.origins[path].position(name) >= step.position

    def made(self) -> Snapshot:
        """Return the package with the course's text where it is missing or outdated, or was asked for."""
        made = self.mine.copy()
        kept = {path: self._kept(path) for path in self.goal if self._is_asked(path)}
        self._give_back(kept)
        for path, names in kept.items():
            made.files[path] = self._module(path, self.goal[path], names)
        return made

    def _kept(self, path: str) -> set[str]:
        """Return the definitions of the goal that stay as the package has them, there or not there."""
        if path not in self.mine.files or path in self.whole:
            return set()
        return {name for name, step in self.owners[path].items() if self.stays(path, name, step)}

    def _give_back(self, kept: dict[str, set[str]]) -> None:
        """Take out of `kept` what the package does not have, and the course's text that goes into it speaks of."""
        todo = [(path, name) for path in kept for name in self._taken(path, kept[path])]
        while todo:
            path, name = todo.pop()
            for other, word in self._spoken_of(path, self.owners[path][name].parts[name]):
                names = kept.get(other, set())
                needed = {one for one in names if one == word or one.startswith(f"{word}.")}
                lacking = {one for one in needed if one not in self.parts.get(other, {}) and self._may_come(other, one)}
                if word in lacking:
                    names -= lacking
                    todo += [(other, one) for one in lacking]

    def _may_come(self, path: str, name: str) -> bool:
        return self.onward or self.owners[path][name].position < self.end

    def _taken(self, path: str, kept: set[str]) -> list[str]:
        """Return the definitions of the goal that come into a module, or are replaced there."""
        owners, mine = self.owners[path], self.parts.get(path, {})
        return [name for name, step in owners.items() if name not in kept and mine.get(name) != step.parts[name]]

    def _spoken_of(self, path: str, tree: str) -> Iterator[Place]:
        """Yield the definitions of the course that a definition of the goal speaks of, by module and name."""
        words = set(re.findall(r"id='(\w+)'", tree))
        for origin, name, alias in imports(self.goal[path]):
            if (alias or name) in words and origin.startswith("0app."):
                yield origin.removeprefix("0app.").replace(".", "/") + ".py", name
        yield from ((path, word) for word in words)

    def _is_asked(self, path: str) -> bool:
        """Say whether a module is one that the cells before the end write, or one of a later cell that has run."""
        return path in self.lower or path in self.mine.files

    def _module(self, path: str, text: str, kept: set[str]) -> str:
        """Return a module as it is to be."""
        mine = self.mine.files.get(path)
        if mine is None or path in self.whole or not self._is_python(mine):
            return self.lower[path] if mine is None else self.full[path]
        if not kept and all(self._whose.is_courses(path, name) for name in self.parts[path]):
            return mine if self._is_same(path, mine, text) else text
        # what is the solution's already keeps its own layout and comments
        kept = kept | {
            name for name, step in self.owners[path].items() if self.parts[path].get(name) == step.parts[name]
        }
        module = without(mine, self._outdated(path, kept))
        try:
            return merge(module, reduced(text, module, kept)) if self._wants(path, module, text, kept) else mine
        except CellError:
            return text

    @staticmethod
    def _is_python(text: str) -> bool:
        try:
            parts(text)
        except CellError:
            return False
        return True

    def _is_same(self, path: str, mine: str, text: str) -> bool:
        """Say whether a module does what the goal's does: its text may be laid out in another way."""
        return self.parts[path] == parts(text) and imports(text) <= imports(mine)

    def _wants(self, path: str, module: str, text: str, kept: set[str]) -> bool:
        """Say whether a module lacks anything of the goal's."""
        if module != self.mine.files[path]:
            return True
        goal, mine = parts(text), self.parts[path]
        if any(mine.get(name) != tree for name, tree in goal.items() if name not in kept):
            return True
        if kept:
            return self.mended and lost_imports(text, module)
        return not imports(text) <= imports(module)

    def _outdated(self, path: str, kept: set[str]) -> set[str]:
        """Return what a module holds and is to lose: what a later cell left out, and what is filled in."""
        mine, goal = self.parts[path], parts(self.goal[path])
        stale = {name for name in mine if name not in goal and self._whose.is_courses(path, name)}
        for step in self.timeline.by_path[path]:
            if step.header.exercise in self.filled:
                stale |= self._replaced(step)
        return {name for name in stale if name not in kept and not self._is_needed(path, name, stale)}

    def _replaced(self, step: Step) -> set[str]:
        """Return the learner's own names that stand for an exercise's: its solution would double them."""
        mine, origins = self.parts[step.path], self.origins[step.path]
        extras = self._whose.extras(step)
        marked = {name for name in extras if origins.wrote(name, step.mark)}
        lacking = [name for name in self._whose.holes(str(step.header.exercise)) if name not in mine]
        if marked or not lacking:
            return marked
        calls = {callee(name) for name in lacking} - {""}
        routes = decorated(self.mine.files[step.path])
        return {name for name in extras if callee(name) in calls or name in routes}

    def _is_needed(self, path: str, name: str, stale: set[str]) -> bool:
        """Say whether the learner's own code that stays speaks of a name."""
        word = name.split(".")[-1]
        if not word.isidentifier():
            return False
        for other, found in self.parts.items():
            for key, tree in found.items():
                goes = other == path and key in stale
                if f"'{word}'" in tree and not goes and not self._whose.is_courses(other, key):
                    return True
        return False

    def widen(self) -> bool:
        """Look past the end for what may help, one thing at a time; say whether the package to be is another by it.

        First what cells past the end give and the package lacks is put in; then what exercises past the end replaced
        is brought back where they are as they were given; then what else they replaced counts as an answer to the
        exercise that it replaced.
        """
        before = self.made().files
        while not self.onward or self.aim.later < NONE:
            if not self.onward:
                self.onward = True
            else:
                self.aim.later = NO_STUBS if self.aim.later < NO_STUBS else NONE
                self._aim()
            if self.made().files != before:
                return True
        return False

    def mend(self) -> bool:
        """Put back the imports that the learner's own code uses and its module has lost; say whether any was."""
        before, self.mended = self.made().files, True
        return self.made().files != before

    def fill(self, id: str) -> None:
        """Take an exercise's definitions from the course; where that was done already, its whole module."""
        if id in self.own - self.filled:
            self.filled.add(id)
        else:
            self.take(self.timeline.exercises[id].path)

    def take(self, path: str) -> None:
        """Take a module from the course as it is there."""
        self.whole.add(path)
        self.filled |= {id for id in self.own if self.timeline.exercises[id].path == path}

    def is_mine(self, id: str) -> bool:
        """Say whether an exercise's code is the learner's: their own text, or a cell that they ran."""
        step = self.timeline.exercises[id]
        origins = self.origins.get(step.path)
        ran = origins is not None and any(origins.wrote(name, step.mark) for name in step.hole)
        return id in self.own or ran

    def is_rewritten(self, id: str) -> bool:
        """Say whether later cells of the course have written anew all that an exercise asks for."""
        return not self._whose.holes(id)

    def only(self, *ids: str) -> Snapshot:
        """Return the goal with nothing of the learner's but some exercises, or no answer of theirs at all."""
        before = self.filled
        self.filled = self.own - set(ids)
        try:
            return self.made()
        finally:
            self.filled = before

    def take_all(self) -> None:
        """Take every module that the course knows as it is in the goal."""
        self.whole |= set(self.goal)
        self.filled |= self.own

    def is_proven(self, made: Snapshot) -> bool:
        """Say whether a package does what the solved course does at the goal, so that no check is needed."""
        files = {path: text for path, text in made.files.items() if text.strip()}
        return any(self._does(files, solved) for solved in (self.full, self.lower))

    def _does(self, files: dict[str, str], solved: Mapping[str, str]) -> bool:
        if set(files) - {"__init__.py"} != {path for path, text in solved.items() if text.strip()} - {"__init__.py"}:
            return False
        return all(
            files[path] == text or self._agrees(files[path], text) for path, text in solved.items() if path in files
        )

    @staticmethod
    def _agrees(mine: str, text: str) -> bool:
        try:
            return parts(mine) == parts(text) and imports(text) <= imports(mine)
        except CellError:
            return False
