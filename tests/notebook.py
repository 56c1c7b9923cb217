"""An open notebook in a real kernel: what a learner types, and what is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient


class Notebook:
    """One open notebook: a call executes a cell and gives what it shows as text.

    Args:
        folder: where the notebook lies.
        seconds: that one cell may take on a busy machine.
    """

    def __init__(self, folder: Path, seconds: int = 300) -> None:
        self._made: Any = nbformat.v4.new_notebook()
        resources = {"metadata": {"path": str(folder)}}
        quiet = ["--IPKernelApp.log_level=40"]
        self.client = NotebookClient(self._made, timeout=seconds, resources=resources, extra_arguments=quiet)
        self.client.allow_errors = True

    def __call__(self, source: str) -> str:
        self._made.cells.append(nbformat.v4.new_code_cell(source))
        index = len(self._made.cells) - 1
        self.client.execute_cell(self._made.cells[index], index)
        return "\n".join(map(self._text, self._made.cells[index].outputs))

    @staticmethod
    def _text(output: Any) -> str:
        if output.output_type == "stream":
            return str(output.text)
        if output.output_type == "error":
            return "ERROR " + "\n".join(output.traceback)
        assert output.output_type != "display_data" or "text/html" in output.data
        return str(output.data.get("text/plain", ""))
