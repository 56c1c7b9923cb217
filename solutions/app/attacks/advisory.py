"""What was found, said so that others can repair it; here about sessions that do not end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.attacks.shop import Person, Shop

SEVERITIES = ("low", "medium", "high", "critical")

Event = Callable[[Shop, Person], Awaitable[None]]


@dataclass(frozen=True)
class Advisory:
    """A finding: what, where, how to reproduce it, what it means, how to repair it."""

    title: str
    route: str  # such as "POST /auth/logout"
    steps: tuple[str, ...]
    impact: str
    repair: str
    severity: str


async def signed_out(shop: Shop, person: Person) -> None:
    """Sign out."""
    await shop.ask("POST", "/auth/logout", json={"refresh_token": person.refresh})


async def new_password(shop: Shop, person: Person) -> None:
    """Choose a new password."""
    body = {"current_password": person.password, "new_password": "Other horse 2"}
    await shop.ask("POST", "/auth/password", by=person, json=body)


async def off_and_on(shop: Shop, person: Person) -> None:
    """Let the admin switch the account off, and on again."""
    for active in (False, True):
        body = {"is_active": active}
        await shop.ask("PATCH", f"/users/{person.id}", by=await shop.admin(), json=body)


async def stolen(shop: Shop, person: Person) -> None:
    """Let a spent refresh token come back; the person has the newest one."""
    spent = {"refresh_token": person.refresh}
    fresh = await shop.ask("POST", "/auth/refresh", json=spent)
    person.refresh = fresh.json()["refresh_token"]
    await shop.ask("POST", "/auth/refresh", json=spent)


async def switched_off(shop: Shop, person: Person) -> None:
    """Let the admin switch the account off."""
    body = {"is_active": False}
    await shop.ask("PATCH", f"/users/{person.id}", by=await shop.admin(), json=body)


EVENTS: dict[str, Event] = {
    "POST /auth/logout": signed_out,
    "POST /auth/password": new_password,
    "PATCH /users/{user_id}": off_and_on,
    "POST /auth/refresh": stolen,
}


def written(route: str, happened: str, goes_on: str) -> Advisory:
    """Write the advisory about a session that goes on."""
    return Advisory(
        title=f"A session goes on after {route}",
        route=route,
        steps=("Sign up", happened, f"{goes_on} with the old token: 200"),
        impact="Whoever has a copy of a token stays in the account, and nobody can stop them.",
        repair="End the session in the same transaction as the event, and commit it.",
        severity="high",
    )


async def sessions(shop: Shop) -> list[Advisory]:
    """Return an advisory for each event after which a session goes on; none, on a right app."""
    found = []
    for route, event in EVENTS.items():
        person = await shop.newcomer()
        await event(shop, person)
        body = {"refresh_token": person.refresh}
        if (await shop.ask("POST", "/auth/refresh", json=body)).status_code == 200:
            found.append(written(route, event.__doc__ or route, "POST /auth/refresh"))
    person = await shop.newcomer()
    await switched_off(shop, person)
    if (await shop.ask("GET", "/users/me", by=person)).status_code == 200:
        found.append(written("GET /users/me", switched_off.__doc__ or "", "GET /users/me"))
    return found
