"""Slips that raise nothing, seen in the text: a result thrown away, `==` for `=`, an error that is returned."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from workbook.merge.names import Function

# methods that give a new value and leave the old one as it is: of texts, times, schemas and SQL statements
_GIVING = """
strip lstrip rstrip lower upper casefold title capitalize replace removeprefix removesuffix encode decode
split join format astimezone isoformat model_copy model_dump where order_by limit offset options filter
filter_by values returning execution_options distinct group_by with_for_update"""
GIVING = frozenset(_GIVING.split())
STATEMENTS = ("select", "insert", "update", "delete")
ATTRIBUTES = ("setattr", "getattr", "hasattr")
ERROR = re.compile(r"(Error|Exception)$")


@dataclass(frozen=True)
class Slip:
    """A slip: what to look at, and its line in the file."""

    hint: str
    line: int


def slips(nodes: Iterable[ast.stmt], text: str = "") -> Iterator[Slip]:
    """Yield the slips in statements of the learner's.

    Args:
        nodes: the statements.
        text: the file that holds them: its imports and annotations tell what names stand for.
    """
    secrets, errors = _known(text)
    for top in nodes:
        for node in ast.walk(top):
            if isinstance(node, ast.Expr):
                yield from _for_nothing(node, isinstance(top, Function) and top.name.startswith("test"))
            elif isinstance(node, ast.For | ast.AsyncFor):
                yield from _quoted(node)
            elif isinstance(node, Function):
                yield from _shared_default(node)
                yield from _without_result(node)
                yield from _no_f(node)
                yield from _returned_error(node, errors)
            elif isinstance(node, ast.ClassDef):
                yield from _twice(node)
            elif isinstance(node, ast.Compare):
                yield from _is_on_column(node)
                yield from _secret_as_text(node, secrets)


def _for_nothing(node: ast.Expr, in_test: bool) -> Iterator[Slip]:
    """A statement that works something out, and nothing uses it."""
    value = node.value.value if isinstance(node.value, ast.Await) else node.value
    code = _brief(value)
    if isinstance(value, ast.Compare):
        told = (
            "and asserts nothing: a test without `assert` passes always"
            if in_test
            else "and changes nothing: a single `=` sets"
        )
        yield Slip(f"`{code}` compares, {told}", node.lineno)
    elif _is_statement(value) and not isinstance(node.value, ast.Await):
        yield Slip(f"`{code}` makes a statement, and nothing sends it to the database", node.lineno)
    elif isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in GIVING:
        if isinstance(node.value, ast.Await) and hasattr(str, value.func.attr):
            return  # a text's method is not awaited: this one is the package's own, such as `await tokens.replace(…)`
        if not isinstance(value.func.value, ast.Name) or value.func.value.id not in ("self", "cls"):
            text = f"the result of `{code}` is thrown away: it gives a new value, and leaves the old one as it is"
            yield Slip(text, node.lineno)
    elif isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id[:1].isupper():
        yield Slip(f"`{code}` makes an object that nothing uses: is a word missing before it?", node.lineno)


def _is_statement(value: ast.expr) -> bool:
    """Say whether a call makes an SQL statement: `delete(User)`, `table.delete()`."""
    if not isinstance(value, ast.Call):
        return False
    if isinstance(value.func, ast.Name):
        return value.func.id in STATEMENTS and bool(value.args)
    return isinstance(value.func, ast.Attribute) and value.func.attr == "delete" and not value.args


def _quoted(node: ast.For | ast.AsyncFor) -> Iterator[Slip]:
    """The name of a loop's variable in quotes, where the variable itself is meant."""
    names = {one.id for one in ast.walk(node.target) if isinstance(one, ast.Name)}
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ATTRIBUTES:
            second = call.args[1] if len(call.args) > 1 else None
            if isinstance(second, ast.Constant) and second.value in names:
                hint = f"in quotes, `{second.value}` is always the same text: the loop's variable has no quotes"
                yield Slip(hint, call.lineno)


def _shared_default(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Slip]:
    """A default that every call shares."""
    for default in (*node.args.defaults, *(one for one in node.args.kw_defaults if one)):
        if isinstance(default, ast.List | ast.Dict | ast.Set):
            hint = f"the default `{_brief(default)}` is made once, and every call of `{node.name}` gets the same one"
            yield Slip(hint, default.lineno)


