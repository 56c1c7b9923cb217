"""The pytest plugin: binds tests to exercises, gives them the learner's code, and records a verdict for each."""

from __future__ import annotations

import os
import warnings
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from workbook.base.launch import NEEDED
from workbook.checking import mishap
from workbook.checking.attempt import Attempt
from workbook.checking.judge import Judge, NotAttempted, as_lines
from workbook.checking.marker import criterion_text, id_of
from workbook.checking.package import Loader
from workbook.checking.recorder import connect as connect_to
from workbook.checking.state import chosen, state_of
from workbook.checking.suite import Suite
from workbook.checking.trail import Trail
from workbook.course.snapshot import Snapshot
from workbook.feedback.outcome import Outcome
from workbook.feedback.verdict import Fault
from workbook.servers import postgres as servers
from workbook.servers import services

KEPT_ENVIRONMENT = (*NEEDED, "COVERAGE_PROCESS_START")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose the package and the exercise."""
    group = parser.getgroup("workbook")
    group.addoption("--app", default="", help="the package to check (default: ./app)")
    group.addoption("--exercise", default="", help="check only these exercises, such as 2.2,2.3")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers", "exercise(id, limit=None): the exercise whose criterion a test is, and its seconds"
    )


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
        items[:] = chosen(items, state)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Stop before an unattempted exercise, unless it starts from planted code that is worth checking."""
    id = id_of(item)
    if id:
        state = state_of(item.config)
        state.exchanges, state.forgotten, state.package.used = [], [], False
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
            state_of(item.config).forgotten += [_coroutine(warning, item.path.parent) for warning in caught]


def _coroutine(warning: warnings.WarningMessage, checks: Path) -> str:
    """Return the name of the coroutine that a warning is about; empty for one that a check defines."""
    code = getattr(warning.source, "cr_code", None)
    if code is not None and Path(code.co_filename).is_relative_to(checks):
        return ""
    return str(warning.message).split("'")[1]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Record a criterion for each check, once it failed or its call is over."""
    report: Any = yield
    if id_of(item) and (call.excinfo is not None or call.when == "call"):
        state = state_of(item.config)
        error = call.excinfo.value if call.excinfo is not None else None
        id, checks = id_of(item), item.path.parent
        made_in = partial(mishap.made_in, state.course)
        judge = Judge(state.package, state.exchanges, state.forgotten, id, state.hole(id), checks, made_in)
        criterion = judge.judge(item.nodeid, criterion_text(item), call.duration, error)
        state.sink(criterion)
        if criterion.outcome is not Outcome.PASSED:
            report.longrepr = as_lines(criterion)
    return report


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
def suite(request: pytest.FixtureRequest) -> Suite:
    """Give what runs the learner's own tests on variants of the app."""
    state = state_of(request.config)
    return state.suite(state.course.exercises[id_of(request.node)].chapter)


@pytest.fixture
def solved(request: pytest.FixtureRequest) -> Snapshot:
    """Give the course's own package as it stands before the chapter of the check (chapter 15)."""
    state = state_of(request.config)
    return state.solved(state.course.exercises[id_of(request.node)].chapter)


@pytest.fixture
def connect(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Give a function that opens a recording client on any ASGI app, for use in `async with`."""
    state = state_of(request.config)
    trail = state.trail(request.node) if id_of(request.node) else Trail(state.package)

    def explain(error: BaseException) -> Fault:
        return trail.fault(error, unanswered=True)

    def open_client(app: Any, *, raise_app_exceptions: bool = True, lifespan: bool = True) -> Any:
        return connect_to(
            app,
            state.package.locate,
            state.exchanges.append,
            explain,
            raise_app_exceptions=raise_app_exceptions,
            lifespan=lifespan,
        )

    return open_client


@pytest.fixture
async def client(load: Loader, connect: Callable[..., Any]) -> AsyncIterator[Any]:
    """Give a recording client on `app.main:app`, its lifespan running."""
    async with connect(load("main").app) as connected:
        yield connected


@pytest.fixture
async def postgres() -> AsyncIterator[str]:
    """Give the URL of an empty PostgreSQL database of the check's own; its file says `NEEDS = ("postgres",)`."""
    async with servers.temporary_database(services.address("postgres")) as url:
        yield url
