"""How the end of a check becomes a verdict: whose line it was, which hint it brings, and when nobody is at fault."""

from __future__ import annotations

import asyncio
import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import NoResultFound
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool
from starlette.datastructures import State

from workbook import expect
from workbook.base.clock import BUSY, MachineBusy
from workbook.checking.finder import forget
from workbook.checking.hole import Hole
from workbook.checking.judge import Judge
from workbook.checking.mishap import made_in
from workbook.checking.package import Package
from workbook.course.index import read_course
from workbook.course.snapshot import Snapshot
from workbook.feedback.outcome import Outcome
from workbook.feedback.verdict import Criterion, Exchange, Fault, Location

FILES = {
    "service.py": """
from app import given


def first(items):
    return items[0]


def tidy(email):
    email.strip()
    return email


async def find():
    return 1


async def use():
    find()


def hand_on(items):
    return given.show(items)


LIMIT = 3
""".lstrip(),
    "given.py": "def show(items):\n    return items.nothing\n\n\ndef route():\n    return None\n",
}
NAMES = ("first", "hand_on")
ROUTE = Location(path="app/given.py", line=5, source="def route():")


async def await_it(value: object) -> None:
    """Await what a learner's function gave."""
    await value  # type: ignore[misc]


def judged(error: BaseException, *forgotten: str) -> Criterion:
    """Return the verdict on an exception where nothing of a package is known."""
    return Judge(Package(Path("none")), forgotten=forgotten).judge("id", "text", 0.0, error)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Give the module `app.service` of a small package."""
    Snapshot(FILES).write(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    forget()
    yield importlib.import_module("app.service")
    forget()


@pytest.fixture
def verdict(service: ModuleType) -> Callable[..., Criterion]:
    """Give a function that runs a check's code, and judges how it ends; app/service.py is the exercise's file."""
    package = Package(Path(str(service.__file__)).parent)
    package.used = True

    def judge(
        call: Callable[[], object],
        *forgotten: str,
        names: tuple[str, ...] = NAMES,
        exchanges: tuple[Exchange, ...] = (),
        text: str = "",
    ) -> Criterion:
        hole = Hole("service.py", names)
        try:
            call()
        except BaseException as error:
            return Judge(package, exchanges, forgotten, "2.2", hole, Path(__file__).parent).judge(
                "id", text, 0.0, error
            )
        raise AssertionError("nothing was raised")

    return judge


def answered(status: int, summary: str = "", **facts: Any) -> Exchange:
    """Return the exchange of a request, and of the exception behind it."""
    where = Location(path="app/service.py", line=5, source="return items[0]")
    fault = (
        Fault(summary=summary, hint="from the exception", where=where, trace=[str(where)], **facts) if summary else None
    )
    return Exchange(method="GET", url="/x", status=status, reason="Reason", endpoint=ROUTE, fault=fault)


def wrong(**facts: Any) -> Callable[[], None]:
    """Return a check that finds something wrong."""

    def check() -> None:
        raise expect.Wrong(**{"got": "it", "hint": "from the criterion", **facts})

    return check


def test_a_plain_function_where_a_coroutine_is_awaited() -> None:
    """What a check awaits and cannot be awaited is the learner's `def`, not a fault of the check."""
    with pytest.raises(TypeError) as caught:
        await_it(3).send(None)
    found = judged(caught.value)
    assert found.outcome is Outcome.RAISED
    assert "`async def`" in found.hint
    assert judged(TypeError("unsupported operand")).outcome is Outcome.BROKE


def test_a_coroutine_of_the_checks_own_has_no_name() -> None:
    """A learner's coroutine is named before any other hint; one that a check defines only where there is none."""
    assert "`find` was called without `await`" in judged(expect.Wrong(hint="add the row"), "", "find").hint
    assert judged(expect.Wrong(hint="add the row"), "").hint == "add the row"
    assert judged(expect.Wrong(), "").hint == "put `await` before the call: it gives a coroutine"
    assert judged(expect.Wrong()).hint == ""


def test_a_forgotten_await_has_its_line(verdict: Callable[..., Criterion]) -> None:
    """The call that lacks its `await` is the learner's line."""
    found = verdict(wrong(), "find")
    assert str(found.where) == "app/service.py:18  find()"
    assert found.hint == "`find` was called without `await`: put `await` before the call"
    assert "`use` was called without `await`" in verdict(wrong(), "use").hint  # it is given
    assert "is a plain `def` asked for here?" in verdict(wrong(), "use", names=("use",)).hint


