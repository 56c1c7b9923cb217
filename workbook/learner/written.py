"""What a cell did to its module, and the line that says so."""

from __future__ import annotations

from dataclasses import dataclass, field

from workbook.course.timeline import Step, labels
from workbook.merge.assemble import describe

SHOWN = 8  # names in one line


@dataclass
class Written:
    """What a cell did to its module.

    Args:
        path: the module.
        before: its text before; None where there was no file.
        after: its text now.
        again: whether the cell was run before, or begins a file that a later one began anew, so that it was merged.
        left: what the cell would have replaced, each with the cell that wrote it.
        is_stub: whether the cell is as it was given, so that the answer in the module stays.
        was_filled: whether what the cell takes the place of was filled in.
        draft: the number in the history under which a cell is kept that was left out, in whole or in part.
    """

    path: str
    before: str | None = None
    after: str = ""
    again: bool = False
    left: list[tuple[str, Step | None]] = field(default_factory=list)
    is_stub: bool = False
    was_filled: bool = False
    draft: int | None = None

    def summary(self) -> str:
        """Say in one line what was done."""
        said = describe(self.before, self.after)
        if "removed" in said:
            had = "it was filled in; " if self.was_filled else "this cell had it before; " if self.again else ""
            said += f" ({had}`%undo` brings it back)"
        elif self.again and not (self.left or self.is_stub):
            said += " (run again: what other cells added stays)"
        if self.left:
            more = f" and {len(self.left) - SHOWN} more" if len(self.left) > SHOWN else ""
            said += f"; left as written later: {labels(self.left[:SHOWN])}{more}"
        if self.is_stub:
            said += "; left as you have it: this cell is still as it was given"
        more = " (`--replace` in the first line writes the cell as it is"
        more += f"; `%history {self.draft}` shows your cell)" if self.draft else ")"
        return said + (more if self.left or self.is_stub else "")
