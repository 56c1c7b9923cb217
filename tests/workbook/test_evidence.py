"""What the text around the learner's line and the values there tell of an exception."""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workbook.checking.finder import forget
from workbook.checking.package import Package
from workbook.checking.trail import Trail
from workbook.course.snapshot import Snapshot
from workbook.merge.syntax import CellError, check_syntax

CODE = """
from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter


class Lost(Exception):
    email = "of the error"


async def find(name):
    return [name]


def one():
    return 1


class Store:
    rows = ()

    def read(self):
        return rows

    def me(self):
        return store.rows


def sign_up(email, background):
    return background


def welcome(email):
    {body}


{top}
"""


@pytest.fixture
def hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Give a function that writes a module, calls one of its functions, and returns the exception's hint."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(body: str = "pass", top: str = "", call: str = "welcome('ada')") -> str:
        forget()
        text = CODE.replace("{body}", body).replace("{top}", top)
        folder = Snapshot({"service.py": text}).write(tmp_path)
        try:
            made = eval(call, vars(importlib.import_module("app.service")))
            if inspect.isawaitable(made):
                asyncio.run(made)  # type: ignore[arg-type]
        except BaseException as error:
            return Trail(Package(folder), "2.2", "app/service.py", Path(__file__).parent).fault(error).hint
        finally:
            gc.collect()
            sys.dont_write_bytecode = True
        raise AssertionError("nothing was raised")

    yield run
    forget()


CASES = [
    # names
    ("return background.add_task", "", "welcome('ada')", "no `background` in `welcome`: is it meant as one of the function's parameters?"),
    ("return session.get", "SessionDep = Annotated[int, 3]", "welcome('ada')", "is it meant as one of the function's parameters?"),
    ("pass", "", "Store().read()", "is `self.rows` meant?"),
    ("pass", "", "Store().me()", "the object that the method belongs to is `self`"),
    ("return emial", "", "welcome('ada')", "is `email` meant?"),
    ("return nowhere", "", "welcome('ada')", "define or import `nowhere`"),
    # awaits
    ("pass", "async def late():\n    return await find(1)[0]", "late()", "`[…]` binds before the `await`: brackets around `await find(…)`"),
    ("pass", "async def late():\n    return await find(1).count(1)", "late()", "`.count` binds before the `await`"),
    ("pass", "async def late():\n    return find(1)[0]", "late()", "put `await` before the call"),
    # None, and values of another kind
    ("return settings.x", "def use(settings=None):\n    return settings.x", "use()", "`settings` is None here, which is its default"),
    ("pass", "def use(user):\n    return user.email", "use(None)", "`user` is None here, and `use` got it so"),
    ("pass", "def use(user=None):\n    user = welcome(1)\n    return user.email", "use()", "does the function before it return its value?"),
    ("pass", "def use(value: Any):\n    return value.split()", "use([])", "`value` is a list here, which has no `split`"),
    ("pass", "def use(value):\n    if isinstance(value, str):\n        return 1\n    return value.split()", "use([])", "this is a list"),
    ("pass", "def use(value: dict[str, str]):\n    return value.split()", "use([])", "this is a list"),
    # brackets
    ("pass", "Name = Annotated[str, AfterValidator(str.lower())]", "1", "leave out the brackets behind `lower`"),
    ("pass", "Name = Annotated[str, AfterValidator(welcome())]", "1", "leave out the brackets behind `welcome`"),
    ("pass", "print(welcome())", "1", "compare the call with the function's parameters"),
    # errors
    ("assert email == ''", "", "welcome('ada')", "an `assert` of your own failed"),
    ("pass", "def user():\n    return Lost\n\n\ndef use():\n    return user().username", "use()", "`Lost` is an error, and it came back as a value"),
    ("pass", "def use():\n    try:\n        raise Lost\n    except Lost as error:\n        return error.name_of", "use()", "`Lost` has no `name_of`"),
    ("return welcome(email)", "", "welcome('ada')", "finds no end"),
    ("return [welcome(one) for one in [email]]", "", "welcome('ada')", "finds no end"),
    ("return json.loads('[' * 100_000)", "", "welcome('ada')", "nested so deeply that reading it gave up"),
    # Pydantic
    ("pass", "class User(BaseModel):\n    config = ConfigDict(extra='forbid')", "1", "in `model_config`: is that meant by `config`?"),
    ("pass", "class User(BaseModel):\n    name = 3", "1", "give every field of a model a type"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("body", "top", "call", "said"), CASES, ids=[f"{one[2]}-{one[3][:30]}" for one in CASES])
def test_a_hint_looks_at_what_was_there(hint: Callable[..., str], body: str, top: str, call: str, said: str) -> None:
    """The text of the function, its parameters and their values choose between hints that one message would share."""
    assert said in hint(body, top, call)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("await go()", "a module cannot wait at its top level"),
        ("def find():\n    return await go()", "`find` is a plain `def`, and only an `async def` can wait"),
        ("async def outer():\n    def inner():\n        await go()", "`inner` is a plain `def`"),
        ("async def outer():\n    return lambda: await go()", "a lambda cannot wait"),
        ("class A:\n    x = await go()", "a class's body cannot wait"),
        ("@event.listens_for(engine, 'connect')\ndef on(connection, _):\n    await go()", "is there a way without `await`?"),
        ("def find():\n    async with go():\n        pass", "`find` is a plain `def`"),
    ],
)  # fmt: skip
def test_an_await_is_told_what_it_stands_in(code: str, said: str) -> None:
    """The plain function has its name; only what stands in no function is at the top level."""
    with pytest.raises(CellError) as caught:
        check_syntax(f"{code}\n", "main.py")
    assert said in caught.value.hint
