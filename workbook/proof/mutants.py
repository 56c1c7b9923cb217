"""Small faults put into a solution by mutmut's operators: what a good check must notice."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
from mutmut.mutation.mutators import mutation_operators

from workbook.course.chapter import BEGIN, END, STUB


@dataclass(frozen=True)
class Mutant:
    """A solution with one fault.

    `what` says it as `old line -> new line`; `code` is the whole cell below its `%%app` line.
    """

    what: str
    code: str


def mutants(body: str) -> list[Mutant]:
    """Return the mutants of a cell's solution blocks, without repetition.

    Args:
        body: the cell's code with its markers.
    """
    code, lines = _solution_lines(body)
    wrapper = MetadataWrapper(cst.parse_module(code))
    positions, parents = wrapper.resolve(PositionProvider), wrapper.resolve(ParentNodeProvider)
    found: dict[str, Mutant] = {}
    for node, place in positions.items():
        if place.start.line in lines and not _is_type(node, parents):
            for changed in _changed(wrapper.module, node):
                if changed != code and changed not in found and _compiles(changed):
                    found[changed] = Mutant(_what(code, changed), changed)
    return list(found.values())


def _solution_lines(body: str) -> tuple[str, set[int]]:
    """Return the solved code, and the numbers of its lines that lay in a solution block."""
    out: list[str] = []
    inside: set[int] = set()
    state = ""
    for line in body.split("\n"):
        marker = line.strip()
        if marker in (BEGIN, STUB, END):
            state = marker
        elif state != STUB:
            out.append(line)
            if state == BEGIN:
                inside.add(len(out))
    return "\n".join(out).rstrip("\n") + "\n", inside


def _is_type(node: cst.CSTNode, parents: object) -> bool:
    """Say whether a node is part of a type rather than of behaviour: a string or None in an annotation."""
    current: cst.CSTNode | None = node
    while current is not None:
        if isinstance(current, cst.Call):
            return False
        if isinstance(current, cst.Annotation):
            return True
        current = parents.get(current)  # type: ignore[attr-defined]
    return False


def _changed(module: cst.Module, node: cst.CSTNode) -> Iterator[str]:
    for kind, operator in mutation_operators:
        if isinstance(node, kind):
            for new in operator(node):
                replaced = module.deep_replace(node, new)
                if isinstance(replaced, cst.Module):
                    yield replaced.code


def _compiles(code: str) -> bool:
    try:
        compile(code, "mutant", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def _what(before: str, after: str) -> str:
    lines = list(difflib.ndiff(before.split("\n"), after.split("\n")))
    old = [line[2:].strip() for line in lines if line.startswith("- ")]
    new = [line[2:].strip() for line in lines if line.startswith("+ ")]
    return f"{' '.join(old)} -> {' '.join(new)}"
