"""The pytest plugin: binds tests to exercises, gives them the learner's code, and records a verdict for each."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
import types
import warnings
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from workbook import diagnose, expect
from workbook.attempt import Attempt, attempt
from workbook.course import Course, read_course
from workbook.recorder import connect as connect_to
from workbook.verdict import Criterion, Exchange, Location, Outcome

PACKAGE = "app"
KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "COVERAGE_PROCESS_START")
Sink = Callable[[Criterion], None]


class NotAttempted(Exception):
    """The exercise's hole still holds the stub."""


def exercise(id: str) -> pytest.MarkDecorator:
    """Bind a test, or a class of tests, to an exercise by its id."""
    return pytest.mark.exercise(id)


class Package:
    """The learner's package: where it lies, how its modules are imported, which frames are its."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def locate(self, file: str, line: int) -> Location | None:
        """Return a Location for a line of the package's own code, else None."""
        path = Path(file)
        if not path.is_absolute() or not path.is_relative_to(self.folder):
            return None
        relative = Path(PACKAGE) / path.relative_to(self.folder)
        return Location(path=relative.as_posix(), line=line, source=_line(path, line))

    def load(self, name: str) -> Module:
        """Import `app.<name>` and return it behind a face whose missing names are explained.

        Raises:
            expect.Wrong: the file is not there.
        """
        file = self.folder / Path(*name.split(".")).with_suffix(".py")
        shown = f"app/{file.relative_to(self.folder).as_posix()}"
        folder = file.with_suffix("")
        if not file.is_file() and not (folder / "__init__.py").is_file():
            raise expect.Wrong(
                did=f"import app.{name}",
                got=f"there is no file {shown}",
                expected=f"{shown} exists",
                hint="run the cells above this exercise, or `%catchup`",
            )
        if sys.path[:1] != [str(self.folder.parent)]:
            sys.path.insert(0, str(self.folder.parent))
        module = importlib.import_module(f"{PACKAGE}.{name}")
        self._refuse_other(module)
        return Module(module, shown)

    def _refuse_other(self, module: types.ModuleType) -> None:
        """Refuse a module that came from anywhere else: another package of that name must never be judged."""
        found = Path(module.__file__ or "").resolve()
        if not found.is_relative_to(self.folder.resolve()):
            raise ImportError(f"{module.__name__} was imported from {found}, not from {self.folder}")

    def forget(self) -> None:
        """Drop every module of the package, so that the next import reads the files again."""
        for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
            del sys.modules[name]
        importlib.invalidate_caches()


class Module:
    """A module of the learner's; asking for a name that it lacks is a wrong answer, not an AttributeError."""

    def __init__(self, module: types.ModuleType, file: str) -> None:
        self._module, self._file = module, file

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self._module, name)
        except AttributeError:
            raise expect.Wrong(
                did=f"from {self._module.__name__} import {name}",
                got=f"{self._file} has no {name}",
                expected=f"{self._file} defines {name}",
                hint=f"define `{name}` in {self._file}; mind the spelling",
            ) from None


class Loader:
    """The `load` fixture: `load("users.schemas")`, and `load.fresh(...)` to import the package anew."""

    def __init__(self, package: Package) -> None:
        self._package = package

    def __call__(self, name: str) -> Module:
        """Import a module of the learner's package."""
        return self._package.load(name)

    def fresh(self, name: str) -> Module:
        """Import the whole package anew, as a new process would."""
        self._package.forget()
        return self._package.load(name)


class Checks:
    """The plugin's state for one run."""

    def __init__(self, config: pytest.Config, root: Path) -> None:
        self.package = Package(Path(config.getoption("--app") or root / PACKAGE))
        self.only = set(filter(None, config.getoption("--exercise").split(",")))
        self.course: Course = read_course(root, root / ".workbook" / "cache")
        self.exchanges: list[Exchange] = []
        self.warned: list[str] = []
        self.sink: Sink = lambda _criterion: None
        self._attempts: dict[str, Attempt] = {}

    def attempt(self, id: str) -> Attempt:
        """Say how far the learner got with an exercise before it is checked."""
        if id not in self._attempts:
            self._attempts[id] = attempt(self.course, self.course.exercises[id], self.package.folder)
        return self._attempts[id]


