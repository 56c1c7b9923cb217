"""What an exception means, from the text around the learner's line and from the values that were there."""

from __future__ import annotations

import ast
import inspect
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from workbook.awaits import called_empty, late_awaits
from workbook.clues import Scene, near
from workbook.names import Function
from workbook.rules import IMPORTS, MODULES
from workbook.syntax import cannot_wait
from workbook.wording import with_article

PLAIN = (list, str, dict, int, float, bytes, tuple)
DEEP = 20  # lines of the learner's in one traceback: a function of theirs calls itself
ARGUMENTLESS = r"(?:unbound method )?([\w.<>]+)\(\) (?:missing \d+ required|needs an argument)"
AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef


def no_wait(scene: Scene) -> str:
    """Name the function that cannot wait."""
    error = scene.error
    if isinstance(error, SyntaxError) and re.search(r"'(await|async \w+)' outside|comprehension outside", scene.text):
        return cannot_wait(_text(error.filename or scene.file), error.lineno or scene.number)
    return ""


def late_await(scene: Scene) -> str:
    """Say that what stands behind a call binds before the `await` in front of it."""
    found = re.search(r"'coroutine' object (?:has no attribute '(\w+)'|is not subscriptable)", scene.text)
    wanted = f".{found[1]}" if found and found[1] else "[…]"
    late = (one for node in _nodes(scene, ast.Await) for one in late_awaits(node)) if found else ()
    return next((slip.hint for _name, taken, slip in late if taken == wanted), "")


def empty_call(scene: Scene) -> str:
    """Say that a function is handed over without brackets."""
    found = re.search(ARGUMENTLESS, scene.text) if isinstance(scene.error, TypeError) else None
    name = found[1].rpartition(".")[2] if found else ""
    if name and any(called_empty(node, name) for node in _nodes(scene, ast.Call | ast.Subscript)):
        return f"the function itself is wanted here, to be called later: leave out the brackets behind `{name}`"
    return ""


def parameter(scene: Scene) -> str:
    """Say that a name which is missing is an attribute of `self`, or a parameter of other functions."""
    found = re.match(r"name '(\w+)' is not defined", scene.text) if isinstance(scene.error, NameError) else None
    function = around(scene)
    if not found or function is None or _names_a_module(found[1], scene.line):
        return ""
    name, owner = found[1], scene.names.get("self")
    own = set(_parameters(function)) | {one.id for one in ast.walk(function) if isinstance(one, ast.Name)}
    if owner is not None and type(owner).__name__.lower() == name:
        return f"there is no `{name}` in `{function.name}`: the object that the method belongs to is `self`"
    if owner is not None and name in dir(owner):
        return f"there is no `{name}` in `{function.name}`: is `self.{name}` meant?"
    if near(name, own - {name}) or not (_is_given_by_fastapi(name, scene) or _is_parameter_elsewhere(name, scene)):
        return ""
    return f"there is no `{name}` in `{function.name}`: is it meant as one of the function's parameters?"


def not_given(scene: Scene) -> str:
    """Name the parameter that is None, where the function did not make it so."""
    found = re.search(r"'NoneType' object (?:has no attribute|is not)", scene.text)
    function = around(scene) if found else None
    if function is None:
        return ""
    for name, default in _parameters(function).items():
        used = re.search(rf"\b{name}\s*[.\[(]|\bin {name}\b", scene.line)
        if used and scene.names.get(name, 0) is None and not _is_set(function, name):
            if isinstance(default, ast.Constant) and default.value is None:
                return f"`{name}` is None here, which is its default: what does the function use when it is not given?"
            return f"`{name}` is None here, and `{function.name}` got it so: what hands it over?"
    return ""


def another_kind(scene: Scene) -> str:
    """Name the parameter that comes as one kind of thing, and as another one."""
    error, function = scene.error, around(scene)
    if not isinstance(error, AttributeError) or type(error.obj) not in PLAIN or function is None:
        return ""
    for name in _parameters(function):
        used = re.search(rf"\b{name}\.{error.name}\b", scene.line)
        if used and scene.names.get(name) is error.obj and _may_be_anything(function, name):
            told = f"`{name}` is a {type(error.obj).__name__} here, which has no `{error.name}`"
            return f"{told}: does it come in more than one kind? Then look at its type first"
    return ""


def nested_too_deep(scene: Scene) -> str:
    """Tell a library that gives up on nested input from a function that calls itself."""
    if not isinstance(scene.error, RecursionError) or scene.folder is None:
        return ""
    frames = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(scene.error.__traceback__)]
    if sum(Path(one).is_relative_to(scene.folder) for one in frames) > DEEP:
        return ""
    return "what came in is nested so deeply that reading it gave up: a RecursionError is what comes then"


def returned_error(scene: Scene) -> str:
    """Say that an error which was handed on as a value must be raised."""
    thing = scene.error.obj if isinstance(scene.error, AttributeError) else None
    for one in _refused(scene.error) if type(scene.error).__name__ == "ResponseValidationError" else [thing]:
        kind = one if inspect.isclass(one) else type(one)
        if issubclass(kind, Exception) and isinstance(scene.error, AttributeError) and _is_caught(scene, one):
            continue
        if issubclass(kind, Exception):
            return (
                f"`{kind.__name__}` is an error, and it came back as a value: `return` hands it on, `raise` raises it"
            )
    return ""


