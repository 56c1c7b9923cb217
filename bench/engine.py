"""The ways into the engine that are measured: a real kernel, and the commands as people type them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.manager import start_new_kernel

from workbook.course.index import Course
from workbook.course.snapshot import solved_until

ROOT = Path(__file__).resolve().parent.parent
LOAD = "%load_ext workbook"
MISTAKE = ("db/crud.py", ".offset(", ".offset(1 + ")
QUIET = ["--IPKernelApp.log_level=40"]


class Failed(Exception):
    """What was to be measured did not work, so its time means nothing."""


def environment(state: Path) -> dict[str, str]:
    """Give an environment in which the solved package of a copy is checked and nothing of the checkout is written."""
    own = {"WORKBOOK_ROOT": str(state / "course"), "WORKBOOK_STATE": str(state / "state")}
    own["WORKBOOK_APP"] = str(state / "course" / "solutions" / "app")
    return {**os.environ, **own, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def copy_course(folder: Path) -> None:
    """Copy the checkout without its environment and caches, and what is known of its last build."""
    ignored = shutil.ignore_patterns(".git", ".venv", ".workbook", ".*_cache", ".hypothesis", "__pycache__")
    shutil.copytree(ROOT, folder / "course", ignore=ignored)
    if (ROOT / ".workbook" / "cache").is_dir():
        shutil.copytree(ROOT / ".workbook" / "cache", folder / "state" / "cache")


def timed(command: list[str], state: Path) -> float:
    """Run a command to its end and give the seconds it took."""
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=state / "course", env=environment(state), capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise Failed(f"{' '.join(command[1:])} ended with {done.returncode}\n{(done.stdout + done.stderr)[-1000:]}")
    return seconds


def workbook(*words: str) -> list[str]:
    """Give the command line of a `workbook` command."""
    return [sys.executable, "-m", "workbook.cli", *words]


def cold_pytest(exercise: str, tests: Iterable[str]) -> list[str]:
    """Give the command line that runs an exercise's checks in a fresh pytest."""
    plugins = ["-p", "workbook.checking.plugin", "-p", "no:cacheprovider"]
    return [sys.executable, "-m", "pytest", "-q", *plugins, "--app", "solutions/app", "--exercise", exercise, *tests]


def put(state: Path, course: Course, exercise: str | None, *, mistaken: bool = False) -> None:
    """Put the package into the copy as it is right after an exercise, or (None) as it is at the end.

    Args:
        state: the folder with the copy.
        course: the index.
        exercise: the last one that is solved.
        mistaken: with one mistake in it: every page begins one row too late.

    Raises:
        Failed: there is no place for the mistake any more.
    """
    folder = state / "course" / "solutions"
    shutil.rmtree(folder / "app")
    package = solved_until(course, exercise)
    if mistaken:
        path, right, wrong = MISTAKE
        if right not in package.files[path]:
            raise Failed(f"app/{path} holds no {right!r}")
        package.files[path] = package.files[path].replace(right, wrong, 1)
    package.write(folder)


class Kernel:
    """A notebook's kernel, driven as JupyterLab drives it.

    `last` is how long the newest cell took; `process` is the number of the kernel's process.
    """

    def __init__(self, client: Any, process: int) -> None:
        self._client, self.process, self.last = client, process, 0.0

    def run(self, code: str, hook: Callable[[Any], None] = lambda _: None) -> float:
        """Run a cell and give the seconds until its reply.

        Args:
            code: the cell.
            hook: told each message that the cell sends meanwhile.

        Raises:
            Failed: the cell raised.
        """
        began = time.perf_counter()
        reply = self._client.execute_interactive(code, timeout=120, output_hook=hook)
        seconds = self.last = time.perf_counter() - began
        if reply["content"]["status"] != "ok":
            raise Failed(f"{code.splitlines()[0]}: {reply['content'].get('evalue')}")
        return seconds


def first_line(running: Kernel, code: str) -> float:
    """Run a cell; give the seconds until it shows something for the first time."""
    began, shown = time.perf_counter(), list[float]()
    running.run(code, lambda _message: shown.append(time.perf_counter() - began))
    return shown[0] if shown else running.last


def memory(process: int) -> float:
    """Give the megabytes of a process and all that it started; what they share counts once (PSS, Linux)."""
    found = psutil.Process(process)
    return float(sum(one.memory_full_info().pss for one in [found, *found.children(recursive=True)])) / 1e6


@contextmanager
def kernel(state: Path) -> Iterator[Kernel]:
    """Start a kernel in the folder of the notebooks; it ends with the block."""
    folder = state / "course" / "notebooks"
    manager, client = start_new_kernel(
        startup_timeout=60, kernel_name="python3", cwd=str(folder), env=environment(state), extra_arguments=QUIET
    )
    try:
        yield Kernel(client, int(getattr(manager.provisioner, "pid", 0)))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
