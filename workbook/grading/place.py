"""Where in a folder a submission lies: its package, its notebooks, or the one obvious folder further down."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from workbook.base.errors import WorkbookError
from workbook.base.plain import named
from workbook.base.tree import Tree, link_fault
from workbook.checking.finder import PACKAGE

NOTEBOOKS = ("", "notebooks", "notebooks/mine", "mine")
# folders of the course, and of programs, in which nobody hands anything in
NEVER = ("solutions", "tests", "workbook", "bench", "node_modules", "__MACOSX", "site-packages")
DEEPER, LOOKED_AT = 4, 3000  # levels, folders
SHOWN = 8  # names in a note


class SubmissionError(WorkbookError):
    """The folder is no submission."""


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
            if ".ipynb." in path.name.lower():
                self.left_out[named(path.relative_to(self.folder))] = "its name does not end with .ipynb"
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
    deeper = list(_apart(here, (Place.look(path) for path in islice(_below(folder), LOOKED_AT))))
    if here.has_code or here.notebooks or (here.offers and not deeper):
        others = [named(one.folder.relative_to(folder)) for one in deeper]
        return here, notes + ([f"these folders hold more, which was not taken: {some(others)}"] if others else [])
    level = min((len(one.folder.parts) for one in deeper), default=0)
    found = [one for one in deeper if len(one.folder.parts) == level]
    if len(found) == 1:
        relative = named(found[0].folder.relative_to(folder))
        notes.append(f"{relative}/ inside the folder is graded: the folder itself holds nothing of its own")
        return found[0], notes + [f"{name} was not taken: {reason}" for name, reason in found[0].left_out.items()]
    if found:
        names = some([named(one.folder.relative_to(folder)) for one in found])
        raise SubmissionError(f"{named(folder)} holds several submissions: {names}", "grade each of them by itself")
    raise SubmissionError(_nothing(here), "name the folder above app/ or notebooks/")


def _apart(here: Place, places: Iterable[Place]) -> Iterator[Place]:
    """Yield the places that offer something, but for parts of what is taken already and of each other."""
    taken = [path.parent for path in here.notebooks if path.parent != here.folder]
    taken += [here.app] if here.app and here.app != here.folder else []
    for place in places:
        if place.offers and not any(place.folder.is_relative_to(path) for path in taken):
            taken.append(place.folder)
            yield place


def refuse_odd(folder: Path) -> None:
    """Refuse what is no folder, with what it is.

    Raises:
        SubmissionError: it is missing, a link, a file, or has a name that no system bears.
    """
    shown = named(folder)
    try:
        folder.lstat()
    except OSError as error:
        raise SubmissionError(
            f"{shown[:200]}: {error.strerror}", "name a folder that holds app/ or notebooks"
        ) from None
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
    said += f"; it holds {some(names)}" if names else "; it is empty"
    return said + "".join(f"\n{name} was not taken: {reason}" for name, reason in here.left_out.items())


def some(names: list[str]) -> str:
    """Join names; count those that are too many for a line."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
