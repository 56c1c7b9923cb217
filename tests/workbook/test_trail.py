"""An exception's way through the learner's code: which line it was, what it means, and whether a check planted it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from workbook.checking.finder import forget
from workbook.checking.hole import Hole
from workbook.checking.package import Package
from workbook.checking.trail import Trail
from workbook.course.snapshot import Snapshot
from workbook.feedback.verdict import Fault

FILES = {
    "crud.py": "def read(row):\n    return row['id']\n\n\ndef broken():\n    return nme\n",
    "service.py": "from app import crud\n\n\nclass Service:\n    def get(self, row):\n        return crud.read(row)\n\n    def call(self, there):\n        return there()\n\n    def name(self):\n        return crud.broken()\n\n\nclass Lost(Exception):\n    pass\n\n\ndef lose():\n    raise Lost\n\n\nLIMIT = 3\n\n\ndef hand_on(app):\n    app(1, 2, 3)\n",
}


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Give the module `app.service` of a small package."""
    Snapshot(FILES).write(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    forget()
    yield importlib.import_module("app.service")
    forget()


def fault(app: ModuleType, call: Callable[[], object], path: str = "app/service.py", **options: bool) -> Fault:
    """Return what an exception comes to when app/service.py is the exercise's file."""
    folder = Path(str(app.__file__)).parent
    try:
        call()
    except Exception as error:
        return Trail(Package(folder), "2.2", path, Path(__file__).parent).fault(error, **options)
    raise AssertionError("nothing was raised")


def test_the_line_is_that_in_the_exercises_file(app: ModuleType) -> None:
    """An exception that rises in another file names the exercise's line, and says where it rose."""
    found = fault(app, lambda: app.Service().get({}))
    assert str(found.where) == "app/service.py:6  return crud.read(row)"
    assert found.trace == ["app/service.py:6  return crud.read(row)", "app/crud.py:2  return row['id']"]
    assert found.line == "KeyError: 'id' (app/crud.py:2)"
    assert "no key `id`" in found.hint
    assert not found.planted


def test_a_name_that_is_missing_is_missing_where_it_is_read(app: ModuleType) -> None:
    """For an exception that only its own line can cause, that line is named, wherever it is."""
    assert str(fault(app, lambda: app.Service().name()).where) == "app/crud.py:6  return nme"


def test_another_file_is_named_where_the_exercises_is_not_on_the_way(app: ModuleType) -> None:
    """Without a line in the exercise's file it is the last one of the learner's."""
    found = fault(app, lambda: app.Service().get({}), path="app/main.py")
    assert str(found.where) == "app/crud.py:2  return row['id']"


def test_what_a_check_raises_below_the_learners_code_is_planted(app: ModuleType) -> None:
    """A check that breaks something on purpose is told from a mistake of the learner's."""

    def fail() -> None:
        raise OSError("the disk is full")

    assert fault(app, lambda: app.Service().call(fail)).planted
    assert fault(app, fail).planted
    assert not fault(app, lambda: app.Service().call(None)).planted


def test_a_middleware_that_hands_a_request_on_is_on_nobodys_way(app: ModuleType) -> None:
    """What rises beyond the app that a middleware calls is not the middleware's line."""

    def library(scope: object, receive: object, send: object) -> None:
        raise KeyError("id")

    found = fault(app, lambda: app.Service().call(lambda: library(1, 2, 3)))
    assert found.where is not None
    direct = fault(app, lambda: app.hand_on(library))
    assert direct.where is None
    assert direct.trace == []


def test_a_class_is_named_by_the_line_that_the_message_speaks_of(app: ModuleType) -> None:
    """What a library finds wrong in a class rises at its first line; the message tells the field."""
    folder = Path(str(app.__file__)).parent
    code = "from __future__ import annotations\nfrom sqlalchemy.orm import *\n\n\nclass Base(DeclarativeBase):\n    pass\n\n\nclass User(Base):\n    __tablename__ = 'users'\n\n    id: Mapped[int] = mapped_column(primary_key=True)\n    name: Mapped[Optional[str]]\n"
    (folder / "models.py").write_text(code, encoding="utf-8")
    found = fault(app, lambda: importlib.import_module("app.models"))
    assert str(found.where) == "app/models.py:13  name: Mapped[Optional[str]]"
    assert "`Optional` is not imported in this file" in found.hint


def test_an_object_that_cannot_be_looked_at_costs_only_the_hint(app: ModuleType) -> None:
    """Whatever the learner's objects do while a hint is looked for, the exception is told."""

    class Odd:
        def __getattr__(self, name: str) -> None:
            raise RuntimeError(name) from None

        def __dir__(self) -> list[str]:
            raise SystemError

    found = fault(app, lambda: app.Service().call(Odd()))
    assert found.summary.startswith("TypeError")
    error = AttributeError("no such thing", name="x", obj=Odd())
    assert (
        fault(app, lambda: app.Service().call(lambda: (_ for _ in ()).throw(error))).summary
        == "AttributeError: no such thing"
    )


def test_an_error_of_the_learners_own_is_called_so(app: ModuleType) -> None:
    """An exception class of the package has its own hint, after a request and without one."""
    assert fault(app, app.lose).hint == "Lost was raised, an error of your own: is this a case for it?"
    assert fault(app, app.lose, unanswered=True).hint.startswith("Lost was raised, and nobody caught it")


@pytest.mark.parametrize(
    ("names", "words", "line"),
    [
        (["Service.get", "Service.call"], "", 5),
        (["Service.get", "Service.call"], "await service.call(1)", 8),
        (["LIMIT"], "", 23),
        (["LIMIT", "lose"], "", 19),
        (["lose", "LIMIT"], "LIMIT is 3", 23),
    ],
)
def test_a_hole_knows_its_line(app: ModuleType, names: list[str], words: str, line: int) -> None:
    """Of several definitions the one is meant that the feedback speaks of; without one, the first function."""
    package = Package(Path(str(app.__file__)).parent)
    place = Hole("service.py", names).place(package, words)
    assert place is not None
    assert (place.path, place.line) == ("app/service.py", line)
    assert Hole("service.py", ["nothing"]).place(package) is None
    gone = Hole("service.py", ["Service.get", "Service.gone"]).place(package, "service.gone()")
    assert gone is not None
    assert gone.line == 4  # the class that lacks it
    assert Hole("nowhere.py", names).place(package) is None
    assert "app.service" in sys.modules
