"""What an exception means: a hint from its message and the learner's own line, for each kind that learners meet."""

from __future__ import annotations

import gc
import re
import traceback

import pytest
from sqlalchemy import Engine

from workbook.feedback import diagnose, rules
from workbook.feedback.clues import Scene, near
from workbook.merge.syntax import CellError, check_syntax

MODEL = """
from sqlalchemy import *
from sqlalchemy.orm import *


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    {line}
"""
APP = """
from typing import *
from fastapi import *
from fastapi.security import *
from pydantic import *

app = FastAPI()


{line}
"""
SCHEMA = """
from decimal import *
from typing import *
from pydantic import *


class Item(BaseModel):
    title: str = ""
    {line}
"""
STORE = """
from sqlalchemy import *
from pydantic import HttpUrl

engine = create_engine("sqlite://")
table = Table("items", MetaData(), Column("id", Integer, primary_key=True), Column("url", String, nullable=False, unique=True))
table.metadata.create_all(engine)
with engine.connect() as connection:
    {line}
"""
ASYNC = """
import asyncio
from contextlib import asynccontextmanager, contextmanager


async def find():
    return 1


async def session():
    yield 1


@asynccontextmanager
async def opened():
    yield 1


@contextmanager
def locked():
    yield 1


async def main():
    {line}

asyncio.run(main())
"""
PLAIN = """
import datetime
from enum import Enum


class Kind(Enum):
    A = "a"


class User:
    email = "ada@example.com"

    def greet(self, *, loud=False):
        return None


def find(name, limit=3):
    global first
    if name == "global":
        results = results + ["ok"]


user, users, data, found = User(), [], {{"email": "a"}}, None
{line}
"""


def raised(code: str) -> Scene:
    """Run code, and return its exception with the innermost line of it."""
    try:
        exec(compile(code, "learner.py", "exec", dont_inherit=True), {"__name__": "learner"})
    except BaseException as error:
        frames = [
            (frame, line)
            for frame, line in traceback.walk_tb(error.__traceback__)
            if frame.f_code.co_filename == "learner.py"
        ]
        frame, line = frames[-1] if frames else (None, getattr(error, "lineno", 1) or 1)
        names = {**frame.f_globals, **frame.f_locals} if frame else {}
        if isinstance(names.get("engine"), Engine):
            names["engine"].dispose()  # Python 3.13 warns of a database that nobody has closed
        return Scene(error, code.split("\n")[line - 1], names, code[code.rfind("@app") :] if "@app" in code else "")
    raise AssertionError(f"nothing was raised by {code}")


def hint(template: str, line: str) -> str:
    """Return the hint for a line in one of the small programs above."""
    scene = raised(template.format(line=line))
    return diagnose.hint_for(scene.error, scene=scene)


