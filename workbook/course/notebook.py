"""A chapter made into a notebook, the learner's or the solved one; check cells are locked."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import nbformat

from workbook.base.tree import content
from workbook.course import release
from workbook.course.chapter import Cell, Chapter

METADATA: dict[str, Any] = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
        "version": "3.11.0",
    },
}


CONFLICT = re.compile(r"^(<{7}|>{7})( |$)", re.MULTILINE)


def notebook(chapter: Chapter, *, with_solutions: bool) -> Any:
    """Return the chapter as a notebook without outputs; cell ids depend on the source alone."""
    cells = [_node(chapter, index, cell, with_solutions) for index, cell in enumerate(chapter.cells)]
    made: Any = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    made["nbformat_minor"] = 5
    if not with_solutions:
        made["metadata"] = {**METADATA, "workbook": {"built": _digest(made)}}
    return made


def is_untouched(path: Path) -> bool:
    """Say whether a notebook is as it was built: nobody has edited or run it since."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        ran = any(cell.get("outputs") for cell in found["cells"])
        return not ran and found["metadata"]["workbook"]["built"] == _digest(found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def fault(path: Path) -> str:
    """Say why a file cannot be read as a notebook; empty where it can."""
    data = content(path)
    if data is None:
        return "it cannot be read"
    if data.startswith(b"\xef\xbb\xbf"):
        return "it begins with a byte order mark, which Jupyter does not read: save it as UTF-8 without one"
    try:
        cells = json.loads(data)["cells"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        line = conflict(data)
        return f"it holds the conflict markers of a merge (line {line})" if line else f"it is no notebook: {error!r}"
    return "" if isinstance(cells, list) else "it is no notebook: it has no cells"


def conflict(data: bytes) -> int:
    """Return the line of the first conflict marker of a merge; 0 where there is none."""
    match = CONFLICT.search(data.decode("utf-8", "replace"))
    return match.string.count("\n", 0, match.start()) + 1 if match else 0


def _digest(made: Any) -> str:
    """Return a digest of the cells' kinds and sources; a source is a string or, in a file, a list of lines."""
    cells = [[cell["cell_type"], "".join(cell["source"])] for cell in made["cells"]]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:16]


def _node(chapter: Chapter, index: int, cell: Cell, with_solutions: bool) -> Any:
    new: Any = nbformat.v4.new_markdown_cell if cell.kind == "markdown" else nbformat.v4.new_code_cell
    source = release.solved_source(cell) if with_solutions else release.learner_source(cell)
    node = new(source=source, id=_cell_id(chapter, index))
    if cell.source.startswith("%check"):
        node.metadata.update(editable=False, deletable=False)
    return node


def _cell_id(chapter: Chapter, index: int) -> str:
    return hashlib.sha256(f"{chapter.name}/{index}".encode()).hexdigest()[:8]
