"""Mails that the app hands over, and the log-in that they open (chapter 13)."""

import asyncio

import pytest

from course_checks.modules import module_of
from workbook import expect


class Handed:
    """Stands in for `after_commit` in the learner's module: a coroutine is no function, and is noted and closed."""

    def __init__(self, real):
        self.real, self.coroutines = real, 0

    def __call__(self, session, action):
        """Note an action."""
        if not asyncio.iscoroutine(action):
            return self.real(session, action)
        self.coroutines += 1
        return action.close()

    def none(
        self,
        at,
        late="the old summary stays",
        hint="hand a function over, not the result of a call: a `lambda:` before it calls it later",
    ):
        """Expect that functions were handed over, and no coroutines."""
        expect.that(
            self.coroutines == 0,
            did="what after_commit was handed",
            got="a coroutine: what a call of an `async def` gives",
            expected="a function, which is called after the commit",
            why=f"after the commit there is nothing to call, and {late}",
            hint=hint,
            at=at,
        )


@pytest.fixture
def handed(load, monkeypatch):
    """What the learner's code hands to `after_commit`."""
    found = Handed(load("db.session").after_commit)
    monkeypatch.setattr(module_of(load, "items.summary"), "after_commit", found, raising=False)
    return found
