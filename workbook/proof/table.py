"""The table of the proof: a row for each exercise, and its place in CONTRIBUTING.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Row:
    """The proof of one exercise: counts of what held, and the problems in words."""

    exercise: str
    title: str
    counts: dict[str, list[int]] = field(default_factory=dict)
    listed: int = 0
    problems: list[str] = field(default_factory=list)

    def count(self, kind: str) -> str:
        """Return `held/all` of a kind of trial."""
        held, total = self.counts.get(kind, [0, 0])
        return f"{held}/{total}"


def table(rows: list[Row]) -> str:
    """Return the proof as a Markdown table."""
    lines = [
        "| exercise | stub | solution, states | wrong answers | right answers | mutants killed | survivors listed |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        counts = [row.count(kind) for kind in ("stub", "solution", "wrong", "right", "mutants")]
        lines.append(f"| {row.exercise} {row.title} | {' | '.join(counts)} | {row.listed} |")
    return "\n".join(lines)


MARKS = ("<!-- verify: begin -->", "<!-- verify: end -->")


def put_table(root: Path, rows: list[Row], *, write: bool) -> bool:
    """Hold the table against CONTRIBUTING.md, or write it there; return whether it has drifted."""
    path = root / "CONTRIBUTING.md"
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    wanted = f"{before}{MARKS[0]}\n{table(rows)}\n{MARKS[1]}{after}"
    if write:
        path.write_text(wanted, encoding="utf-8", newline="\n")
    elif text != wanted:
        print("\nthe table in CONTRIBUTING.md is out of date\n\nhint: workbook verify --write")
        return True
    return False
