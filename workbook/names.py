"""What a statement defines, and what it reads when it is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef
Key = tuple[str, str]  # kind and name: ("", "UserCreate"), ("setter", "area"), ("text", "Expr(…")

TYPE_CHECKING: Key = ("block", "TYPE_CHECKING")
MAIN: Key = ("block", "__main__")


def keys(node: ast.stmt) -> frozenset[Key]:
    """Return what a statement defines, by kind and name."""
    if isinstance(node, Function):
        return frozenset({function_key(node)})
    if isinstance(node, ast.ClassDef):
        return frozenset({("", node.name)})
    names = [name for target in targets(node) for name in target_names(target)]
    if names:
        return frozenset(("", name) for name in names)
    if isinstance(node, ast.If) and not node.orelse:
        test = ast.unparse(node.test)
        if test.startswith("__name__ =="):
            return frozenset({MAIN})
        rows = {node.lineno, *(line.lineno for line in node.body if is_import(line))}
        if test.endswith("TYPE_CHECKING") and len(rows) == 1 + len(node.body):
            return frozenset({TYPE_CHECKING})
    return frozenset({("text", ast.dump(node))})


def is_import(node: ast.stmt) -> bool:
    """Tell whether a statement is an import."""
    return isinstance(node, ast.Import | ast.ImportFrom)


def function_key(node: Function) -> Key:
    """Tell a function from others of its name: a setter, an overload, a variant called `_`."""
    if node.name == "_":
        return ast.dump(node.args) + "".join(map(ast.dump, node.decorator_list)), "_"
    for decorator in map(ast.unparse, node.decorator_list):
        if decorator.split(".")[-1] == "overload":
            return "overload", node.name
        if decorator.startswith(f"{node.name}.") and decorator.replace(".", "").isidentifier():
            return decorator.removeprefix(f"{node.name}."), node.name
    return "", node.name


def targets(node: ast.stmt) -> list[ast.expr]:
    """Return what an assignment assigns to."""
    if isinstance(node, ast.Assign):
        return node.targets
    if isinstance(node, ast.AnnAssign):
        return [node.target]
    alias = getattr(ast, "TypeAlias", None)  # Python 3.12
    return [node.name] if alias and isinstance(node, alias) else []


def target_names(target: ast.expr) -> Iterator[str]:
    """Yield the names in a target: `a, (b, *c)` has three; `app.state.x` is one."""
    if isinstance(target, ast.Tuple | ast.List):
        for element in target.elts:
            yield from target_names(element)
    else:
        yield ast.unparse(target.value if isinstance(target, ast.Starred) else target)


def needs(node: ast.AST | None) -> set[str]:
    """Return the names that a statement reads when it is imported."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        return {node.id}
    if node is None or isinstance(node, ast.Lambda):
        return set()
    inner: list[ast.AST] = list(ast.iter_child_nodes(node))
    if isinstance(node, Function):
        inner = [*node.decorator_list, node.args, *([node.returns] if node.returns else [])]
    found = set().union(*map(needs, inner))
    if isinstance(node, ast.ClassDef):
        found -= {name for member in node.body for _, name in keys(member)}
    return found
