"""`python -m workbook.install`: install the course's packages; no package is needed for that."""

from __future__ import annotations

import sys

from workbook.install.installer import main

sys.exit(main())
