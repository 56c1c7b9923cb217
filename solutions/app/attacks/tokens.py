"""Forged tokens, by hand: what an attacker needs is in the standard library."""

import base64
import hashlib
import hmac
import json
from typing import Any

from app.attacks.shop import Shop

SPELLINGS = ("none", "None", "NONE", "nOnE")
WORDS = ("secret", "changeme", "password", "key", "test", "secret-key", "your-secret-key")


def packed(data: bytes) -> str:
    """Return bytes as base64url, without the padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(values: dict[str, Any]) -> str:
    """Return an object as one part of a token."""
    return packed(json.dumps(values, separators=(",", ":")).encode())


def opened(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a token; nobody needs a key to read them."""
    header, claims, _signature = token.split(".")
    both = (base64.urlsafe_b64decode(one + "=" * (-len(one) % 4)) for one in (header, claims))
    return tuple(json.loads(one) for one in both)


def signed(header: dict[str, Any], claims: dict[str, Any], key: str) -> str:
    """Return a token that is signed with a key, by HMAC and SHA-256."""
    body = f"{part(header)}.{part(claims)}"
    mac = hmac.new(key.encode(), body.encode(), hashlib.sha256).digest()
    return f"{body}.{packed(mac)}"


def forge(access: str, refresh: str, victim: int) -> dict[str, str]:
    """Return forged tokens that claim to be the victim's, by name."""
    header, claims = opened(access)
    wanted = claims | {"sub": str(victim)}
    body = f"{part(header)}.{part(wanted)}"
    forged = {
        "refresh as access": refresh,
        "claims changed": f"{body}.{access.rpartition('.')[2]}",
        "signature cut off": f"{body}.",
    }
    for name in SPELLINGS:
        forged[f"algorithm {name}"] = f"{part(header | {'alg': name})}.{part(wanted)}."
    jwk = {"kty": "oct", "k": packed(b"mallory"), "alg": "HS256"}
    forged["its own key"] = signed(header | {"jwk": jwk}, wanted, "mallory")
    forged["a key nobody knows"] = signed(header | {"kid": "mallory"}, wanted, "")
    for word in WORDS:
        forged[f"the key {word}"] = signed(header, wanted, word)
    return forged


async def tokens(shop: Shop) -> list[str]:
    """Return which forged tokens open an account; none of them, on a right app."""
    mallory, victim = await shop.newcomer(), await shop.newcomer()
    found = []
    for name, token in forge(mallory.access, mallory.refresh, victim.id).items():
        answer = await shop.ask("GET", "/users/me", by=token)
        if answer.status_code == 200:
            found.append(name)
    return found
