"""All attacks, one after the other."""

from app.attacks.advisory import sessions
from app.attacks.assignment import assigned
from app.attacks.enumeration import enumerated
from app.attacks.injection import injected, leaked
from app.attacks.matrix import holes, matrix
from app.attacks.race import raced
from app.attacks.shop import Shop
from app.attacks.tokens import tokens


async def objects(shop: Shop) -> list[str]:
    """Return the holes of the matrix."""
    return holes(await matrix(shop))


async def titles(shop: Shop) -> list[str]:
    """Return the titles of the advisories about sessions."""
    return [advisory.title for advisory in await sessions(shop)]


ATTACKS = {
    "tokens": tokens,
    "objects": objects,
    "assignment": assigned,
    "enumeration": enumerated,
    "injection": injected,
    "leak": leaked,
    "sessions": titles,
    "race": raced,
}


async def attack(shop: Shop) -> dict[str, list[str]]:
    """Return what each attack has found; eight empty lists, on a right app."""
    found = {}
    for name, one in ATTACKS.items():
        try:
            found[name] = await one(shop)
        except Exception as error:
            found[name] = [f"failed: {type(error).__name__}"]
    return found