CHECKS = pytest.StashKey[Checks]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose the package and the exercise."""
    group = parser.getgroup("workbook")
    group.addoption("--app", default="", help="the package to check (default: ./app)")
    group.addoption("--exercise", default="", help="check only these exercises, such as 2.2,2.3")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "exercise(id): the exercise whose criterion a test is")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the chosen exercise; an unknown exercise in a marker is an error."""
    ours = [item for item in items if id_of(item)]
    if not ours:
        return
    state = state_of(config)
    unknown = [item.nodeid for item in ours if id_of(item) not in state.course.exercises]
    if unknown:
        raise pytest.UsageError(f"{unknown[0]}: no chapter has exercise {id_of(ours[0])}")
    for item in ours:
        item.add_marker(pytest.mark.filterwarnings("ignore"))
    if state.only:
        items[:] = [item for item in ours if id_of(item) in state.only]


def state_of(config: pytest.Config) -> Checks:
    """Return the run's state, made at the first need so that other test runs pay nothing."""
    if CHECKS not in config.stash:
        root = Path(os.environ.get("WORKBOOK_ROOT") or config.rootpath)
        config.stash[CHECKS] = Checks(config, root)
    return config.stash[CHECKS]


def id_of(item: pytest.Item) -> str:
    """Return the exercise that a test belongs to, or an empty string."""
    marker = item.get_closest_marker("exercise")
    return str(marker.args[0]) if marker else ""


def criterion_text(item: pytest.Item) -> str:
    """Return the criterion that a test states: its docstring's first paragraph."""
    text = (getattr(item, "obj", None).__doc__ or item.name).strip()
    return " ".join(text.split("\n\n")[0].split()).rstrip(".")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Stop before an unattempted exercise, unless it starts from planted code that is worth checking."""
    id = id_of(item)
    if id:
        state = state_of(item.config)
        state.exchanges, state.warned = [], []
        given = state.attempt(id) is Attempt.STUB and not state.course.exercises[id].planted
        if given or state.attempt(id) is Attempt.NOTHING:
            raise NotAttempted(f"exercise {id} is not attempted yet")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Collect warnings while a check runs: a coroutine that nobody awaited is only ever a warning."""
    if not id_of(item):
        yield
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", message=r"coroutine .* was never awaited")
        try:
            yield
        finally:
            state_of(item.config).warned += [str(warning.message) for warning in caught]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Record a criterion for each check, once it failed or its call is over."""
    report: Any = yield
    if id_of(item) and (call.excinfo is not None or call.when == "call"):
        state = state_of(item.config)
        error = call.excinfo.value if call.excinfo is not None else None
        judge = Judge(state.package, state.exchanges, state.warned)
        criterion = judge.judge(item.nodeid, criterion_text(item), call.duration, error)
        state.sink(criterion)
        if criterion.outcome is not Outcome.PASSED:
            report.longrepr = as_lines(criterion)
    return report


class Judge:
    """Turns the end of a test, or of an import, into a criterion.

    Args:
        package: the learner's package.
        exchanges: what was sent and received so far, newest last.
        warned: the warnings that were given.
    """

    def __init__(self, package: Package, exchanges: Sequence[Exchange] = (), warned: Sequence[str] = ()) -> None:
        self.package, self.exchanges, self.warned = package, exchanges, warned

    def judge(self, id: str, text: str, seconds: float, error: BaseException | None) -> Criterion:
        """Return the verdict, which is `passed` when there was no error."""
        made = Criterion(id=id, text=text, outcome=Outcome.PASSED, seconds=seconds)
        if error is not None:
            self._fill(made, error)
        return made

    def _fill(self, made: Criterion, error: BaseException) -> None:
        made.exchange = self.exchanges[-1] if self.exchanges else None
        if isinstance(error, NotAttempted):
            made.outcome, made.exchange = Outcome.NOT_ATTEMPTED, None
            made.hint = "write your code where it says `# YOUR CODE HERE`, run the cell, check again"
        elif isinstance(error, expect.Wrong):
            self._wrong(made, error)
        elif where := self._last_own_line(error):
            self._raised(made, error, where)
        elif isinstance(error, AssertionError) and not self._app_raised():
            made.outcome, made.got = Outcome.WRONG, str(error).strip()
            made.where = made.exchange.endpoint if made.exchange else None
        elif self._app_raised() or type(error).__name__ in ("TimeExceeded", "MemoryError"):
            self._raised(made, error, made.exchange.endpoint if made.exchange else None)
        else:
            made.outcome, made.got = Outcome.BROKE, diagnose.summary(error)
            made.trace = traceback.format_exception(error)[-12:]
            made.hint = "this is not your mistake: please report it with the lines above"

    def _wrong(self, made: Criterion, error: expect.Wrong) -> None:
        made.outcome = Outcome.WRONG
        made.did, made.got, made.expected = error.did, error.got, error.expected
        made.why, made.hint = error.why, error.hint
        made.exchange = error.exchange
        found = expect.place(error.at) if error.at is not None else None
        made.where = self.package.locate(*found) if found else None
        if made.where is None and error.exchange is not None:
            made.where = error.exchange.endpoint
        if name := diagnose.forgotten_await(self.warned):
            made.hint = f"`{name}` was called without `await`: put `await` before the call"

    def _raised(self, made: Criterion, error: BaseException, where: Location | None) -> None:
        made.outcome, made.where = Outcome.RAISED, where
        made.did = made.exchange.request_line if made.exchange else ""
        timed_out = type(error).__name__ == "TimeExceeded"
        made.got = str(error) if timed_out else diagnose.summary(error)
        made.hint = diagnose.hint_for(error)
        made.trace = [str(place) for place in self._own_lines(error)]

    def _own_lines(self, error: BaseException) -> Iterator[Location]:
        """Yield the lines of the learner's that an exception came through, outermost first."""
        if isinstance(error, SyntaxError) and error.filename:
            place = self.package.locate(error.filename, error.lineno or 1)
            if place is not None:
                yield place
        for chained in _chain(error):
            for frame in traceback.extract_tb(chained.__traceback__):
                place = self.package.locate(frame.filename, frame.lineno or 1)
                if place is not None:
                    yield place

    def _last_own_line(self, error: BaseException) -> Location | None:
        return next(iter(reversed(list(self._own_lines(error)))), None)

    def _app_raised(self) -> bool:
        """Say whether the newest request ended in an exception: what a route returned can be at fault, too."""
        return bool(self.exchanges) and self.exchanges[-1].status is None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, what it was raised from, and the members of a group, without repeating one."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        current = todo.pop(0)
        if current is None or id(current) in seen or len(seen) > 50:
            continue
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            todo += current.exceptions
        todo.append(current.__cause__)


