"""Users who signed up over HTTP (chapter 06)."""

from course_checks.paths import USERS
from workbook import expect


async def created(api, body):
    """Create a user; return the id."""
    answer = await api.post(USERS, json=body)
    expect.status(
        answer,
        201,
        why="a request with good data would fail",
        hint="return the user that user_crud.create gives, from the service and from the route",
    )
    return expect.body(answer)["id"]