def test_an_exception_brings_its_own_hint_and_line(verdict: Callable[..., Criterion], service: ModuleType) -> None:
    """Raised, handed over or chained: the hint is that of the exception, and the line is where it rose."""

    def handed() -> None:
        try:
            service.first([])
        except IndexError as error:
            raise expect.Wrong(got="it raised", hint="from the criterion", error=error) from None

    def chained() -> None:
        try:
            service.first([])
        except IndexError as error:
            raise expect.Wrong(got="it raised", hint="from the criterion") from error

    for check in (lambda: service.first([]), handed, chained):
        found = verdict(check)
        assert "what happens when it is empty?" in found.hint
        assert str(found.where) == "app/service.py:5  return items[0]"
        assert found.cause


def test_a_forgotten_await_of_another_process_has_its_line(verdict: Callable[..., Criterion]) -> None:
    """What a test run tells of a call without `await` is looked for in the exercise's file."""
    fault = Fault(summary="`find` was called without `await`", hint="put `await` before the call")
    found = verdict(wrong(fault=fault))
    assert str(found.where) == "app/service.py:18  find()"
    assert found.hint == "`find` was called without `await`: put `await` before the call"


def test_a_slip_that_a_check_has_caught_is_seen(verdict: Callable[..., Criterion], service: ModuleType) -> None:
    """An AttributeError speaks for itself, also when a check raises its own failure `from None`; an IndexError may be meant."""

    def caught(error: type[Exception], call: Callable[[], object]) -> Callable[[], None]:
        def check() -> None:
            try:
                call()
            except error:
                raise expect.Wrong(got="it raised", hint="from the criterion") from None

        return check

    assert "nothing" in verdict(caught(AttributeError, lambda: service.hand_on([]))).hint
    found = verdict(caught(IndexError, lambda: service.first([])))
    assert "what happens when it is empty?" in found.hint
    assert found.other == "from the criterion"


def test_a_hint_about_this_very_exception_stays(verdict: Callable[..., Criterion], service: ModuleType) -> None:
    """Where a check knows the mistake, no general rule knows better; the line is still the learner's."""

    def check() -> None:
        try:
            service.first([])
        except IndexError as error:
            expect.known(error, [("out of range", "from the check")])

    found = verdict(check)
    assert found.hint == "from the check"
    assert str(found.where) == "app/service.py:5  return items[0]"


def test_a_500_speaks_by_its_exception(verdict: Callable[..., Criterion]) -> None:
    """The answer shows what raised, with its line and its hint, whatever the criterion expected."""
    exchange = answered(500, "KeyError: 'id'")
    found = verdict(wrong(expected="200 OK", exchange=exchange))
    assert found.got == "500 Reason  KeyError: 'id' (app/service.py:5)"
    assert found.hint == "from the exception"
    assert str(found.where) == "app/service.py:5  return items[0]"
    earlier = verdict(wrong(), exchanges=(exchange, answered(200)))
    assert (earlier.got, earlier.hint) == ("it", "from the exception")


def test_a_500_that_is_meant_is_left_alone(verdict: Callable[..., Criterion]) -> None:
    """A check that breaks something on purpose, or expects a 500, keeps its own hint; and so does a sure one."""
    planted = answered(500, "OSError: full", planted=True)
    for check in (
        wrong(expected="200 OK", exchange=planted),
        wrong(expected="500 Internal Server Error", exchange=answered(500, "KeyError: 1")),
        wrong(expected="200 OK", exchange=answered(500, "KeyError: 1"), sure=True),
    ):
        assert verdict(check).hint == "from the criterion"


def test_an_exception_without_a_rule_is_pointed_at(verdict: Callable[..., Criterion]) -> None:
    """The criterion's hint is not shown for code that raised, also where no rule knows the exception."""
    exchange = answered(500, "Odd: 1")
    assert exchange.fault is not None
    exchange.fault.hint = ""
    assert verdict(wrong(exchange=exchange)).hint.startswith("begin with the exception")


