"""`python -m workbook.cli`: the command line, where the `workbook` script is not at hand."""

from __future__ import annotations

import os

from workbook.cli.main import main

os.environ.setdefault("PYTHONUTF8", "1")
main()
