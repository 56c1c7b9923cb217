"""The engine of the workbook: chapters, checks, feedback, grading. `%load_ext workbook` starts it in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__version__ = "0.1.0"


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics in a notebook: what `%load_ext workbook` calls."""
    from workbook.front.magics import load

    load(shell)