def test_a_criterion_about_refusing_knows_more_than_what_the_input_was(verdict: Callable[..., Criterion]) -> None:
    """Half of a character, a missing claim: where input must be refused, the criterion says what was to be done."""
    met = answered(500, "UnicodeEncodeError: surrogates not allowed", vague=True)
    for expected in (
        "422 Unprocessable Content",
        "a JWTError",
        'an Unauthorized that says "x"',
        "InvalidToken",
        "False",
    ):
        found = verdict(wrong(expected=expected, exchange=met))
        assert (found.hint, found.other) == ("from the criterion", "from the exception")
        assert found.got.startswith("500 Reason  UnicodeEncodeError")
    for expected in ("200 OK", "it is accepted", "a JSON body", "True"):
        assert verdict(wrong(expected=expected, exchange=met)).hint == "from the exception"
    assert verdict(wrong(expected="422", hint="", exchange=met)).hint == "from the exception"


def test_an_exception_in_given_code_leaves_the_word_to_the_criterion(verdict: Callable[..., Criterion]) -> None:
    """What rises elsewhere, and no rule knows why, is what the exercise's code let through."""
    cases = [("Odd: 1", "", "given.py:2"), ("KeyError: 'x'", "no key", "given.py:2"), ("Odd: 1", "", "service.py:22")]
    for summary, hint, place in cases:
        exchange = answered(500, summary, vague=bool(hint))
        assert exchange.fault is not None
        exchange.fault.hint, exchange.fault.trace = hint, ["app/service.py:5  x", f"app/{place}  y"]
        found = verdict(wrong(expected="200 OK", exchange=exchange), names=("first",))
        assert (found.hint, found.other) == ("from the criterion", hint)
        without = verdict(wrong(expected="200 OK", hint="", exchange=exchange), names=("first",))
        assert without.hint.startswith(hint or "begin with the exception")


def test_a_slip_in_the_text_comes_before_the_criterions_hint(verdict: Callable[..., Criterion]) -> None:
    """What can be seen in the exercise's own lines is said first, with its line; the criterion's hint stays second."""
    found = verdict(wrong(), names=("tidy",))
    assert "`email.strip()` is thrown away" in found.hint
    assert found.other == "from the criterion"
    assert str(found.where) == "app/service.py:9  email.strip()"
    assert verdict(wrong(), names=("first",)).other == ""


def test_your_code_is_the_exercises(verdict: Callable[..., Criterion], service: ModuleType) -> None:
    """What a check names; else the endpoint in the exercise's file; else the definition that the feedback speaks of."""
    there = answered(404)
    here = there.model_copy(update={"endpoint": Location(path="app/service.py", line=21)})
    calling = there.model_copy(update={"calls": ("hand_on",)})
    cases: list[tuple[Callable[[], None], str, int]] = [
        (wrong(exchange=there, at=service.tidy), "", 8),
        (wrong(exchange=there, at=(service, "LIMIT")), "", 25),
        (wrong(exchange=there, at=None), "", 4),
        (wrong(exchange=here), "", 21),
        (wrong(exchange=calling), "", 21),
        (wrong(), "", 4),
        (wrong(), "hand_on passes it on", 21),
        (wrong(at=3), "", 4),
    ]
    for check, text, line in cases:
        where = verdict(check, text=text).where
        assert where is not None
        assert (where.path, where.line) == ("app/service.py", line)
    assert verdict(wrong(exchange=there), names=("nothing",)).where == ROUTE


@pytest.mark.parametrize(
    "code",
    ["{}['id']", "nothing['id']", "[][0]", "issubclass(3, int)", "expect.nothing", "int('x')", "setattr(3, 'x', 1)"],
)
def test_another_kind_of_thing_is_no_fault_of_the_check(verdict: Callable[..., Criterion], code: str) -> None:
    """None, a function for a class, a missing key: the check's line is shown, and it is the learner's to repair."""
    found = verdict(lambda: eval(code, {"nothing": None, "expect": expect}))
    assert found.outcome is Outcome.WRONG
    assert found.got.startswith("the check cannot go on at `")
    assert found.hint
    assert found.where is not None


MODEL = """
from sqlalchemy.orm import *


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    active: Mapped[bool] = mapped_column(default="True")
"""


@pytest.fixture
def user(service: ModuleType) -> Any:
    """Give a model of the learner's, with a default that is no truth."""
    (Path(str(service.__file__)).parent / "models.py").write_text(MODEL, encoding="utf-8")
    return importlib.import_module("app.models").User


def stored(*rows: Any) -> None:
    """Store rows in a database of the check's own."""
    engine = create_engine("sqlite://")
    try:
        rows[0].metadata.create_all(engine)
        with Session(engine) as session:
            session.add_all(rows)
            session.flush()
    finally:
        engine.dispose()


