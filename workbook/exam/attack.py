"""Criteria that attack: forged tokens, injections, leaks, too many tries. They are asked after all others."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from workbook.exam import expected, tokens
from workbook.exam.auth import login, me, refresh
from workbook.exam.cast import Exam
from workbook.exam.client import Answer
from workbook.exam.criteria import Topic
from workbook.exam.finding import Failure, Unasked
from workbook.exam.items import listed

topic = Topic()
WEAK = ("", "secret", "SECRET_KEY", "secret-key", "changeme", "change-me", "password", "key", "test", "your-secret-key")
HASH = re.compile(r"\$2[abxy]\$\d\d\$|\$argon2|\$scrypt\$|pbkdf2[-_:$]sha")
INTERNALS = re.compile(
    r"Traceback|sqlalchemy|sqlite3|asyncpg|psycopg|IntegrityError|INSERT INTO|site-packages|\.py\", line|"
    r"node_modules|at Object\.<|goroutine \d|java\.lang|Stack trace"
)
TRIES = 30  # of the same thing, such as a log-in with one name
ROUNDS = 3  # of the log-ins whose times are compared; three times as many before a backend is blamed
FASTER, GAP = 2.5, 0.04  # how much less work, and how many seconds, no busy machine explains


async def refused(exam: Exam, forged: str, why: str) -> None:
    """Expect that a token opens nothing."""
    expected.challenge(await me(exam, forged), why)


@topic("8.4")
async def unsigned_tokens(exam: Exam) -> None:
    """A token without a signature, or with the algorithm none, is 401."""
    ada = await exam.ada()
    header, claims = tokens.opened(ada.access)
    for algorithm in ("none", "None", "NONE", "nOnE", ""):
        body = f"{tokens.part(header | {'alg': algorithm})}.{tokens.part(claims)}"
        for end in ("", ada.access.rpartition(".")[2]):
            await refused(exam, f"{body}.{end}", f"the token chose its algorithm: {algorithm or 'an empty one'}")
    await refused(exam, f"{ada.access.rpartition('.')[0]}.", "the signature was cut off")


@topic("8.4")
async def changed_tokens(exam: Exam) -> None:
    """A token whose claims were changed after it was signed is 401."""
    ada, bob = await exam.ada(), await exam.bob()
    header, claims = tokens.opened(ada.access)
    end = ada.access.rpartition(".")[2]
    for change in ({"sub": str(bob.id)}, {"exp": int(time.time()) + 10**8}, {"role": "admin"}):
        forged = f"{tokens.part(header)}.{tokens.part(claims | change)}.{end}"
        await refused(exam, forged, f"the claims were changed: {next(iter(change))}")
    await refused(exam, ada.access[:-4] + ("AAAA" if ada.access[-4:] != "AAAA" else "BBBB"), "the signature is another")


@topic("8.4")
async def keys_from_the_token(exam: Exam) -> None:
    """A token that brings its own key, or names one, is 401."""
    ada = await exam.ada()
    header, claims = tokens.opened(ada.access)
    for extra, key in (
        ({"kid": "../../../../dev/null"}, ""),
        ({"kid": "' UNION SELECT 'key' --"}, "key"),
        ({"jwk": {"kty": "oct", "k": tokens.packed(b"key")}}, "key"),
        ({"jku": "https://evil.example/keys"}, "key"),
        ({"alg": "HS512"}, "key"),
    ):
        await refused(exam, tokens.signed(header | extra, claims, key), f"the token named its key: {next(iter(extra))}")


@topic("8.4")
async def hostile_tokens(exam: Exam) -> None:
    """Deeply nested, very long and broken tokens are refused, and crash nothing."""
    ada = await exam.ada()
    middle, end = ada.access.split(".")[-2:]
    deep = tokens.packed(b'{"alg":' + b"[" * 2500)
    strange = (f"{deep}.{middle}.{end}", f"{ada.access}.{end}", "A" * 7000, "é.é.é", "..", f"{middle}.{middle}.{end}")
    for forged in strange:
        answer = await exam.client.ask("GET", "/users/me", headers={"Authorization": f"Bearer {forged}".encode()})
        expected.status(answer, 400, 401, 413, 431, why="whoever sends rubbish gets a refusal, not a crash")


@topic("8.5")
async def guessed_keys(exam: Exam) -> None:
    """The key that signs the tokens is none that everybody knows."""
    ada = await exam.ada()
    header, _ = tokens.opened(ada.access)
    if header.get("alg") != "HS256":
        raise Unasked(f"the algorithm is {header.get('alg')}, not HS256", chosen=True)
    body, _, end = ada.access.rpartition(".")
    for key in WEAK:
        if tokens.signature(body, key) == end:
            why = "who guesses the key signs tokens for everybody"
            raise Failure("a token's signature", f"made with the key {key!r}", "a key that nobody can guess", why)


@topic("8.1")
async def claims(exam: Exam) -> None:
    """An access token names its user by a text, and ends within two hours."""
    ada = await exam.ada()
    _, found = tokens.opened(ada.access)
    if not isinstance(found.get("sub"), str):
        raise Failure("the claims of an access token", f"sub: {found.get('sub')!r}", "a text (RFC 7519, 4.1.2)")
    end = found.get("exp")
    left = end - time.time() if isinstance(end, int | float) else 0
    if not 0 < left < 7200:
        why = "a stolen token would work for ever"
        raise Failure("the claims of an access token", f"exp: {end!r}", "a time in the next two hours", why)


@topic("8.2")
async def signed_but_wrong(exam: Exam) -> None:
    """A well signed token that has expired, lacks a claim or names nobody is 401."""
    if not exam.secret_key:
        raise Unasked("it needs the key that signs the tokens: WORKBOOK_EXAM_SECRET_KEY", chosen=True)
    ada = await exam.ada()
    header, good = tokens.opened(ada.access)
    if tokens.signature(ada.access.rpartition(".")[0], exam.secret_key) != ada.access.rpartition(".")[2]:
        raise Unasked("the key that was given does not sign the tokens", chosen=True)
    now = int(time.time())
    wrong: list[dict[str, Any]] = [good | {"exp": now - 60}, good | {"sub": "2147483647"}, good | {"sub": "9" * 30}]
    wrong += [{name: value for name, value in good.items() if name != gone} for gone in ("exp", "sub")]
    for changed in wrong:
        await refused(exam, tokens.signed(header, changed, exam.secret_key), f"the claims are {json.dumps(changed)}")


@topic("7.4")
async def equal_work(exam: Exam) -> None:
    """An unknown name costs as much work as a wrong password."""
    ada = await exam.newcomer()
    # the shortest of several: a busy machine makes times longer, never shorter
    wrong = unknown = float("inf")
    for number in range(3 * ROUNDS):
        wrong = min(wrong, await _seconds(exam, ada.username))
        unknown = min(unknown, await _seconds(exam, exam.stranger().username))
        if number >= ROUNDS - 1 and (wrong < unknown * FASTER or wrong - unknown < GAP):
            return
    told = f"{unknown * 1000:.0f} ms for an unknown name, {wrong * 1000:.0f} ms for a wrong password"
    raise Failure("POST /auth/login", told, "about the same", "the time tells who has an account")


async def _seconds(exam: Exam, name: str) -> float:
    """Return how long it takes to refuse a log-in."""
    started = time.perf_counter()
    await login(exam, name, exam.stranger().password)
    return time.perf_counter() - started


@topic("4.8")
async def injections(exam: Exam) -> None:
    """Quotes, semicolons and comments in q and sort change no query."""
    grace = await exam.newcomer()
    await exam.item(grace)
    for q in ("' OR '1'='1", "Pen' --", '" OR ""="', "%' OR 1=1 --", "'; --", "')) OR ((1=1"):
        answer = expected.status(await listed(exam, grace, f"?q={quote(q)}"), 200)
        expected.that(answer.rows() == [], answer, answer.told(), "no item: none has this text")
    for sort in ("id;--", "id)--", "(CASE WHEN 1=1 THEN id END)", "id'"):
        expected.error(await listed(exam, grace, f"?sort={quote(sort)}"), 422)


@topic("2.4")
async def no_secrets_in_answers(exam: Exam) -> None:
    """No answer of this exam has a password or a hash in it."""
    why = "what is in an answer ends in logs, caches and browsers"
    for answer in [*exam.client.good, *exam.client.errors]:
        if answer.path.endswith("/openapi.json"):
            continue
        found = HASH.search(answer.text)
        names = [name for name in _names(answer.json()) if "password" in name.lower() or "hash" in name.lower()]
        known = any(password in answer.text for password in exam.passwords if password)
        told = found[0] if found else f"the field {names[0]}" if names else "a password"
        expected.that(not (found or names or known), answer, told, "neither a password nor a hash", why)


def _names(data: Any, depth: int = 6) -> list[str]:
    """Return the names of all fields, not deeper than a right answer goes."""
    if depth == 0 or not isinstance(data, dict | list):
        return []
    inner = data.values() if isinstance(data, dict) else data
    own = list(data) if isinstance(data, dict) else []
    return own + [name for one in inner for name in _names(one, depth - 1)]


@topic("6.5")
async def no_crash(exam: Exam) -> None:
    """Nothing that this exam asked was a 5xx."""
    seen: list[Answer] = exam.client.broken
    if seen:
        raise Failure(seen[0].did, seen[0].told(), "no 5xx", f"{len(seen)} requests of this exam ended so")


@topic("6.5")
async def no_internals(exam: Exam) -> None:
    """No error body shows code, SQL or a traceback."""
    for answer in exam.client.errors:
        found = INTERNALS.search(answer.text)
        told = f"{found[0]!r} in {answer.told()}" if found else ""
        expected.that(found is None, answer, told, "a text for people", "internals tell an attacker where to go on")


@topic("13.6")
async def too_many_tries(exam: Exam) -> None:
    """Who tries to log in too often gets 429 with Retry-After and the one error body, another address or not."""
    name = exam.stranger().username

    async def try_one(number: int) -> Answer:
        form = {"username": name, "password": secrets.token_hex(4)}
        claimed = {"X-Forwarded-For": f"203.0.113.{number}"}
        return await exam.client.ask("POST", "/auth/login", form=form, headers=claimed, limited=True)

    await limited(exam, try_one, 401, "without a limit every password can be guessed")


@topic("13.6")
async def too_many_sign_ups(exam: Exam) -> None:
    """Who signs up with one e-mail too often gets 429 with Retry-After and the one error body."""
    taken = (await exam.ada()).email

    async def try_one(_number: int) -> Answer:
        data = exam.stranger().sign_up() | {"email": taken}
        return await exam.client.ask("POST", "/auth/register", data=data, limited=True)

    await limited(exam, try_one, 409, "a password is hashed for each: a few clients would keep the processor busy")


@topic("13.6")
async def too_many_refreshes(exam: Exam) -> None:
    """Who refreshes one session too often gets 429 with Retry-After and the one error body."""
    token = (await exam.ada()).refresh
    await refresh(exam, token)

    async def try_one(_number: int) -> Answer:
        data = {"refresh_token": token}
        return await exam.client.ask("POST", "/auth/refresh", data=data, limited=True)

    await limited(exam, try_one, 401, "each is a write: a few clients would keep the database busy")


@topic("13.9")
async def too_many_resets(exam: Exam) -> None:
    """Who asks for a new password too often gets 429 with Retry-After and the one error body."""
    email = exam.stranger().email

    async def try_one(_number: int) -> Answer:
        return await exam.client.ask("POST", "/auth/password-reset", data={"email": email}, limited=True)

    await limited(exam, try_one, 202, "anybody could fill somebody's mail box")


async def limited(exam: Exam, try_one: Callable[[int], Awaitable[Answer]], code: int, why: str) -> None:
    """Try until a 429 comes; expect it within some tries, and this code before it."""
    if not exam.limits:
        raise Unasked("the backend runs without limits: --no-limits", chosen=True)
    for number in range(TRIES):
        answer = await try_one(number)
        if answer.status == 429:
            expected.error(answer, 429)
            wait = answer.headers.get("Retry-After", "")
            expected.that(wait.isdecimal() and wait != "0", answer, f"Retry-After: {wait or 'none'}", "seconds")
            return
        expected.status(answer, code)
    expected.that(False, answer, f"{TRIES} tries, and no 429", "429 after a while", why)
