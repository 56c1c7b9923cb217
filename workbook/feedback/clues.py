"""What an exception and the learner's own line tell together, where the message alone would leave a guess."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from workbook.base.wording import odd_character, said
from workbook.feedback.rules import IMPORTS, MODULES, PROVIDED

IN_PLACE = r"\.(append|add|clear|extend|insert|remove|reverse|sort|update)\([^()]*\)"
CASCADES = ("all", "save-update", "merge", "delete", "delete-orphan", "refresh-expire", "expunge")
KEYWORD = (
    r"(\w+)\(\) got an unexpected keyword argument '(\w+)'",
    r"Invalid argument\(s\) '(?P<option>\w+)'.* sent to (create_engine)",
    r"'(?P<option>\w+)' is an invalid keyword argument for (\w+)",
)


@dataclass
class Scene:
    """An exception, and the learner's innermost line that it came through.

    Args:
        error: the exception.
        line: that line's text; empty where none is known.
        names: what the line could see: locals, and the module's globals.
        definition: the text of the decorated function or class that begins on the line, if one does.
        file: the file that holds the line, with its whole path; empty where none is known.
        number: the line's number.
        folder: the learner's package.
    """

    error: BaseException
    line: str = ""
    names: dict[str, Any] = field(default_factory=dict)
    definition: str = ""
    file: str = ""
    number: int = 0
    folder: Path | None = None

    @property
    def text(self) -> str:
        """Return the exception's message."""
        return said(self.error)


def near(name: str, names: Iterable[str]) -> str:
    """Return the name that is most like another one, or an empty string when none is."""
    found = get_close_matches(name, [one for one in names if one != name and not one.startswith("__")], 1, 0.75)
    return found[0] if found else ""


def provided(scene: Scene) -> str:
    """Name what the course has for a package that learners know from elsewhere."""
    name = getattr(scene.error, "name", None) or ""
    return PROVIDED.get(name.split(".")[0], "") if isinstance(scene.error, ModuleNotFoundError) else ""


def unknown_name(scene: Scene) -> str:
    """Name the variable that was meant, or where a name that is missing comes from."""
    found = re.match(r"name '(\w+)' is not defined", scene.text)
    if not isinstance(scene.error, NameError) or not found:
        return ""
    name = found[1]
    if re.search(rf"[{{,]\s*{name}\s*:", scene.line):
        return f"without quotes `{name}` is a variable: put quotes around `{name}` where the text is meant"
    if name in IMPORTS and (not name.islower() or re.search(rf"\b{name}[.(]", scene.line)):
        return (
            f"`{name}` is not imported in this file: it comes from `{IMPORTS[name]}`. Each file has imports of its own"
        )
    if name in MODULES:
        return f"the module `{name}` is not imported in this file"
    if other := near(name, [*scene.names, *dir(builtins)]):
        return f"there is no `{name}` here: is `{other}` meant?"
    return ""


def unknown_attribute(scene: Scene) -> str:
    """Name the attribute that was meant."""
    error = scene.error
    if not isinstance(error, AttributeError) or error.obj is None or not error.name:
        return ""
    owner = error.obj if inspect.isclass(error.obj) or inspect.ismodule(error.obj) else type(error.obj)
    if other := near(error.name, _attributes(error.obj)):
        return f"`{owner.__name__}` has no `{error.name}`: is `{other}` meant?"
    return ""


def unknown_import(scene: Scene) -> str:
    """Name what a module calls the thing that was to be imported."""
    found = re.match(r"cannot import name '(\w+)' from '([\w.]+)'", scene.text)
    if not isinstance(scene.error, ImportError) or not found:
        return ""
    other = near(found[1], _attributes(sys.modules.get(found[2])))
    return f"`{found[2]}` has no `{found[1]}`: is `{other}` meant?" if other else ""


def unknown_argument(scene: Scene) -> str:
    """Name the parameter that was meant."""
    for pattern in KEYWORD if isinstance(scene.error, TypeError) else ():
        if found := re.search(pattern, scene.text):
            option = found.groupdict().get("option") or found[2]
            owner = next(one for one in found.groups() if one != option)
            if other := near(option, _parameters(owner, scene)):
                return f"`{owner}` has no argument `{option}`: is `{other}` meant?"
    return ""


def unknown_cascade(scene: Scene) -> str:
    """Name the cascade that was meant."""
    found = re.search(r"Invalid cascade option\(s\): '([\w-]+)'", scene.text)
    other = near(found[1], CASCADES) if found else ""
    return f"there is no cascade `{found[1]}`: is `{other}` meant?" if found and other else ""


def changed_in_place(scene: Scene) -> str:
    """Say that a method which changes its object gives None."""
    found = re.search(IN_PLACE, scene.line) if "NoneType" in scene.text else None
    return (
        f"`.{found[1]}()` changes the object itself and gives None: use the object, or what gives a new one"
        if found
        else ""
    )


def odd_one(scene: Scene) -> str:
    """Name a character that looks like another one, and its column."""
    return odd_character(scene.error.text or scene.line) if isinstance(scene.error, SyntaxError) else ""


def no_field(scene: Scene) -> str:
    """Tell a parameter that lacks `Depends` from a return annotation that is no schema."""
    found = re.search(r"Invalid args for response field! Hint: check that <class '(?:[\w.]*\.)?(\w+)'>", scene.text)
    function = _function(scene.definition) if found else None
    if found is None or function is None:
        return ""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    for one in arguments:
        if one.annotation is not None and re.search(rf"\b{found[1]}\b", ast.unparse(one.annotation)):
            return (
                f"`{found[1]}` is no Pydantic type: for the parameter `{one.arg}`, `Depends` tells FastAPI to make it"
            )
    return f"`{found[1]}` is no Pydantic type: clients see a schema, so name that as the answer's type"


def called_too_early(scene: Scene) -> str:
    """Say that `Depends` takes the function, and not what it gives."""
    code = f"{scene.line}\n{scene.definition}"
    found = re.search(r"Depends\((\w+)\(", code) if isinstance(scene.error, TypeError) else None
    if not found or found[1][:1].isupper():
        return ""
    told = "`Depends` takes the function itself, and FastAPI calls it, at each request"
    return f"{told}: the brackets call `{found[1]}` now"


CLUES: tuple[Callable[[Scene], str], ...] = (
    provided,
    called_too_early,
    odd_one,
    unknown_name,
    unknown_attribute,
    unknown_import,
    unknown_argument,
    unknown_cascade,
    changed_in_place,
    no_field,
)


def _attributes(thing: object) -> list[str]:
    try:
        return dir(thing)
    except Exception:  # an object whose `__dir__` fails has no names to compare
        return []


def _parameters(owner: str, scene: Scene) -> list[str]:
    """Return the parameters of what is called `owner` where the exception rose."""
    if owner == "create_engine":
        from sqlalchemy import create_engine

        # its signature takes anything: its documentation lists the options
        return re.findall(r":param (\w+)", create_engine.__doc__ or "")
    called = scene.names.get(owner)
    if called is None:
        called = next((value for value in scene.names.values() if getattr(value, "__name__", "") == owner), None)
    if called is None:
        called = getattr(next((value for value in scene.names.values() if hasattr(value, owner)), None), owner, None)
    columns = list(getattr(getattr(called, "__mapper__", None), "attrs", {}).keys()) if inspect.isclass(called) else []
    try:
        return [*columns, *inspect.signature(called).parameters] if callable(called) else columns
    except (TypeError, ValueError):
        return columns


def _function(text: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return None
    return next((one for one in body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)), None)
