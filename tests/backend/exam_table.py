"""Which criteria of the exam find which broken backend, as a table: `python -m tests.backend.exam_table [TEXT]`.

Each variant whose name has the text is asked everything, two at a time. Status 1 when one passes what should find it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from tests.backend.conftest import APP_DIR
from tests.backend.exam_variants import VARIANTS, Variant
from tests.backend.serving import examine, served
from tests.backend.support import SECRET_KEY
from workbook.exam import run
from workbook.practice.sabotage import copy

AT_ONCE = 2


def found(variant: Variant) -> tuple[list[str], list[str]]:
    """Return the names of the criteria that fail, and of those that cannot be asked."""
    with tempfile.TemporaryDirectory(prefix="workbook-exam-") as name:
        folder = copy(APP_DIR / "app", Path(name), variant.edits)
        os.chdir(folder)  # whatever is written is written here
        settings: dict[str, Any] = {"database_url": f"sqlite+aiosqlite:///{name}/exam.db", "log_level": "CRITICAL"}
        settings |= variant.settings
        with served(folder, settings, variant.rounds) as url:
            key = str(settings.get("secret_key", SECRET_KEY))
            report = examine(url, secret_key=key)
        os.chdir(APP_DIR)
    return [one.criterion.name for one in report.of(run.FAILED)], [one.criterion.name for one in report.of(run.UNASKED)]


def main() -> int:
    """Print the table."""
    chosen = [variant for variant in VARIANTS if all(part in variant.name for part in sys.argv[1:])]
    wrong = []
    print("| broken backend | found by | fails, too | cannot be asked |\n|---|---|---|---|")
    with ProcessPoolExecutor(AT_ONCE) as processes:
        for variant, (failed, unasked) in zip(chosen, processes.map(found, chosen), strict=True):
            cells = [sorted(variant.fails), sorted(set(failed) - variant.fails), unasked]
            print("|", variant.name, "|", " | ".join(", ".join(names) for names in cells), "|", flush=True)
            wrong += [f"{variant.name}: {name} passes" for name in sorted(variant.fails - set(failed))]
    print("\n".join(["", f"{len(chosen)} variants", *wrong]))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
