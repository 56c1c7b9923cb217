"""A disk that is full."""

from contextlib import contextmanager

from sqlalchemy import event
from sqlalchemy.orm import Session


@contextmanager
def full_disk(api=None):
    """Let every commit of the app fail.

    Args:
        api: a client whose requests are not to be offered for replay from now on, since they would end otherwise.
    """

    def fail(_session):
        raise OSError("no space left on device")

    if api is not None:
        api.watched.alone = False
    event.listen(Session, "before_commit", fail)
    try:
        yield
    finally:
        event.remove(Session, "before_commit", fail)