def own_assert(scene: Scene) -> str:
    """Say that an assertion of the learner's failed."""
    if isinstance(scene.error, AssertionError) and re.match(r"assert\b", scene.line) and "/tests/" not in scene.file:
        return "an `assert` of your own failed here: where a case must be refused, raise what the exercise asks for"
    return ""


def misnamed_config(scene: Scene) -> str:
    """Name the attribute in which a model keeps its settings."""
    found = re.search(r"non-annotated attribute was detected: `(\w+) = ", scene.text)
    if found and re.search(rf"^\s+{found[1]} = (pydantic\.)?(Settings)?ConfigDict\(", _text(scene.file), re.M):
        return f"a model keeps its settings in `model_config`: is that meant by `{found[1]}`?"
    return ""


def expired(scene: Scene) -> str:
    """Say that a row was expired as a whole, which an ended transaction does to it."""
    if not re.search("MissingGreenlet|DetachedInstance", f"{type(scene.error).__name__} {scene.text}"):
        return ""
    from sqlalchemy.orm.state import InstanceState  # it is loaded when its error is here

    for frame, _line in traceback.walk_tb(scene.error.__traceback__):
        state = frame.f_locals.get("state", frame.f_locals.get("self"))
        if isinstance(state, InstanceState) and state.expired is True:
            row = with_article(state.class_.__name__)
            told = f"this row, {row}, was expired as a whole before it is read here, and nothing loads it anew"
            return f"{told}: a rollback does that, and a commit can do it. Which of them ran?"
    return ""


EVIDENCE: tuple[Callable[[Scene], str], ...] = (
    no_wait,
    late_await,
    empty_call,
    parameter,
    returned_error,
    not_given,
    another_kind,
    nested_too_deep,
    own_assert,
    misnamed_config,
    expired,
)


def around(scene: Scene) -> AnyFunction | None:
    """Return the innermost function that holds the learner's line."""
    try:
        tree = ast.parse(_text(scene.file))
    except (SyntaxError, ValueError):
        return None
    found = [one for one in ast.walk(tree) if isinstance(one, Function) and _is_inside(one, scene.number)]
    return max(found, key=lambda one: one.lineno, default=None)


def _is_inside(function: AnyFunction, line: int) -> bool:
    return function.body[0].lineno <= line <= (function.end_lineno or 0)


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8") if file else ""
    except (OSError, ValueError):
        return ""


def _nodes(scene: Scene, kind: type | object) -> Iterator[ast.AST]:
    """Yield the expressions of a kind that the learner's line is a part of."""
    try:
        tree = ast.parse(_text(scene.file))
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, kind) and node.lineno <= scene.number <= (node.end_lineno or 0):  # type: ignore[arg-type,attr-defined]
            yield node


def _parameters(function: AnyFunction) -> dict[str, ast.expr | None]:
    """Return a function's parameters with their defaults."""
    by_place = [*function.args.posonlyargs, *function.args.args]
    found: dict[str, ast.expr | None] = {one.arg: None for one in by_place}
    found |= {one.arg: default for one, default in zip(by_place[::-1], function.args.defaults[::-1], strict=False)}
    found |= {one.arg: value for one, value in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)}
    return found


def _names_a_module(name: str, line: str) -> bool:
    return name in MODULES or (name in IMPORTS and re.search(rf"\b{name}[.(]", line) is not None)


def _is_given_by_fastapi(name: str, scene: Scene) -> bool:
    """Say whether a name is like a type in the file that FastAPI makes parameters of: `session` and `SessionDep`."""
    given = re.findall(r"\b(\w+Dep|BackgroundTasks|Request|Response)\b", _text(scene.file))
    return len(name) > 3 and any(name.replace("_", "") in one.lower() for one in given)


def _is_parameter_elsewhere(name: str, scene: Scene) -> bool:
    """Say whether a function of the package has a parameter of this name, and no module has it at its top level."""
    known = False
    for file in sorted(scene.folder.rglob("*.py")) if scene.folder else ():
        try:
            tree = ast.parse(_text(str(file)))
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
        known = known or any(isinstance(one, Function) and name in _parameters(one) for one in ast.walk(tree))
    return known


def _is_set(function: AnyFunction, name: str) -> bool:
    return any(
        isinstance(one, ast.Name) and one.id == name and isinstance(one.ctx, ast.Store) for one in ast.walk(function)
    )


def _may_be_anything(function: AnyFunction, name: str) -> bool:
    """Say whether a parameter's annotation leaves its kind open, and nothing in the function looks at it."""
    arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    said = next((one.annotation for one in arguments if one.arg == name), None)
    is_open = said is None or re.search(r"\b(object|Any|Union)\b|\|", ast.unparse(said)) is not None
    looked = re.search(rf"isinstance\({name}\b|type\({name}\)|match {name}:", ast.unparse(function))
    return is_open and not looked and not _is_set(function, name)


def _refused(error: BaseException) -> list[object]:
    """Return what an answer's model refused."""
    errors = getattr(error, "errors", None)
    found = errors() if callable(errors) else ()
    return [getattr(error, "body", None), *(one.get("input") for one in found if isinstance(one, dict))]


def _is_caught(scene: Scene, thing: object) -> bool:
    """Say whether the learner's line reads an error that it has caught: no value that came back."""
    function = around(scene)
    caught = {one.name for one in ast.walk(function) if isinstance(one, ast.ExceptHandler)} if function else set()
    if any(name and re.search(rf"\b{name}\.", scene.line) for name in caught):
        return True
    return function is not None and any(scene.names.get(name) is thing for name in _parameters(function))
