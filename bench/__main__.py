"""Measure what people wait for, print a table beside that of the last run, write JSON. It never fails on time."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from bench import backend
from bench.class_of import class_of
from bench.engine import (
    LOAD,
    ROOT,
    Failed,
    Kernel,
    cold_pytest,
    copy_course,
    first_line,
    kernel,
    memory,
    put,
    timed,
    workbook,
)
from bench.figure import Figure, Table
from workbook.course.index import Course, read_course
from workbook.running.job import check_files

RUNS = 5
HEAVY = (11, 15)  # chapters whose checks run whole suites of tests
LAST = ROOT / ".workbook" / "bench.json"


def measure(state: Path, course: Course, exercise: str, runs: int) -> Iterator[Figure]:
    """Measure everything, one figure at a time.

    Args:
        state: a folder with a copy of the course.
        course: the index of its chapters.
        exercise: the exercise that is checked where one is enough.
        runs: how often a thing is done.
    """
    chapter = course.chapter(course.exercises[exercise].chapter)
    put(state, course, exercise)
    loads, firsts, used = zip(*(first_visit(state, exercise) for _ in range(3)), strict=True)
    yield Figure("%load_ext workbook, in a new kernel", list(loads), target=0.30)
    yield Figure(f"%check {exercise}, at once in a new kernel", list(firsts), target=1.0)
    yield Figure("memory of a kernel and its worker", list(used), "MB", target=250)
    with kernel(state) as warm:
        warm.run(LOAD)
        yield Figure(f"%check {exercise}, again", repeated(warm, f"%check {exercise} --anew", runs), target=0.30)
        yield Figure(f"%check {exercise}, nothing changed", repeated(warm, f"%check {exercise}", runs))
        for one in course.chapters:
            in_its_place(warm, state, course, one.exercises[0].id)  # its checks are collected then
            each = {found.id: in_its_place(warm, state, course, found.id) for found in one.exercises}
            middle, most = (1.0, 2.0) if one.number in HEAVY else (0.30, 0.60)
            slowest = max(each, key=lambda id: each[id])
            name = f"%check, chapter {one.number:02d}, its {len(each)} in their place"
            yield Figure(name, [*each.values()], target=middle, most=most, slowest=slowest)
        put(state, course, None)
        yield Figure("%%app main.py, of the finished backend", repeated(warm, rewrite(state), runs), target=0.10)
    yield from catching_up(state, course)
    put(state, course, None)
    checks = check_files(ROOT, [chapter.number])
    cold = cold_pytest(exercise, (path.relative_to(ROOT).as_posix() for path in checks))
    yield Figure(f"cold: python -m pytest, checks of {exercise}", commands(cold, state, 3))
    timed(workbook("build"), state)
    yield Figure("workbook build, nothing changed", commands(workbook("build"), state, 3), target=3.0)
    yield from class_of(30, course)
    yield from backend.measure()


def first_visit(state: Path, exercise: str) -> tuple[float, float, float]:
    """Start a kernel, load the extension, check at once; return the seconds of both, and the megabytes at the end."""
    with kernel(state) as fresh:
        loaded, checked = fresh.run(LOAD), fresh.run(f"%check {exercise}")
        time.sleep(4)  # until the worker has imported all that later checks need
        return loaded, checked, memory(fresh.process)


def in_its_place(warm: Kernel, state: Path, course: Course, exercise: str) -> float:
    """Check an exercise on the package as it stands right after it, where a learner is."""
    put(state, course, exercise)
    return warm.run(f"%check {exercise} --anew")


def catching_up(state: Path, course: Course) -> Iterator[Figure]:
    """Measure `%catchup 5` of somebody with chapter 4 solved in their own words and one mistake."""
    until = course.chapter(4).exercises[-1].id
    seconds, first = [], []
    for _ in range(3):
        put(state, course, until, mistaken=True)
        with kernel(state) as fresh:
            fresh.run(LOAD)
            first.append(first_line(fresh, "%catchup 5"))
            seconds.append(fresh.last)
    yield Figure("%catchup 5, with one fault", seconds, target=5.0)
    yield Figure("%catchup 5, until it says how far it is", first, target=1.0)


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


def times_faster(table: Table) -> float | None:
    """Give how many warm checks fit into a cold one."""
    warm, cold = table.find(", again"), table.find("cold: ")
    return cold.median / warm.median if warm and cold else None


def load_now() -> float:
    """Give how many programs wanted a core in the last minute, where the system says so."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def as_json(table: Table, exercise: str, busy: float) -> str:
    """Give the figures and the machine they come from as JSON."""
    machine = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load": busy,
    }
    found = [{**asdict(one), "median": one.median, "reached": one.reached} for one in table.figures]
    result = {"machine": machine, "exercise": exercise, "figures": found, "times_faster": times_faster(table)}
    return json.dumps(result, indent=2) + "\n"


def medians(path: Path) -> dict[str, float]:
    """Read the medians of an earlier run; none where there is none."""
    try:
        return {one["name"]: one["median"] for one in json.loads(path.read_text(encoding="utf-8"))["figures"]}
    except (OSError, ValueError, KeyError):
        return {}


def attempt(steps: Iterator[Figure]) -> Iterator[Figure]:
    """Pass figures on as they come; what fails is said and ends the measuring."""
    say: Callable[[str], object] = sys.stderr.write
    began = time.monotonic()
    try:
        for figure in steps:
            say(f"{time.monotonic() - began:5.0f} s  measured: {figure.name}\n")
            yield figure
    except Failed as error:
        say(f"\nerror: {error}\n")


def main() -> int:
    """Run the benchmark; status 1 only when something did not work at all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each measurement (default %(default)s)")
    parser.add_argument("--exercise", help="the exercise that is checked (default: the last of chapter 2)")
    parser.add_argument("--json", type=Path, default=LAST, help="where the figures go (default: %(default)s)")
    parser.add_argument("--before", type=Path, help="figures to compare with (default: those of the last run)")
    chosen = parser.parse_args()
    busy, began = load_now(), time.monotonic()
    course = read_course(ROOT)
    near = course.chapters[min(2, len(course.chapters) - 1)]
    exercise = chosen.exercise or near.exercises[-1].id
    table = Table(before=medians(chosen.before or chosen.json))
    with tempfile.TemporaryDirectory(prefix="workbook-bench-", ignore_cleanup_errors=True) as folder:
        copy_course(Path(folder))
        table.figures += attempt(measure(Path(folder), course, exercise, max(1, chosen.runs)))
    print(f"\n{table.text()}")
    ratio = times_faster(table)
    if ratio is not None:
        print(f"\na warm check is {ratio:.1f} times faster than a cold pytest (target: 8)")
    print(f"measured in {time.monotonic() - began:.0f} s")
    if busy > 1:
        print(f"note: the machine was busy before the start (load {busy:.1f}): the figures are too high")
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(as_json(table, exercise, busy), encoding="utf-8")
    return 0 if ratio and table.find("backend / bare") else 1


if __name__ == "__main__":
    sys.exit(main())
