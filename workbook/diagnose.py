"""An exception that rose from the learner's code, in words: what it means and one thing to do."""

from __future__ import annotations

import re

_AWAIT = "put `await` before the call: without it you hold a coroutine, not its result"
_RULES: list[tuple[str, str, str]] = [
    # exception's name, pattern in its message, hint
    ("NotImplementedError", r"exercise (\d+\.\d+)", "write exercise {0} first: this check runs through it"),
    ("NameError", r"name '(\w+)' is not defined", "define or import `{0}` in this file"),
    ("ModuleNotFoundError", r"No module named 'app\.([\w.]+)'", "there is no app/{0}.py yet: run its cell, or `%catchup`"),
    ("ModuleNotFoundError", r"No module named '([\w.]+)'", "check the spelling of `{0}` in the import"),
    ("ImportError", r"cannot import name '(\w+)' from partially initialized module '([\w.]+)'", "two modules import each other: import `{0}` inside the function, or move it"),
    ("ImportError", r"cannot import name '(\w+)' from '([\w.]+)'", "`{1}` has no `{0}`: check the spelling, or write it there first"),
    ("PydanticImportError", r"BaseSettings", "import BaseSettings from pydantic_settings: it moved out of pydantic"),
    ("PydanticUserError", r"non-annotated attribute", "give every field of a model a type: `name: str = ...`"),
    ("AttributeError", r"'coroutine' object", _AWAIT),
    ("TypeError", r"'coroutine' object is not callable", "pass the function, without brackets: it is called later"),
    ("TypeError", r"'coroutine' object", _AWAIT),
    ("ValueError", r"'coroutine' object", _AWAIT),
    ("TypeError", r"object (\w+) can't be used in 'await' expression", "make the function that is called here `async def`, or take the `await` away: it gives a {0}, not a coroutine"),
    ("ResponseValidationError", r"coroutine", _AWAIT),
    ("ResponseValidationError", r"", "what the route returns does not fit its response model: compare the two"),
    ("MissingGreenlet", r"", "this reads from the database outside of an `await`: load it eagerly, or refresh the object first"),
    ("AttributeError", r"'NoneType' object has no attribute '(\w+)'", "something is None here: does the function before it return its value?"),
    ("AttributeError", r"has no attribute '(\w+)'", "check the spelling of `{0}`, and what kind of object this is"),
    ("SystemExit", r"", "take the call of `sys.exit` away: it would end the whole server"),
    ("RecursionError", r"", "a function calls itself without an end: give it a case that stops"),
    ("MemoryError", r"", "the code asks for more memory than a check may use: build less at once"),
    ("TimeExceeded", r"", "look at the loop or the wait on this line: what would make it end?"),
    ("IndentationError", r"", "indent the lines of one block alike, with four spaces"),
    ("SyntaxError", r"", "repair the line in the editor, or run its cell again"),
    ("ValidationError", r"for (\w+)", "compare the data with the fields of {0}: the message names the field"),
    ("TypeError", r"'(\w+)' object is not callable", "something is called that is no function, but a {0}: is a pair of brackets too many?"),
    ("TypeError", r"Boolean value of this clause", "Python's `and`, `or`, `not` and `in` do not build SQL: use `&`, `|`, `~`, `in_`, or `or_(...)`"),
    ("TypeError", r"'_?AsyncGeneratorContextManager' object does not support the context manager protocol", "write `async with`: this needs an event loop to open and to close"),
    ("TypeError", r"takes (?:from )?\d+ (?:to \d+ )?positional arguments? but", "give the arguments by name, or count them: the function takes fewer"),
    ("ArgumentError", r"__table_args__ value must be a tuple", "the comma makes a tuple, not the brackets: `(first,)`"),
    ("TypeError", r"missing \d+ required .*argument", "compare the call with the function's parameters"),
    ("TypeError", r"unexpected keyword argument '(\w+)'", "the function has no parameter `{0}`: compare the names"),
    ("FastAPIError", r"Invalid args for response field", "the return annotation is no Pydantic type: use a schema, or set `response_model=None`"),
]  # fmt: skip


def hint_for(error: BaseException, exercise: str = "") -> str:
    """Return one action for an exception raised while `exercise` is checked, or an empty string when none is known."""
    names = {kind.__name__ for kind in type(error).__mro__}
    text = said(error)
    for name, pattern, hint in _RULES:
        match = re.search(pattern, text) if name in names else None
        if match and match.groups() == (exercise,):
            return "a part of this exercise is still as it was given: write it where your code stops"
        if match:
            return hint.format(*match.groups())
    return ""


def said(error: BaseException) -> str:
    """Return an exception's message, also when its `__str__` gives none."""
    try:
        return str(error)
    except Exception as broken:
        return f"its message cannot be read: {broken}"


def summary(error: BaseException) -> str:
    """Return an exception in one line: its kind and the first line of its message, or the first that says something."""
    lines = [line.strip() for line in said(error).strip().split("\n") if line.strip()]
    count = 3 if lines and re.match(r"\d+ validation error", lines[0]) else 1
    first = " ".join(lines[:count])
    named = re.sub(r"<[\w.]*\b(\w+) object at 0x\w+>", r"<\1>", first)
    return f"{type(error).__name__}: {named}" if named else type(error).__name__
