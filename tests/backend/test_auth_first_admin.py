"""The first admin, made at start-up."""

import logging
from typing import Any

import pytest

from tests.backend.support import PASSWORD, connect, new_user

SETTINGS: dict[str, Any] = {"first_admin_email": "root@example.com", "first_admin_password": PASSWORD}


async def sign_in(app: Any) -> dict[str, Any]:
    """Sign in as the first admin and return the user."""
    async with connect(app) as client:
        form = {"username": "admin", "password": PASSWORD}
        response = await client.post("auth/login", data=form)
        assert response.status_code == 200, response.text
        user: dict[str, Any] = response.json()["user"]
        return user


async def test_the_first_admin_is_made(open_app: Any) -> None:
    """With both settings an admin named `admin` exists after the start."""
    async with open_app(**SETTINGS) as app:
        user = await sign_in(app)
    assert (user["username"], user["email"], user["role"]) == ("admin", "root@example.com", "admin")


async def test_it_is_made_only_once(open_app: Any, sessions: Any) -> None:
    """A second start, or an admin who is there already, changes nothing."""
    from app.core.config import Settings
    from app.users.crud import user_crud
    from app.users.first_admin import ensure_first_admin

    for email in ("root@example.com", "other@example.com"):
        settings = Settings(first_admin_email=email, first_admin_password=PASSWORD)
        await ensure_first_admin(sessions, settings)
    async with sessions() as session:
        users = await user_crud.get_multi(session)
    assert [user.email for user in users] == ["root@example.com"]


async def test_a_taken_name_does_not_stop_the_start(app: Any, sessions: Any, caplog: pytest.LogCaptureFixture) -> None:
    """When somebody else has the user name, the app starts and the log says why there is no admin."""
    from app.core.config import Settings
    from app.users.first_admin import ensure_first_admin

    async with connect(app) as client:
        await client.post("auth/register", json=new_user(username="admin"))
    with caplog.at_level(logging.WARNING):
        await ensure_first_admin(sessions, Settings(**SETTINGS))
    assert "no first admin" in caplog.text


async def test_half_the_settings_make_no_admin(open_app: Any) -> None:
    """Without a password there is no admin."""
    async with open_app(first_admin_email="root@example.com") as app, connect(app) as client:
        form = {"username": "admin", "password": PASSWORD}
        assert (await client.post("auth/login", data=form)).status_code == 401


async def test_a_weak_first_password_refuses_to_start(open_app: Any) -> None:
    """The password rules hold here too; the reason does not show the password."""
    weak = {"first_admin_email": "root@example.com", "first_admin_password": "weakpassword"}
    with pytest.raises(ValueError, match="upper-case") as caught:
        async with open_app(**weak):
            pass
    assert "weakpassword" not in str(caught.value)
