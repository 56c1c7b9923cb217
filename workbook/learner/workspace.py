"""Where things lie; the learner's files, written as whole changes; what is remembered of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from workbook.feedback.outcome import Outcome
from workbook.learner import files, history, memory, score
from workbook.learner.database import Database
from workbook.learner.files import WorkspaceError
from workbook.learner.history import CHANGE, DRAFT, EDIT, NOT_WRITTEN, REDO, UNDO, Change, FileChange, Version
from workbook.learner.memory import Values
from workbook.learner.root import find_root, from_env
from workbook.learner.score import Attempt, Progress
from workbook.merge.syntax import is_python

__all__ = [
    "Attempt",
    "Change",
    "FileChange",
    "Progress",
    "Version",
    "Workspace",
    "WorkspaceError",
]


@dataclass(frozen=True)
class Workspace:
    """A course's folder, the learner's package in it, and what is remembered.

    Args:
        root: The course's folder.
        app_dir: The package that cells write to.
        state_dir: Where history and progress lie; made when first needed.
    """

    root: Path
    app_dir: Path
    state_dir: Path
    database: Database = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "database", Database(self.state_dir))

    @classmethod
    def at(cls, start: Path | None = None) -> Workspace:
        """Return the workspace of a notebook's folder, or of the working directory.

        Raises:
            CourseNotFound: There is no course at or above the place.
        """
        here = (start or Path.cwd()).resolve()
        root = find_root(here)
        solved = here.is_relative_to(root / "solutions")
        app_dir = root / "solutions" / "app" if solved else root / "app"
        return cls(root, from_env("WORKBOOK_APP", app_dir), from_env("WORKBOOK_STATE", root / ".workbook"))

    @property
    def notebooks(self) -> Path:
        """The learner's chapters."""
        return self.root / "notebooks"

    @property
    def solutions(self) -> Path:
        """The chapters' sources, and the finished backend."""
        return self.root / "solutions"

    @property
    def checks(self) -> Path:
        """The checks, one file for each chapter."""
        return self.root / "tests" / "chapters"

    @property
    def answers(self) -> Path:
        """The wrong and right answers, one file for each chapter."""
        return self.root / "tests" / "answers"

    @property
    def notes(self) -> list[str]:
        """What the learner should know: a database that was broken and begun anew."""
        return self.database.notes

    def write(self, changes: Mapping[str, bytes | None], cause: str, values: Values | None = None) -> Change:
        """Write files as one change; keep what they held before.

        Args:
            changes: The new contents by path in the package; None deletes.
            cause: What makes the change, such as `%%app users/schemas.py`.
            values: What is remembered with the change, by key; an undo takes it back too.

        Raises:
            WorkspaceError: A file cannot be written; all are as they were.
        """
        changes = {PurePosixPath(path).as_posix(): content for path, content in changes.items()}
        with self.database.lock():
            for path in changes:
                files.locate(self.app_dir, path)
            change = self._commit(files.with_packages(self.app_dir, changes), cause)
            if values:
                self._remember(change, values)
            return change

    def update(
        self, path: str, change: Callable[[str | None], str], cause: str, values: Values | None = None
    ) -> Change:
        """Make a file's new text from the one it has, with no other writer between.

        Args:
            path: The file's path in the package.
            change: Takes the text (None where there is no file) and returns the new one; what it
                raises leaves the file as it was.
            cause: What makes the change.
            values: What is remembered with the change; `change` may put something into it.

        Raises:
            WorkspaceError: The file cannot be read as UTF-8, or not be written.
        """
        with self.database.lock():
            target = files.locate(self.app_dir, path)
            new = change(decoded(files.read(target), target))
            return self.write({path: new.encode("utf-8")}, cause, values)

    def undo(self, path: str | None = None) -> Change | None:
        """Take back the newest change that is not taken back yet, and what was remembered with it; None: there is none.

        Args:
            path: Only this file's changes, and of them only this file.
        """
        with self.database.lock():
            found = self.database.run(lambda connection: history.newest(connection, path))
            if found is None:
                return None
            contents = self._without_used_packages(found.contents)
            change = self._commit(contents, f"undo: {found.cause}", found.versions, UNDO)
            files.prune(self.app_dir, [gone for gone, content in contents.items() if content is None])
            self._remember(change, self._values([found.change], path, before=True))
            return change

    def redo(self) -> Change | None:
        """Take back the newest undo, where nothing was written since; None where there is none."""
        with self.database.lock():
            found = self.database.run(history.newest_undo)
            if found is None:
                return None
            change = self._commit(found.contents, found.cause.replace("undo: ", "redo: ", 1), found.versions, REDO)
            self.database.run(lambda connection: history.forget_undo(connection, found.change))
            redone = self.database.run(lambda connection: history.changes_of(connection, found.versions))
            self._remember(change, self._values(redone, None, before=False))
            return change

    def keep_draft(self, path: str, text: str, cause: str) -> int:
        """Keep the text of a cell that could not be written; return its number in the history."""
        draft = (FileChange(path, text.encode("utf-8", "replace"), None),)
        self.database.run(lambda connection: history.begin(connection, draft, cause, [], DRAFT))
        return self.history(limit=1)[0].id

    def keep_edit(self, path: str) -> None:
        """Where a file was changed by hand since it was last written, keep what was written as a version."""
        now = files.read(files.locate(self.app_dir, path))
        written: bytes | None = self.database.run(lambda connection: history.last_written(connection, path))
        if written not in (None, now):
            edit, cause = (FileChange(path, written, now),), "an edit by hand" if now is not None else "deleted by hand"
            self.database.run(lambda connection: history.begin(connection, edit, cause, [], EDIT))

    def keep_edits(self, path: str | None = None) -> None:
        """Keep what was written to files that were changed or deleted by hand since; to one file, if it is named.

        What cannot be read, a folder in a file's place for example, is passed over.
        """
        for one in [path] if path else self.database.run(history.paths):
            with suppress(WorkspaceError):
                self.keep_edit(one)

    def newest_readable(self, path: str) -> int:
        """Return the number of a file's newest version that is Python, what an edit replaced among them; 0 for none."""
        self.keep_edit(path)
        kept = self.history(path, self.count_versions(path))
        written = (one for one in kept if one.content is not None and not one.cause.startswith(NOT_WRITTEN))
        return next((one.id for one in written if is_python(one.content or b"")), 0)

    def history(self, path: str | None = None, limit: int = 20) -> list[Version]:
        """List what files held until they were overwritten, the newest first."""
        return self.database.run(lambda connection: history.versions(connection, path, limit))

    def version(self, number: int) -> Version:
        """Return a version by its number.

        Raises:
            WorkspaceError: There is no such version.
        """
        found = self.database.run(lambda connection: history.version(connection, number))
        if found is None:
            raise WorkspaceError(f"there is no version {number}", "choose one from the history")
        return found

    def count_versions(self, path: str | None = None) -> int:
        """Return how many versions the history holds."""
        return self.database.run(lambda connection: history.count(connection, path))

    def restore(self, version_id: int) -> Change:
        """Bring a version back, as a new change.

        Raises:
            WorkspaceError: There is no such version, or the file cannot be written.
        """
        found = self.version(version_id)
        with self.database.lock():
            change = self.write({found.path: found.content}, f"restore {version_id}")
            files.prune(self.app_dir, [found.path] if found.content is None else [])
            return change

    def remember_cell(self, key: str, text: str) -> None:
        """Remember a cell's text as of its last run; the key is such as "users/schemas.py#2.2"."""
        self.remember({key: text})

    def recall_cell(self, key: str) -> str | None:
        """Return a cell's text as of its last run."""
        return self.recall([key])[key]

    def remember(self, values: Values) -> None:
        """Remember values by key, whatever becomes of the files; None forgets one."""
        self.database.run(lambda connection: memory.remember(connection, values, history.now()))

    def recall(self, keys: list[str]) -> dict[str, str | None]:
        """Return what is remembered under keys."""
        return self.database.run(lambda connection: memory.recall(connection, keys))

    def recall_all(self, prefix: str) -> dict[str, str]:
        """Return all that is remembered under keys with a prefix, by the rest of the key."""
        return self.database.run(lambda connection: memory.recall_all(connection, prefix))

    def record(self, exercise: str, outcome: str, points: int, out_of: int, source: str) -> None:
        """Record a check; one that the machine left no time is no attempt.

        Args:
            exercise: Such as "2.2".
            outcome: "passed", or what it was instead.
            points: The points it gave.
            out_of: The points it could give.
            source: What ran it, such as "%check".
        """
        if outcome == Outcome.LATE:
            return
        row = (history.now(), exercise, outcome, points, out_of, source)
        columns = "time, exercise, outcome, points, out_of, source"
        insert = f"INSERT INTO attempts ({columns}) VALUES (?, ?, ?, ?, ?, ?)"
        self.database.run(lambda connection: connection.execute(insert, row))

    def progress(self) -> dict[str, Progress]:
        """Return how far the learner came, by exercise."""
        return self.database.run(score.progress)

    def attempts(self, exercise: str) -> list[Attempt]:
        """List the checks of an exercise, the first first."""
        return self.database.run(lambda connection: score.attempts(connection, exercise))

    def _remember(self, change: Change, values: Values) -> None:
        """Remember values as a part of a change."""
        self.database.run(lambda connection: memory.remember_with(connection, change.id, values, history.now()))

    def _values(self, changes: list[int], path: str | None, *, before: bool) -> dict[str, str | None]:
        """Return what was remembered before changes, or with them."""
        found: dict[str, str | None] = {}
        for one in changes:
            found |= self.database.run(
                lambda connection, one=one: memory.values_of(connection, one, path, before=before)  # type: ignore[misc]
            )
        return found

    def _commit(
        self, changes: Mapping[str, bytes | None], cause: str, undone: Sequence[int] = (), kind: int = CHANGE
    ) -> Change:
        """Record what is there, then write; the lock must be held."""
        files.sweep(self.app_dir)
        targets = {path: files.locate(self.app_dir, path) for path in changes}
        before = {path: files.read(target) for path, target in targets.items()}
        different = history.differences(before, changes)
        if not different and not undone:
            return Change(None, history.now(), cause, ())
        change = self.database.run(lambda connection: history.begin(connection, different, cause, [*undone], kind))
        try:
            files.replace_all(
                {targets[file.path]: file.after for file in different},
                {targets[file.path]: file.before for file in different},
            )
        except WorkspaceError:
            if before == {path: files.read(target) for path, target in targets.items()}:
                self.database.run(lambda connection: history.withdraw(connection, change, [*undone]))
            raise
        return change

    def _without_used_packages(self, before: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
        """Leave out each `__init__.py` that would go though its folder holds other modules."""
        found = dict(before)
        for path in [path for path, content in before.items() if content is None]:
            folder = PurePosixPath(path).parent
            there = {(folder / module.name).as_posix() for module in (self.app_dir / folder).glob("*.py")}
            if path.endswith("__init__.py") and not there <= set(before):
                del found[path]
        return found


def decoded(content: bytes | None, target: Path) -> str | None:
    """Return a file's text."""
    if content is None:
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WorkspaceError(
            f"{target} is not UTF-8: byte {error.start} is {content[error.start]:#04x}",
            "save it as UTF-8 in the editor; or `%undo` with a number from `%history` brings a kept version back",
        ) from None
