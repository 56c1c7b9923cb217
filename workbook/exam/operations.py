"""Criteria for those who run the backend: ids, health, headers that protect, sizes, numbers."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress

from workbook.exam import expected
from workbook.exam.auth import me
from workbook.exam.cast import Exam
from workbook.exam.client import Answer
from workbook.exam.criteria import Topic
from workbook.exam.finding import Failure

topic = Topic()
ID = "X-Request-ID"
LARGE = (2_000_000, 11_000_000)  # bytes: over the limit, and over that of whoever allows more
PIECE = 50_000  # bytes of a body that is sent in pieces
BREAKS = 3  # tries, for a server that refuses a body may close before we have read why


async def numbered(exam: Exam, sent: str | bytes | None, path: str = "/users/me", *, outside: bool = False) -> Answer:
    """Ask with an id, or without one."""
    headers = {} if sent is None else {ID: sent}
    return await exam.client.ask("GET", path, headers=headers, outside=outside)


@topic("14.1")
async def ids_that_come_in(exam: Exam) -> None:
    """An X-Request-ID that comes in goes out: in the header, and in the error body."""
    why = "what a client reports could not be found in the log"
    for path, outside in (("/health", True), ("/users/me", False), (f"/{secrets.token_hex(4)}", False)):
        sent = f"Exam_{secrets.token_hex(6)}-1"
        answer = await numbered(exam, sent, path, outside=outside)
        got = answer.headers.get(ID)
        expected.that(got == sent, answer, f"{ID}: {got or 'none'}", f"{ID}: {sent}", why)
        if answer.status >= 400:
            body = expected.error(answer, 401, 404)
            expected.that(body["request_id"] == sent, answer, answer.told(), f"request_id: {sent}", why)


@topic("14.1")
async def ids_that_are_made(exam: Exam) -> None:
    """Without an X-Request-ID each answer has one of its own, the same in the header and in the error body."""
    seen = []
    for _ in range(2):
        answer = await numbered(exam, None)
        got, body = answer.headers.get(ID, ""), expected.error(answer, 401)
        seen.append(got)
        expected.that(got == body["request_id"], answer, f"{ID}: {got or 'none'}", f"{ID}: {body['request_id']}")
    expected.that(len(set(seen)) == 2, answer, f"{ID}: {seen[0]}, twice", "another id for another request")


@topic("14.1")
async def ids_that_are_none(exam: Exam) -> None:
    """An X-Request-ID that is no id, or a very long one, does not go out."""
    why = "it stands in the log and in answers: whoever sends it would write there what they like"
    for sent in ("a b c d e f", "<script>alert(1)</script>", "id=1;admin=true", "ééééééééé".encode(), "x" * 200):
        answer = await numbered(exam, sent)
        text = sent if isinstance(sent, str) else sent.decode()
        got = (answer.headers.get(ID, ""), answer.data().get("request_id"))
        raw = [value for name, value in answer.headers.raw if name.lower() == ID.lower().encode()]
        bad = text in got or text.encode() in raw
        expected.that(not bad, answer, f"{ID}: {got[0]}", "another id than the one that was sent", why)


@topic("14.5")
async def numbers_are_not_public(exam: Exam) -> None:
    """The page /metrics is not for everybody: neither without a token nor with a user's."""
    ada = await exam.ada()
    why = "it tells an attacker which routes there are, and what an attack does"
    for path, outside in (("/metrics", True), ("/metrics", False)):
        for token in (None, "metrics", ada.access):
            answer = await exam.client.ask("GET", path, token=token, outside=outside)
            expected.error(answer, 401, 403, 404, why=why)


@topic("14.6")
async def ready(exam: Exam) -> None:
    """GET /health/ready gives 200 and JSON."""
    answer = expected.status(await exam.client.ask("GET", "/health/ready", outside=True), 200)
    expected.that(bool(answer.data()), answer, answer.told(), "a JSON object")


@topic("14.7")
async def headers_that_protect(exam: Exam) -> None:
    """Every answer says nosniff, forbids frames, and has a Content-Security-Policy."""
    ada = await exam.ada()
    for answer in (
        await me(exam, ada.access),
        await me(exam, None),
        await exam.client.ask("GET", f"/{secrets.token_hex(4)}", outside=True),
        await exam.client.ask("POST", "/items", token=ada.access, data={}),
        await exam.client.ask("GET", "/health", outside=True),
    ):
        expected.header(answer, "X-Content-Type-Options", "nosniff", "a browser would guess that a text is a program")
        frames = answer.headers.get("X-Frame-Options", "").upper()
        right = frames in ("DENY", "SAMEORIGIN")
        expected.that(right, answer, f"X-Frame-Options: {frames or 'none'}", "X-Frame-Options: DENY", "clicks are led")
        expected.header(answer, "Content-Security-Policy", "default-src", "the last net, when a text becomes a page")


@topic("14.7")
async def promises_of_https(exam: Exam) -> None:
    """Strict-Transport-Security comes over HTTPS, and only there."""
    answer = await exam.client.ask("GET", "/health", outside=True)
    got, secure = answer.headers.get("Strict-Transport-Security", ""), exam.client.url.startswith("https:")
    why = "browsers would go on by plain HTTP" if secure else "browsers ignore it there (RFC 6797, section 7.2)"
    wanted = "a Strict-Transport-Security" if secure else "none: this is plain HTTP"
    expected.that(bool(got) == secure, answer, f"Strict-Transport-Security: {got or 'none'}", wanted, why)


async def stored(exam: Exam, content: bytes | Sequence[bytes]) -> Answer:
    """Send the body of an item; once more, when the connection breaks."""
    ada, kind = await exam.ada(), {"Content-Type": "application/json"}
    for _ in range(BREAKS - 1):
        with suppress(Failure):
            return await exam.client.ask("POST", "/items", token=ada.access, content=content, headers=kind)
    return await exam.client.ask("POST", "/items", token=ada.access, content=content, headers=kind)


def body(size: int) -> bytes:
    """Return JSON of this size."""
    return b'{"title": "Pen", "price": "1.50", "description": "' + b"a" * (size - 53) + b'"}'


@topic("14.8")
async def large_bodies(exam: Exam) -> None:
    """A body that is too large is 413 with the one error body."""
    for size in LARGE:
        answer = await stored(exam, body(size))
        if answer.status == 413:
            break
    expected.error(answer, 413, why="a few requests would fill the memory")


@topic("14.8")
async def large_bodies_in_pieces(exam: Exam) -> None:
    """A body that is too large, and comes in pieces without its length, is 413 with the one error body."""
    for size in LARGE:
        whole = body(size)
        answer = await stored(exam, [whole[start : start + PIECE] for start in range(0, size, PIECE)])
        if answer.status == 413:
            break
    expected.error(answer, 413, why="who does not say the length would send as much as they like")
