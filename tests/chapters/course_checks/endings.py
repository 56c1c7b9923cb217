"""The commits and rollbacks that the learner's code asks for, and the lines that ask."""

import sys
from types import TracebackType

import greenlet

from workbook import expect


class Ending:
    """A commit or a rollback, and the frame of the learner's that asked for it."""

    def __init__(self, kind, frame, file):
        self.kind, self.file, self.function, self.line = kind, file, frame.f_code.co_name, frame.f_lineno
        self.place = TracebackType(None, frame, frame.f_lasti, frame.f_lineno)

    def __str__(self):
        return f"a {self.kind} in app/{self.file}, line {self.line}, in {self.function}"


class Endings(list):
    """The commits and rollbacks that the learner's code asked for, by the fixture `endings`, in their order."""

    hints = {  # noqa: RUF012 - nobody changes them
        "commit": "take the commit out: the caller commits, when all that belongs together is done",
        "rollback": "take the rollback out: the caller decides what becomes of its other changes",
    }

    def none(self, *, did, at=None, by=("db/session.py",), why="", hint=""):
        """Expect no commit and no rollback, except in the files `by` of the learner's, whose work it is."""
        strange = next((one for one in self if one.file not in by), None)
        if strange is not None:
            raise expect.Wrong(
                did=did,
                got=str(strange),
                expected="nothing is committed and nothing rolled back here",
                why=why or "half of a request's work would be stored, or lost, before the caller can decide",
                hint=hint or self.hints[strange.kind],
                at=at,
                error=Exception().with_traceback(strange.place),
            )


def frames_now():
    """Yield the running frames, innermost first, also those on the other side of SQLAlchemy's greenlets."""
    frame, running = sys._getframe(1), greenlet.getcurrent()
    while running is not None:
        while frame is not None:
            yield frame
            frame = frame.f_back
        running = running.parent
        frame = running.gr_frame if running is not None else None
