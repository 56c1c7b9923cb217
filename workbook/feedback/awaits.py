"""Calls in the text that lack their `await`, that are awaited too late, or that nobody should make yet."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from workbook.feedback.slips import Slip, last
from workbook.merge.names import Function

CALLED_LATER = ("add_task", "run_in_threadpool", "to_thread", "Depends", "run_in_executor")
TAKING = (
    *CALLED_LATER,
    *("AfterValidator", "BeforeValidator", "PlainValidator", "WrapValidator", "PlainSerializer", "WrapSerializer"),
    *("listen", "listens_for", "add_exception_handler", "partial", "map", "filter"),
)
LATER_ARGUMENTS = ("default_factory", "key", "lifespan", "insert_default", "default", "onupdate")
AWAITING = ("gather", "create_task", "wait_for", "shield", "ensure_future", "run", "as_completed", "wait")


def unawaited(name: str, text: str, first: Iterable[ast.stmt] = ()) -> Slip | None:
    """Find the call that lacks its `await`, and say what it needs there; None where the text does not hold it.

    Args:
        name: the coroutine's, as Python's warning names it: `UserCRUD.get`.
        text: the learner's file.
        first: statements in it that are looked at before the others.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    wanted = {one.lineno for one in first}
    found = [one for top in tree.body for one in _calls(top, name.rpartition(".")[2], None, None)]
    inside = [one for one in found if any(_holds(node, one.line) for node in ast.walk(tree) if _starts(node, wanted))]
    return next(iter(inside or found), None)


def _starts(node: ast.AST, lines: set[int]) -> bool:
    return isinstance(node, ast.stmt) and node.lineno in lines


def _holds(node: ast.AST, line: int) -> bool:
    return isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)


def _calls(
    node: ast.AST, name: str, around: ast.FunctionDef | ast.AsyncFunctionDef | None, caller: ast.AST | None
) -> Iterator[Slip]:
    """Yield the calls of a function that nothing awaits, each with what it needs."""
    if isinstance(node, Function):
        around = node
    late = next((slip for called, _taken, slip in late_awaits(node) if called == name), None)
    if late is not None:
        yield late
    elif isinstance(node, ast.Call) and last(node.func) == name and not isinstance(caller, ast.Await):
        given_to = last(caller.func) if isinstance(caller, ast.Call) else ""
        if given_to in CALLED_LATER:
            hint = (
                f"`{given_to}` calls `{name}` itself, later: it takes the function and its arguments, each for itself"
            )
            yield Slip(hint, node.lineno)
        elif isinstance(around, ast.FunctionDef):
            hint = f"`{name}` is `async`, and `{around.name}` is a plain `def`, which cannot await it"
            yield Slip(hint, node.lineno)
        elif given_to not in AWAITING:
            yield Slip(f"`{name}` was called without `await`: put `await` before the call", node.lineno)
    for inner in ast.iter_child_nodes(node) if late is None else ():
        yield from _calls(inner, name, around, node if isinstance(node, ast.Call | ast.Await) else None)


def late_awaits(node: ast.AST) -> Iterator[tuple[str, str, Slip]]:
    """Yield each call from which something is taken before the `await` in front of it waits: its name, what is taken.

    `await run(f)[0]` takes the first entry of a coroutine, and awaits that.
    """
    inner = node.value if isinstance(node, ast.Await) else None
    while inner is not None:
        taken = ""
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
            taken, inner = f".{inner.func.attr}", inner.func.value
        elif isinstance(inner, ast.Attribute):
            taken, inner = f".{inner.attr}", inner.value
        elif isinstance(inner, ast.Subscript):
            taken, inner = "[…]", inner.value
        else:
            return
        if isinstance(inner, ast.Call):
            name = last(inner.func)
            told = f"`{taken}` binds before the `await`: brackets around `await {name}(…)` let it wait first"
            yield name, taken, Slip(told, inner.lineno)


def called_empty(node: ast.AST, name: str) -> bool:
    """Say whether a function is called without arguments where one is wanted that is called later."""
    if isinstance(node, ast.Subscript):
        inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return last(node.value) == "Annotated" and any(_is_empty_call(one, name) for one in inside)
    if not isinstance(node, ast.Call):
        return False
    named = [one.value for one in node.keywords if one.arg in LATER_ARGUMENTS]
    placed = [*node.args, *(one.value for one in node.keywords)] if last(node.func) in TAKING else named
    return any(_is_empty_call(one, name) for one in placed)


def _is_empty_call(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and last(node.func) == name and not node.args and not node.keywords
