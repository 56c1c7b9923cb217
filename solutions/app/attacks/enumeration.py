"""Who has an account? Doors that answer differently for known and unknown names."""

from typing import Any

import httpx

from app.attacks.shop import Shop, new_name

CHANGING = ("x-request-id", "date")


def seen(answer: httpx.Response) -> tuple[int, dict[str, str], Any]:
    """Return what somebody sees of an answer, without what differs each time."""
    headers = {name: value for name, value in answer.headers.items() if name not in CHANGING}
    try:
        body = answer.json()
    except ValueError:
        return answer.status_code, headers, answer.content
    if isinstance(body, dict):
        body.pop("request_id", None)
    return answer.status_code, headers, body


def same(one: httpx.Response, other: httpx.Response) -> bool:
    """Say whether two answers look the same, but for what differs each time."""
    return seen(one) == seen(other)


async def enumerated(shop: Shop) -> list[str]:
    """Return the doors that tell who has an account; none, on a right app."""
    known, off, nobody = (await shop.newcomer()).name, await shop.newcomer(), new_name()
    admin = await shop.admin()
    await shop.ask("PATCH", f"/users/{off.id}", by=admin, json={"is_active": False})

    async def login(name: str) -> tuple[httpx.Response, int]:
        before = await shop.hashes()
        form = {"username": name, "password": "Wrong horse"}
        return await shop.ask("POST", "/auth/login", data=form), await shop.hashes() - before

    async def reset(name: str) -> httpx.Response:
        body = {"email": f"{name}@example.com"}
        return await shop.ask("POST", "/auth/password-reset", json=body)

    (wrong, cost), (unknown, cost_of_unknown) = await login(known), await login(nobody)
    tells = {
        "login": not same(wrong, unknown),
        "switched-off": not same((await login(off.name))[0], unknown),
        "password-reset": not same(await reset(known), await reset(nobody)),
        "work": cost != cost_of_unknown,
    }
    return [name for name, told in tells.items() if told]
