"""Words that go in and are taken for code; words that come out and should have stayed inside."""

import re
import secrets

import httpx

from app.attacks.shop import PASSWORD, Person, Shop, new_name

ALWAYS_TRUE = "zzz' OR '1' LIKE '"
HASH = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]|hashed_password")
NAMES = ("hash", "input", "traceback")


async def injected(shop: Shop) -> list[str]:
    """Return what is read as code, or as a pattern; nothing, on a right app."""
    ada, admin = await shop.newcomer(), await shop.admin()
    await shop.pen(ada)
    sort = {"sort": "hashed_password"}
    sorts = await shop.ask("GET", "/users", by=admin, params=sort)
    found = {
        "search": await finds(shop, ada, ALWAYS_TRUE),
        "pattern": await finds(shop, ada, "%") or await finds(shop, ada, "_"),
        "sort": sorts.status_code == 200,
    }
    return [name for name, true in found.items() if true]


async def finds(shop: Shop, owner: Person, text: str) -> bool:
    """Say whether a search finds anything."""
    answer = await shop.ask("GET", "/items", by=owner, params={"q": text})
    return answer.status_code == 200 and bool(answer.json())


def leaks_in(answer: httpx.Response, secret: str) -> list[str]:
    """Return what an answer tells too much."""
    text = "\n".join([answer.text, *answer.headers.values()])
    found = (HASH.search(text), secret in text, "Traceback" in text)
    return [name for name, true in zip(NAMES, found, strict=True) if true]


async def leaked(shop: Shop) -> list[str]:
    """Return what leaks from answers and errors; nothing, on a right app."""
    name, secret = new_name(), secrets.token_hex(3)
    body = {"email": f"{name}@example.com", "username": name, "password": PASSWORD}
    other = {"email": f"y{name}@example.com", "username": f"y{name}", "password": secret}
    ada, admin = await shop.newcomer(), await shop.admin()
    answers = [await shop.ask("POST", "/auth/register", json=one) for one in (body, body, other)]
    answers.append(await shop.ask("GET", "/users/me", by=ada))
    answers.append(await shop.ask("GET", "/users", by=admin))
    found = {leak for answer in answers for leak in leaks_in(answer, secret)}
    return [leak for leak in NAMES if leak in found]