def _without_result(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Slip]:
    """A function that says it gives something, and gives nothing."""
    says = ast.unparse(node.returns) if node.returns is not None else "None"
    work = [one for one in node.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
    ends = (ast.Return, ast.Yield, ast.YieldFrom, ast.Raise)
    if work and says not in ("None", "NoReturn", "Never") and not any(isinstance(one, ends) for one in ast.walk(node)):
        word = "yield" if re.match(r"(Async)?(Iterator|Generator|Iterable)\b", says) else "return"
        yield Slip(f"`{node.name}` says that it gives `{says}`, and has no `{word}`", node.lineno)


def _no_f(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Slip]:
    """A text with a name of the function's in braces, and no f before it."""
    arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    known = {one.arg for one in arguments} | {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    inside = {id(part) for one in ast.walk(node) if isinstance(one, ast.JoinedStr) for part in ast.walk(one)}
    formatted = {id(one.value) for one in ast.walk(node) if isinstance(one, ast.Attribute) and one.attr == "format"}
    for one in (inner for statement in node.body for inner in ast.walk(statement)):
        if isinstance(one, ast.Constant) and isinstance(one.value, str) and id(one) not in inside | formatted:
            found = re.search(r"\{(\w+)\}", one.value) if not one.value.startswith("/") else None
            if found and found[1] in known and one.value != ast.get_docstring(node, clean=False):
                yield Slip(f"`{found[0]}` stands in a plain text: only an f-string fills it in", one.lineno)


def _twice(node: ast.ClassDef) -> Iterator[Slip]:
    """A method that takes the place of an earlier one with its name."""
    seen: set[str] = set()
    for one in node.body:
        if isinstance(one, Function):
            decorators = " ".join(map(ast.unparse, one.decorator_list))
            if one.name in seen and not re.search(r"\.(setter|deleter|getter|expression)", decorators):
                yield Slip(f"`{node.name}` has two methods called `{one.name}`: only the last one counts", one.lineno)
            seen |= {one.name} if "overload" not in decorators else set()


def _is_on_column(node: ast.Compare) -> Iterator[Slip]:
    """`Model.column is None`, which Python works out at once."""
    owner = node.left.value if isinstance(node.left, ast.Attribute) else None
    is_class = isinstance(owner, ast.Name) and owner.id[:1].isupper()
    is_model = isinstance(owner, ast.Attribute) and owner.attr == "model"
    if (is_class or is_model) and isinstance(node.ops[0], ast.Is | ast.IsNot):
        hint = f"`{_brief(node)}` is worked out by Python, once, about the column itself: SQL has `is_` and `is_not`"
        yield Slip(hint, node.lineno)


def _known(text: str) -> tuple[set[str], set[str]]:
    """Return the attributes of a file that are annotated as secrets, and the names that it imports as errors."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError):
        return set(), set()
    annotated = [one for one in nodes if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)]
    secrets = {ast.unparse(one.target) for one in annotated if re.search(r"\bSecretStr\b", ast.unparse(one.annotation))}
    imports = [one for one in nodes if isinstance(one, ast.ImportFrom)]
    errors = {
        name.asname or name.name
        for one in imports
        for name in one.names
        if ERROR.search(name.name)
        or (name.name[:1].isupper() and re.search(r"\b(exceptions|errors)$", one.module or ""))
    }
    return secrets, errors


def _returned_error(node: ast.FunctionDef | ast.AsyncFunctionDef, errors: set[str]) -> Iterator[Slip]:
    """An error that is returned by a function which says that it gives something else."""
    says = ast.unparse(node.returns) if node.returns is not None else ""
    returns = [one for one in ast.walk(node) if isinstance(one, ast.Return)]
    for one in returns if says and not re.search(r"Error|Exception", says) else ():
        value = one.value.func if isinstance(one.value, ast.Call) else one.value
        name = last(value) if value is not None else ""
        if name in errors and name not in says:
            yield Slip(f"`return` hands `{name}` on as a value, and nothing stops: an error is raised", one.lineno)


def _secret_as_text(node: ast.Compare, secrets: set[str]) -> Iterator[Slip]:
    """A SecretStr that is compared with a text."""
    sides = [node.left, *node.comparators]
    hidden = next((one for one in sides if isinstance(one, ast.Attribute) and one.attr in secrets), None)
    is_text = any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in sides)
    if hidden is not None and is_text and isinstance(node.ops[0], ast.Eq | ast.NotEq):
        told = f"`{_brief(hidden)}` is a SecretStr, which never equals a text"
        yield Slip(f"{told}: compare what its `get_secret_value()` gives", node.lineno)


def last(node: ast.AST) -> str:
    """Return the last part of a name such as `users.crud.get`, or an empty text."""
    return ast.unparse(node).rpartition(".")[2] if isinstance(node, ast.Name | ast.Attribute) else ""


def _brief(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else f"{text[:59]}…"
