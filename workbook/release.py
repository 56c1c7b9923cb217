"""A chapter made into the learner's notebook: solutions become stubs, outputs go, check cells are locked."""

from __future__ import annotations

import ast
import hashlib
from typing import Any

import nbformat

from workbook.chapter import BEGIN, END, STUB, Cell, Chapter

YOUR_CODE = "# YOUR CODE HERE"
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


def stub(code: str, exercise: str) -> str:
    """Return code with each solution block replaced by the learner's stub.

    In a function the stub raises NotImplementedError with the exercise's name; elsewhere it is `...`; the lines
    below `### STUB`, uncommented, where there are any.
    """
    lines = code.split("\n")
    out: list[str] = []
    index = 0
    while index < len(lines):
        if lines[index].strip() != BEGIN:
            out.append(lines[index])
            index += 1
            continue
        end = next(i for i in range(index, len(lines)) if lines[i].strip() == END)
        block = lines[index + 1 : end]
        out += _hole(lines, index, block, exercise)
        index = end + 1
    return "\n".join(out)


def _hole(lines: list[str], index: int, block: list[str], exercise: str) -> list[str]:
    indent = lines[index][: len(lines[index]) - len(lines[index].lstrip())]
    marks = [number for number, line in enumerate(block) if line.strip() == STUB]
    if marks:
        return [_uncomment(line) for line in block[marks[0] + 1 :]]
    call = f'raise NotImplementedError("exercise {exercise}")'
    return [indent + YOUR_CODE, indent + (call if _in_function(lines, index, indent) else "...")]


def _uncomment(line: str) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    return (indent + line.lstrip().removeprefix("#").removeprefix(" ")).rstrip()


def _in_function(lines: list[str], index: int, indent: str) -> bool:
    """Say whether the innermost block around the hole is a function's."""
    width = len(indent)
    for line in reversed(lines[:index]):
        text = line.lstrip()
        if text and not text.startswith(("#", ")", '"')) and len(line) - len(text) < width:
            if text.startswith(("def ", "async def ")):
                return True
            if text.startswith("class "):
                return False
            width = len(line) - len(text)
    return False


def solved(code: str) -> str:
    """Return code as the solution: without the markers and without the stub's lines."""
    out: list[str] = []
    skipping = False
    for line in code.split("\n"):
        marker = line.strip()
        skipping = marker == STUB or (skipping and marker != END)
        if not skipping and marker not in (BEGIN, END):
            out.append(line)
    return "\n".join(out)


def magic_line(cell: Cell) -> str:
    """Return the `%%app` line with the exercise's name, by which a re-run finds its earlier text."""
    named = f" --exercise {cell.exercise}" if cell.exercise and "--exercise" not in cell.argument else ""
    return f"{cell.magic}{named}"


def learner_source(cell: Cell) -> str:
    """Return a cell as the learner gets it."""
    if cell.magic is None:
        return cell.source
    code = stub(cell.body, cell.exercise) if cell.exercise else cell.body
    return f"{magic_line(cell)}\n{code}"


def solved_source(cell: Cell) -> str:
    """Return a cell as the solved notebook has it."""
    return cell.source if cell.magic is None else f"{magic_line(cell)}\n{solved(cell.body)}"


def notebook(chapter: Chapter, *, with_solutions: bool) -> nbformat.NotebookNode:
    """Return the chapter as a notebook without outputs; cell ids depend on the source alone."""
    cells = [_node(chapter, index, cell, with_solutions) for index, cell in enumerate(chapter.cells)]
    made = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    made["nbformat_minor"] = 5
    return made


def _node(chapter: Chapter, index: int, cell: Cell, with_solutions: bool) -> nbformat.NotebookNode:
    new = nbformat.v4.new_markdown_cell if cell.kind == "markdown" else nbformat.v4.new_code_cell
    source = solved_source(cell) if with_solutions else learner_source(cell)
    node = new(source=source, id=_cell_id(chapter, index))
    if cell.source.startswith("%check"):
        node.metadata.update(editable=False, deletable=False)
    return node


def _cell_id(chapter: Chapter, index: int) -> str:
    return hashlib.sha256(f"{chapter.name}/{index}".encode()).hexdigest()[:8]


def parses(code: str) -> bool:
    """Say whether a stub or solution is valid Python."""
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True
