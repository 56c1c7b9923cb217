"""A cell's text: cleaned, and read by Python's own parser with messages for people."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from workbook.base.errors import WorkbookError
from workbook.base.wording import odd_character

P = ParamSpec("P")
R = TypeVar("R")


class CellError(WorkbookError):
    """A cell that cannot be put into the package."""


OF_CELL = " of the cell"
MAGIC = "move `%`, `!` and `?` lines to a cell of their own: a module holds Python only"
REPAIR = "repair this line and run the cell again; the file is as it was"
TOO_DEEP = "split the expression into smaller ones with names"

# decorators of functions that a library calls, and never awaits
BY_A_LIBRARY = re.compile(r"listens_for|validator|serializer|property|computed_field|validates")

# Patterns on Python's own message; the first that matches gives the hint.
HINTS = (
    (r"inconsistent use of tabs", "indent with four spaces everywhere, without tabs"),
    (r"expected an indented block", "indent the body below this statement by four spaces"),
    (r"unexpected indent", "remove the spaces at the start of this line"),
    (r"unindent does not match", "indent this line as far as the line it belongs with"),
    (r"expected ':'", "end the line with a colon, `:`"),
    (r"was never closed", "close this bracket"),
    (r"unmatched|does not match", "let every bracket be closed by one of its own kind"),
    (r"unterminated|EOF while scanning", "close the string with the same quotes that open it"),
    (r"'(return|yield|yield from)' outside", "indent this line so that it stands in its function"),
    (r"'(break|continue)'? ?(not|outside)", "indent this line so that it stands in its loop"),
    (r"forgot a comma", "put a comma between the two values"),
    (r"'==' instead of '='|Maybe you meant '=='", "compare with `==`; `=` only assigns"),
    (r"from __future__", "move the `from __future__` line to the top of the cell"),
    (r"import \* only allowed", "move the import to the top of the cell"),
)  # fmt: skip


def clean(code: str) -> str:
    """Give a cell's text the form of a module: LF, no BOM, one newline at the end.

    Raises:
        CellError: The text holds a NUL character.
    """
    text = code.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 2  # below the `%%app` line
        raise CellError(f"line {line} of the cell holds a NUL character, '\\x00'", "delete it and type it anew")
    return text.rstrip() + "\n"


def bounded(call: Callable[P, R]) -> Callable[P, R]:
    """Let a function that reads trees refuse what is nested deeper than Python can follow, as Python itself does."""

    @wraps(call)
    def tried(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            return call(*arguments, **options)
        except RecursionError:
            raise CellError("the code is nested too deeply", TOO_DEEP) from None

    return tried


def check_syntax(code: str, filename: str) -> ast.Module:
    """Parse and compile a cell, without running it.

    Args:
        code: The cell's text, cleaned.
        filename: The module's path, for the message.

    Raises:
        CellError: Python refuses the text.
    """
    return check(code, filename, OF_CELL)


def check(code: str, filename: str, whose: str, hint: str | None = None) -> ast.Module:
    """Parse and compile a text; name the place of an error as "file, line 3" + whose."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an import will show them, with the file's name
            tree = ast.parse(code, filename)
            compile(tree, filename, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise explain(error, code, filename, whose, hint) from None
    except (RecursionError, MemoryError):
        raise CellError(f"{filename}: the code is nested too deeply", hint or TOO_DEEP) from None
    except ValueError as error:
        raise CellError(f"{filename}: Python cannot read the code: {error}", hint or REPAIR) from None
    return tree


def is_python(text: str | bytes) -> bool:
    """Say whether a module is one that Python can read."""
    try:
        check(clean(text if isinstance(text, str) else text.decode("utf-8")), "", "")
    except (CellError, UnicodeDecodeError):
        return False
    return True


def explain(error: SyntaxError, code: str, filename: str, whose: str, hint: str | None) -> CellError:
    """Make a message of Python's: file, line, Python's words, the source line and a caret."""
    lines = code.split("\n")
    number = error.lineno
    if not number or number > len(lines):
        return CellError(f"{filename}: {error.msg}", hint or advice(error, ""))
    line = lines[number - 1]
    below = int(whose == OF_CELL)  # as JupyterLab counts: the `%%app` line is the first
    said = re.sub(r"(?<=on line )\d+", lambda found: str(int(found[0]) + below), str(error.msg))
    where = f"{filename}, line {number + below}{whose}: {said}"
    return CellError(f"{where}\n\n    {line}\n    {caret(line, error)}", hint or advice(error, line, code))


def caret(line: str, error: SyntaxError) -> str:
    """Point at the error's columns, below the source line."""
    start = max((error.offset or 1) - 1, 0)
    end = error.end_offset or 0
    width = end - 1 - start if error.end_lineno == error.lineno and end - 1 > start else 1
    pad = "".join("\t" if char == "\t" else " " for char in line[:start].ljust(start))
    return pad + "^" * min(width, max(len(line) - start, 1))


def advice(error: SyntaxError, line: str, code: str = "") -> str:
    """Choose the hint for a syntax error."""
    if re.match(r"\s*(%{1,2}\w|!)|.*\w\?{1,2}\s*$", line):
        return MAGIC
    if odd := odd_character(error.text or line):
        return odd
    if re.search(r"'(await|async \w+)' outside|asynchronous comprehension outside", error.msg or ""):
        return cannot_wait(code, error.lineno or 0)
    found = (hint for pattern, hint in HINTS if re.search(pattern, error.msg or ""))
    return next(found, REPAIR)


def cannot_wait(code: str, line: int) -> str:
    """Say what an `await` stands in that cannot wait: a plain function, a lambda, or the module."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return "`await` needs an `async def` around it"
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    scopes = [one for one in ast.walk(tree) if isinstance(one, kinds) and _holds(one, line)]
    inner = max(scopes, key=lambda one: one.lineno, default=None)
    if inner is None:
        return "a module cannot wait at its top level: move the `await` into an `async def`"
    if isinstance(inner, ast.ClassDef):
        return "a class's body cannot wait: move the `await` into an `async def`"
    if isinstance(inner, ast.AsyncFunctionDef):
        return "a lambda cannot wait, also inside an `async def`: move the `await` out of it"
    if BY_A_LIBRARY.search(" ".join(map(ast.unparse, inner.decorator_list))):
        return f"`{inner.name}` is a plain `def`, and a library calls it as one: is there a way without `await`?"
    return f"`{inner.name}` is a plain `def`, and only an `async def` can wait: which of the two is meant here?"


def _holds(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, line: int) -> bool:
    return node.body[0].lineno <= line <= (node.end_lineno or 0)
