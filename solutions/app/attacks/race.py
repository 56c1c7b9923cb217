"""Races: requests that are under way at the same moment."""

import asyncio

from app.attacks.shop import PASSWORD, Shop, new_name

AT_ONCE = 5


async def raced(shop: Shop) -> list[str]:
    """Return the races that can be won; none, on a right app."""
    tried = {"register": register, "refresh": refresh, "last-admin": last_admin}
    return [name for name, won in tried.items() if await won(shop)]


async def register(shop: Shop) -> bool:
    """Say whether one name can be taken twice, or breaks the app."""
    name = new_name()
    body = {"email": f"{name}@example.com", "username": name, "password": PASSWORD}
    sent = (shop.ask("POST", "/auth/register", json=body) for _ in range(AT_ONCE))
    statuses = [answer.status_code for answer in await asyncio.gather(*sent)]
    return sorted(statuses) != [201] + [409] * (AT_ONCE - 1)


async def refresh(shop: Shop) -> bool:
    """Say whether one refresh token can be exchanged more than once."""
    body = {"refresh_token": (await shop.newcomer()).refresh}
    sent = (shop.ask("POST", "/auth/refresh", json=body) for _ in range(AT_ONCE))
    return [answer.status_code for answer in await asyncio.gather(*sent)].count(200) > 1


async def last_admin(shop: Shop) -> bool:
    """Say whether two admins can send each other away, so that none is left."""
    both = root, second = await shop.admin(), await shop.newcomer()
    await shop.ask("PATCH", f"/users/{second.id}", by=root, json={"role": "admin"})
    user = {"role": "user"}
    await asyncio.gather(
        shop.ask("PATCH", f"/users/{root.id}", by=second, json=user),
        shop.ask("PATCH", f"/users/{second.id}", by=root, json=user),
    )
    asked = [await shop.ask("GET", "/users", by=one) for one in both]
    left = [one for one, answer in zip(both, asked, strict=True) if answer.status_code == 200]
    if left:
        await shop.ask("PATCH", f"/users/{root.id}", by=left[0], json={"role": "admin"})
        await shop.ask("PATCH", f"/users/{second.id}", by=root, json=user)
    return not left
