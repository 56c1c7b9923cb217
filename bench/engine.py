"""The ways into the engine that are measured: a real kernel, and the commands as people type them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.manager import start_new_kernel

ROOT = Path(__file__).resolve().parent.parent
LOAD = "%load_ext workbook"
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


def cold_pytest(exercise: str, tests: str) -> list[str]:
    """Give the command line that runs an exercise's checks in a fresh pytest."""
    plugins = ["-p", "workbook.checks", "-p", "no:cacheprovider"]
    return [sys.executable, "-m", "pytest", "-q", *plugins, "--app", "solutions/app", "--exercise", exercise, tests]


class Kernel:
    """A notebook's kernel, driven as JupyterLab drives it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(self, code: str) -> float:
        """Run a cell and give the seconds until its reply.

        Raises:
            Failed: the cell raised.
        """
        began = time.perf_counter()
        reply = self._client.execute_interactive(code, timeout=120, output_hook=lambda _: None)
        seconds = time.perf_counter() - began
        if reply["content"]["status"] != "ok":
            raise Failed(f"{code.splitlines()[0]}: {reply['content'].get('evalue')}")
        return seconds


@contextmanager
def kernel(state: Path) -> Iterator[Kernel]:
    """Start a kernel in the folder of the notebooks; it ends with the block."""
    folder = state / "course" / "notebooks"
    manager, client = start_new_kernel(
        startup_timeout=60, kernel_name="python3", cwd=str(folder), env=environment(state), extra_arguments=QUIET
    )
    try:
        yield Kernel(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
