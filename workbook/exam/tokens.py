"""JSON Web Tokens taken apart and forged, by hand: what an attacker needs is in the standard library."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from workbook.exam.finding import Unasked


def part(data: Any) -> str:
    """Return an object as one part of a token."""
    return packed(json.dumps(data, separators=(",", ":")).encode())


def packed(data: bytes) -> str:
    """Return bytes as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: dict[str, Any], claims: dict[str, Any], key: str) -> str:
    """Return a token that is signed with a key, by HMAC and SHA-256."""
    body = f"{part(header)}.{part(claims)}"
    return f"{body}.{signature(body, key)}"


def signature(body: str, key: str) -> str:
    """Return the third part of a token."""
    return packed(hmac.new(key.encode(), body.encode(), hashlib.sha256).digest())


def opened(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a token.

    Raises:
        Unasked: it is no JSON Web Token; the interface does not ask for one.
    """
    try:
        found = [json.loads(base64.urlsafe_b64decode(one + "=" * (-len(one) % 4))) for one in token.split(".")[:2]]
        header, claims = found
    except (ValueError, RecursionError):
        raise Unasked("the tokens are no JSON Web Tokens", chosen=True) from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise Unasked("the tokens are no JSON Web Tokens", chosen=True)
    return header, claims
