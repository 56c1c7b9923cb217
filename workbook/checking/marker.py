"""The marker that binds a test to an exercise, and what a marked test says of itself: exercise, seconds, criterion."""

from __future__ import annotations

import pytest

from workbook.base.clock import LONGEST


def exercise(id: str, *, limit: float | None = None) -> pytest.MarkDecorator:
    """Bind a test, or a class of tests, to an exercise by its id.

    Args:
        limit: seconds for each test, where the usual ten are not enough; at most LONGEST.
    """
    return pytest.mark.exercise(id, limit=limit)


def id_of(item: pytest.Item) -> str:
    """Return the exercise that a test belongs to, or an empty string."""
    marker = item.get_closest_marker("exercise")
    return str(marker.args[0]) if marker else ""


def limit_of(item: pytest.Item) -> float | None:
    """Return the seconds that a test asks for, or None."""
    marker = item.get_closest_marker("exercise")
    limit = marker.kwargs.get("limit") if marker else None
    return min(limit, LONGEST) if limit else None


def criterion_text(item: pytest.Item) -> str:
    """Return the criterion that a test states: its docstring's first paragraph."""
    text = (getattr(item, "obj", None).__doc__ or item.name).strip()
    return " ".join(text.split("\n\n")[0].split()).rstrip(".")
