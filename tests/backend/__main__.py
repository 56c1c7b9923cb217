"""The backend's tests on both databases, and the floors of their coverage: `python -m tests.backend [PYTEST_ARGS]`.

The first run is on in-memory SQLite and measures which lines and branches of `app` the tests reach; the second has
those that ask the database, on a real PostgreSQL. Nothing is written into the working tree.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from coverage import Coverage

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LINES, BRANCHES = 95.0, 90.0


def run(database: str, *options: str, **environment: str) -> int:
    """Run the tests on "sqlite" or "postgres"; return pytest's status."""
    print(f"\n== tests/backend on {database}", flush=True)
    command = [sys.executable, "-m", "pytest", "tests/backend", "--numprocesses", "auto", "-q", *options]
    wanted = {**os.environ, "BACKEND_DATABASE": database, **environment}
    return subprocess.run(command, cwd=ROOT, env=wanted, check=False).returncode


def totals(data: Path) -> dict[str, int]:
    """Return the counts of statements and branches, after printing a table of the files that are not whole."""
    measured = Coverage(data_file=data, config_file=HERE / "coveragerc")
    measured.load()
    measured.report(show_missing=True, skip_covered=True, file=sys.stdout)
    measured.json_report(outfile=str(data.with_suffix(".json")))
    found: dict[str, int] = json.loads(data.with_suffix(".json").read_text(encoding="utf-8"))["totals"]
    return found


def main() -> int:
    """Run both; status 1 when a test fails or a floor is not reached."""
    with tempfile.TemporaryDirectory(prefix="workbook-coverage-", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        measuring = ["--cov", f"--cov-config={HERE / 'coveragerc'}", "--cov-report="]
        failed = run("sqlite", *measuring, *sys.argv[1:], COVERAGE_FILE=str(data)) != 0
        found = totals(data)
    lines = 100 * found["covered_lines"] / found["num_statements"]
    branches = 100 * found["covered_branches"] / max(1, found["num_branches"])
    print(f"lines: {lines:.1f} % of {found['num_statements']} (floor {LINES:.0f})", end=", ")
    print(f"branches: {branches:.1f} % of {found['num_branches']} (floor {BRANCHES:.0f})")
    failed |= lines < LINES or branches < BRANCHES
    failed |= run("postgres", *sys.argv[1:]) != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
