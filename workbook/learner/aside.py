"""An exercise's newest cell of which nothing that counts is in the package: a later cell's definitions stand there."""

from __future__ import annotations

import hashlib
import json

from workbook.course.timeline import Step, labels
from workbook.learner.origins import Origins

ASIDE = "#aside "  # and an exercise: what its newest cell would have written


def short(tree: str) -> str:
    """Return a digest of a definition."""
    return hashlib.sha256(tree.encode()).hexdigest()[:12]


def asked(step: Step, cell: dict[str, str]) -> set[str]:
    """Return the definitions of a learner's cell that answer its exercise: in the hole, or else whatever is theirs."""
    own = {name for name, tree in cell.items() if tree != step.given_parts.get(name)}
    return own & step.hole or own


def set_aside(step: Step, cell: dict[str, str], kept: set[str], module: Origins) -> str | None:
    """Return what is remembered of a cell whose whole answer was left out; None where any of it stands in the module.

    Args:
        step: the course's cell.
        cell: the definitions of the learner's.
        kept: those that were left as a later cell wrote them.
        module: the module as it was.
    """
    names = asked(step, cell)
    if not names or any(name not in kept or module.parts.get(name) == cell[name] for name in names):
        return None
    return json.dumps({name: short(cell[name]) for name in cell if name in names})


def notice(step: Step, stored: str | None, module: Origins) -> str:
    """Say that an exercise's newest cell is not in the package; "" where it is, or no later cell is in its way.

    Args:
        step: the exercise's cell.
        stored: what is remembered, as `set_aside` made it.
        module: the module as it is now.
    """
    names: dict[str, str] = json.loads(stored or "{}")
    later = [name for name in names if _is_later(name, step, module)]
    if not names or len(later) < len(names) or any(_stands(name, names[name], module) for name in names):
        return ""
    who = labels((name, module.step(name)) for name in later)
    line = f"%%app {step.path}" + (" --merge" if step.header.merge else "")
    return (
        f"note: your newest cell of {step.label} is not in app/, because a later cell wrote {who}: what is checked "
        f"here is app/ as it is. To try your cell, let it begin with `{line} --replace --exercise {step.label}`; "
        "`%undo` takes it back afterwards"
    )


def _is_later(name: str, step: Step, module: Origins) -> bool:
    return (module.position(name) if name in module.parts else module.whole) > step.position


def _stands(name: str, known: str, module: Origins) -> bool:
    return name in module.parts and short(module.parts[name]) == known
