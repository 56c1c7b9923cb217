"""Users that routes work on, and what an answer says of them (chapter 05)."""

from contextlib import contextmanager

from course_checks.samples import HASH
from workbook import expect


async def add_users(load, api, *usernames, **columns):
    """Store users by these names, in this order; return their ids."""
    model = load("users.models").User
    values = {"hashed_password": HASH} | columns
    users = [model(email=f"{name}@example.com", username=name, **values) for name in usernames]
    api.watched.alone = False
    async with api.sessions.begin() as session:
        for user in users:
            session.add(user)
            await session.flush()
    return [user.id for user in users]


@contextmanager
def surely():
    """Keep the hint of a wrong answer in the block, also where an exception is behind it: it is about that one."""
    try:
        yield
    except expect.Wrong as error:
        error.sure = True
        raise


def shown(answer):
    """Return an answer in one line; a 500 with the exception behind it."""
    return answer.extensions["workbook.exchange"].answer_line


def blames(answer, field, **reason):
    """Expect a 422 whose errors name a field: in `detail`, or from chapter 06 on in `errors`."""
    expect.status(answer, 422, **reason)
    body = expect.body(answer, **reason)
    errors = (body.get("errors") or body.get("detail")) if isinstance(body, dict) else None
    errors = errors if isinstance(errors, list) else []
    blamed = {str(part) for error in errors if isinstance(error, dict) for part in list(error.get("loc") or ())[1:]}
    expect.that(
        field in blamed,
        got=f"the 422 names {', '.join(sorted(blamed)) or 'no field'}",
        expected=f"an entry whose loc names {field}",
        response=answer,
        **reason,
    )
