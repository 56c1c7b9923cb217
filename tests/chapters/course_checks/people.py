"""Users stored behind the routes' back, and the tokens that sign them in."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

SECRET_KEY = "k8Jd72hLq09ZxC4vBn6MwE3rTy5UiOpA"


async def sign_in(load, client):
    """Store an admin and sign in by a token; where that is not possible yet, the client stays a visitor."""
    name = "workbook-admin"
    try:
        admin = load("users.schemas").Role.ADMIN
        user = load("users.models").User(email=f"{name}@example.com", username=name, hashed_password="none", role=admin)
        async with client.sessions.begin() as session:
            session.add(user)
            await session.flush()
            id = user.id
        client.headers["Authorization"] = f"Bearer {People(load, client).token(id)}"
    except Exception:  # noqa: S110 - the way to sign in is not built yet, and then no route asks for it
        pass


class People:
    """Users stored behind the routes' back, and access tokens for them, so that a check needs no log-in.

    Args:
        load: the fixture.
        client: a client with `sessions`, whose app signs with SECRET_KEY.
    """

    password = "Correct horse"

    def __init__(self, load, client):
        self._load, self._client = load, client

    async def add(self, name, **columns):
        """Store a user called `name`, with the password "Correct horse"; return id, username, email and headers."""
        hashed = await self._load("core.security").hash_password(self.password)
        columns = {"email": f"{name}@example.com", "username": name, "hashed_password": hashed} | columns
        async with self._client.sessions() as session:
            user = self._load("users.models").User(**columns)
            session.add(user)
            await session.commit()
            made = SimpleNamespace(id=user.id, username=user.username, email=user.email, headers={})
        made.headers = {"Authorization": f"Bearer {self.token(made.id)}"}
        return made

    async def admin(self, name="root"):
        """Store an admin."""
        return await self.add(name, role=self._load("users.schemas").Role.ADMIN)

    async def change(self, person, **columns):
        """Change columns of a stored user."""
        async with self._client.sessions() as session:
            user = await session.get(self._load("users.models").User, person.id)
            for name, value in columns.items():
                setattr(user, name, value)
            await session.commit()

    async def stored(self, person):
        """Return a user's row as it is in the database now."""
        async with self._client.sessions() as session:
            return await session.get(self._load("users.models").User, person.id)

    def token(self, user_id, *, kind="access", key=SECRET_KEY, minutes=30):
        """Sign a token, as the app does."""
        security, now = self._load("core.security"), datetime.now(UTC)
        return security.create_token(
            key,
            security.TokenType(kind),
            user_id=user_id,
            session_id=security.new_token_id(),
            jti=security.new_token_id(),
            expires=now + timedelta(minutes=minutes),
        )
