"""The text around the learner's line: its function, that function's parameters, and the package's other ones."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from workbook.feedback.clues import Scene
from workbook.feedback.rules import IMPORTS, MODULES
from workbook.merge.names import Function

AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef


def around(scene: Scene) -> AnyFunction | None:
    """Return the innermost function that holds the learner's line."""
    try:
        tree = ast.parse(text_of(scene.file))
    except (SyntaxError, ValueError):
        return None
    found = [one for one in ast.walk(tree) if isinstance(one, Function) and _is_inside(one, scene.number)]
    return max(found, key=lambda one: one.lineno, default=None)


def _is_inside(function: AnyFunction, line: int) -> bool:
    return function.body[0].lineno <= line <= (function.end_lineno or 0)


def text_of(file: str) -> str:
    """Return the text of a file; an empty one where it cannot be read."""
    try:
        return Path(file).read_text(encoding="utf-8") if file else ""
    except (OSError, ValueError):
        return ""


def nodes(scene: Scene, kind: type | object) -> Iterator[ast.AST]:
    """Yield the expressions of a kind that the learner's line is a part of."""
    try:
        tree = ast.parse(text_of(scene.file))
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, kind) and node.lineno <= scene.number <= (node.end_lineno or 0):  # type: ignore[arg-type,attr-defined]
            yield node


def parameters(function: AnyFunction) -> dict[str, ast.expr | None]:
    """Return a function's parameters with their defaults."""
    by_place = [*function.args.posonlyargs, *function.args.args]
    found: dict[str, ast.expr | None] = {one.arg: None for one in by_place}
    found |= {one.arg: default for one, default in zip(by_place[::-1], function.args.defaults[::-1], strict=False)}
    found |= {one.arg: value for one, value in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)}
    return found


def names_a_module(name: str, line: str) -> bool:
    """Say whether a name is a module's, or used as an import would be."""
    return name in MODULES or (name in IMPORTS and re.search(rf"\b{name}[.(]", line) is not None)


def is_given_by_fastapi(name: str, scene: Scene) -> bool:
    """Say whether a name is like a type in the file that FastAPI makes parameters of: `session` and `SessionDep`."""
    given = re.findall(r"\b(\w+Dep|BackgroundTasks|Request|Response)\b", text_of(scene.file))
    return len(name) > 3 and any(name.replace("_", "") in one.lower() for one in given)


def is_parameter_elsewhere(name: str, scene: Scene) -> bool:
    """Say whether a function of the package has a parameter of this name, and no module has it at its top level."""
    known = False
    for file in sorted(scene.folder.rglob("*.py")) if scene.folder else ():
        try:
            tree = ast.parse(text_of(str(file)))
        except (SyntaxError, ValueError):
            continue
        tops = {
            one.id
            for top in tree.body
            if isinstance(top, ast.Assign)
            for one in top.targets
            if isinstance(one, ast.Name)
        }
        if name in tops or any(isinstance(top, Function | ast.ClassDef) and top.name == name for top in tree.body):
            return False
        known = known or any(isinstance(one, Function) and name in parameters(one) for one in ast.walk(tree))
    return known


def is_set(function: AnyFunction, name: str) -> bool:
    """Say whether a function binds a name itself."""
    return any(
        isinstance(one, ast.Name) and one.id == name and isinstance(one.ctx, ast.Store) for one in ast.walk(function)
    )


def may_be_anything(function: AnyFunction, name: str) -> bool:
    """Say whether a parameter's annotation leaves its kind open, and nothing in the function looks at it."""
    arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    said = next((one.annotation for one in arguments if one.arg == name), None)
    is_open = said is None or re.search(r"\b(object|Any|Union)\b|\|", ast.unparse(said)) is not None
    looked = re.search(rf"isinstance\({name}\b|type\({name}\)|match {name}:", ast.unparse(function))
    return is_open and not looked and not is_set(function, name)