async def read_after_rollback(row: Any) -> object:
    """Read from a row after its session rolled back, as a check does that reads what is left of it."""
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(row.metadata.create_all)
        async with AsyncSession(engine, expire_on_commit=False) as session:
            session.add(row)
            await session.commit()
            row.email = "bob"
            await session.flush()
            await session.rollback()
            return row.email
    finally:
        await engine.dispose()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("check", "hint"),
    [
        (lambda user: stored(user(email="ada".lower, active=True)), "where are the brackets missing that call it?"),
        (lambda user: stored(user(email="ada")), "takes True or False, and 'True' is neither"),
        (lambda user: stored(user(email="ada", active=3)), "takes True or False, and 3 is neither"),
        (lambda user: asyncio.run(read_after_rollback(user(email="a", active=True))), "a rollback does that"),
    ],
)
def test_what_a_library_refuses_is_no_fault_of_the_check(
    verdict: Callable[..., Criterion], user: Any, check: Callable[[Any], object], hint: str
) -> None:
    """It rises in the check's own statement, and what the learner's code made is behind it."""
    found = verdict(lambda: check(user))
    gc.collect()  # what SQLAlchemy could not await warns here, and in no later test
    assert found.outcome is Outcome.WRONG
    assert hint in found.hint
    assert found.expected == "sqlalchemy can work with what your code made"
    assert str(found.where) == "app/service.py:4  def first(items):"


def test_a_value_that_a_library_refuses_has_its_line(verdict: Callable[..., Criterion], user: Any) -> None:
    """The line is the one that holds the value; whatever the criterion speaks of, no other line is named."""
    file = Path(str(sys.modules["app.service"].__file__))
    file.write_text(file.read_text() + "ACTIVE = column(default='True')\n")
    found = verdict(lambda: stored(user(email="ada")), names=("hand_on", "ACTIVE"), text="hand_on is stored")
    assert str(found.where) == "app/service.py:26  ACTIVE = column(default='True')"
    found = verdict(lambda: stored(user(email="a".lower, active=True)), names=("hand_on", "LIMIT"), text="LIMIT")
    assert str(found.where) == "app/service.py:21  def hand_on(items):"


def test_a_librarys_error_of_the_checks_own_is_no_mistake(verdict: Callable[..., Criterion]) -> None:
    """What a line of the checks raises by itself, and nobody caught, is theirs."""

    def check() -> None:
        raise NoResultFound("no row")

    assert verdict(check).outcome is Outcome.BROKE


def test_a_piece_of_the_app_that_is_not_there_is_named(service: ModuleType) -> None:
    """What the app keeps in its state has its name and the exercise that makes it, in place of the check's line."""
    package = Package(Path(str(service.__file__)).parent)
    package.used = True
    for told, hint in (
        ("exercise 3.8", "`app.state.sessions` is set in exercise 3.8: does the app still do it, each time it starts?"),
        ("", "this `state` holds no `sessions` at this moment"),
    ):
        judge = Judge(package, hole=Hole("service.py", NAMES), made_in={"sessions": told}.__getitem__)
        with pytest.raises(AttributeError) as caught:
            _ = State().sessions
        found = judge.judge("id", "", 0.0, caught.value)
        assert found.got == "the app has no `app.state.sessions`"
        assert hint in found.hint


def test_the_course_knows_what_sets_a_name_in_the_state() -> None:
    """The exercise whose cell is the first to set it, or the chapter of a given cell."""
    course = read_course(Path())
    assert made_in(course, "session_factory") == "exercise 3.8"
    assert made_in(course, "ready") == "exercise 1.3"
    assert made_in(course, "nothing") == ""


def test_what_a_check_does_wrong_before_it_comes_to_the_learners_code_is_its_own(service: ModuleType) -> None:
    """A KeyError before anything was imported, and any other kind of exception, is the check's own fault."""
    package = Package(Path(str(service.__file__)).parent)
    judge = Judge(package, hole=Hole("service.py", NAMES))
    assert judge.judge("id", "", 0.0, KeyError("x")).outcome is Outcome.BROKE
    package.used = True
    assert judge.judge("id", "", 0.0, KeyError("x")).outcome is Outcome.WRONG
    assert judge.judge("id", "", 0.0, OSError("x")).outcome is Outcome.BROKE


def test_a_busy_machine_is_no_verdict() -> None:
    """A check that got no time says so, and blames nobody."""
    found = judged(MachineBusy("it did not end within 10 seconds"))
    assert (found.outcome, found.hint) == (Outcome.LATE, BUSY)
