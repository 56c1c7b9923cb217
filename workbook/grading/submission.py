"""A submission taken in: which of a folder's files are graded, what is left out, and why. Nothing of it is run here."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from workbook.base.plain import named, plain
from workbook.base.tree import Tree, content
from workbook.checking.finder import PACKAGE
from workbook.course.index import Course
from workbook.course.snapshot import Snapshot
from workbook.grading.place import SubmissionError, find, some
from workbook.grading.source import Source
from workbook.grading.submitted import Choice, Chooser, Notebook, assemble

__all__ = ["Submission", "SubmissionError", "opened"]

FILES, BYTES = 2000, 20 << 20
SECONDS = 60.0  # for putting notebooks together
NOTES = 100


@dataclass
class Submission:
    """A package ready to be checked; where it lay, what it was made of, and what was odd about it."""

    app: Path
    source: str
    folder: Path
    used: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@contextmanager
def opened(folder: Path, course: Course, source: Source = Source.AUTO) -> Iterator[Submission]:
    """Give a submission's package, copied into a temporary folder so that nothing can change the original.

    Args:
        folder: holds `app/`, or notebooks (also in `notebooks/` and `notebooks/mine/`), or is itself a package.
        course: tells the course's notebooks from others.
        source: what is graded where both are there; AUTO takes the package, unless it is empty.

    Raises:
        SubmissionError: there is nothing to grade, or it is too large.
    """
    place, notes = find(folder)
    with tempfile.TemporaryDirectory(prefix="workbook-", ignore_cleanup_errors=True) as name:
        target = Path(name)
        choice = Chooser(course).choose([Notebook.read(path) for path in place.notebooks])
        written = Snapshot(_written(course, choice))
        wants_app = source is Source.APP or (source is Source.AUTO and (place.has_code or not written.files))
        if wants_app and place.app is not None:
            shown = named(place.app)
            made = Submission(_copy(place.app, target / PACKAGE, notes), shown, place.folder, [shown], notes)
            notes += _passed_over(written, made.app, [*choice.used])
        elif choice.used and source is not Source.APP:
            used = [named(one.path.relative_to(place.folder)) for one in choice.used]
            notes += choice.notes
            if place.app is not None:
                notes.append(f"{named(place.app)} is left out: " + _why_not(source))
            shown = f"{len(used)} notebooks in {named(place.folder)}"
            made = Submission(written.write(target), shown, place.folder, used, notes)
        else:
            reasons = "".join(f"\n{note}" for note in [*notes, *choice.notes])
            raise SubmissionError(f"{named(place.folder)} holds nothing to grade{reasons}", "name another folder")
        made.notes[:] = [plain(note) for note in made.notes[:NOTES]]
        made.notes += [f"and {len(notes) - NOTES} notes more"] if len(notes) > NOTES else []
        yield made


def _why_not(source: Source) -> str:
    return "the notebooks were asked for" if source is Source.NOTEBOOKS else "it holds no code, and the notebooks do"


def _written(course: Course, choice: Choice) -> dict[str, str]:
    """Return what the chosen notebooks write, as far as the time allows."""
    deadline, files = time.monotonic() + SECONDS, dict[str, str]()
    for package in assemble(course, choice.used, choice.notes):
        files = package.files
        if time.monotonic() > deadline:
            said = f"the notebooks could not be put together within {SECONDS:.0f} seconds: the rest is left out"
            choice.notes.append(said)
            break
    return files


def _passed_over(written: Snapshot, app: Path, notebooks: list[Notebook]) -> list[str]:
    """Say that notebooks lie beside the package, and what they would write that the package lacks."""
    writing = [named(one.path.name) for one in notebooks if one.cells]
    if not writing:
        return []
    lacking = [f"app/{path}" for path in written.files if not (app / path).is_file()]
    said = f"app/ is graded, and not the {len(writing)} notebooks beside it ({some(writing)})"
    if lacking:
        said += f"; they write {some(lacking)}, which app/ lacks: --source notebooks grades them instead"
    return [said]


def _copy(app: Path, target: Path, notes: list[str]) -> Path:
    """Copy a package's regular files; say what is left out."""
    found, size = Tree.walk(app), 0
    if len(found.files) > FILES:
        raise SubmissionError(f"{named(app)} has more than {FILES} files", "submit code only")
    for path in found.files:
        size += path.stat().st_size
        if size > BYTES:
            raise SubmissionError(f"{named(app)} has more than {BYTES >> 20} MB", "submit code only")
        data = content(path)
        if data is None:
            found.left_out[named(path.relative_to(app))] = "it cannot be read"
            continue
        copied = target / path.relative_to(app)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(data)
    target.mkdir(parents=True, exist_ok=True)
    (target / "__init__.py").touch()
    told = {name: reason for name, reason in found.left_out.items() if not _is_hidden(name)}
    notes += [f"{PACKAGE}/{name} is left out: {reason}" for name, reason in told.items()]
    return target


def _is_hidden(name: str) -> bool:
    """Say whether a name is one of those that systems and editors leave behind, such as `.DS_Store`."""
    last = name.rpartition("/")[2]
    return last.startswith(".") and not last.endswith(".py") and last != ".ipynb_checkpoints"
