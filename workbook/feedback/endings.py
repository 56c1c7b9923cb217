"""How a function ends: on each way with a result, or on some way without one."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Sequence

from workbook.merge.names import Function


def why_none(function: Callable[..., object], wanted: str) -> str:
    """Say why a function gave None: a way through it has no `return`, or one of them gives None.

    Args:
        function: the learner's function.
        wanted: what it was to return, as "the pair".
    """
    name = getattr(function, "__name__", "the function")
    if falls_off(function):
        return f"`{name}` ends without a `return`: return {wanted}"
    return f"`{name}` returned None here, and {wanted} was wanted: which of its `return` lines does that in this case?"


def falls_off(function: Callable[..., object]) -> bool:
    """Say whether a way through a function comes to its end without a `return`; where nobody knows, it does not."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (TypeError, OSError, SyntaxError, ValueError):
        return False
    return bool(tree.body) and isinstance(tree.body[0], Function) and not _leaves(tree.body[0].body)


def _leaves(body: Sequence[ast.stmt]) -> bool:
    """Say whether each way through statements leaves the function by `return` or `raise`."""
    return any(_leaves_by(one) for one in body)


def _leaves_by(node: ast.stmt) -> bool:
    if isinstance(node, ast.Return | ast.Raise):
        return True
    if isinstance(node, ast.If):
        return _leaves(node.body) and _leaves(node.orelse)
    if isinstance(node, ast.With | ast.AsyncWith):
        return _leaves(node.body)
    if isinstance(node, ast.Try | ast.TryStar):
        tried = _leaves(node.body) or _leaves(node.orelse)
        return _leaves(node.finalbody) or (tried and all(_leaves(one.body) for one in node.handlers))
    if isinstance(node, ast.Match):
        last = node.cases[-1]
        all_cases = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None and last.guard is None
        return all_cases and all(_leaves(one.body) for one in node.cases)
    if isinstance(node, ast.While):
        is_endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
        return is_endless and not any(isinstance(one, ast.Break) for one in ast.walk(node))
    return False
