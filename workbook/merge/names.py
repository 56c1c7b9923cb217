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


def needs(node: ast.AST | None, *, lazy: bool = False) -> set[str]:
    """Return the names that a statement reads when it is imported.

    Args:
        node: The statement, or a part of one.
        lazy: Whether annotations are left unread, as below `from __future__ import annotations`.
    """
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        return {node.id}
    found: set[str] = set()
    for inner in evaluated(node, lazy=lazy):
        found |= needs(inner, lazy=lazy)
    return found - own_names(node)


def evaluated(node: ast.AST | None, *, lazy: bool = False) -> list[ast.AST]:
    """Return the parts of a node that are evaluated with it: of a function its decorators, defaults and annotations."""
    if node is None or (lazy and isinstance(node, ast.arg)):
        return []
    if isinstance(node, ast.Lambda):
        return [value for value in (*node.args.defaults, *node.args.kw_defaults) if value]
    if isinstance(node, Function):
        return [*node.decorator_list, node.args, *([node.returns] if node.returns and not lazy else [])]
    if isinstance(node, ast.AnnAssign) and lazy:
        return [node.target, *([node.value] if node.value else [])]
    return list(ast.iter_child_nodes(node))


def own_names(node: ast.AST | None) -> set[str]:
    """Return the names that mean something of a node's own in it: a class's members, a comprehension's variables."""
    found = {parameter.name for parameter in getattr(node, "type_params", [])}  # Python 3.12
    if isinstance(node, ast.ClassDef):
        found |= {name for member in node.body for _, name in keys(member)}
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        found |= {name for part in node.generators for name in bound(part.target)}
    return found


def bound(node: ast.AST | None) -> set[str]:
    """Return the names that a statement binds in the body that it stands in, also inside `if`, `try` and `with`."""
    if node is None or isinstance(node, ast.Lambda):
        return set()
    if isinstance(node, Function | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Store) else set()
    return set().union(*map(bound, ast.iter_child_nodes(node)))


def called(node: ast.AST | None) -> set[str]:
    """Return the names that a statement calls when it is imported, those of its decorators included."""
    found = {one.id for one in getattr(node, "decorator_list", []) if isinstance(one, ast.Name)}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        found.add(node.func.id)
    return found.union(*map(called, evaluated(node)))


def runs_through(function: Function) -> set[str]:
    """Return the names of the module that a call of a function reads; none of one that is started, but not run."""
    if isinstance(function, ast.AsyncFunctionDef) or any(is_yield(statement) for statement in function.body):
        return set()
    parameters = {one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)}
    return set().union(*map(needs, function.body)) - parameters.union(*map(bound, function.body))


def is_yield(node: ast.AST) -> bool:
    """Tell whether a statement of a function makes a generator of it."""
    if isinstance(node, Function | ast.Lambda | ast.ClassDef):
        return False
    return isinstance(node, ast.Yield | ast.YieldFrom) or any(map(is_yield, ast.iter_child_nodes(node)))
