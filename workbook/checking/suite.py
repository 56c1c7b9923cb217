"""The learner's own tests, `app/tests`, run on variants of the app: what they catch is what they are worth."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workbook.base.clock import MachineBusy
from workbook.checking.compiled import Compiled
from workbook.checking.result import Ran
from workbook.checking.task import INI, TESTS, Task
from workbook.checking.testrun import BUSY, run_all
from workbook.course.snapshot import Snapshot


@dataclass(frozen=True)
class Variant:
    """A package that tests run on: a base, changed by cells and files.

    Args:
        name: what feedback calls it.
        cells: whole `%%app` cells that are run on the base, such as one that merges a fault into a service.
        files: texts by path below `app`, written after the cells; None takes a file away.
        own: True for the learner's package as the base, False for the solutions' with the learner's tests.
        paths: what pytest is given, below `app`.
        first_failure: True to stop at the first test that does not pass.
    """

    name: str
    cells: tuple[str, ...] = ()
    files: Mapping[str, str | None] = field(default_factory=dict)
    own: bool = False
    paths: tuple[str, ...] = (TESTS,)
    first_failure: bool = False


class Suite:
    """Runs the learner's tests. The `suite` fixture gives one.

    Args:
        app: the learner's package, whose folder `tests` holds the tests.
        solved: gives the solutions' package as it stands before the tests are written.
    """

    def __init__(self, app: Path, solved: Callable[[], Snapshot]) -> None:
        self._app, self._solved = app, solved
        self._bases: dict[bool, Snapshot] = {}
        self._known: dict[str, Ran] = {}
        self._compiled = Compiled()

    def run(self, variants: Sequence[Variant], *, limit: float = 8.0, at_once: int | None = None) -> list[Ran]:
        """Run the tests on every variant, and remember the result for the next criterion that asks.

        Call it from a plain function, not from a coroutine: the processes are forked.

        Args:
            limit: seconds for one variant.
            at_once: how many processes; None means one a core.

        Raises:
            MachineBusy: one did not come to its end because the machine left it no time: that is no result.
        """
        new = [variant for variant in variants if repr(variant) not in self._known]
        with tempfile.TemporaryDirectory(prefix="workbook-suite-", ignore_cleanup_errors=True) as name:
            tasks = [self._prepare(variant, Path(name) / str(number)) for number, variant in enumerate(new)]
            found = run_all(tasks, limit, at_once or os.cpu_count() or 1)
        if any(ran.ended == BUSY for ran in found):
            raise MachineBusy("your tests did not come to their end: the machine left them no time")
        self._known |= {repr(variant): ran for variant, ran in zip(new, found, strict=True)}
        return [self._known[repr(variant)] for variant in variants]

    def _prepare(self, variant: Variant, folder: Path) -> Task:
        package = self._base(variant.own).copy()
        for cell in variant.cells:
            package.run(cell)
        for path, text in variant.files.items():
            if text is None:
                package.files.pop(path, None)
            else:
                package.files[path] = text
        app = package.write(folder)
        self._compiled.put(app, {path: text for path, text in package.files.items() if not _is_test(path)})
        (folder / "pytest.ini").write_text(INI, encoding="utf-8")
        return Task(variant.name, folder, variant.paths, variant.first_failure, tuple(variant.files))

    def _base(self, own: bool) -> Snapshot:
        if own not in self._bases:
            mine = Snapshot.read(self._app).files
            base = mine if own else self._solved().files
            tests = {path: text for path, text in mine.items() if _is_test(path)}
            self._bases[own] = Snapshot({path: text for path, text in base.items() if not _is_test(path)} | tests)
        return self._bases[own]


def _is_test(path: str) -> bool:
    return path.startswith(f"{TESTS}/")
