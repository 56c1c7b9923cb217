"""Grading as an instructor meets it: one submission exercise by exercise, and a whole class."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.engine import ROOT, Failed
from bench.figure import Figure
from workbook.course.index import Course
from workbook.course.snapshot import solved_until
from workbook.grading.grade import grade
from workbook.running import pool


def class_of(number: int, course: Course) -> Iterator[Figure]:
    """Grade the solutions, every exercise; then so many submissions of five exercises each."""
    five = list(course.chapter(5).exercises)[:5]
    with tempfile.TemporaryDirectory(prefix="workbook-bench-", ignore_cleanup_errors=True) as name:
        folders = [Path(name) / f"learner{each:02d}" for each in range(number)]
        for folder in folders:
            solved_until(course, five[-1].id).write(folder)
        with pool.opened(ROOT) as workers:
            everything = list(course.exercises.values())
            began = time.perf_counter()
            reports, _ = grade(course, workers, ROOT / "solutions", everything)
            if not all(one.passed for one in reports):
                raise Failed("the solutions do not pass")
            each = (time.perf_counter() - began) / len(everything)
            yield Figure(f"grading, each of {len(everything)} exercises of one submission", [each], target=0.15)
            began = time.perf_counter()
            for folder in folders:
                grade(course, workers, folder, five)
            seconds = time.perf_counter() - began
    yield Figure(f"grading, a class of {number}, five exercises each", [seconds])
