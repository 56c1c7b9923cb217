"""Clocks that a check moves (chapter 14)."""


class Clock:
    """A clock that stands still until a check moves it."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        """Return the time in seconds."""
        return self.now