CASES = [
    # names and imports
    (PLAIN, "x: Annotated[int, 3] = 1", "`Annotated` is not imported in this file: it comes from `typing`"),
    (PLAIN, "asyncio.run(None)", "the module `asyncio` is not imported"),
    (PLAIN, "usr.email", "is `user` meant?"),
    (PLAIN, "print({status: 1})", "put quotes around `status`"),
    (PLAIN, "status = statuss", "define or import `statuss`"),
    (PLAIN, "value = self.email", "is it in the brackets"),
    (PLAIN, "value = true", "is `True` meant?"),
    (PLAIN, "value = null", "the spelling of JSON"),
    (PLAIN, "find('global')", "makes `results` a local name"),
    (PLAIN, "import jwt", "python-jose"),
    (PLAIN, "from pwdlib import PasswordHash", "passlib"),
    (PLAIN, "import fastapii", "the course does not install a package of this name"),
    (PLAIN, "from fastapi import APIRouterr", "is `APIRouter` meant?"),
    (PLAIN, "x =\u00a01", "column 4 holds U+00A0 (no-break space)"),
    (PLAIN, "x = \u200b1", "column 5 holds U+200B (zero width space)"),
    (
        PLAIN,
        "x = \u201ca\u201d",
        "column 5 holds U+201C (left double quotation mark), which looks like a straight quote",
    ),
    # attributes, calls, values
    (PLAIN, "user.emial", "`User` has no `emial`: is `email` meant?"),
    (PLAIN, "user.zzz", "`User` has no `zzz`"),
    (PLAIN, "User.zzz", "`User` has no `zzz`"),
    (PLAIN, "found.email", "something is None here"),
    (PLAIN, "for one in users.reverse(): pass", "`.reverse()` changes the object itself and gives None"),
    (PLAIN, "users[0]", "what happens when it is empty?"),
    (PLAIN, "data['name']", "no key `name`"),
    (PLAIN, "data.email", 'this is a dict: its values are read as `data["email"]`'),
    (PLAIN, "user['email']", "a User has no square brackets"),
    (PLAIN, "users.email", "this is a list"),
    (PLAIN, "user.greet.email", "of the function itself"),
    (
        PLAIN,
        "user.greet(lowd=True)",
        "argument `lowd`: is `loud` meant?",
    ),
    (PLAIN, "find('a', limmit=2)", "`find` has no argument `limmit`: is `limit` meant?"),
    (PLAIN, "find('a', zzz=2)", "no parameter `zzz`"),
    (PLAIN, "find()", "compare the call with the function's parameters"),
    (PLAIN, "user.greet(1)", "the call gives more values"),
    (PLAIN, "find(*3)", "a star spreads a list, and this is an int"),
    (PLAIN, "find(**user)", "two stars spread a dict, and this is a User"),
    (PLAIN, "user.email()", "no function, but a str"),
    (PLAIN, "Kind('b')", "`Kind` has no such member"),
    (PLAIN, "datetime.datetime.now() < datetime.datetime.now(datetime.UTC)", "give every time UTC"),
    (PLAIN, "b'a' + 'b'", "`encode` makes bytes"),
    (PLAIN, "'\\ud800'.encode()", "half of a character"),
    (PLAIN, "raise 'no'", "`raise` takes an exception"),
    (PLAIN, "a, b = 1, 2, 3", "not equally many"),
    # await
    (ASYNC, "find().real", "put `await` before the call"),
    (ASYNC, "find()()", "without brackets"),
    (ASYNC, "await 3", "it gives an int"),
    (ASYNC, "await session()", "a function with `yield` gives a generator"),
    (ASYNC, "with opened(): pass", "write `async with`"),
    (ASYNC, "\n    async with locked(): pass", "without `async`"),
    (ASYNC, "\n    async with session(): pass", "`@asynccontextmanager`"),
    (ASYNC, "for one in session(): pass", "`async for`"),
    # FastAPI
    (APP, "@app.get('/')\nasync def x(skip: Field(default=0, ge=0)): pass", "stands where the type belongs"),
    (APP, "@app.post('/')\nasync def x(form: OAuth2PasswordRequestForm): pass", "for the parameter `form`, `Depends`"),
    (APP, "class User: pass\n@app.post('/')\nasync def x() -> User: pass", "name that as the answer's type"),
    (
        APP,
        "async def s():\n    yield 1\n@app.get('/')\nasync def x(a: Annotated[int, Depends(s())]): pass",
        "the brackets call `s` now",
    ),
    (APP, "@app.get('/{a}')\nasync def x(a: Annotated[int, Query()]): pass", "its rule is `Path`"),
    (
        APP,
        "@app.get('/')\nasync def x(a: Annotated[int, Query(default=1)] = 3): pass",
        "the default of `a` stands behind",
    ),
    (APP, "@app.delete('/', status_code=204)\nasync def x() -> dict: pass", "has no body"),
    # Pydantic
    (
        SCHEMA,
        "price: Annotated[float, Field(max_digits=5, decimal_places=2)]\nItem(price=1.5)",
        "`max_digits` is a rule for `Decimal`",
    ),
    (SCHEMA, "\nItem().owner_id = 3", "`owner_id` is none"),
    (SCHEMA, "price = Field(gt=0)", "give every field of a model a type"),
    (
        SCHEMA,
        "@field_validator('titel')\n    @classmethod\n    def check(cls, value): return value",
        "`check` is the validator of a field that this class does not have",
    ),
    (SCHEMA, "@field_validator\n    def check(cls, value): return value", "takes what it is for in brackets"),
    (SCHEMA, "owner: 'Owner'\nItem(owner=1)", "`Owner` was not known"),
    (SCHEMA, "model_config = ConfigDict(frozen=True)\nItem().title = 'x'", "cannot be changed"),
    # SQLAlchemy
    (MODEL, "name: Mapped[Optional[str]]", "`Optional` is not imported in this file: it comes from `typing`"),
    (MODEL, "name: Mapped['Optional[str]']", "is `Optional` imported in this file?"),
    (MODEL, "name: str = mapped_column()", "a column's annotation is `Mapped[...]`"),
    (MODEL, "name: Mapped[bool] = mapped_column(True)", "`True` stands alone"),
    (
        MODEL,
        "boss: Mapped[int] = mapped_column(ForeignKey('users.id'), ondelete='CASCADE')",
        "`ondelete` is an argument of `ForeignKey",
    ),
    (MODEL, "items = relationship(cascade='all, delete-orphans')", "is `delete-orphan` meant?"),
    (MODEL, "metadata = MetaData({'ix': 'ix'})", "give the naming convention by its name"),
    (MODEL, "\nUser(emial='a')", "`User` has no argument `emial`: is `email` meant?"),
    (MODEL, "\nselect(User).where([User.id == 1])", "a star before the list spreads it"),
    (MODEL, "\nif User.id > 1 and User.id < 3: pass", "do not build SQL"),
    (MODEL, "\ncreate_engine('sqlite://', hide_parameter=True)", "is `hide_parameters` meant?"),
    (
        STORE,
        "connection.execute(table.insert().values(url=HttpUrl('http://a')))",
        "HttpUrl of Pydantic went to the database",
    ),
    (
        STORE,
        "async def g(): pass\n    connection.execute(table.insert().values(url=g()))",
        "put `await` before the call",
    ),
    (STORE, "connection.execute(table.insert().values(id=3))", "no value for the column `url`"),
    (
        STORE,
        "[connection.execute(table.insert().values(url='a')) for _ in range(2)]",
        "a row with the same value is there already",
    ),
    (STORE, "connection.execute(table.insert().values(url='a'.lower))", "where are the brackets missing that call it?"),
    (STORE, "connection.execute(table.delete)", "`delete` is a method"),
    (STORE, "connection.execute(text('select * from missing'))", "the table `missing` was not made"),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("template", "line", "said"), CASES, ids=[line for _, line, _ in CASES])
