"""A cell as the learner gets it, with a stub, and as it is solved."""

from __future__ import annotations

from workbook.course.chapter import BEGIN, END, STUB, Cell

YOUR_CODE = "# YOUR CODE HERE"


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
