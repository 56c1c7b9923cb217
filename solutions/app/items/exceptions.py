"""What can go wrong with items."""

from app.core.exceptions import NotFound


class ItemNotFound(NotFound):
    """There is no such item, or it is somebody else's: the answer is the same on purpose."""

    code = "item_not_found"
    detail = "There is no such item."
