"""The playbook against JSON Web Tokens: nothing but our own tokens opens a door."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import httpx
import pytest
from app.core.security import (
    InvalidToken,
    TokenType,
    create_token,
    decode_token,
    new_token_id,
)
from app.db.base import utc_now

from tests.backend.support import SECRET_KEY, Person

HEADER = {"alg": "HS256", "typ": "JWT"}
HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def encode(data: bytes) -> str:
    """Encode as the parts of a token are."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forge(claims: Any, *, header: Any = None, key: str = SECRET_KEY, raw_header: bytes | None = None) -> str:
    """Make a token by hand, with any header, any claims and any key."""
    header = HEADER if header is None else header
    head = encode(json.dumps(header).encode() if raw_header is None else raw_header)
    signed = f"{head}.{encode(json.dumps(claims).encode())}"
    algorithm = header.get("alg") if isinstance(header, dict) else None
    digest = HASHES.get(str(algorithm), hashlib.sha256)
    return f"{signed}.{encode(hmac.new(key.encode(), signed.encode(), digest).digest())}"


def claims_of(token: str) -> dict[str, Any]:
    """Read the claims of a token without checking it."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


async def status_of(client: httpx.AsyncClient, token: str) -> int:
    """Return the status that a token gets; a refusal always carries the challenge."""
    response = await client.get("users/me", headers={"Authorization": f"Bearer {token}"})
    if response.status_code == 401:
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json()["code"] in {"invalid_token", "not_authenticated"}
    return response.status_code


async def test_the_forger_can_make_a_good_token(client: httpx.AsyncClient, ada: Person) -> None:
    """With the real key the forged token works: so the refusals below are not by accident."""
    assert await status_of(client, forge(claims_of(ada.token))) == 200


async def test_claims_are_as_promised(ada: Person) -> None:
    """A token has sub (a string), iat, exp, jti and type; access lives 30 minutes."""
    access, refresh = claims_of(ada.token), claims_of(ada.refresh_token)
    assert {"sub", "iat", "exp", "jti", "type"} <= set(access)
    assert access["sub"] == str(ada.id)
    assert (access["type"], refresh["type"]) == ("access", "refresh")
    assert access["exp"] - access["iat"] == 30 * 60
    assert access["jti"] != refresh["jti"]
    assert refresh["exp"] > access["exp"]


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "none ", "", None, 0, ["none"]])
@pytest.mark.parametrize("signature", ["", "keep", "x"])
async def test_no_algorithm_is_refused(client: httpx.AsyncClient, ada: Person, alg: Any, signature: str) -> None:
    """`alg: none` in every spelling, with and without a signature."""
    token = forge(claims_of(ada.token), header={"alg": alg, "typ": "JWT"})
    head, payload, kept = token.split(".")
    signature = kept if signature == "keep" else signature
    assert await status_of(client, f"{head}.{payload}.{signature}") == 401


@pytest.mark.parametrize(
    "key",
    ["", " ", "\x00", "secret", "changeme", "password", "null", "undefined", SECRET_KEY[:-1]],
)
async def test_weak_and_wrong_keys_are_refused(client: httpx.AsyncClient, ada: Person, key: str) -> None:
    """Guessing the key does not work."""
    assert await status_of(client, forge(claims_of(ada.token), key=key)) == 401


@pytest.mark.parametrize("alg", ["HS384", "HS512", "RS256", "ES256", "PS256", "dir", "hs256"])
async def test_another_algorithm_is_refused(client: httpx.AsyncClient, ada: Person, alg: str) -> None:
    """The token does not choose the algorithm, even when it is signed with our key."""
    token = forge(claims_of(ada.token), header={"alg": alg, "typ": "JWT"})
    assert await status_of(client, token) == 401


@pytest.mark.parametrize(
    "extra",
    [
        {"kid": "../../../dev/null"},
        {"kid": "x' UNION SELECT 'secret"},
        {"jku": "http://127.0.0.1:9/keys"},
        {"x5u": "http://127.0.0.1:9/certificate"},
        {"jwk": {"kty": "oct", "k": "c2VjcmV0"}},
        {"x5c": ["AAAA"]},
        {"crit": ["exp"]},
        {"b64": False},
        {"zip": "DEF"},
        {"typ": "at+jwt"},
    ],
    ids=lambda extra: next(iter(extra)),
)
@pytest.mark.parametrize("key", ["secret", "", SECRET_KEY])
async def test_a_header_cannot_bring_its_own_key(
    client: httpx.AsyncClient, ada: Person, extra: dict[str, Any], key: str
) -> None:
    """Headers that name a key, or that we never write, are refused."""
    token = forge(claims_of(ada.token), header={**HEADER, **extra}, key=key)
    assert await status_of(client, token) == 401


async def test_a_swapped_payload_is_refused(client: httpx.AsyncClient, ada: Person, admin: Person) -> None:
    """Another's claims under my signature are refused."""
    head, _, signature = ada.token.split(".")
    payload = admin.token.split(".")[1]
    assert await status_of(client, f"{head}.{payload}.{signature}") == 401


