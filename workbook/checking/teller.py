"""A pytest plugin in a run of the learner's tests: it tells each outcome as it happens, and what raised."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Any

import pytest

from workbook.base.wording import said, shortened
from workbook.checking.trail import Trail, chain
from workbook.feedback.verdict import Fault

Emit = Callable[[dict[str, Any]], None]


class Teller:
    """A pytest plugin that tells each outcome as it happens.

    Args:
        emit: sends a message.
        trail: puts an exception into words, from the learner's tests' point of view.
    """

    def __init__(self, emit: Emit, trail: Trail) -> None:
        self._emit, self._trail = emit, trail

    def pytest_configure(self, config: pytest.Config) -> None:
        """Format no tracebacks with their code: the faults are read from the exceptions."""
        config.option.tbstyle = "native"

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Tell what could not be collected."""
        if report.failed:
            self._emit({"broken": last_line(str(report.longrepr))})

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        """Put what raised into words, while the exception is there."""
        report: Any = yield
        if call.excinfo is not None and report.failed:
            fault = forgotten(call.excinfo.value) or self._trail.fault(call.excinfo.value)
            report.user_properties.append(("fault", fault.model_dump(mode="json")))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell how a test's preparation, call and clean-up ended."""
        outcome = "error" if report.failed and report.when != "call" else report.outcome
        if report.when == "call" or not report.passed:
            fault: Any = dict(report.user_properties).get("fault")
            self._emit({"test": report.nodeid, "outcome": outcome, "message": _message(report, fault), "fault": fault})


def forgotten(error: BaseException) -> Fault | None:
    """Return the fault of a call that lacks its `await`: Python only warns of it, at any later moment."""
    for one in chain(error):
        if found := re.search(r"coroutine '([\w.<>]+)' was never awaited", said(one)):
            told = f"`{found[1].rpartition('<locals>.')[2]}` was called without `await`"
            return Fault(summary=told, hint=f"{told}: put `await` before the call")
    return None


def _message(report: pytest.TestReport, fault: dict[str, Any] | None) -> str:
    """Return what went wrong in one line: a forgotten `await` in words, anything else in pytest's."""
    forgotten = fault is not None and "without `await`" in fault["summary"]
    return str(fault["summary"]) if fault is not None and forgotten else shortened(_crash(report))


def _crash(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message).strip().split("\n")[0][:300] if crash is not None else last_line(str(report.longrepr))


def last_line(text: str) -> str:
    """Return the last line that pytest marks as the error, or the last one."""
    lines = [line for line in text.strip().split("\n") if line.strip()]
    errors = [line.removeprefix("E").strip() for line in lines if line.startswith("E ")]
    return (errors or lines or ["no message"])[-1][:300]
