"""What holds for every test: the working tree is as clean after the run as before it."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.pythons import pythons

ROOT = Path(__file__).resolve().parent.parent
TREE = pytest.StashKey[frozenset[str]]()


def working_tree() -> frozenset[str]:
    """Give a line for each file that differs from the last commit, with the time and size of its last change."""
    command = ["git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=all", "-z", "--no-renames"]
    try:
        # names are bytes: one that is no UTF-8 must not stop the tests
        entries = os.fsdecode(subprocess.run(command, capture_output=True, check=True).stdout).split("\0")
    except (OSError, subprocess.CalledProcessError):
        return frozenset()  # an archive without git has nothing to compare
    return frozenset(ascii(f"{entry} {_stamp(ROOT / entry[3:])}")[1:-1] for entry in entries if entry)


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "gone"
    return f"({found.st_size} bytes at {found.st_mtime_ns})"


def pytest_report_header() -> str:
    """Say which Python this run tests, and which others of this machine it does not: the installer's tests use all."""
    here, *others = pythons().values()
    rest = f"; also here, for `make pythons`: {', '.join(others)}" if others else "; no other supported Python is here"
    return f"course tested on Python {here}{rest}"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember the working tree; in a run on several workers, only the first process does."""
    if not hasattr(session.config, "workerinput") and os.environ.get("WORKBOOK_TREE_GUARD") != "off":
        session.config.stash[TREE] = working_tree()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a test wrote into the working tree."""
    before = session.config.stash.get(TREE, None)
    if before is None:
        return
    changed = sorted(working_tree() ^ before)
    if not changed:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter:
        reporter.write_line("\nerror: the tests changed the working tree (git status):", red=True)
        for line in changed:
            reporter.write_line(f"  {line}")
        reporter.write_line("\nhint: write to tmp_path; while you edit during a run, set WORKBOOK_TREE_GUARD=off")
    session.exitstatus = pytest.ExitCode.TESTS_FAILED
