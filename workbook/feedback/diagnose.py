"""One action for an exception of the learner's code: from what it says, and from the line that it rose on."""

from __future__ import annotations

import re
from dataclasses import replace

from workbook.base.wording import said, shortened, summary, with_article
from workbook.feedback.clues import CLUES, Scene
from workbook.feedback.evidence import EVIDENCE
from workbook.feedback.rules import TABLE

__all__ = ["Scene", "hint_for", "said", "shortened", "summary"]
STILL_GIVEN = "a part of this exercise is still as it was given: write it where your code stops"


def hint_for(error: BaseException, exercise: str = "", scene: Scene | None = None) -> str:
    """Return one action for an exception raised while `exercise` is checked, or an empty string when none is known.

    Args:
        scene: where it rose, if that is known.
    """
    found = scene or Scene(error)
    below = error.__cause__
    if isinstance(below, NameError):  # a name in an annotation, which SQLAlchemy or Pydantic has read
        named = hint_for(below, exercise, replace(found, error=below))
        if named:
            return named
    return next(filter(None, (clue(found) for clue in (*EVIDENCE, *CLUES))), "") or _by_the_table(error, exercise)


def _by_the_table(error: BaseException, exercise: str) -> str:
    names, text = {kind.__name__ for kind in type(error).__mro__}, said(error)
    for kinds, pattern, hint in TABLE:
        match = re.search(pattern, text) if names & set(kinds.split("|")) else None
        if match and exercise and match.groups() == (exercise,):
            return STILL_GIVEN
        if match:
            return _filled(hint, match)
    return ""


def _filled(hint: str, match: re.Match[str]) -> str:
    """Put a pattern's groups into a hint: by number, with their article, the first or the last that is there."""
    groups = [group or "" for group in match.groups()]
    there = [group for group in groups if group] or [""]
    articles = {f"an{number}": with_article(group) for number, group in enumerate(groups)}
    return hint.format(*groups, any=there[0], last=there[-1], **articles)