def test_an_exception_brings_its_hint(template: str, line: str, said: str) -> None:
    """The hint names the cause and points at what to do."""
    found = hint(template, line)
    gc.collect()  # a coroutine that nobody awaited warns here, and in no later test
    assert said in found


def test_an_odd_character_is_named_before_the_file_is_written() -> None:
    """A cell with a character that looks like another one is refused with its column."""
    with pytest.raises(CellError) as caught:
        check_syntax("x =\u00a01\n", "main.py")
    assert "column 4 holds U+00A0" in caught.value.hint


def test_every_hint_can_be_filled_in() -> None:
    """No rule asks for a group that its pattern lacks, and no pattern is wrong."""
    for _kinds, pattern, text in rules.TABLE:
        groups = re.compile(pattern).groups
        filled = {f"an{number}": "a" for number in range(groups)}
        assert text.format(*["x"] * groups, any="x", last="x", **filled)


def test_an_unknown_exception_has_no_hint() -> None:
    """Where no rule fits, nothing is guessed."""
    assert diagnose.hint_for(RuntimeError("something else")) == ""


def test_a_stub_of_this_exercise_is_not_asked_for_first() -> None:
    """The stub of another exercise says which; the one that is being checked is a part left as it was."""
    error = NotImplementedError("exercise 2.1")
    assert "write exercise 2.1 first" in diagnose.hint_for(error, "2.2")
    assert "a part of this exercise" in diagnose.hint_for(error, "2.1")


def test_a_name_is_near_another_only_when_it_is_like_it() -> None:
    """A name with nothing in common is no suggestion."""
    assert near("emial", ["email", "id"]) == "email"
    assert near("emial", ["id", "name"]) == ""