def _line(path: Path, line: int) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return lines[line - 1].strip() if 0 < line <= len(lines) else ""


def as_lines(criterion: Criterion) -> str:
    """Return a failed criterion as plain lines: what was done, what came back, what was expected, why, where, hint."""
    lines = [f"{criterion.outcome}: {criterion.text}"]
    lines += [f"  {text}" for text in (criterion.did, criterion.got and f"got: {criterion.got}") if text]
    for label, text in (
        ("expected", criterion.expected),
        ("why", criterion.why),
        ("your code", str(criterion.where) if criterion.where else ""),
        ("hint", criterion.hint),
    ):
        lines += [f"  {label}: {text}"] if text else []
    return "\n".join(lines + criterion.trace)


@pytest.fixture(autouse=True)
def _isolated(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run each check in an empty folder and without the learner's environment."""
    if not id_of(request.node):
        yield
        return
    patch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    for name in list(os.environ):
        if name not in KEPT_ENVIRONMENT and not name.startswith(("PYTEST", "WORKBOOK", "PYTHON")):
            patch.delenv(name)
    patch.chdir(request.getfixturevalue("tmp_path"))
    yield


@pytest.fixture
def load(request: pytest.FixtureRequest) -> Loader:
    """Give a function that imports a module of the learner's package."""
    return Loader(state_of(request.config).package)


@pytest.fixture
def connect(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Give a function that opens a recording client on any ASGI app, for use in `async with`."""
    state = state_of(request.config)

    def open_client(app: Any, *, raise_app_exceptions: bool = True, lifespan: bool = True) -> Any:
        return connect_to(
            app,
            state.package.locate,
            state.exchanges.append,
            raise_app_exceptions=raise_app_exceptions,
            lifespan=lifespan,
        )

    return open_client


@pytest.fixture
async def client(load: Loader, connect: Callable[..., Any]) -> AsyncIterator[Any]:
    """Give a recording client on `app.main:app`, its lifespan running."""
    async with connect(load("main").app) as connected:
        yield connected
