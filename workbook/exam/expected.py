"""What criteria expect of an answer."""

from __future__ import annotations

import re
from typing import Any

from workbook.exam.client import Answer
from workbook.exam.finding import Failure, shown

USER = {"id", "email", "username", "full_name", "role", "is_active", "created_at", "updated_at"}
ITEM = {"id", "title", "description", "url", "price", "owner_id", "created_at", "updated_at"}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def status(answer: Answer, *codes: int, why: str = "") -> Answer:
    """Expect one of these codes; return the answer."""
    if answer.status not in codes:
        raise Failure(answer.did, answer.told(), " or ".join(map(str, codes)), why)
    return answer


def that(holds: bool, answer: Answer, got: str, expected: str, why: str = "") -> None:
    """Expect that a condition about an answer holds."""
    if not holds:
        raise Failure(answer.did, shown(got), expected, why)


def value(answer: Answer, name: str, wanted: Any, why: str = "") -> None:
    """Expect a field of the body's object."""
    got = answer.data().get(name)
    same = got == wanted and isinstance(got, bool) == isinstance(wanted, bool)
    that(same, answer, f"{name}: {got!r}", f"{name}: {wanted!r}", why)


def header(answer: Answer, name: str, part: str, why: str = "") -> None:
    """Expect a header with this part."""
    got = answer.headers.get(name, "")
    that(part.lower() in got.lower(), answer, f"{name}: {got or 'none'}", f"{name} with {part}", why)


def fields(answer: Answer, data: Any, names: set[str]) -> dict[str, Any]:
    """Expect an object with exactly these fields; return it."""
    got = set(data) if isinstance(data, dict) else set()
    missing, more = ", ".join(sorted(names - got)), ", ".join(sorted(got - names))
    told = " and ".join(part for part in (missing and f"missing: {missing}", more and f"too much: {more}") if part)
    that(got == names, answer, told, "the fields " + ", ".join(sorted(names)))
    found: dict[str, Any] = data
    return found


def user(answer: Answer, data: Any) -> dict[str, Any]:
    """Expect a UserPublic, its times with an offset; return it."""
    return _with_times(answer, fields(answer, data, USER))


def item(answer: Answer, data: Any) -> dict[str, Any]:
    """Expect an ItemPublic, its price a decimal text; return it."""
    found = _with_times(answer, fields(answer, data, ITEM))
    that(isinstance(found["price"], str), answer, f"price: {found['price']!r}", "a decimal text such as '1.50'")
    return found


def _with_times(answer: Answer, data: dict[str, Any]) -> dict[str, Any]:
    for name in ("created_at", "updated_at"):
        right = isinstance(data[name], str) and MOMENT.fullmatch(data[name]) is not None
        why = "without an offset nobody knows which time zone is meant"
        that(right, answer, f"{name}: {data[name]!r}", "a time with an offset, as RFC 3339 says", why)
    return data


def error(answer: Answer, *codes: int, why: str = "") -> dict[str, Any]:
    """Expect one of these codes with the one error body; return the body."""
    status(answer, *codes, why=why)
    body = answer.data()
    for name in ("detail", "code", "request_id"):
        right = isinstance(body.get(name), str) and body[name] != ""
        that(
            right, answer, answer.told(), f"an error body with the text {name}", "clients read one body for all errors"
        )
    return body


def challenge(answer: Answer, why: str = "") -> None:
    """Expect a 401 that says how to sign in."""
    status(answer, 401, why=why)
    header(answer, "WWW-Authenticate", "Bearer", "RFC 9110 asks for a challenge with every 401")


def oauth(answer: Answer, *codes: int, why: str = "") -> None:
    """Expect an error of a token route."""
    status(answer, *codes, why=why)
    value(answer, "error", "invalid_grant", "OAuth clients look for this field (RFC 6749, section 5.2)")


def unstored(answer: Answer) -> None:
    """Expect that no cache may keep the answer."""
    header(answer, "Cache-Control", "no-store", "a cache on the way would keep the tokens")


def pair(answer: Answer, *codes: int) -> dict[str, Any]:
    """Expect a pair of tokens with its user; return the body."""
    status(answer, *codes)
    body = answer.data()
    for name in ("access_token", "refresh_token"):
        right = isinstance(body.get(name), str) and body[name] != ""
        that(right, answer, answer.told(), f"the text {name}")
    value(answer, "token_type", "bearer")
    user(answer, body.get("user"))
    unstored(answer)
    return body


def same(one: Answer, other: Answer, why: str) -> None:
    """Expect two answers that nobody can tell apart, but by their request id."""
    bodies = [{k: v for k, v in answer.data().items() if k != "request_id"} for answer in (one, other)]
    equal = one.status == other.status and bodies[0] == bodies[1]
    that(equal, other, f"{other.told()}, but for {one.did}: {one.told()}", "the same answer for both", why)
