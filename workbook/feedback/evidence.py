"""What an exception means, from the text around the learner's line and from the values that were there."""

from __future__ import annotations

import ast
import inspect
import re
import traceback
from collections.abc import Callable
from pathlib import Path

from workbook.base.wording import with_article
from workbook.feedback.awaits import called_empty, late_awaits
from workbook.feedback.clues import Scene, near
from workbook.feedback.surroundings import (
    around,
    is_given_by_fastapi,
    is_parameter_elsewhere,
    is_set,
    may_be_anything,
    names_a_module,
    nodes,
    parameters,
    text_of,
)
from workbook.merge.syntax import cannot_wait

PLAIN = (list, str, dict, int, float, bytes, tuple)
DEEP = 20  # lines of the learner's in one traceback: a function of theirs calls itself
ARGUMENTLESS = r"(?:unbound method )?([\w.<>]+)\(\) (?:missing \d+ required|needs an argument)"


def no_wait(scene: Scene) -> str:
    """Name the function that cannot wait."""
    error = scene.error
    if isinstance(error, SyntaxError) and re.search(r"'(await|async \w+)' outside|comprehension outside", scene.text):
        return cannot_wait(text_of(error.filename or scene.file), error.lineno or scene.number)
    return ""


def late_await(scene: Scene) -> str:
    """Say that what stands behind a call binds before the `await` in front of it."""
    found = re.search(r"'coroutine' object (?:has no attribute '(\w+)'|is not subscriptable)", scene.text)
    wanted = f".{found[1]}" if found and found[1] else "[…]"
    late = (one for node in nodes(scene, ast.Await) for one in late_awaits(node)) if found else ()
    return next((slip.hint for _name, taken, slip in late if taken == wanted), "")


def empty_call(scene: Scene) -> str:
    """Say that a function is handed over without brackets."""
    found = re.search(ARGUMENTLESS, scene.text) if isinstance(scene.error, TypeError) else None
    name = found[1].rpartition(".")[2] if found else ""
    if name and any(called_empty(node, name) for node in nodes(scene, ast.Call | ast.Subscript)):
        return f"the function itself is wanted here, to be called later: leave out the brackets behind `{name}`"
    return ""


def parameter(scene: Scene) -> str:
    """Say that a name which is missing is an attribute of `self`, or a parameter of other functions."""
    found = re.match(r"name '(\w+)' is not defined", scene.text) if isinstance(scene.error, NameError) else None
    function = around(scene)
    if not found or function is None or names_a_module(found[1], scene.line):
        return ""
    name, owner = found[1], scene.names.get("self")
    own = set(parameters(function)) | {one.id for one in ast.walk(function) if isinstance(one, ast.Name)}
    if owner is not None and type(owner).__name__.lower() == name:
        return f"there is no `{name}` in `{function.name}`: the object that the method belongs to is `self`"
    if owner is not None and name in dir(owner):
        return f"there is no `{name}` in `{function.name}`: is `self.{name}` meant?"
    if near(name, own - {name}) or not (is_given_by_fastapi(name, scene) or is_parameter_elsewhere(name, scene)):
        return ""
    return f"there is no `{name}` in `{function.name}`: is it meant as one of the function's parameters?"


def not_given(scene: Scene) -> str:
    """Name the parameter that is None, where the function did not make it so."""
    found = re.search(r"'NoneType' object (?:has no attribute|is not)", scene.text)
    function = around(scene) if found else None
    if function is None:
        return ""
    for name, default in parameters(function).items():
        used = re.search(rf"\b{name}\s*[.\[(]|\bin {name}\b", scene.line)
        if used and scene.names.get(name, 0) is None and not is_set(function, name):
            if isinstance(default, ast.Constant) and default.value is None:
                return f"`{name}` is None here, which is its default: what does the function use when it is not given?"
            return f"`{name}` is None here, and `{function.name}` got it so: what hands it over?"
    return ""


def another_kind(scene: Scene) -> str:
    """Name the parameter that comes as one kind of thing, and as another one."""
    error, function = scene.error, around(scene)
    if not isinstance(error, AttributeError) or type(error.obj) not in PLAIN or function is None:
        return ""
    for name in parameters(function):
        used = re.search(rf"\b{name}\.{error.name}\b", scene.line)
        if used and scene.names.get(name) is error.obj and may_be_anything(function, name):
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
    if found and re.search(rf"^\s+{found[1]} = (pydantic\.)?(Settings)?ConfigDict\(", text_of(scene.file), re.M):
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
    return function is not None and any(scene.names.get(name) is thing for name in parameters(function))
