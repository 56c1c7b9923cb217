"""An error's way shortened to the frames that a learner can change: the notebook's cells and the package."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from workbook.base.engine import FOLDER

MANY = 8  # a shorter way is shown as it is
OWN = FOLDER
LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def is_library(path: str) -> bool:
    """Say whether a file is Python's, a package's or the engine's."""
    return path.startswith(("<frozen", *LIBRARIES)) or Path(path).is_relative_to(OWN)


def shortened(trace: TracebackType | None, app_dir: Path) -> TracebackType | None:
    """Return a way without the frames of libraries, but for the first, which IPython takes for its own, and the last.

    Args:
        trace: the way of an exception, outermost frame first.
        app_dir: the learner's package. A way that does not lead through it is left as it is, and so is a short one.
    """
    steps = list(_steps(trace))
    folder = app_dir.resolve()
    if len(steps) <= MANY or not any(Path(_file(step)).is_relative_to(folder) for step in steps):
        return trace
    made: TracebackType | None = None
    for step in reversed([one for one in steps if one in (steps[0], steps[-1]) or not is_library(_file(one))]):
        made = TracebackType(made, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return made


def shorten(error: BaseException, app_dir: Path) -> int:
    """Shorten the ways of an exception and of those that led to it; return how many frames are left out."""
    left, seen, waiting = 0, set[int](), [error]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            before = one.__traceback__
            one.__traceback__ = shortened(before, app_dir)
            left += len(list(_steps(before))) - len(list(_steps(one.__traceback__)))
            waiting += [other for other in (one.__cause__, one.__context__) if other is not None]
    return left


def _steps(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _file(step: TracebackType) -> str:
    return step.tb_frame.f_code.co_filename
