"""What a run of the learner's tests gave: an outcome for each test, and why it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbook.feedback.verdict import Fault


@dataclass
class Ran:
    """What a run of tests gave.

    `outcomes` maps each test (`tests/test_items.py::test_create`) to passed, failed, error or skipped; `messages` maps
    those that did not pass to one line, `faults` to what raised. `broken` says what could not be collected. `ended` is
    empty when pytest came to its end; otherwise it says how the process ended.
    """

    name: str
    outcomes: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    broken: str = ""
    ended: str = "no result"

    def count(self, outcome: str) -> int:
        """Return how many tests had an outcome."""
        return sum(found == outcome for found in self.outcomes.values())

    @property
    def good(self) -> bool:
        """Say whether everything was collected and ran, at least one test passed, and none failed."""
        return not (self.broken or self.ended or self.first) and self.count("passed") > 0

    @property
    def caught(self) -> bool:
        """Say whether a test failed, or could not be prepared: a process that died has shown nothing."""
        return bool(self.first)

    @property
    def first(self) -> str:
        """Return the first test that did not pass, or an empty string."""
        return next((id for id, outcome in self.outcomes.items() if outcome in ("failed", "error")), "")

    @property
    def fault(self) -> Fault | None:
        """Return what raised in the first test that did not pass, for `expect.that(..., fault=ran.fault)`."""
        return self.faults.get(self.first)

    def summary(self) -> str:
        """Return the result in one line."""
        if self.first:
            return f"{self.first}: {self.messages.get(self.first, 'failed')}"
        if self.broken:
            return f"your tests could not be read: {self.broken}"
        if self.ended:
            return f"your tests did not come to their end: {self.ended}"
        number = self.count("passed")
        return {0: "no test ran", 1: "1 test passed"}.get(number, f"{number} tests passed")

    def note(self, message: Mapping[str, Any]) -> None:
        """Enter a message; of several outcomes of one test, the first that is no pass counts."""
        if "test" in message:
            id, outcome = message["test"], message["outcome"]
            if self.outcomes.get(id, "passed") == "passed":
                self.outcomes[id] = outcome
                if outcome != "passed":
                    self.messages[id] = message["message"]
                    if message.get("fault"):
                        self.faults[id] = Fault.model_validate(message["fault"])
        elif "broken" in message:
            self.broken = self.broken or message["broken"]
        elif "done" in message:
            self.ended = ""
