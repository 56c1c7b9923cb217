"""What each role may do."""

from enum import StrEnum

from app.users.models import User
from app.users.schemas import Role


class Permission(StrEnum):
    """One thing that not everybody may do."""

    READ_USERS = "users:read"
    WRITE_USERS = "users:write"
    MANAGE_ITEMS = "items:manage"


ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.USER: frozenset(),
}


def has_permission(user: User, *permissions: str) -> bool:
    """Say whether the user has all these permissions; a superuser has every one."""
    return user.is_superuser or ROLE_PERMISSIONS[user.role].issuperset(permissions)
