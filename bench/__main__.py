"""Measure, print a table, write JSON. It reports and never fails on time."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.engine import LOAD, ROOT, Failed, Kernel, cold_pytest, copy_course, kernel, timed, workbook
from workbook.course import Course, read_course
from workbook.snapshot import solved_until

RUNS = 7


@dataclass
class Figure:
    """The seconds of several runs of one thing, and what we want of them.

    Args:
        name: what was measured.
        seconds: one number a run, divided by `parts` where one run does the thing several times.
        target: seconds that the median should not pass; None where there is no target.
    """

    name: str
    seconds: list[float]
    target: float | None = None

    @property
    def median(self) -> float:
        """Give the run in the middle."""
        return statistics.median(self.seconds)

    def row(self) -> str:
        """Give the table's line."""
        low, high = min(self.seconds), max(self.seconds)
        wanted = "" if self.target is None else f"{self.target:6.2f}  {verdict(self.median <= self.target)}"
        return f"{self.name:<44} {self.median:7.3f} {low:7.3f} {high:7.3f}  {wanted}".rstrip()


def verdict(reached: bool) -> str:
    """Say in a word whether a target is reached."""
    return "reached" if reached else "MISSED"


def measure(state: Path, course: Course, exercise: str, runs: int) -> Iterator[Figure]:
    """Measure everything, one figure at a time.

    Args:
        state: a folder with a copy of the course.
        course: the index of its chapters.
        exercise: the exercise that is checked.
        runs: how often each thing is done.
    """
    yield Figure("%load_ext workbook, in a new kernel", [load(state) for _ in range(runs)], 0.30)
    chapter = course.chapter(course.exercises[exercise].chapter)
    with kernel(state) as warm:
        warm.run(LOAD)
        yield Figure(f"%check {exercise}, the first in a kernel", [warm.run(f"%check {exercise}")])
        yield Figure(f"%check {exercise}, warm", repeated(warm, f"%check {exercise}", runs), 0.30)
        yield Figure("%%app main.py, of the finished backend", repeated(warm, rewrite(state), runs), 0.10)
        each = [statistics.median(repeated(warm, f"%check {id}", 1)) for id in course.exercises]
        yield Figure(f"%check, each of {len(each)}, on the finished backend", each)
        for one in course.chapters:
            each = [in_its_place(warm, state, course, found.id) for found in one.exercises]
            yield Figure(f"%check, chapter {one.number}, its {len(each)} in their place", each, 0.30)
        put(state, course, exercise)
        yield Figure(f"%%app main.py, after {exercise}", repeated(warm, rewrite(state), runs), 0.10)
        put(state, course, None)
    cold = cold_pytest(exercise, f"tests/chapters/test_{chapter.name}.py")
    yield Figure(f"cold: python -m pytest, checks of {exercise}", commands(cold, state, runs))
    timed(workbook("build"), state)
    yield Figure("workbook build, nothing changed", commands(workbook("build"), state, runs), 3.0)
    graded = commands(workbook("grade", "solutions"), state, runs)
    each = [seconds / len(course.exercises) for seconds in graded]
    yield Figure(f"workbook grade, each of {len(course.exercises)} exercises", each, 0.30)


def in_its_place(warm: Kernel, state: Path, course: Course, exercise: str) -> float:
    """Check an exercise on the package as it stands right after it, where a learner is; give the median of three."""
    put(state, course, exercise)
    return statistics.median(repeated(warm, f"%check {exercise}", 3))


def put(state: Path, course: Course, exercise: str | None) -> None:
    """Put the package into the copy as it is right after an exercise, or (None) as it is at the end."""
    folder = state / "course" / "solutions"
    shutil.rmtree(folder / "app")
    solved_until(course, exercise).write(folder)


def load(state: Path) -> float:
    """Load the extension in a new kernel."""
    with kernel(state) as fresh:
        return fresh.run(LOAD)


def repeated(warm: Kernel, code: str, runs: int) -> list[float]:
    """Run a cell several times in one kernel, after a first time that does not count."""
    warm.run(code)
    return [warm.run(code) for _ in range(runs)]


def rewrite(state: Path) -> str:
    """Give a cell that writes the app's main module as it is."""
    return "%%app main.py\n" + (state / "course" / "solutions" / "app" / "main.py").read_text(encoding="utf-8")


def commands(command: list[str], state: Path, runs: int) -> list[float]:
    """Run a command several times."""
    return [timed(command, state) for _ in range(runs)]


def show(figures: list[Figure]) -> None:
    """Print the table and the ratio of cold to warm."""
    print(f"\n{'seconds':<44} {'median':>7} {'min':>7} {'max':>7}  target")
    print("\n".join(figure.row() for figure in figures))
    if (ratio := times_faster(figures)) is not None:
        print(f"\na warm check is {ratio:.1f} times faster than a cold pytest (target: 8)  {verdict(ratio >= 8)}")


def load_now() -> float:
    """Give how many programs wanted a core in the last minute, where the system says so."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def times_faster(figures: list[Figure]) -> float | None:
    """Give how many warm checks fit into a cold one."""
    warm = next((figure.median for figure in figures if figure.name.endswith(", warm")), None)
    cold = next((figure.median for figure in figures if figure.name.startswith("cold")), None)
    return cold / warm if warm and cold else None


def as_json(figures: list[Figure], exercise: str, busy: float) -> str:
    """Give the figures and the machine they come from as JSON."""
    machine = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load": busy,
    }
    found = [{**asdict(figure), "median": figure.median} for figure in figures]
    result = {"machine": machine, "exercise": exercise, "figures": found, "times_faster": times_faster(figures)}
    return json.dumps(result, indent=2) + "\n"


def attempt(steps: Iterator[Figure]) -> Iterator[Figure]:
    """Pass figures on as they come; what fails is said and ends the measuring."""
    say: Callable[[str], object] = sys.stderr.write
    try:
        for figure in steps:
            say(f"measured: {figure.name}\n")
            yield figure
    except Failed as error:
        say(f"\nerror: {error}\n")


def main() -> int:
    """Run the benchmark; status 1 only when something did not work at all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each measurement (default %(default)s)")
    parser.add_argument("--exercise", help="the exercise that is checked (default: the last of chapter 2)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    chosen = parser.parse_args()
    busy = load_now()
    course = read_course(ROOT)
    near = course.chapters[min(2, len(course.chapters) - 1)]
    exercise = chosen.exercise or near.exercises[-1].id
    with tempfile.TemporaryDirectory(prefix="workbook-bench-", ignore_cleanup_errors=True) as folder:
        copy_course(Path(folder))
        figures = list(attempt(measure(Path(folder), course, exercise, max(1, chosen.runs))))
    show(figures)
    if busy > 1:
        print(f"\nnote: the machine was busy before the start (load {busy:.1f}): the figures are too high")
    if chosen.json:
        chosen.json.write_text(as_json(figures, exercise, busy), encoding="utf-8")
    return 0 if times_faster(figures) and len(figures) == 7 + len(course.chapters) else 1


if __name__ == "__main__":
    sys.exit(main())
