"""What can go wrong with users."""

from app.core.exceptions import Conflict, NotFound


class UserNotFound(NotFound):
    """There is no such user, or the one who asks must not know that there is."""

    code = "user_not_found"
    detail = "There is no such user."


class UserExists(Conflict):
    """The e-mail or the user name is taken, perhaps by a deleted user."""

    code = "user_exists"
    detail = "This e-mail or user name is already taken."


class LastAdmin(Conflict):
    """Without an admin nobody could manage users any more."""

    code = "last_admin"
    detail = "This is the last active admin; make another user an admin first."
