"""One thing that is measured: its figures, what we want of them, and what they were the last time."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field


@dataclass
class Figure:
    """Several figures of one thing.

    Args:
        name: what was measured.
        values: one number a run, or one for each thing that was measured the same way.
        unit: of each number.
        target: what the one in the middle should not pass; None where there is no target.
        most: what none of them should pass; None where there is no target.
        slowest: the name of the one with the highest figure, where they have names.
    """

    name: str
    values: list[float]
    unit: str = "s"
    target: float | None = None
    most: float | None = None
    slowest: str = ""

    @property
    def median(self) -> float:
        """Return the one in the middle."""
        return statistics.median(self.values)

    @property
    def reached(self) -> bool:
        """Say whether the targets are reached; what has none has reached them."""
        middle = self.target is None or self.median <= self.target
        return middle and (self.most is None or max(self.values) <= self.most)

    def row(self, before: float | None) -> str:
        """Return the table's line.

        Args:
            before: the median of the run before this one, if there was one.
        """
        change = f"{self.median / before - 1:+6.0%}" if before else " " * 6
        wanted = " ".join(filter(None, [_at_most(self.target), f"none {_at_most(self.most)}" if self.most else ""]))
        verdict = "" if not wanted else f"{wanted:<18} {'reached' if self.reached else 'MISSED'}"
        figures = f"{self.median:8.3f} {min(self.values):8.3f} {max(self.values):8.3f} {self.unit:<3} {change}"
        return f"{self.name:<50} {figures}  {verdict} {self.slowest}".rstrip()


def _at_most(value: float | None) -> str:
    return "" if value is None else f"<= {value:g}"


@dataclass
class Table:
    """All figures of one run, beside those of the run before."""

    figures: list[Figure] = field(default_factory=list)
    before: dict[str, float] = field(default_factory=dict)

    def text(self) -> str:
        """Return the table."""
        head = f"{'':<50} {'median':>8} {'min':>8} {'max':>8}     {'before':>6}  target"
        return "\n".join([head, *(one.row(self.before.get(one.name)) for one in self.figures)])

    def find(self, part: str) -> Figure | None:
        """Return the first figure whose name holds a text."""
        return next((one for one in self.figures if part in one.name), None)
