"""A learner's `%%app` cell put into the package: nothing that a later cell wrote is silently replaced."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from contextlib import suppress

from workbook.base.errors import WorkbookError
from workbook.course.index import Course
from workbook.course.timeline import Timeline, timeline
from workbook.learner.aside import ASIDE, set_aside
from workbook.learner.broken import require_python
from workbook.learner.desk import Desk
from workbook.learner.history import NOT_WRITTEN
from workbook.learner.origins import Origins
from workbook.learner.written import Written
from workbook.merge.assemble import CellError, check_syntax, clean, in_order, merge
from workbook.merge.header import Header
from workbook.merge.outline import parts
from workbook.merge.reduction import reduced, remembered, without

FILLED = "#filled "  # and an exercise: what catching up wrote there
LEFT_OUT = f"{NOT_WRITTEN} (left as a later cell wrote it)"


def write(course: Course, workspace: Desk, header: Header, code: str) -> Written:
    """Write a cell into the package and remember where its definitions are from.

    Raises:
        WorkbookError: the cell does not fit its exercise, is no Python, or the file cannot be written; the cell's text
            is kept in the history.
    """
    try:
        timeline(course).require(header)
        check_syntax(clean(code), f"app/{header.path}")
        return Writing(timeline(course), workspace, header, clean(code)).run()
    except WorkbookError as error:
        with suppress(WorkbookError):  # the error at hand is the one to tell
            kept = workspace.keep_draft(header.path, code, f"{NOT_WRITTEN}: %%app {header.path}{exercise_of(header)}")
            error.hint += f"\n      your cell is kept: `%history {kept}` shows it" if error.hint else ""
        raise


def exercise_of(header: Header) -> str:
    """Return the exercise in brackets, for a cause."""
    return f" ({header.exercise})" if header.exercise else ""


class Writing:
    """One cell on its way into the package."""

    def __init__(self, timeline: Timeline, workspace: Desk, header: Header, code: str) -> None:
        self.timeline, self.workspace, self.header, self.code = timeline, workspace, header, code
        self.step = timeline.find(header, code)
        self.parts = parts(code)
        self.kept: set[str] = set()
        self.done = Written(header.path)

    def run(self) -> Written:
        """Write the cell; say what was done."""
        values: dict[str, str | None] = {}
        key = self.header.key(self.code)
        last = self.workspace.recall_cell(key) if key else None
        self.done.was_filled = self._was_filled()

        def change(existing: str | None) -> str:
            values.clear()
            origins = Origins.read(self.workspace, self.timeline, self.header.path, existing)
            previous = self._previous(key)
            self.done.before = existing
            self.done.after, written, whole = self._placed(existing, origins, previous)
            values.update(origins.changed(self.done.after, written, self.step, whole=whole))
            if key and not self.done.is_stub:
                values[key] = self.code
            values.update(self._standing(origins, last))
            return self.done.after

        cause = f"%%app {self.header.path}{exercise_of(self.header)}"
        self.workspace.update(self.header.path, change, cause, values)
        if self._loses(last):
            self.done.draft = self.workspace.keep_draft(self.header.path, self.code, f"{LEFT_OUT}: {cause}") or None
        return self.done

    def _was_filled(self) -> bool:
        """Say whether the answer that stands there is what catching up filled in."""
        key = f"{FILLED}{self.header.exercise}"
        return self.step is not None and self.workspace.recall([key])[key] is not None

    def _previous(self, key: str | None) -> str | None:
        """Return what the cell wrote when it was last run, or what was filled in: it goes where it is given up."""
        if self.step is not None and self.done.was_filled:
            return self.step.solved
        return self.workspace.recall_cell(key) if key else None

    def _standing(self, origins: Origins, previous: str | None) -> dict[str, str | None]:
        """Return what is remembered of the exercise: what was filled in stays so where nothing of the cell counts.

        A cell that stood here before, and is run again after later ones, is not set aside: its answer was built upon.
        """
        if self.step is None or not self.header.exercise or self._is_stub():
            return {}
        key = f"{ASIDE}{self.header.exercise}"
        made = set_aside(self.step, self.parts, self.kept, origins)
        if made is None:
            return {f"{FILLED}{self.header.exercise}": None, key: None}
        before = self.workspace.recall([key])[key]
        stood = previous is not None and before is None and parts(previous) == self.parts
        return {} if stood else {key: made}

    def _loses(self, last: str | None) -> bool:
        """Say whether the learner's own text was left out that was not left out at the cell's last run already."""
        if self.step is None or last == self.code:
            return False
        there = parts(self.done.after)
        own = (name for name in self.kept if self.parts[name] != self.step.given_parts.get(name))
        return any(there.get(name) != self.parts[name] for name in own)

    def _placed(self, existing: str | None, origins: Origins, previous: str | None) -> tuple[str, set[str], bool]:
        """Return the module's new text, the names that the cell wrote, and whether it wrote the whole module."""
        kept = self.kept = self._kept(origins, previous)
        merging = self.header.merge or (existing is not None and self._goes_into(origins, previous))
        anew = merging and self._begins_anew(origins)
        self.done.again = merging and not self.header.merge and not anew
        if not merging:
            self.done.left, self.done.is_stub = [], False
            return self.code, set(self.parts), True
        require_python(self.workspace, {self.header.path: existing or ""})
        module = without(existing or "", self._earlier(origins)) if anew and not self.done.is_stub else existing or ""
        if self.done.is_stub:
            return in_order(module), set(), False
        later = kept | self._later(origins)
        given_up = self._given_up(origins) - later
        module = self._as_before(module, given_up)
        cell = reduced(self.code, module, kept) if module else self.code
        last = remembered(previous, later | given_up, self.parts) if previous and module else previous
        text = merge(module, cell, last) if cell or last else in_order(module)
        return text, set(self.parts) - kept, anew

    def _given_up(self, origins: Origins) -> set[str]:
        """Return what was filled in and the cell leaves out, of the definitions that an earlier cell had written."""
        if self.step is None or not self.done.was_filled:
            return set()
        before = self._before()
        left_out = (name for name in self.step.hole if name in before and name not in self.parts)
        return {name for name in left_out if origins.parts.get(name) == self.step.parts.get(name) is not None}

    def _before(self) -> Mapping[str, str]:
        """Return what the solved module defines before the cell."""
        assert self.step is not None
        return readable_parts(self.timeline.states[self.step.position].get(self.header.path))

    def _as_before(self, module: str, names: set[str]) -> str:
        """Return a module with definitions as the solved course has them before the cell."""
        if not names or self.step is None:
            return module
        around = {".".join(name.split(".")[:end]) for name in names for end in range(1, name.count(".") + 1)}
        text = self.timeline.states[self.step.position][self.header.path]
        return merge(module, without(text, set(self._before()) - names - around))

    def _goes_into(self, origins: Origins, previous: str | None) -> bool:
        """Say whether a cell that begins a file is merged: it ran before, or a later cell has been here."""
        if self.header.replace:
            return False
        if self.step is None:
            return previous is not None
        return origins.whole >= self.step.position or bool(self._later(origins))

    def _begins_anew(self, origins: Origins) -> bool:
        """Say whether a cell begins a file, and no cell from it on has begun it yet."""
        if self.step is None or self.header.merge:
            return False
        return origins.whole < self.step.position

    def _earlier(self, origins: Origins) -> set[str]:
        """Return the definitions of earlier cells, which do not outlive one that begins the file anew."""
        assert self.step is not None
        known = {name: step for name in origins.parts if (step := origins.step(name)) and origins.is_remembered(name)}
        gone = {name for name, step in known.items() if step.position < self.step.position and name not in self.parts}
        stays = [name for name in origins.parts if name not in gone]
        return {name for name in gone if not any(other.startswith(f"{name}.") for other in stays)}

    def _later(self, origins: Origins) -> set[str]:
        """Return the module's definitions that a later cell of the course wrote."""
        if self.step is None or self.header.replace:
            return set()
        return {name for name in origins.parts if origins.position(name) > self.step.position}

    def _kept(self, origins: Origins, previous: str | None) -> set[str]:
        """Return the cell's definitions that it must leave alone, and note those that differ or that it gave up."""
        if self.step is None or self.header.replace:
            return set()
        later = self._later(origins)
        gone = origins.whole > self.step.position
        kept = {name for name in self.parts if name in later or (gone and name not in origins.parts)}
        there = [name for name in self.parts if name in kept and name in origins.parts]
        differ = [name for name in there if origins.parts[name] != self.parts[name]]
        differ += [name for name in readable_parts(previous) if name in later and name not in self.parts]
        self.done.left = [(name, origins.step(name)) for name in differ]
        self.done.is_stub = self._would_undo(origins)
        return kept

    def _would_undo(self, origins: Origins) -> bool:
        """Say whether the cell is as it was given, where the module has an answer to its exercise."""
        if self.step is None or not self.header.exercise or not self._is_stub():
            return False
        given = self.step.given_parts
        there = [name for name in self.step.hole if origins.position(name) >= self.step.position]
        return any(name in origins.parts and origins.parts[name] != given.get(name) for name in there)

    def _is_stub(self) -> bool:
        """Say whether the cell is as it was given."""
        return self.step is not None and dict(self.parts) == dict(self.step.given_parts)


def readable_parts(code: str | None) -> Mapping[str, str]:
    """Return what a remembered cell defines; nothing where it cannot be read."""
    with suppress(CellError):
        return parts(code or "")
    return {}


def near_path(course: Course, path: str) -> str | None:
    """Return the course's module whose path a path that it does not have resembles."""
    known = list(timeline(course).by_path)
    if path in known:
        return None
    return next(iter(difflib.get_close_matches(path, known, 1, 0.85)), None)
