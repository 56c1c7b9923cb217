"""Tokens made by hand, with no help of the learner's code, and what it says of them (chapter 08)."""

import base64
import hashlib
import hmac
import json
import time

from jose.exceptions import JOSEError

from course_checks.samples import KEY
from course_checks.words import in_words
from workbook import expect

HEADER = {"alg": "HS256", "typ": "JWT"}
HASHES = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}
JTI, SID = "0123456789abcdef" * 2, "fedcba9876543210" * 2
CLAIMS = {"sub", "type", "jti", "sid", "iat", "exp"}
LIBRARY = (JOSEError, ValueError, TypeError, KeyError, OverflowError, RecursionError)
A_500 = "any stranger could turn a request into a 500"
ANYBODY = "a stranger could be anybody"


def compact(value):
    """Return JSON without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def write(data):
    """Write bytes as the parts of a token are written."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read(part):
    """Read the bytes of a part."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def claims_of(kind="access", **changes):
    """Return good claims of the user 7, with changes; None leaves a claim out."""
    now = int(time.time())
    claims = {"sub": "7", "type": kind, "jti": JTI, "sid": SID, "iat": now, "exp": now + 1800} | changes
    return {name: value for name, value in claims.items() if value is not None}


def sign(header, payload, key=KEY, hash_name=hashlib.sha256):
    """Sign two parts that are bytes."""
    signed = f"{write(header)}.{write(payload)}"
    return f"{signed}.{write(hmac.new(key.encode(), signed.encode(), hash_name).digest())}"


def forge(claims=None, header=None, key=KEY):
    """Make a token by hand."""
    header = HEADER if header is None else header
    hash_name = HASHES.get(str(header.get("alg")), hashlib.sha256)
    return sign(compact(header), compact(claims_of() if claims is None else claims), key, hash_name)


def nested(depth, part="header"):
    """Make a token with a list in a list in a list…, signed with the key."""
    deep = b"[" * depth + b"]" * depth
    return sign(deep, b"{}") if part == "header" else sign(compact(HEADER), deep)


def raised(error):
    """Say in one line what was raised."""
    return f"it raised {in_words(error, 80)}"


def parts_of(token, did, at):
    """Return header and claims of a token that the learner's code made; what is no token is a wrong answer."""
    try:
        header, claims, _ = token.split(".")
        return json.loads(read(header)), dict(json.loads(read(claims)))
    except (ValueError, AttributeError, TypeError):
        raise expect.Wrong(
            did=did,
            got=f"{token!r}"[:200],
            expected="a token: three parts with dots between them",
            why="no client could send it back",
            hint="return what jwt.encode(claims, key, algorithm=ALGORITHM) returns",
            at=at,
        ) from None
