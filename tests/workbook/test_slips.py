"""Slips that raise nothing: seen in the text, and never in code that means what it says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from workbook.feedback.awaits import unawaited
from workbook.feedback.slips import slips

SLIPS = [
    ("email.strip().lower()", "the result of `email.strip().lower()` is thrown away"),
    ("await query.where(1)", "`query.where(1)` is thrown away"),
    ("table.delete()", "`table.delete()` makes a statement, and nothing sends it to the database"),
    ("delete(User).where(1)", "`delete(User).where(1)` is thrown away"),
    ("update(User)", "nothing sends it to the database"),
    ("user.active == False", "`user.active == False` compares, and changes nothing"),
    ("ValueError('no')", "is a word missing before it?"),
    ("for name in values:\n        setattr(row, 'name', values[name])", "in quotes, `name` is always the same text"),
    ("text = 'Hello {name}'", "only an f-string fills it in"),
    ("query = query.where(User.gone is None)", "SQL has `is_` and `is_not`"),
    ("query = query.where(self.model.gone is not None)", "SQL has `is_` and `is_not`"),
]
FINE = [
    "email = email.strip().lower()",
    "names.sort()",
    "session.add(user)",
    "await item.delete()",
    "await tokens.replace(session, token)",
    "session.delete(user)",
    "data.update(other)",
    "await session.execute(query.where(1))",
    "self.update(1)",
    "self.values(1)",
    "setattr(row, 'name', 1)",
    "for name in values:\n        setattr(row, name, values[name])",
    "text = f'Hello {name}'",
    "text = 'Hello {name}'.format(name=name)",
    "path = '/users/{name}'",
    "text = 'Hello {nobody}'",
    "raise ValueError('no')",
]


def found(code: str) -> list[str]:
    """Return the hints for a module."""
    return [one.hint for one in slips(ast.parse(code).body)]


@pytest.mark.parametrize(("line", "said"), SLIPS)
def test_a_slip_is_named(line: str, said: str) -> None:
    """One line in a function that otherwise does nothing."""
    hints = found(f"def work(name, values):\n    {line}\n")
    assert len(hints) == 1
    assert said in hints[0]


@pytest.mark.parametrize("line", FINE)
def test_what_means_what_it_says_is_no_slip(line: str) -> None:
    """The right ways to write the same bring no hint."""
    assert found(f"def work(self, name, values):\n    {line}\n") == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def f(x=[]): pass", "the default `[]` is made once, and every call of `f` gets the same one"),
        ("def f(*, x={}): pass", "the default `{}` is made once"),
        ("def f(x) -> int:\n    x + 1\n", "`f` says that it gives `int`, and has no `return`"),
        ("async def f() -> AsyncIterator[int]:\n    g()\n", "and has no `yield`"),
        ("def test_f(x):\n    x == 1\n", "`x == 1` compares, and asserts nothing"),
        (
            "class A:\n    def f(self): pass\n    def f(self): pass\n",
            "`A` has two methods called `f`: only the last one counts",
        ),
    ],
)
def test_a_definition_with_a_slip_is_named(code: str, said: str) -> None:
    """Defaults that are shared, results that never come, methods that replace each other."""
    assert any(said in hint for hint in found(code))


@pytest.mark.parametrize(
    "code",
    [
        "def f(x=()) -> None:\n    x.run()\n",
        "def f() -> int: ...",
        'def f() -> int:\n    """Only a docstring."""\n',
        "def f() -> int:\n    raise ValueError\n",
        "def f() -> Iterator[int]:\n    yield 1\n",
        "class A:\n    @property\n    def f(self): pass\n    @f.setter\n    def f(self, x): pass\n",
        "class A:\n    @overload\n    def f(self): pass\n    def f(self): pass\n",
    ],
)
def test_a_definition_without_one_is_not(code: str) -> None:
    """Stubs, generators, setters and overloads are what they look like."""
    assert found(code) == []


@pytest.mark.parametrize(
    ("code", "line", "said"),
    [
        ("async def f():\n    await g()\n    g()\n", 3, "`g` was called without `await`: put `await` before the call"),
        ("async def f():\n    return users.g(1)\n", 2, "put `await` before the call"),
        ("def f():\n    return g()\n", 2, "`g` is `async`, and `f` is a plain `def`, which cannot await it"),
        ("async def f(tasks):\n    tasks.add_task(g(1))\n", 2, "`add_task` calls `g` itself, later"),
        (
            "async def f():\n    return await g(1)[0]\n",
            2,
            "`[…]` binds before the `await`: brackets around `await g(…)`",
        ),
        ("async def f():\n    return await x.g(1).all()\n", 2, "`.all` binds before the `await`"),
        ("async def f():\n    await gather(g(), g())\n    x = g()\n", 3, "put `await` before the call"),
    ],
)
def test_a_forgotten_await_has_its_line(code: str, line: int, said: str) -> None:
    """The call is found that lacks its `await`, and what it needs there."""
    slip = unawaited("Users.g", code)
    assert slip is not None
    assert slip.line == line
    assert said in slip.hint


def test_a_forgotten_await_is_looked_for_in_the_exercise_first() -> None:
    """A call in the exercise's own function is meant, before one elsewhere in the file; or there is none."""
    code = "async def other():\n    g()\n\n\nasync def mine():\n    g()\n"
    tree = ast.parse(code)
    slip = unawaited("g", code, [tree.body[1]])
    assert slip is not None
    assert slip.line == 6
    assert unawaited("h", code) is None
    assert unawaited("g", "def (:") is None


KNOWING = """
from fastapi import HTTPException
from app.auth.exceptions import InactiveUser, refuse


class Settings:
    secret_key: SecretStr
    stage: str


def work(self, user) -> {says}:
    {line}
"""


@pytest.mark.parametrize(
    ("line", "says", "said"),
    [
        ("return InactiveUser", "User", "`return` hands `InactiveUser` on as a value"),
        ("return InactiveUser('no')", "User", "an error is raised"),
        ("return HTTPException(404)", "dict[str, str]", "`return` hands `HTTPException` on as a value"),
        ("return HTTPException(404)", "HTTPException", ""),
        ("return refuse(user)", "User", ""),
        ("raise InactiveUser", "User", ""),
        ("return self.secret_key == ''", "bool", "`self.secret_key` is a SecretStr, which never equals a text"),
        ("return 'x' != self.secret_key", "bool", "compare what its `get_secret_value()` gives"),
        ("return self.secret_key.get_secret_value() == ''", "bool", ""),
        ("return self.secret_key == user.key", "bool", ""),
        ("return self.stage == 'x'", "bool", ""),
    ],
)
def test_what_a_name_stands_for_is_read_from_the_file(line: str, says: str, said: str) -> None:
    """Errors by where they are imported from, secrets by their annotation."""
    code = KNOWING.format(line=line, says=says)
    hints = [one.hint for one in slips(ast.parse(code).body[-1:], code)]
    assert len(hints) == bool(said)
    assert all(said in one for one in hints)


def test_right_code_has_no_slips() -> None:
    """Nothing in the finished backend is taken for a slip."""
    files = sorted(Path("solutions/app").rglob("*.py"))
    assert len(files) > 20
    texts = {str(file): file.read_text(encoding="utf-8") for file in files}
    seen = [(file, one) for file, text in texts.items() for one in slips(ast.parse(text).body, text)]
    assert seen == []
