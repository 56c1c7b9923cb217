"""A submission, or a folder with one, checked exercise by exercise in contained processes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from workbook import pool
from workbook.assemble import CellError
from workbook.chapter import Exercise
from workbook.course import Course
from workbook.errors import WorkbookError
from workbook.snapshot import Snapshot
from workbook.verdict import CheckReport
from workbook.worker import Worker

FILES, BYTES = 2000, 20 << 20


class SubmissionError(WorkbookError):
    """The folder is no submission."""


@dataclass
class Submission:
    """A package ready to be checked, where it came from, and what was odd about it."""

    app: Path
    source: str
    notes: list[str] = field(default_factory=list)


@contextmanager
def opened(folder: Path) -> Iterator[Submission]:
    """Give a submission's package, copied into a temporary folder so that nothing can change the original.

    Args:
        folder: holds `app/`, or notebooks (also in `notebooks/`), or is itself a package named `app`.

    Raises:
        SubmissionError: there is neither, or it is too large.
    """
    if not folder.is_dir():
        raise SubmissionError(f"{folder} is no folder", "name a folder that holds app/ or notebooks")
    with tempfile.TemporaryDirectory(prefix="workbook-", ignore_cleanup_errors=True) as name:
        target = Path(name)
        app = folder if folder.name == "app" else folder / "app"
        notebooks = sorted(folder.glob("*.ipynb")) or sorted((folder / "notebooks").glob("*.ipynb"))
        if _has_code(app) or (app.is_dir() and not notebooks):
            yield Submission(_copy(app, target / "app"), f"{app}")
        elif notebooks:
            yield _assembled(notebooks, target)
        else:
            raise SubmissionError(f"{folder} holds neither app/ nor notebooks", "name the folder above app/")


def _has_code(app: Path) -> bool:
    """Say whether a package holds more than its docstring."""
    return any(path.name != "__init__.py" for path in app.rglob("*.py")) if app.is_dir() else False


def _copy(app: Path, target: Path) -> Path:
    """Copy a package's regular files; links are left out, for they could lead anywhere."""
    count = size = 0
    for path in sorted(app.rglob("*")):
        if path.is_symlink() or not path.is_file() or "__pycache__" in path.parts:
            continue
        if not path.resolve().is_relative_to(app.resolve()):
            continue
        count, size = count + 1, size + path.stat().st_size
        if count > FILES or size > BYTES:
            raise SubmissionError(f"{app} has more than {FILES} files or {BYTES >> 20} MB", "submit code only")
        copied = target / path.relative_to(app)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copied)
    target.mkdir(parents=True, exist_ok=True)
    (target / "__init__.py").touch()
    return target


def _assembled(notebooks: list[Path], target: Path) -> Submission:
    """Put the package together from `%%app` cells, in the order of the notebooks' names, without running them."""
    import nbformat  # slow to import, and most submissions come as a package

    package, notes = Snapshot(), []
    for path in notebooks:
        try:
            cells = nbformat.read(path, as_version=4).cells
        except Exception as error:  # nbformat raises many kinds for a file that is no notebook
            notes.append(f"{path.name} is no notebook: {error}")
            continue
        for number, cell in enumerate(cells, 1):
            if cell.get("cell_type") == "code" and cell.source.startswith("%%app"):
                try:
                    package.run(cell.source)
                except CellError as error:
                    notes.append(f"{path.name}, cell {number}, is left out: {error}")
    return Submission(package.write(target), f"{len(notebooks)} notebooks", notes)


def grade(
    course: Course,
    workers: Sequence[Worker],
    folder: Path,
    chosen: list[Exercise],
    step: Callable[[int, int], None] = lambda _done, _all: None,
) -> tuple[list[CheckReport], Submission]:
    """Check a submission's exercises, each in a process of its own.

    Args:
        course: the index.
        workers: warm workers whose checks are the trusted ones; each checks one exercise at a time.
        folder: the submission.
        chosen: the exercises to check.
        step: told (done, all) after each exercise.

    Raises:
        SubmissionError: the folder is no submission.
    """
    reports: list[CheckReport] = []
    with opened(folder) as submission:

        def check(worker: Worker, exercise: Exercise) -> CheckReport:
            return worker.check(course, exercise.id, submission.app)

        for found in pool.spread(workers, check, chosen):
            found.package = submission.source
            reports.append(found)
            step(len(reports), len(chosen))
    return reports, submission


def summary(reports: list[CheckReport]) -> str:
    """Return the points in one line."""
    points, total = sum(one.points for one in reports), sum(one.out_of for one in reports)
    passed = sum(one.passed for one in reports)
    return f"{points} of {total} points, {passed} of {len(reports)} exercises passed"
