"""A submission taken in: which of a folder's files are graded, what is left out, and why. Nothing of it is run here."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from workbook.course import Course
from workbook.errors import WorkbookError
from workbook.imported import PACKAGE
from workbook.plain import named
from workbook.snapshot import Snapshot
from workbook.source import Source
from workbook.submitted import Choice, Chooser, Notebook, assemble
from workbook.tree import Tree, content, link_fault

FILES, BYTES = 2000, 20 << 20
SECONDS = 60.0  # for putting notebooks together
NOTEBOOKS = ("", "notebooks", "notebooks/mine", "mine")
# folders of the course, and of programs, in which nobody hands anything in
NEVER = ("solutions", "tests", "workbook", "bench", "node_modules", "__MACOSX", "site-packages")
DEEPER, LOOKED_AT = 4, 3000  # levels, folders
SHOWN = 8  # names in a note


class SubmissionError(WorkbookError):
    """The folder is no submission."""


@dataclass
class Submission:
    """A package ready to be checked; where it lay, what it was made of, and what was odd about it."""

    app: Path
    source: str
    folder: Path
    used: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Place:
    """What one folder offers: a package, notebooks, and links or other things that are not taken."""

    folder: Path
    app: Path | None = None
    notebooks: list[Path] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    @classmethod
    def look(cls, folder: Path) -> Place:
        """Look into a folder, not below it but for the places where notebooks usually lie."""
        found = cls(folder)
        inner = folder / PACKAGE
        if inner.is_symlink():
            found.left_out[PACKAGE] = link_fault(inner)
        if folder.name == PACKAGE and (_modules_in(folder) or not inner.is_dir() or inner.is_symlink()):
            found.app = folder if Tree.walk(folder).files and not _is_place_of_notebooks(folder) else None
        elif inner.is_dir() and not inner.is_symlink():
            found.app = inner
        for name in NOTEBOOKS:
            found._add_notebooks(name)
        return found

    def _add_notebooks(self, name: str) -> None:
        folder = self.folder / name
        if folder.is_symlink() and name:
            self.left_out[name] = link_fault(folder)
            return
        for path in _listed(folder):
            if path.suffix.lower() != ".ipynb" or path.name.startswith("."):
                continue
            if path.is_symlink():
                self.left_out[named(path.relative_to(self.folder))] = link_fault(path)
            elif not path.is_file():
                self.left_out[named(path.relative_to(self.folder))] = "it is no regular file"
            else:
                self.notebooks.append(path)

    @property
    def offers(self) -> bool:
        """Say whether there is anything to grade."""
        return self.app is not None or bool(self.notebooks)

    @property
    def has_code(self) -> bool:
        """Say whether the package holds more than its docstring."""
        found = Tree.walk(self.app).files if self.app else []
        return any(path.suffix == ".py" and path.name != "__init__.py" for path in found)


def _listed(folder: Path) -> list[Path]:
    """List a folder; nothing where it cannot be."""
    try:
        return sorted(folder.iterdir(), key=os.fsencode)
    except OSError:
        return []


def _modules_in(folder: Path) -> bool:
    return any(path.suffix == ".py" and path.name != "__init__.py" and path.is_file() for path in _listed(folder))


def _is_place_of_notebooks(folder: Path) -> bool:
    """Say whether a folder named `app` is a submission that holds notebooks only."""
    files = Tree.walk(folder).files
    return any(path.suffix == ".ipynb" for path in files) and not any(path.suffix == ".py" for path in files)


def find(folder: Path) -> tuple[Place, list[str]]:
    """Return the place that holds the submission: the folder, or the one obvious folder below it.

    Raises:
        SubmissionError: there is none, or there are several.
    """
    refuse_odd(folder)
    here = Place.look(folder)
    notes = [f"{name} was not taken: {reason}" for name, reason in here.left_out.items()]
    if here.offers:
        return here, notes
    deeper = [Place.look(path) for path in islice(_below(folder), LOOKED_AT)]
    level = min((len(one.folder.parts) for one in deeper if one.offers), default=0)
    found = [one for one in deeper if one.offers and len(one.folder.parts) == level]
    if len(found) == 1:
        relative = named(found[0].folder.relative_to(folder))
        notes.append(f"{relative}/ inside the folder is graded: the folder itself holds nothing of its own")
        return found[0], notes + [f"{name} was not taken: {reason}" for name, reason in found[0].left_out.items()]
    if found:
        names = _some([named(one.folder.relative_to(folder)) for one in found])
        raise SubmissionError(f"{named(folder)} holds several submissions: {names}", "grade each of them by itself")
    raise SubmissionError(_nothing(here), "name the folder above app/ or notebooks/")


def refuse_odd(folder: Path) -> None:
    """Refuse what is no folder, with what it is."""
    shown = named(folder)
    if folder.is_symlink():
        raise SubmissionError(f"{shown}: {link_fault(folder)}", "name the folder itself, if it is the submission")
    if folder.is_file():
        packed = folder.suffix.lower() in (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
        hint = "unpack it, and name the folder that comes out" if packed else "name the folder that holds it"
        raise SubmissionError(f"{shown} is a {'packed ' if packed else ''}file, no folder", hint)
    if not folder.is_dir():
        raise SubmissionError(f"{shown} is no folder", "name a folder that holds app/ or notebooks")


def _below(folder: Path, depth: int = 0) -> Iterator[Path]:
    """Yield the folders in which a submission could lie, the nearest first in each branch."""
    for path in _listed(folder) if depth < DEEPER else []:
        usual = path.name not in NEVER and not path.name.startswith((".", "_"))
        if usual and not path.is_symlink() and path.is_dir():
            yield path
            yield from _below(path, depth + 1)


def _nothing(here: Place) -> str:
    """Say what a folder holds that has nothing to grade."""
    said = f"{named(here.folder)} holds neither app/ nor notebooks"
    names = [named(path.name) + ("/" if path.is_dir() else "") for path in _listed(here.folder)]
    said += f"; it holds {_some(names)}" if names else "; it is empty"
    return said + "".join(f"\n{name} was not taken: {reason}" for name, reason in here.left_out.items())


def _some(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


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
    said = f"app/ is graded, and not the {len(writing)} notebooks beside it ({_some(writing)})"
    if lacking:
        said += f"; they write {_some(lacking)}, which app/ lacks: --source notebooks grades them instead"
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
    notes += [f"{PACKAGE}/{name} is left out: {reason}" for name, reason in found.left_out.items()]
    return target