@pytest.mark.parametrize(
    "change",
    [
        {"exp": 1},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": []},
        {"nbf": 2**40},
        {"nbf": "never"},
        {"iat": "now"},
        {"iat": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "0"},
        {"sub": "-1"},
        {"sub": str(10**30)},
        {"sub": "1 OR 1=1"},
        {"sub": "\x00"},
        {"sub": "\ud800"},
        {"sub": {}},
        {"sub": 1},
        {"jti": None},
        {"jti": 5},
        {"type": None},
        {"type": "refresh"},
        {"type": "Access"},
        {"type": ["access"]},
        {"sid": None},
    ],
    ids=str,
)
async def test_bad_claims_are_refused_even_with_the_right_key(
    client: httpx.AsyncClient, ada: Person, change: dict[str, Any]
) -> None:
    """Expired, not yet valid, of the wrong type or shape: 401, never 500."""
    assert await status_of(client, forge({**claims_of(ada.token), **change})) == 401


@pytest.mark.parametrize("name", ["sub", "exp", "iat", "jti", "type"])
async def test_every_claim_is_required(client: httpx.AsyncClient, ada: Person, name: str) -> None:
    """A token that leaves a claim out is refused."""
    claims = claims_of(ada.token)
    del claims[name]
    assert await status_of(client, forge(claims)) == 401


@pytest.mark.parametrize("claims", [[], "text", 1, None, True], ids=["list", "text", "number", "null", "true"])
async def test_claims_must_be_an_object(client: httpx.AsyncClient, claims: Any) -> None:
    """Any other JSON is refused."""
    assert await status_of(client, forge(claims)) == 401


@pytest.mark.parametrize("depth", [200, 900, 2_000, 20_000])
@pytest.mark.parametrize("part", ["header", "claims"])
async def test_nested_parts_are_refused(client: httpx.AsyncClient, ada: Person, depth: int, part: str) -> None:
    """Depth exhausts the JSON reader, not the app."""
    deep = b"[" * depth + b"]" * depth
    if part == "header":
        token = forge(claims_of(ada.token), raw_header=deep)
    else:
        signed = f"{encode(json.dumps(HEADER).encode())}.{encode(deep)}"
        digest = hmac.new(SECRET_KEY.encode(), signed.encode(), hashlib.sha256).digest()
        token = f"{signed}.{encode(digest)}"
    assert await status_of(client, token) == 401


@pytest.mark.parametrize(
    "token",
    [
        *("", ".", "..", "...", "a.b.c", "a.b", "e30.e30.", "=.=.=", "\xff.\xff.\xff", "A" * 10_000),
        *("a.b.c.d.e", "eyJhbGciOiJIUzI1NiJ9..", "null.null.null"),
    ],
)
async def test_rubbish_is_refused(client: httpx.AsyncClient, token: str) -> None:
    """What is no token is 401."""
    headers = {"Authorization": f"Bearer {token}".encode("latin-1")}
    response = await client.get("users/me", headers=headers)  # type: ignore[arg-type]
    assert response.status_code == 401


async def test_a_refresh_token_is_no_access_token(client: httpx.AsyncClient, ada: Person) -> None:
    """Neither token does the other's work."""
    assert await status_of(client, ada.refresh_token) == 401
    response = await client.post("auth/refresh", json={"refresh_token": ada.token})
    assert response.status_code == 401
    assert response.json()["error"] == "invalid_grant"


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "\x00", "é.é.é"])
async def test_a_rubbish_refresh_token_is_401(client: httpx.AsyncClient, text: str) -> None:
    """Any text is refused without a crash."""
    response = await client.post("auth/refresh", json={"refresh_token": text})
    assert (response.status_code, response.json()["error"]) == (401, "invalid_grant")


async def test_half_a_character_as_refresh_token(client: httpx.AsyncClient) -> None:
    """A lone surrogate or an endless text is malformed."""
    for body in (b'{"refresh_token":"\\ud800"}', b'{"refresh_token":"' + b"x" * 5000 + b'"}'):
        response = await client.post("auth/refresh", content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 422


async def test_a_forged_refresh_token_ends_no_session(client: httpx.AsyncClient, ada: Person) -> None:
    """Only a token that we signed can revoke: others cannot sign a user out."""
    forged = forge({**claims_of(ada.refresh_token), "jti": "0" * 32}, key="secret")
    for route in ("refresh", "logout"):
        await client.post(f"auth/{route}", json={"refresh_token": forged})
    response = await client.post("auth/refresh", json={"refresh_token": ada.refresh_token})
    assert response.status_code == 200


async def test_a_token_of_another_app_is_refused(open_app: Any, ada: Person) -> None:
    """Two apps with different keys do not trust each other."""
    token = ada.token
    with pytest.raises(InvalidToken):
        decode_token(token, SECRET_KEY[::-1], TokenType.ACCESS)


def test_an_empty_key_signs_and_opens_nothing() -> None:
    """python-jose would accept it; we do not."""
    values = {"user_id": 1, "session_id": new_token_id(), "jti": new_token_id()}
    with pytest.raises(ValueError, match="empty key"):
        create_token("", TokenType.ACCESS, expires=utc_now(), **values)  # type: ignore[arg-type]
    claims = {"sub": "1", "type": "access", "jti": "0" * 32, "sid": "0" * 32}
    claims |= {"iat": int(time.time()), "exp": int(time.time()) + 60}  # type: ignore[dict-item]
    with pytest.raises(InvalidToken):
        decode_token(forge(claims, key=""), "", TokenType.ACCESS)
