"""Checks of chapter 15: exploits that find a fault and stay silent without one, and a repair that stops them."""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import random
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import sleep

import httpx
import pytest
from sqlalchemy import event, text

from workbook import expect
from workbook.checks import exercise
from workbook.endings import why_none
from workbook.exam import run
from workbook.exam.cast import Exam
from workbook.exam.client import Client
from workbook.faults import EDITS, TOPICS
from workbook.replica import Instrument, replica
from workbook.sabotage import edited

KEY = "k8Jd72hLq09ZxC4vBn6MwE3rTy5UiOpA"
PASSWORD = "Correct horse"
URL = "http://shop/api/v1"
FALSE_ALARM = "who believes your exploit would repair what is right, and would not believe it the next time"
MADE = {}  # the replicas of this process: importing one takes a tenth of a second


class Workshop:
    """Makes right and faulty apps of the course's own package, each under a name of its own."""

    def __init__(self, files, folder):
        self.files, self.folder = files, folder

    def made(self, edits, replaced):
        """Return a package's `main`, changed as the edits say; made once in a process."""
        key = (edits, tuple(replaced.items()))
        if key not in MADE:
            name = f"shop{len(MADE)}"
            logger = logging.getLogger(name)
            logger.addHandler(logging.NullHandler())
            logger.propagate = False
            MADE[key] = replica(edited(self.files, edits) | replaced, name, self.folder / name)
        return MADE[key]


@pytest.fixture
def shops(load, solved, tmp_path_factory, tmp_path):
    """Open a shop: `async with shops("a search in SQL") as shop:`, or one that is right: `shops()`.

    `edits` are more changes, `replaced` whole modules; `file=True` gives each request a connection of its own, and
    `slow` lets each hash take so many seconds more.
    """
    files = {path: text for path, text in solved.files.items() if not path.startswith("tests/")}
    workshop = Workshop(files, tmp_path_factory.mktemp("shops"))

    @asynccontextmanager
    async def open_shop(*faults, edits=(), replaced=None, file=False, slow=0.0, **settings):
        changes = (*(edit for fault in faults for edit in EDITS[fault]), *edits)
        main = workshop.made(changes, replaced or {})
        package = main.__name__.partition(".")[0]
        url = f"sqlite+aiosqlite:///{tmp_path}/{random.getrandbits(48):x}.db" if file else "sqlite+aiosqlite://"
        async with opened(package, main, url, slow, **settings) as http:
            yield load("attacks.shop").Shop(http)

    return open_shop


@asynccontextmanager
async def opened(package, main, url, slow=0.0, **settings):
    """Start a package's app with a first admin and cheap hashing; give a client."""
    security = sys.modules[f"{package}.core.security"]
    security.pwd_context.update(bcrypt__rounds=4)
    if f"{package}.outbox.postman" in sys.modules:
        sys.modules[f"{package}.outbox.postman"].POLL_SECONDS = 3600.0
    known = {"first_admin_email": "root@example.com", "first_admin_password": PASSWORD, "rate_limit_enabled": False}
    values = {"database_url": url, "secret_key": KEY, "log_level": "CRITICAL", **known, **settings}
    app = main.create_app(sys.modules[f"{package}.core.config"].Settings(_env_file=None, **values))
    context, quick = security.pwd_context, security.pwd_context.hash
    if slow:
        context.hash = lambda *args, **kwargs: (sleep(slow), quick(*args, **kwargs))[1]
    transport = httpx.ASGITransport(Instrument(app, context), raise_app_exceptions=False)
    try:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url=URL, timeout=60) as http,
        ):
            yield http
    finally:
        for name in ("hash", "verify"):
            vars(context).pop(name, None)


def texts(found, function, did):
    """Expect a list of texts."""
    expect.that(
        isinstance(found, list) and all(isinstance(one, str) for one in found),
        did=did,
        got=expect.shown(found),
        expected="a list of texts",
        why="whoever reads it could do nothing with it",
        hint=why_none(function, "the list") if found is None else "return a list, also an empty one",
        at=function,
    )
    return found


async def finds(shops, function, fault, needed, allowed=(), *, hint, about="", alarms=None, **options):
    """Expect that an exploit finds a fault, and names nothing that is right.

    `about` says what `edits` have made; `alarms` has a hint for a name that is found where it should not be.
    """
    did = f"{function.__name__}(shop){f', on an app where {about}' if about else described(fault)}"
    async with shops(*([fault] if fault else []), **options) as shop:
        found = texts(await function(shop), function, did)
    reason = {"did": did, "at": function, "hint": hint}
    for name in needed:
        expect.that(
            name in found,
            got=expect.shown(found),
            expected=f"{name!r} is in the list",
            why="the fault would stay, and you would say that all is well",
            **reason,
        )
    strange = [name for name in found if name not in (*needed, *allowed)]
    expect.that(
        not strange,
        got=expect.shown(found),
        expected=f"{expect.shown(list(needed))}, and nothing more",
        why=FALSE_ALARM,
        **(reason | {"hint": (alarms or {}).get(strange[0] if strange else "", hint)}),
    )
    expect.that(
        len(found) == len(set(found)),
        got=expect.shown(found),
        expected="each name once",
        why="one fault would look like two",
        **reason,
    )
    return found


def relay(shop, answer):
    """Let `answer(method, url, sent)` answer a shop's requests; where it gives None, the app does."""
    inner = shop.http.request

    async def request(method, url, **sent):
        found = await answer(method, str(url), sent)
        return await inner(method, url, **sent) if found is None else found

    shop.http.request = request


def said(status, method, url):
    """Make an answer with an empty body."""
    return httpx.Response(status, json={}, request=httpx.Request(method, f"{URL}{url}"))


def described(fault):
    """Say which app it was."""
    return f", on an app with the fault: {fault}" if fault else ", on an app that is right"


# ---------------------------------------------------------------------------------------------------------------- 15.1


PARTS = {  # of a row: why they count, and how they are made
    2: ("a fault that comes up a hundred times would look like one that comes up once", "times: len(group)"),
    3: ("who reads it would not see at once what the route answers", "tuple(sorted({one.status for one in group}))"),
    4: (
        "the simplest request is the one that is tried first, and two runs must give the same one",
        "min(commands, key=len): without the key it compares letters; of equally short ones the first is kept",
    ),
}


@exercise("15.1")
class TestTriage:
    def triage(self, load, *rows):
        """Let the learner's function read a report; return rows."""
        module = load("attacks.fuzz")
        failures, listed, found = [module.Failure(*row) for row in rows], None, None
        with suppress(Exception):
            listed = module.triage(list(failures))
        with suppress(Exception):
            found = module.triage(one for one in failures)
        expect.that(
            found == listed or not isinstance(listed, list),
            did="triage(failures), with a generator",
            got="an exception" if found is None else expect.shown(found),
            expected="the same as with a list",
            why="the second time a generator has nothing more to give",
            hint="failures can be read only once: group all of them in one loop, or begin with list(failures)",
            at=module.triage,
        )
        if found is None:  # what it raised, or returned, is told as it is
            found = module.triage(one for one in failures)
        expect.that(
            isinstance(found, list) and all(isinstance(one, module.Suspicion) for one in found),
            did="triage(failures)",
            got=expect.shown(found),
            expected="a list of Suspicion",
            why="nobody could go through it",
            hint=why_none(module.triage, "the list")
            if found is None
            else "build a Suspicion for each group, and return a list of them",
            at=module.triage,
        )
        return [(one.check, one.route, one.times, one.statuses, one.curl) for one in found]

    def becomes(self, load, rows, expected, *, did, why, hint):
        """Expect what a report becomes."""
        found = self.triage(load, *rows)
        if sorted(map(repr, found)) == sorted(map(repr, expected)):
            why = "the crash would stand below forty harmless lines"
            hint = "the sort's key: (rank, -times, route, check); the rank: the place in FIRST, or len(FIRST)"
        elif any(not isinstance(row[3], tuple) for row in found):
            why, hint = "two of them could not be compared", "statuses is a tuple: tuple(sorted({…}))"
        elif found != expected and [row[:2] for row in found] == [row[:2] for row in expected]:
            place = next(n for n in PARTS if [row[n] for row in found] != [row[n] for row in expected])
            why, hint = PARTS[place]
        expect.equal(found, expected, did=did, why=why, hint=hint, at=load("attacks.fuzz").triage)

    def test_united(self, load):
        """Failures of one check on one route are one suspicion, with their number"""
        rows = [("ServerError", "POST /items", 500, f"curl {n}") for n in range(5)]
        self.becomes(
            load,
            rows,
            [("ServerError", "POST /items", 5, (500,), "curl 0")],
            did="triage, of five failures of one check on one route",
            why="one fault would be a hundred lines, and hide the others",
            hint="the key of a group is the pair (check, route)",
        )

    def test_kept_apart(self, load):
        """Another check, or another route, is another suspicion"""
        rows = [
            ("ServerError", "POST /items", 500, "curl a"),
            ("ServerError", "PATCH /items", 500, "curl b"),
            ("UndefinedStatusCode", "POST /items", 418, "curl c"),
        ]
        self.becomes(
            load,
            rows,
            [
                ("ServerError", "PATCH /items", 1, (500,), "curl b"),
                ("ServerError", "POST /items", 1, (500,), "curl a"),
                ("UndefinedStatusCode", "POST /items", 1, (418,), "curl c"),
            ],
            did="triage, of three different failures",
            why="a second fault of the same route would be lost",
            hint="both the check and the route belong to the key",
        )

    def test_statuses(self, load):
        """The statuses are there once each, the smallest first, as a tuple"""
        rows = [("UndefinedStatusCode", "GET /items", status, "curl") for status in (503, 418, 503, 500, 418, 1000)]
        self.becomes(
            load,
            rows,
            [("UndefinedStatusCode", "GET /items", 6, (418, 500, 503, 1000), "curl")],
            did="triage, of six failures with four statuses",
            why="who reads it would not see at once what the route answers",
            hint="tuple(sorted({one.status for one in group}))",
        )

    def test_shortest(self, load):
        """The command is the shortest; of equally short ones the first"""
        rows = [
            ("ServerError", "POST /items", 500, one) for one in ("curl -d 'long'", "curl -z", "curl -a", "curl -dd")
        ]
        self.becomes(
            load,
            rows,
            [("ServerError", "POST /items", 4, (500,), "curl -z")],
            did="triage, of failures whose commands are 'curl -z', 'curl -a' and longer ones",
            why="the simplest request is the one that is tried first",
            hint="min(commands, key=len): without the key it compares letters",
        )

    def test_noise(self, load):
        """A document that was refused is left out, by the check's name and not by its status"""
        rows = [
            ("RejectedPositiveData", "POST /items", 422, "curl a"),
            ("RejectedPositiveData", "POST /users", 400, "curl b"),
            ("UndefinedStatusCode", "POST /users", 422, "curl c"),
            ("AcceptedNegativeData", "POST /items", 201, "curl d"),
        ]
        self.becomes(
            load,
            rows,
            [
                ("AcceptedNegativeData", "POST /items", 1, (201,), "curl d"),
                ("UndefinedStatusCode", "POST /users", 1, (422,), "curl c"),
            ],
            did="triage, of two refusals of valid documents and two real failures",
            why="an undocumented 422 is a failure, and a 201 can be one too: the status does not say it",
            hint="leave out what has check == NO_SUSPICION, and nothing else",
        )

    def test_order(self, load):
        """Crashes come first, then ignored tokens, then all others; within that, what came most often"""
        counted = [
            ("UndefinedStatusCode", "GET /b", 9),
            ("AcceptedNegativeData", "GET /a", 9),
            ("UndefinedContentType", "GET /a", 10),
            ("IgnoredAuth", "GET /z", 1),
            ("IgnoredAuth", "GET /y", 2),
            ("ServerError", "POST /z", 1),
            ("AcceptedNegativeData", "GET /b", 9),
            ("ServerError", "POST /a", 1),
            ("AcceptedNegativeData", "GET /d", 3),
            ("UndefinedStatusCode", "GET /c", 3),
        ]
        rows = [(check, route, 500, "curl") for check, route, times in counted for _ in range(times)]
        random.Random(15).shuffle(rows)
        expected = [
            ("ServerError", "POST /a"),
            ("ServerError", "POST /z"),
            ("IgnoredAuth", "GET /y"),
            ("IgnoredAuth", "GET /z"),
            ("UndefinedContentType", "GET /a"),
            ("AcceptedNegativeData", "GET /a"),
            ("AcceptedNegativeData", "GET /b"),
            ("UndefinedStatusCode", "GET /b"),
            ("UndefinedStatusCode", "GET /c"),
            ("AcceptedNegativeData", "GET /d"),
        ]
        found = [(row[0], row[1]) for row in self.triage(load, *rows)]
        expect.equal(
            found,
            expected,
            did="the checks and routes of a long report, in their order",
            why="two runs could not be compared"
            if [check for check, _route in found[:4]] == [check for check, _route in expected[:4]]
            else "the crash would stand below forty harmless lines",
            hint="the sort's key: (rank, -times, route, check); the rank: the place in FIRST, or len(FIRST)",
            at=load("attacks.fuzz").triage,
        )

    def test_nothing(self, load):
        """An empty report is an empty list"""
        self.becomes(
            load,
            [],
            [],
            did="triage, of nothing",
            why="a clean run would look like a broken tool",
            hint="start with an empty list",
        )


# ---------------------------------------------------------------------------------------------------------------- 15.2


def read(part):
    """Return what a part of a token says."""
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def mac(body, key):
    """Return the signature of a token, as it must be."""
    digest = hmac.new(key.encode(), body.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@exercise("15.2", limit=20)
class TestForge:
    HEADER = {"alg": "HS256", "typ": "JWT"}  # noqa: RUF012 - nobody changes it
    CLAIMS = {"sub": "7", "type": "access", "exp": 2_000_000_000}  # noqa: RUF012

    def tokens(self, load):
        """Forge tokens of two that are known."""
        module = load("attacks.tokens")
        parts = [module.part(self.HEADER), module.part(self.CLAIMS)]
        access = f"{'.'.join(parts)}.{mac('.'.join(parts), KEY)}"
        refresh = f"{module.part(self.HEADER)}.{module.part(self.CLAIMS | {'type': 'refresh'})}.c2ln"
        found = module.forge(access, refresh, 12)
        good = isinstance(found, dict) and all(isinstance(token, str) for token in found.values())
        expect.that(
            good,
            did="forge(access, refresh, 12)",
            got=expect.shown(found),
            expected="a dict of names and tokens",
            why="nobody could try them",
            hint=why_none(module.forge, "the dict") if found is None else "fill a dict, and return it",
            at=module.forge,
        )
        return access, refresh, found

    def test_signed(self, load):
        """signed() is HMAC with SHA-256 over header.claims, in base64url without padding"""
        signed = load("attacks.tokens").signed
        for key in ("", "mallory", "ключ"):
            for claims in ({"sub": "1"}, {"sub": "12", "n": 4}):
                token = signed(self.HEADER, claims, key)
                expect.that(
                    isinstance(token, str) and token.count(".") == 2 and "=" not in token,
                    did=f"signed(header, {claims}, {key!r})",
                    got=expect.shown(token),
                    expected="three parts with dots between them, without =",
                    why="no backend would read it",
                    hint=why_none(signed, "the token") if token is None else "use `packed` for the signature too",
                    at=signed,
                )
                body, _, signature = token.rpartition(".")
                found = (read(body.split(".")[0]), read(body.split(".")[1]), signature)
                expect.equal(
                    found,
                    (self.HEADER, claims, mac(body, key)),
                    did=f"header, claims and signature of signed(header, {claims}, {key!r})",
                    why="no backend would take it, also not one whose key you know",
                    hint="sign the text header.claims, with its dot, by hashlib.sha256; digest(), not hexdigest()",
                    at=signed,
                )

    def test_headers(self, load):
        """A forgery changes a header of its own: what is signed keeps the algorithm, and has one key at most"""
        _, _, found = self.tokens(load)
        for name, token in found.items():
            if token.count(".") != 2:
                continue  # another criterion tells what is missing
            header, signature = read(token.partition(".")[0]), token.rpartition(".")[2]
            expect.that(
                not (signature and header.get("alg") != "HS256") and not {"jwk", "kid"} <= set(header),
                did=f"the header of the token {name!r}",
                got=expect.shown(header),
                expected="what the table says of this one forgery",
                why="a token that is refused for another reason proves nothing",
                hint="change copies, header | {…}: what is written into `header` itself stays for all later forgeries",
                at=load("attacks.tokens").forge,
            )

    async def test_right_app(self, load, shops):
        """No forged token opens an app that is right"""
        module = load("attacks.tokens")
        async with shops() as shop:
            mallory, victim = await shop.newcomer(), await shop.newcomer()
            for name, token in module.forge(mallory.access, mallory.refresh, victim.id).items():
                answer = await shop.ask("GET", "/users/me", by=token)
                expect.that(
                    answer.status_code == 401,
                    did=f"GET /users/me with the token {name!r}, on an app that is right",
                    got=str(answer.status_code),
                    expected="401",
                    why=FALSE_ALARM,
                    hint="a token that was never changed is no forgery: leave it out",
                    at=module.forge,
                )

    async def opens(self, load, shops, fault, hint, *, own=False, edits=()):
        """Expect that a forged token opens an account of a faulty app."""
        module = load("attacks.tokens")
        async with shops(*([fault] if fault in EDITS else []), edits=edits) as shop:
            mallory, victim = await shop.newcomer(), await shop.newcomer()
            wanted, opened = (mallory if own else victim).id, []
            for token in module.forge(mallory.access, mallory.refresh, victim.id).values():
                answer = await shop.ask("GET", "/users/me", by=token)
                opened += [answer.json()["id"]] if answer.status_code == 200 else []
        expect.that(
            wanted in opened,
            did=f"GET /users/me with each forged token, on an app with the fault: {fault}",
            got="none opens the victim's account" if not own else "none opens an account",
            expected="one of them does" if own else "one of them opens the victim's account",
            why="the fault would stay, and you would say that all is well",
            hint=hint,
            at=module.forge,
        )

    async def test_refresh(self, load, shops):
        """A refresh token is tried in place of an access token"""
        await self.opens(load, shops, TOPICS["tokens"][0], "the refresh token goes in as it is", own=True)

    async def test_claims(self, load, shops):
        """A backend that verifies no signature is opened"""
        hint = "sub is a text, str(victim); all other claims stay as they are"
        await self.opens(load, shops, "signatures are not verified", hint)

    async def test_none(self, load, shops):
        """A backend that takes the algorithm none is opened"""
        hint = "alg is none, and nothing stands behind the second dot; the dot itself stays"
        await self.opens(load, shops, "the algorithm none is taken", hint)

    async def test_spellings(self, load, shops):
        """One that takes a single spelling of none is opened too"""
        path, old, new = EDITS["the algorithm none is taken"][0]
        for name in ("none", "None", "NONE", "nOnE"):
            only = new.replace('.get("alg", "").lower() == "none"', f'.get("alg", "") == "{name}"')
            hint = "some backends refuse one spelling only: use each of SPELLINGS"
            await self.opens(load, shops, f"alg {name} is taken, and no other", hint, edits=((path, old, only),))

    async def test_brought(self, load, shops):
        """A backend that takes the key from the token is opened"""
        hint = "the same key twice: packed in jwk's k, and as the key of `signed`"
        await self.opens(load, shops, "the token brings its key", hint)

    async def test_named(self, load, shops):
        """A backend that finds no key under the kid, and takes an empty one, is opened"""
        await self.opens(load, shops, "the token names its key", 'a kid in the header, and signed(…, "")')

    async def test_word(self, load, shops):
        """A backend whose key is a word is opened"""
        await self.opens(load, shops, "the key is a word", "the old header, the new claims, signed with each of WORDS")

    def test_all_words(self, load):
        """Each word of the list is tried, with the old header"""
        module = load("attacks.tokens")
        _, _, found = self.tokens(load)
        for word in module.WORDS:
            bodies = [
                token.rpartition(".")[0]
                for token in found.values()
                if token.endswith(mac(token.rpartition(".")[0], word))
            ]
            expect.that(
                any(read(body.split(".")[0]) == self.HEADER for body in bodies),
                did="forge(access, refresh, 12)",
                got=f"no token with the old header is signed with {word!r}",
                expected="one for each of WORDS",
                why="the key that was not tried may be the one",
                hint="the old header, unchanged: change copies of it, header | {…}"
                if bodies
                else "a loop over WORDS, and a name of its own for each token: the same name keeps the last one only",
                at=module.forge,
            )

    def test_cut(self, load):
        """The signature is cut off, once with the old algorithm too"""
        module = load("attacks.tokens")
        _, _, found = self.tokens(load)
        cut = [one for one in found.values() if one.endswith(".") and one.count(".") == 2]
        expect.that(
            any(read(one.split(".")[0]) == self.HEADER for one in cut),
            did="forge(access, refresh, 12)",
            got="no token with the old header has an empty signature",
            expected="one: header, claims, and nothing behind the second dot",
            why="some libraries take an empty signature for no signature, and let it pass",
            hint='f"{part(header)}.{part(wanted)}."',
            at=module.forge,
        )

    def test_old_signature(self, load):
        """The old header and the old signature stand around other claims"""
        module = load("attacks.tokens")
        access, _, found = self.tokens(load)
        signature = access.rpartition(".")[2]
        kept = [one.split(".") for one in found.values() if one.count(".") == 2 and one.endswith(f".{signature}")]
        expect.that(
            any(read(header) == self.HEADER and read(claims) != self.CLAIMS for header, claims, _ in kept),
            did="forge(access, refresh, 12)",
            got="no token has the old header, other claims, and the old signature",
            expected="one has",
            why="a backend that looks whether a signature is there, and does not verify it, would not be found",
            hint="the old signature is what stands behind the last dot of access",
            at=module.forge,
        )

    def test_jwk(self, load):
        """The key that a token brings is a whole jwk: kty, k and alg"""
        module = load("attacks.tokens")
        _, _, found = self.tokens(load)
        brought = [header["jwk"] for header in (read(one.split(".")[0]) for one in found.values()) if "jwk" in header]
        expect.that(
            any(
                isinstance(one, dict) and {**one, "k": ""} == {"kty": "oct", "k": "", "alg": "HS256"} for one in brought
            ),
            did="forge(access, refresh, 12)",
            got=f"the jwk of the headers: {expect.shown(brought)}",
            expected='one is {"kty": "oct", "k": …, "alg": "HS256"}',
            why="a backend that reads such a key asks for all three, and would refuse half of one",
            hint="compare with the table, letter by letter",
            at=module.forge,
        )

    def test_claims_stay(self, load):
        """All but the refresh token claim to be the victim, by a text, and change no other claim"""
        module = load("attacks.tokens")
        _, refresh, found = self.tokens(load)
        expect.that(
            refresh in found.values(),
            did="forge(access, refresh, 12)",
            got="the refresh token is not among them as it is",
            expected="it is",
            why="a refresh token that opens the API lives for weeks",
            hint='"refresh as access": refresh',
            at=module.forge,
        )
        for name, token in found.items():
            if token == refresh:
                continue
            expect.equal(
                read(token.split(".")[1]),
                self.CLAIMS | {"sub": "12"},
                did=f"the claims of the token {name!r}",
                why="a token that is refused for another reason proves nothing",
                hint='claims | {"sub": str(victim)}',
                at=module.forge,
            )

    def test_unchanged(self, load):
        """The values that came in stay as they were"""
        signed = load("attacks.tokens").signed
        header, claims = dict(self.HEADER), dict(self.CLAIMS)
        signed(header, claims, "key")
        expect.equal(
            (header, claims),
            (self.HEADER, self.CLAIMS),
            did="header and claims, after signed(header, claims, key)",
            why="the next forgery would begin with a changed token",
            hint="change copies: header | {…}",
            at=signed,
        )


# ---------------------------------------------------------------------------------------------------------------- 15.3

ITEM_ROUTES = ("GET /items/{id}", "PATCH /items/{id}", "DELETE /items/{id}")
USER_ROUTES = ("GET /users/{id}", "PATCH /users/{id}", "DELETE /users/{id}")


def right_cells():
    """Return the matrix of an app that is right."""
    cells = {}
    for route in (*ITEM_ROUTES, *USER_ROUTES):
        good = 204 if route.startswith("DELETE") else 200
        managed = route in USER_ROUTES[1:]
        rows = {
            "nobody": (401, 401),
            "other": (403, 403) if managed else (404, 404),
            "owner": (403, 403) if managed else (good, 404),
            "admin": (good, 404),
        }
        for who, (theirs, missing) in rows.items():
            cells[who, route, "theirs"], cells[who, route, "missing"] = theirs, missing
    return cells


def hint_of_cell(key, found, expected):
    """Return what may have gone wrong in a cell of the matrix."""
    who, _route, whose = key
    if found == 422 and expected != 422:
        return "send the body of ROUTES with the request: json=body"
    if whose == "missing" and isinstance(found, int) and (found < 400 or who == "owner"):
        return "`missing` is an id that nobody has: MISSING, not the next one"
    if whose == "theirs" and who == "other" and isinstance(found, int) and found < 400:
        return "`theirs` is the owner's: the owner's pen, or the owner's account, also when `other` asks"
    return "does what an earlier cell did still show? Each cell has its own thing, and the body of ROUTES"


@exercise("15.3", limit=20)
class TestMatrix:
    async def matrix(self, load, shops, fault=""):
        """Let the learner's function fill the matrix of an app."""
        matrix = load("attacks.matrix").matrix
        async with shops(*([fault] if fault else [])) as shop:
            found = await matrix(shop)
        expect.that(
            isinstance(found, dict),
            did=f"matrix(shop){described(fault)}",
            got=expect.shown(found),
            expected="a dict",
            why="there would be nothing to look at",
            hint=why_none(matrix, "the dict") if found is None else "fill a dict, and return it",
            at=matrix,
        )
        return found

    def same(self, load, found, expected, fault):
        """Expect a matrix; name the first cell that differs."""
        matrix = load("attacks.matrix").matrix
        expect.equal(
            sorted(found, key=str),
            sorted(expected, key=str),
            did=f"the keys of matrix(shop){described(fault)}",
            why="a cell that is missing is a door that nobody has tried",
            hint='a key is (who, f"{method} {path}", "theirs" or "missing"), with {id} as it stands in ROUTES',
            at=matrix,
        )
        for key, status in expected.items():
            expect.equal(
                found[key],
                status,
                did=f"matrix(shop)[{key}]{described(fault)}",
                why="the matrix says something about the app that is not so",
                hint=hint_of_cell(key, found[key], status),
                at=matrix,
            )

    async def test_right(self, load, shops):
        """On an app that is right each of the 48 cells has its status"""
        self.same(load, await self.matrix(load, shops), right_cells(), "")

    async def test_items(self, load, shops):
        """Anybody's item, to read, change and delete: three cells differ"""
        fault = "anybody's item by its id"
        changed = {("other", route, "theirs"): 204 if "DELETE" in route else 200 for route in ITEM_ROUTES}
        self.same(load, await self.matrix(load, shops, fault), right_cells() | changed, fault)

    async def test_delete(self, load, shops):
        """Anybody's item, to delete only: one cell differs"""
        fault = "anybody's item can be deleted"
        found = await self.matrix(load, shops, fault)
        self.same(load, found, right_cells() | {("other", "DELETE /items/{id}", "theirs"): 204}, fault)

    async def test_account(self, load, shops):
        """Anybody's account, to read: one cell differs"""
        fault = "anybody's account by its id"
        found = await self.matrix(load, shops, fault)
        self.same(load, found, right_cells() | {("other", "GET /users/{id}", "theirs"): 200}, fault)

    async def test_gone(self, load, shops):
        """Anybody's account, to delete: one cell differs, and the cells after it are about other people"""
        anybody = (
            "users/router.py",
            "    dependencies=WRITE_USERS,\n    responses=error_responses(403, 404, 409),\n)\nasync def delete_user(",
            "    responses=error_responses(403, 404, 409),\n)\nasync def delete_user(me: CurrentUser, ",
        )
        about = "everybody who is signed in may delete an account"
        async with shops(edits=(anybody,)) as shop:
            found = await load("attacks.matrix").matrix(shop)
        changed = {
            ("other", "DELETE /users/{id}", "theirs"): 204,
            ("other", "DELETE /users/{id}", "missing"): 404,
            ("owner", "DELETE /users/{id}", "theirs"): 204,
            ("owner", "DELETE /users/{id}", "missing"): (404, 401),
        }
        for key, status in (right_cells() | changed).items():
            expect.that(
                found.get(key) in (status if isinstance(status, tuple) else (status,)),
                did=f"matrix(shop)[{key}], on an app where {about}",
                got=expect.shown(found.get(key)),
                expected=expect.shown(status),
                why="somebody who was deleted in an earlier cell cannot sign in for a later one"
                if found.get(key) == 401
                else "the matrix says something about the app that is not so",
                hint="a new owner and a new other for each cell: shop.newcomer() inside the loop over WHO"
                if found.get(key) == 401
                else hint_of_cell(key, found.get(key), status),
                at=load("attacks.matrix").matrix,
            )

    async def test_forbidden(self, load, shops):
        """403 for what exists, and 404 for what does not: three cells differ"""
        fault = "another one's item is 403"
        changed = {("other", route, "theirs"): 403 for route in ITEM_ROUTES}
        self.same(load, await self.matrix(load, shops, fault), right_cells() | changed, fault)

    def holes(self, load, changed, expected, *, did, why, hint):
        """Expect the holes of a matrix."""
        holes = load("attacks.matrix").holes
        cells = right_cells() | changed
        found = texts(holes(dict(cells)), holes, f"holes(cells), {did}")
        expect.equal(found, expected, did=f"holes(cells), {did}", why=why, hint=hint, at=holes)

    def test_no_hole(self, load):
        """A right matrix has no hole, although some doors say 403 for everything"""
        self.holes(
            load,
            {},
            [],
            did="of an app that is right",
            why=FALSE_ALARM,
            hint="compare with the cell of the same who and route for `missing`; owners and admins are no strangers",
        )

    def test_refused_alike(self, load):
        """The same refusal for what exists and for what does not is none, whichever it is"""
        for status in (400, 422):
            changed = {("other", "GET /items/{id}", whose): status for whose in ("theirs", "missing")}
            self.holes(
                load,
                changed,
                [],
                did=f"where other gets {status} for what exists and for what does not",
                why=FALSE_ALARM,
                hint="400 is a refusal: only a status below it lets somebody in",
            )

    def test_each_route(self, load):
        """A stranger who gets in is a hole, at each route, whatever the good status is"""
        for route in (*ITEM_ROUTES, *USER_ROUTES):
            for who in ("nobody", "other"):
                for status in (200, 204, 202, 304):
                    self.holes(
                        load,
                        {(who, route, "theirs"): status},
                        [route],
                        did=f"where {who} gets {status} from {route}",
                        why="the fault would stay, and you would say that all is well",
                        hint="below 400 is success; look at both of STRANGERS",
                    )

    def test_tells(self, load):
        """Another refusal for what exists than for what does not is a hole"""
        for status in (403, 422, 500):
            self.holes(
                load,
                {("other", "GET /items/{id}", "theirs"): status},
                ["GET /items/{id}"],
                did=f"where other gets {status} for an item that exists, and 404 for a missing one",
                why="whoever counts through the ids learns which exist",
                hint="status != cells[who, route, 'missing']",
            )

    def test_open_for_all(self, load):
        """A stranger who gets the same success for everything is a hole too"""
        for route, status in (("GET /users/{id}", 200), ("DELETE /items/{id}", 204), ("PATCH /items/{id}", 202)):
            self.holes(
                load,
                {("other", route, whose): status for whose in ("theirs", "missing")},
                [route],
                did=f"where other gets {status} from {route} for what exists and for what does not",
                why="both answers are the same, and both are wrong",
                hint="two conditions with `or`: below 400, or different from missing",
            )

    def test_sorted(self, load):
        """Several holes are sorted, each once"""
        changed = {(who, route, "theirs"): 200 for who in ("nobody", "other") for route in ITEM_ROUTES}
        self.holes(
            load,
            changed,
            sorted(ITEM_ROUTES),
            did="where both strangers get into three routes",
            why="two runs could not be compared",
            hint="sorted(…) of a set",
        )

    def test_admin(self, load):
        """What owners and admins get is no hole"""
        changed = {(who, route, "theirs"): 200 for who in ("owner", "admin") for route in USER_ROUTES}
        self.holes(
            load,
            changed,
            [],
            did="where owner and admin get more than usual",
            why=FALSE_ALARM,
            hint="only who is in STRANGERS counts",
        )


# ---------------------------------------------------------------------------------------------------------------- 15.4


@exercise("15.4", limit=20)
class TestAssigned:
    HINT = "one field at a time, with a person or a pen of its own, and then a GET by the admin"

    async def test_right(self, load, shops):
        """On an app that is right nothing is taken"""
        await finds(shops, load("attacks.assignment").assigned, "", [], hint=self.HINT)

    async def test_profile(self, load, shops):
        """Role and is_active that are taken by PATCH /users/me are found"""
        needed = ["PATCH /users/me is_active", "PATCH /users/me role"]
        found = await finds(shops, load("attacks.assignment").assigned, TOPICS["assignment"][0], needed, hint=self.HINT)
        expect.equal(
            found,
            needed,
            did="the list, with two findings",
            why="two runs could not be compared",
            hint="sorted(found)",
            at=load("attacks.assignment").assigned,
        )

    async def test_sign_up(self, load, shops):
        """A role that is taken by a sign-up is found"""
        hint = "shop.newcomer(role=…) sends the field with the sign-up; its id is in the person that comes back"
        await finds(
            shops, load("attacks.assignment").assigned, TOPICS["assignment"][1], ["POST /auth/register role"], hint=hint
        )

    async def test_owner(self, load, shops):
        """An owner that is taken from the body of a new item is found"""
        hint = "owner_id is somebody else's, who exists; and each door has a pen of its own"
        fault = "the owner is the client's choice"
        await finds(shops, load("attacks.assignment").assigned, fault, ["POST /items owner_id"], hint=hint)

    async def test_new_owner(self, load, shops):
        """An owner that is taken by a change is found"""
        fault = "the owner can be changed"
        needed = ["PATCH /items/{item_id} owner_id"]
        hint = "owner_id is somebody else's, who exists, and the name has {item_id}; then a GET by the admin"
        await finds(shops, load("attacks.assignment").assigned, fault, needed, hint=hint)

    async def test_of_its_own(self, load, shops):
        """Each field is tried on a person, and on a pen, of its own"""
        assigned, tried = load("attacks.assignment").assigned, []

        async def note(method, url, sent):
            if method == "PATCH" and url == "/users/me":
                tried.append((url, (sent.get("headers") or {}).get("Authorization")))

        async with shops() as shop:
            relay(shop, note)
            await assigned(shop)
        expect.that(
            len(tried) == len(set(tried)) > 1,
            did="whom PATCH /users/me was tried with, on an app that is right",
            got=f"{len(tried)} requests by {len(set(tried))} people",
            expected="two requests by two people",
            why="what the first field did to a person hides what the second one does",
            hint="a newcomer for each field, inside the loop",
            at=assigned,
        )

    async def test_tidy(self, load, shops):
        """Afterwards there is one admin, as before"""
        assigned = load("attacks.assignment").assigned
        for fault in TOPICS["assignment"][:2]:
            async with shops(fault) as shop:
                await assigned(shop)
                users = await shop.ask("GET", "/users", by=await shop.admin(), params={"limit": "100"})
            admins = [user["username"] for user in users.json() if user["role"] == "admin"]
            expect.equal(
                len(admins),
                1,
                did=f"how many admins there are after assigned(shop){described(fault)}",
                why="an attack that comes later would not find the last admin, for there are more",
                hint='after a finding: PATCH /users/{id} by the admin, with {"role": "user"}',
                at=assigned,
            )

    async def test_one_at_a_time(self, load, shops):
        """A field that is taken is found where the door refuses the other one"""
        half = (
            "users/schemas.py",
            "class UserUpdate(BaseModel):\n",
            'class UserUpdate(BaseModel):\n    model_config = {"extra": "forbid"}\n    is_active: bool | None = None\n',
        )
        hint = "one request for each field: with two in one body, the refusal of one hides the other"
        await finds(
            shops,
            load("attacks.assignment").assigned,
            "",
            ["PATCH /users/me is_active"],
            hint=hint,
            edits=(half,),
            about="PATCH /users/me takes is_active, and says 422 to a role",
        )

    async def test_silent(self, load, shops):
        """A role that is stored although the answer does not show it is found"""
        quiet = (
            "users/router.py",
            '    """Change yourself; role and is_active are not yours to change, and are ignored."""\n'
            "    return await service.update(user, data)\n",
            '    """Change yourself."""\n    from types import SimpleNamespace\n\n'
            "    before = SimpleNamespace(**UserPublic.model_validate(user).model_dump())\n"
            "    await service.update(user, data)\n    return before\n",
        )
        needed = ["PATCH /users/me is_active", "PATCH /users/me role"]
        hint = "an answer is what the app says: ask again, as the admin"
        fault = "everybody makes an admin of themselves"
        await finds(
            shops,
            load("attacks.assignment").assigned,
            fault,
            needed,
            hint=hint,
            edits=(quiet,),
            about="PATCH /users/me stores a role, and does not show it",
        )

    async def test_only_said(self, load, shops):
        """A role that stands in the answer only, and was not stored, is no finding"""
        boast = (
            "users/router.py",
            '    """Change yourself; role and is_active are not yours to change, and are ignored."""\n'
            "    return await service.update(user, data)\n",
            '    """Change yourself."""\n    from types import SimpleNamespace\n\n'
            "    user = await service.update(user, data)\n"
            '    said = {"role": "admin", "is_active": False}\n'
            "    return SimpleNamespace(**UserPublic.model_validate(user).model_dump() | said)\n",
        )
        hint = "believe what a second request says: GET /users/{id}, by the admin"
        await finds(
            shops,
            load("attacks.assignment").assigned,
            "",
            [],
            hint=hint,
            edits=(boast,),
            about="PATCH /users/me shows a role, and does not store it",
        )

    async def test_refused(self, load, shops):
        """An app that refuses unknown fields with 422 is right too, at each of the four doors"""
        forbid = '\n    model_config = {"extra": "forbid"}\n'
        strict = (
            ("users/schemas.py", "class UserUpdate(BaseModel):\n", f"class UserUpdate(BaseModel):{forbid}"),
            ("items/schemas.py", "class ItemUpdate(BaseModel):\n", f"class ItemUpdate(BaseModel):{forbid}"),
            ("auth/schemas.py", "class Register(UserCreate):\n", f"class Register(UserCreate):{forbid}"),
            ("items/schemas.py", "class ItemCreate(ItemBase):\n", f"class ItemCreate(ItemBase):{forbid}"),
        )
        await finds(
            shops,
            load("attacks.assignment").assigned,
            "",
            [],
            hint="where a door said 422, the id is 0, and the second request has no such field: body.get(field)",
            edits=strict,
            about="fields that are not known are refused",
        )


# ---------------------------------------------------------------------------------------------------------------- 15.5


def response(status=200, body=None, text=None, **headers):
    """Make an answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = {"text": text} if text is not None else {"json": body} if body is not None else {}
    return httpx.Response(status, headers=named, **content)


@exercise("15.5", limit=20)
class TestEnumerated:
    ALARMS = {  # noqa: RUF012 - nobody changes it
        "login": "only whether the name is known may differ: the password is wrong each time",
        "switched-off": "a wrong password for both: for who is switched off, and for a name that nobody has",
        "password-reset": "two whole addresses, both of the same form: a 422 says nothing about who has signed up",
        "work": "the work of one log-in is a difference: shop.hashes() after it, minus shop.hashes() before it",
    }

    def same(self, load, one, other, expected, *, did, why, hint):
        """Expect whether two answers look the same."""
        same = load("attacks.enumeration").same
        try:
            found = same(one, other)
        except ValueError as error:  # of a body that is no JSON
            found = f"{type(error).__name__}: {error}"
        expect.that(
            found is expected,
            did=f"same(one, other), {did}",
            got=expect.shown(found),
            expected=str(expected),
            why=why,
            hint=(why_none(same, "True or False") if found is None else None) or hint,
            at=same,
        )

    def test_request_id(self, load):
        """Request id and date are left out, in the header and in the body"""
        one = response(401, {"detail": "no", "request_id": "a1"}, x_request_id="a1", date="Mon")
        other = response(401, {"detail": "no", "request_id": "b2"}, X_Request_ID="b2", Date="Tue")
        hint = "names of headers come in small letters: x-request-id and date"
        self.same(load, one, other, True, did="where only request id and date differ", why=FALSE_ALARM, hint=hint)

    def test_status(self, load):
        """Another status is another answer"""
        body = {"detail": "no"}
        self.same(
            load,
            response(401, body),
            response(400, body),
            False,
            did="with 401 and 400",
            why="this is the way that most doors tell it",
            hint="compare status_code too",
        )

    def test_body(self, load):
        """Another text, or one field more, is another answer"""
        one = response(401, {"detail": "wrong password", "code": "x"})
        for other in ({"detail": "unknown user", "code": "x"}, {"detail": "wrong password"}, {}, []):
            self.same(
                load,
                one,
                response(401, other),
                False,
                did=f"where the second body is {other}",
                why="the text says who has an account",
                hint="compare the whole body, without request_id",
            )
        one, other = ({"request_id": id, "code": code} for id, code in (("a1", "x"), ("b2", "y")))
        self.same(
            load,
            response(401, one),
            response(401, other),
            False,
            did=f"where the bodies are {one} and {other}",
            why="what stands behind the id says who has an account",
            hint="take request_id out of the dict, and nothing else",
        )

    def test_header(self, load):
        """Another header is another answer"""
        body = {"detail": "no"}
        for headers in ({"Retry_After": "30"}, {"WWW_Authenticate": "Bearer"}, {"Set_Cookie": "a=b"}):
            self.same(
                load,
                response(401, body),
                response(401, body, **headers),
                False,
                did=f"where the second one has {next(iter(headers)).replace('_', '-')}: {next(iter(headers.values()))}",
                why="a header tells it as well as a body does",
                hint="compare all headers but the two that change each time",
            )

    def test_no_json(self, load):
        """A body that is empty, or no JSON, can be compared too"""
        for one, other, expected in (
            (response(204), response(204), True),
            (response(200, text="yes"), response(200, text="yes"), True),
            (response(200, text="yes"), response(200, text="nay"), False),
            (response(200, text="[1]"), response(200, text="[2]"), False),
            (response(200, text="null"), response(200, text="null"), True),
        ):
            self.same(
                load,
                one,
                other,
                expected,
                did=f"with the bodies {one.text!r} and {other.text!r}",
                why="a proxy answers in HTML, and your exploit would break off",
                hint="answer.json() raises a ValueError; and only a dict has a request_id",
            )

    async def finds(self, load, shops, fault, needed, hint, allowed=(), **options):
        """Expect the doors that tell."""
        enumerated = load("attacks.enumeration").enumerated
        await finds(shops, enumerated, fault, needed, allowed, hint=hint, alarms=self.ALARMS, **options)

    async def test_right(self, load, shops):
        """On an app that is right no door tells, and the 409 of a sign-up is none"""
        await self.finds(
            load, shops, "", [], "only whether the name is known may differ: the password is wrong each time"
        )

    async def test_login(self, load, shops):
        """A log-in that answers differently for known names is found"""
        hint = "a known name with a wrong password, against a name that nobody has"
        await self.finds(load, shops, "the log-in tells who has an account", ["login"], hint, ["switched-off"])

    async def test_against_nobody(self, load, shops):
        """Who is switched off is compared with a name that nobody has, not with one that is known"""
        hint = "the second log-in is that of an invented name, the same one as for `login`"
        fault = "the log-in tells who has an account"
        await self.finds(load, shops, fault, ["login", "switched-off"], hint)

    async def test_reset(self, load, shops):
        """A way back that answers differently for known addresses is found"""
        hint = "POST /auth/password-reset with the address of somebody who has signed up, and an invented one"
        await self.finds(load, shops, "the way back tells who has an account", ["password-reset"], hint)

    async def test_switched_off(self, load, shops):
        """A log-in that tells who is switched off, before the password is right, is found"""
        hint = "let the admin switch a newcomer off, and log in there with a wrong password"
        await self.finds(load, shops, "the log-in tells who is switched off", ["switched-off"], hint)

    async def test_work(self, load, shops):
        """A log-in that does no work for unknown names is found, though both answers are the same"""
        hint = "shop.hashes() before and after each of the two log-ins"
        await self.finds(load, shops, "an unknown name costs nothing", ["work"], hint)

    async def test_more_work(self, load, shops):
        """One that does more work for unknown names is found as well"""
        twice = (
            "core/security.py",
            "    if hashed_password is None or not can_be_hashed(password):\n",
            "    if hashed_password is None:\n        pwd_context.dummy_verify()\n"
            "    if hashed_password is None or not can_be_hashed(password):\n",
        )
        await self.finds(
            load,
            shops,
            "",
            ["work"],
            "any difference tells: !=, not >",
            edits=(twice,),
            about="an unknown name costs two hashes",
        )

    async def test_header_of_the_door(self, load, shops):
        """A log-in that tells it by a header only is found"""
        told = (
            "auth/service.py",
            "        if user is None or not valid:\n            raise InvalidCredentials",
            "        if user is None:\n            unknown = InvalidCredentials()\n"
            '            unknown.headers = {**InvalidCredentials.headers, "X-Cache": "miss"}\n'
            "            raise unknown\n"
            "        if not valid:\n            raise InvalidCredentials",
        )
        hint = "use `same` for the doors: it looks at headers too"
        await self.finds(
            load, shops, "", ["login"], hint, ["switched-off"], edits=(told,), about="a header of the log-in tells it"
        )


# ---------------------------------------------------------------------------------------------------------------- 15.6


def in_order(shop, root_first):
    """Let one of the two admins always be the first who is made a user: the right app has no chance to choose."""
    inner, done = shop.http.request, asyncio.Event()

    async def request(method, url, **sent):
        loses = method == "PATCH" and sent.get("json") == {"role": "user"}
        first = (str(url) == f"/users/{shop.root.id}") is root_first
        if loses and not first:
            with suppress(TimeoutError):  # where nobody sends the other one, nothing is to wait for
                async with asyncio.timeout(0.5):
                    await done.wait()
        try:
            return await inner(method, url, **sent)
        finally:
            if loses and first:
                done.set()

    shop.http.request = request


@exercise("15.6", limit=20)
class TestRaced:
    HINT = "asyncio.gather, with coroutines that were not awaited before"
    ALARMS = {  # noqa: RUF012 - nobody changes it
        "register": "201 once and 409 for the others is right",
        "refresh": "one 200 of five is right, and so is none",
        "last-admin": "it is won only if afterwards neither of the two can read GET /users",
    }

    async def test_right(self, load, shops):
        """On an app that is right no race is won, and shop.admin() can work, whoever of the two has lost"""
        raced = load("attacks.race").raced
        for root_loses in (True, False):
            async with shops(file=True) as shop:
                await shop.admin()
                in_order(shop, root_loses)
                found = texts(await raced(shop), raced, "raced(shop), on an app that is right")
                answer = await shop.ask("GET", "/users", by=await shop.admin(), params={"limit": "100"})
            expect.equal(
                found,
                [],
                did="raced(shop), on an app that is right",
                why=FALSE_ALARM,
                hint=self.ALARMS.get(found[0] if found else "", ""),
                at=raced,
            )
            expect.equal(
                answer.status_code,
                200,
                did="GET /users by shop.admin(), after raced(shop)",
                why="all attacks that come later would fail, and look as if they had found nothing",
                hint="whoever is still an admin makes an admin of shop.admin() again",
                at=raced,
            )
            admins = [user["username"] for user in answer.json() if user["role"] == "admin"]
            expect.equal(
                len(admins),
                1,
                did="how many admins there are after raced(shop)",
                why="with a third admin nobody is the last one: the race could not be won in the next run",
                hint="whoever won: in the end shop.admin() makes a user of the second one",
                at=raced,
            )

    async def test_twice(self, load, shops):
        """It can be run twice on the same app"""
        raced = load("attacks.race").raced
        async with shops(file=True) as shop:
            found = [await raced(shop), await raced(shop)]
        expect.equal(
            found,
            [[], []],
            did="raced(shop), twice on an app that is right",
            why="the second run would tell of the first",
            hint="new names each time, and one admin only: the second one of the race becomes a user again"
            if found[0] == []
            else self.ALARMS.get(found[0][0] if isinstance(found[0], list) else "", ""),
            at=raced,
        )

    async def test_register(self, load, shops):
        """A sign-up that reads first and writes later is found"""
        await finds(
            shops,
            load("attacks.race").raced,
            "two at the same moment",
            ["register"],
            hint="all five in one asyncio.gather; and any answer that is neither 201 nor 409 counts, a 500 too",
            file=True,
            slow=0.05,
        )

    async def test_nobody(self, load, shops):
        """Five sign-ups of which none is 201 are found: nobody got the name"""
        asked = {}

        async def refuse(method, url, sent):
            if url != "/auth/register":
                return None
            name = str(sent.get("json"))
            asked[name] = asked.get(name, 0) + 1
            for _ in range(10):  # until the others are here
                await asyncio.sleep(0)
            return said(409, method, url) if asked[name] > 1 else None

        raced = load("attacks.race").raced
        async with shops(file=True) as shop:
            relay(shop, refuse)
            found = texts(await raced(shop), raced, "raced(shop), where five sign-ups at once are all 409")
        expect.equal(
            found,
            ["register"],
            did="raced(shop), where five sign-ups at once are all 409",
            why="somebody who presses the button twice would never get an account",
            hint="count the 201: one is right, and none is as wrong as two",
            at=raced,
        )

    async def test_both_created(self, load, shops):
        """Two sign-ups that are both 201 are found, though nothing crashes"""
        both = (
            "auth/router.py",
            "    pair = await service.register(data)\n",
            "    from app.users.exceptions import UserExists\n\n    try:\n"
            "        pair = await service.register(data)\n    except UserExists:\n"
            "        await service.session.rollback()\n"
            "        pair = await service.login(data.username, data.password)\n",
        )
        hint = "count the 201: more than one is wrong too"
        await finds(
            shops,
            load("attacks.race").raced,
            "",
            ["register"],
            hint=hint,
            file=True,
            edits=(both,),
            about="a taken name is signed in, with 201",
        )

    async def test_refresh(self, load, shops):
        """A refresh token that can be exchanged twice at the same moment is found"""
        fault = "read, then write: two refreshes at once"
        await finds(shops, load("attacks.race").raced, fault, ["refresh"], hint=self.HINT, file=True)

    async def test_two_of_five(self, load, shops):
        """A refresh token that is exchanged twice is found; one that is not exchanged at all is no finding"""
        raced = load("attacks.race").raced
        for good, expected in ((2, ["refresh"]), (0, [])):
            asked = []

            async def exchange(method, url, _sent, asked=asked, good=good):
                if url != "/auth/refresh":
                    return None
                asked.append(url)
                return said(200 if len(asked) <= good else 429, method, url)

            did = f"raced(shop), where {good or 'none'} of five refreshes {'are' if good else 'is'} 200"
            async with shops(file=True) as shop:
                relay(shop, exchange)
                found = texts(await raced(shop), raced, did)
            expect.equal(
                found,
                expected,
                did=did,
                why="the fault would stay, and you would say that all is well" if good else FALSE_ALARM,
                hint="more than one 200 is wrong: two are enough, and none is no fault",
                at=raced,
            )

    async def test_last_admin(self, load, shops):
        """Two admins who send each other away are found"""
        hint = "two admins, and both patches in one gather; then ask as both whether GET /users still works"
        await finds(shops, load("attacks.race").raced, "the last admin can go", ["last-admin"], hint=hint, file=True)

    async def test_each_other(self, load, shops):
        """They are found too where nobody can change their own role"""

        async def refuse(method, url, sent):
            token = str((sent.get("headers") or {}).get("Authorization", ""))
            if method == "PATCH" and token.count(".") == 2 and url == f"/users/{read(token.split('.')[1])['sub']}":
                return said(403, method, url)
            return None

        raced, did = load("attacks.race").raced, "raced(shop), where the last admin can go, but not by their own hand"
        async with shops("the last admin can go", file=True) as shop:
            await shop.admin()
            relay(shop, refuse)
            found = texts(await raced(shop), raced, did)
        expect.equal(
            found,
            ["last-admin"],
            did=did,
            why="the fault would stay, and you would say that all is well",
            hint="each makes a user of the other one: PATCH /users/{the other one's id}, by=the one",
            at=raced,
        )

    async def test_afterwards(self, load, shops):
        """What counts is who is an admin afterwards, not what the two answers said"""

        async def nod(method, url, sent):
            return said(200, method, url) if method == "PATCH" and sent.get("json") == {"role": "user"} else None

        raced, did = load("attacks.race").raced, "raced(shop), where both changes say 200, and change nothing"
        async with shops(file=True) as shop:
            relay(shop, nod)
            found = texts(await raced(shop), raced, did)
        expect.equal(
            found,
            [],
            did=did,
            why=FALSE_ALARM,
            hint="ask again, as both: GET /users",
            at=raced,
        )

    async def test_requests_meet(self, load, shops):
        """The requests of a race are under way together: five sign-ups, and five refreshes"""
        raced = load("attacks.race").raced
        async with shops(file=True) as shop:
            now, most, inner = {}, {}, shop.http.request

            async def request(method, url, **sent):
                name = str(url)
                now[name] = now.get(name, 0) + 1
                most[name] = max(most.get(name, 0), now[name])
                try:
                    return await inner(method, url, **sent)
                finally:
                    now[name] -= 1

            shop.http.request = request
            await raced(shop)
        for path in ("/auth/register", "/auth/refresh"):
            expect.that(
                most.get(path, 0) >= 5,
                did=f"POST {path}, the requests that were under way together",
                got=str(most.get(path, 0)),
                expected="5",
                why="one after the other, no race can be won: the exploit would find nothing, ever",
                hint="asyncio.gather(*(shop.ask(…) for _ in range(5))): no await before each",
                at=raced,
            )


# ---------------------------------------------------------------------------------------------------------------- 15.7

HASHED = "$2b$04$abcdefghijklmnopqrstuuJxZ"


@exercise("15.7", limit=20)
class TestInjection:
    async def finds(self, load, shops, name, fault, needed, hint, allowed=(), **options):
        """Expect what an exploit of this module finds."""
        await finds(shops, getattr(load("attacks.injection"), name), fault, needed, allowed, hint=hint, **options)

    async def test_right_in(self, load, shops):
        """On an app that is right nothing is read as code"""
        hint = "the texts must be in none of your items, and 422 or an empty list is right"
        await self.finds(load, shops, "injected", "", [], hint)

    async def test_search(self, load, shops):
        """A search that is put into SQL is found"""
        hint = "ALWAYS_TRUE, by an owner who has a pen: it finds the pen though no text in it matches"
        await self.finds(load, shops, "injected", "a search in SQL", ["search"], hint, ["pattern"])

    async def test_crash(self, load, shops):
        """A search that only crashes at a quote is no proof"""
        crash = (
            "items/crud.py",
            "        columns = (Item.title, Item.description)\n",
            '        if "\'" in text:\n            raise RuntimeError("a quote")\n'
            "        columns = (Item.title, Item.description)\n",
        )
        hint = "a 500 is a suspicion; the proof is a search that finds what it must not"
        await self.finds(load, shops, "injected", "", [], hint, edits=(crash,), about="a quote in a search gives a 500")

    async def test_pattern(self, load, shops):
        """A search that is a pattern is found, and is no SQL"""
        hint = "q=% and q=_, with a pen that has neither sign in it"
        await self.finds(load, shops, "injected", "a search that is a pattern", ["pattern"], hint)

    async def test_underscore(self, load, shops):
        """One that escapes the percent sign and forgets the underscore is found"""
        half = (
            "items/crud.py",
            "return or_(*(column.icontains(text, autoescape=True) for column in columns))",
            'text = text.replace("%", "/%")\n'
            '        return or_(*(column.ilike(f"%{text}%", escape="/") for column in columns))',
        )
        await self.finds(
            load,
            shops,
            "injected",
            "",
            ["pattern"],
            "try both signs: % or _",
            edits=(half,),
            about="% is plain text, and _ is not",
        )

    async def test_percent(self, load, shops):
        """One that escapes the underscore and forgets the percent sign is found"""
        half = (
            "items/crud.py",
            "return or_(*(column.icontains(text, autoescape=True) for column in columns))",
            'text = text.replace("_", "/_")\n'
            '        return or_(*(column.ilike(f"%{text}%", escape="/") for column in columns))',
        )
        await self.finds(
            load,
            shops,
            "injected",
            "",
            ["pattern"],
            "try both signs, each alone, by an owner who has a pen: % or _",
            edits=(half,),
            about="_ is plain text, and % is not",
        )

    async def test_sort(self, load, shops):
        """A list that can be sorted by the hash is found"""
        hint = "GET /users?sort=hashed_password, as the admin: others get 403 in any case"
        await self.finds(load, shops, "injected", "sorted by the hash", ["sort"], hint)

    async def test_sort_refused(self, load, shops):
        """A list that refuses to be sorted by the hash is right, whatever it says"""
        injected = load("attacks.injection").injected
        for status in (400, 403, 500):

            async def refuse(method, url, sent, status=status):
                asked = f"{url} {sent.get('params')}"
                return said(status, method, url) if url.startswith("/users") and "hashed" in asked else None

            did = f"injected(shop), where GET /users?sort=hashed_password is {status}"
            async with shops() as shop:
                relay(shop, refuse)
                found = texts(await injected(shop), injected, did)
            expect.equal(
                found,
                [],
                did=did,
                why=FALSE_ALARM,
                hint="it is found if the status is 200; every other one is a refusal",
                at=injected,
            )

    def leaks(self, load, answer, expected, *, did, why, hint, secret="s3cr3t"):
        """Expect what an answer tells too much."""
        leaks_in = load("attacks.injection").leaks_in
        found = texts(leaks_in(answer, secret), leaks_in, f"leaks_in(answer, secret), {did}")
        expect.equal(found, expected, did=f"leaks_in(answer, secret), {did}", why=why, hint=hint, at=leaks_in)

    def test_harmless(self, load):
        """The word password, a field's name in a 422, and an amount in dollars are no leaks"""
        named = {"errors": [{"loc": ["body", "password"], "msg": "too short"}], "detail": "$2 for a hash"}
        hint = "look for hashes, for the secret itself, and for the word Traceback; not for the word password"
        self.leaks(
            load, response(422, named), [], did="where a 422 names the field password", why=FALSE_ALARM, hint=hint
        )
        prose = response(200, {"detail": "the traceback is in the log"})
        self.leaks(load, prose, [], did=f"where the body is {prose.text}", why=FALSE_ALARM, hint=hint)
        self.leaks(load, response(204), [], did="of an empty answer", why=FALSE_ALARM, hint=hint)

    def test_hash(self, load):
        """A bcrypt hash, or a field hashed_password, is one"""
        for body in ({"x": HASHED}, {"x": HASHED.replace("2b$04", "2a$12")}, {"hashed_password": None}):
            self.leaks(
                load,
                response(200, body),
                ["hash"],
                did=f"where the body is {body}",
                why="a hash can be tried at home, a billion guesses a day",
                hint="$2a, $2b or $2y, two figures between dollars; or the name hashed_password",
            )

    def test_input(self, load):
        """The secret that was sent is one, also in the middle of a text"""
        body = {"errors": [{"input": {"password": "xs3cr3tx"}}]}
        self.leaks(
            load,
            response(422, body),
            ["input"],
            did="where the body repeats the secret",
            why="answers are logged, and the password stands in the log then",
            hint="secret in text",
        )

    def test_traceback(self, load):
        """A traceback is one"""
        self.leaks(
            load,
            response(500, {"detail": 'Traceback (most recent call last):\n  File "/srv/app.py"'}),
            ["traceback"],
            did="where the body has a traceback",
            why="it tells paths, versions and queries",
            hint='"Traceback" in text',
        )

    def test_headers(self, load):
        """Headers are read too, and several leaks come in the order of the table"""
        answer = response(500, {"detail": "Traceback"}, X_Debug="s3cr3t", X_User=HASHED)
        self.leaks(
            load,
            answer,
            ["hash", "input", "traceback"],
            did="where two of three leaks are in headers",
            why="a header goes through the same logs",
            hint="join answer.text and answer.headers.values() to one text; then hash, input, traceback",
        )

    async def test_right_out(self, load, shops):
        """On an app that is right nothing leaks"""
        hint = "a secret that was made by chance cannot be in an answer of its own accord"
        await self.finds(load, shops, "leaked", "", [], hint)

    async def test_by_chance(self, load, shops):
        """The secret is another one each time"""
        leaked, short = load("attacks.injection").leaked, []
        for _ in range(2):
            async with shops() as shop:
                inner = shop.http.request

                async def request(method, url, *, inner=inner, **sent):
                    body = sent.get("json")
                    if str(url) == "/auth/register" and isinstance(body, dict) and len(str(body.get("password"))) < 8:
                        short.append(body.get("password"))
                    return await inner(method, url, **sent)

                shop.http.request = request
                await leaked(shop)
        expect.that(
            bool(short),
            did="leaked(shop), twice: the sign-ups with a password of fewer than eight letters",
            got="none",
            expected="one in each run",
            why="a good password is no mistake, and is repeated by no message",
            hint="secrets.token_hex(3) has six letters; token_hex(8) has sixteen",
            at=leaked,
        )
        expect.that(
            len(short) >= 2 and len(set(short)) == len(short),
            did="the password that is too short, in two runs of leaked(shop)",
            got=expect.shown(short),
            expected="two different texts",
            why='a fixed one such as "abc" may stand in an answer by accident',
            hint="secrets.token_hex(3), in the function",
            at=leaked,
        )

    async def test_shown_hash(self, load, shops):
        """A hash that is shown is found"""
        await self.finds(load, shops, "leaked", "the hash is shown", ["hash"], "look at all answers, good ones too")

    async def test_repeated(self, load, shops):
        """Input that is repeated is found"""
        hint = "a password of six letters is too short: 422, and its body is what you look at"
        await self.finds(load, shops, "leaked", "validation that repeats the input", ["input"], hint)

    async def test_short_password(self, load, shops):
        """It is found as well where only the message about a password that is too short repeats it"""
        quoted = (
            "core/handlers.py",
            'public = [{key: error[key] for key in ("loc", "msg", "type")} for error in errors]',
            'public = [{key: error[key] for key in ("loc", "msg", "type")} for error in errors]\n'
            '    public += [{"short": error["input"]} for error in errors if error["type"] == "string_too_short"]',
        )
        hint = "the third sign-up has the secret as its password, and the secret is shorter than eight letters"
        await self.finds(
            load,
            shops,
            "leaked",
            "",
            ["input"],
            hint,
            edits=(quoted,),
            about="a text that is too short stands in the 422",
        )

    async def test_sign_up_and_me(self, load, shops):
        """A hash that only a sign-up shows is found, and one that only GET /users/me shows"""
        me = (
            "users/router.py",
            '@router.get("/me", response_model=UserPublic)\nasync def read_me(user: CurrentUser) -> User:\n'
            '    """Read yourself."""\n    return user\n',
            '@router.get("/me", response_model=None)\nasync def read_me(user: CurrentUser) -> dict[str, str]:\n'
            '    """Read yourself."""\n    return {"hash": user.hashed_password}\n',
        )
        register = (
            "auth/router.py",
            "    pair = await service.register(data)\n",
            "    from fastapi.responses import JSONResponse\n\n    from app.users.crud import user_crud\n\n"
            "    pair = await service.register(data)\n"
            "    user = await user_crud.get_by_identifier(service.session, data.username)\n"
            '    body = {**pair.model_dump(mode="json"), "hash": user.hashed_password}\n'
            "    return JSONResponse(body, 201)\n",
        )
        for edit, where in ((me, "GET /users/me"), (register, "a sign-up")):
            hint = f"the answer of {where} is one of the five"
            about = f"{where} shows a hash, and nothing else does"
            await self.finds(load, shops, "leaked", "", ["hash"], hint, edits=(edit,), about=about)

    async def test_shown_traceback(self, load, shops):
        """A 500 that shows its traceback is found"""
        hint = "sign up twice with the same name: on this app that is a 500"
        await self.finds(load, shops, "leaked", "a 500 that shows the traceback", ["traceback"], hint, ["hash"])

    async def test_admin_list(self, load, shops):
        """A hash that only the admin's list shows is found, and all three leaks are in the order of the table"""
        listed = (
            "users/router.py",
            '"", response_model=list[UserPublic], dependencies=READ_USERS',
            '"", response_model=None, dependencies=READ_USERS',
        )
        texts_of = (
            "users/router.py",
            "    set_total_count(response, total)\n    return users\n",
            "    set_total_count(response, total)\n    return [user.hashed_password for user in users]\n",
        )
        hint = "GET /users as the admin belongs to the answers"
        await self.finds(
            load, shops, "leaked", "", ["hash"], hint, edits=(listed, texts_of), about="the admin's list shows hashes"
        )

    async def test_in_order(self, load, shops):
        """Several leaks of one app are told once each, in the order of the table"""
        leaked = load("attacks.injection").leaked
        faults = ("a 500 that shows the traceback", "validation that repeats the input", "the hash is shown")
        async with shops(*faults) as shop:
            found = await leaked(shop)
        expect.equal(
            found,
            ["hash", "input", "traceback"],
            did="leaked(shop), on an app with all three faults",
            why="two runs could not be compared",
            hint="collect them in a set, then list those of NAMES that are in it",
            at=leaked,
        )


# ---------------------------------------------------------------------------------------------------------------- 15.8

ENDED = {
    "the revocation is rolled back": "POST /auth/refresh",
    "signing out ends nothing": "POST /auth/logout",
    "a new password leaves the sessions": "POST /auth/password",
    "switched off and on, and the session lives": "PATCH /users/{user_id}",
    "who is switched off goes on": "GET /users/me",
}


@exercise("15.8", limit=20)
class TestAdvisories:
    known = {}  # noqa: RUF012 - what was found already: three criteria read the same advisories

    async def advisories(self, load, shops, *faults):
        """Let the learner's function look at an app, once for each app."""
        if faults not in self.known:
            self.known[faults] = await self.looked(load, shops, *faults)
        return self.known[faults]

    async def looked(self, load, shops, *faults):
        """Let the learner's function look at an app."""
        module = load("attacks.advisory")
        secrets = []
        async with shops(*faults) as shop:
            newcomer = shop.newcomer

            async def noted(**more):
                person = await newcomer(**more)
                secrets.append((person, person.access, person.refresh))
                return person

            shop.newcomer = noted
            found = await module.sessions(shop)
        expect.that(
            isinstance(found, list) and all(isinstance(one, module.Advisory) for one in found),
            did=f"sessions(shop){described(' and '.join(faults))}",
            got=expect.shown(found),
            expected="a list of Advisory",
            why="nobody could read it",
            hint=why_none(module.sessions, "the list")
            if found is None
            else "append an Advisory for each, and return the list",
            at=module.sessions,
        )
        hidden = [text for one in secrets for text in (*one[1:], one[0].refresh, one[0].password)]
        return found, [text for text in hidden if text]

    async def test_right(self, load, shops):
        """On an app that is right there is nothing to say"""
        found, _ = await self.advisories(load, shops)
        expect.equal(
            [one.route for one in found],
            [],
            did="the routes of sessions(shop), on an app that is right",
            why=FALSE_ALARM,
            hint="only a 200 counts, and each event needs a newcomer of its own",
            at=load("attacks.advisory").sessions,
        )

    async def test_other_refusals(self, load, shops):
        """An app that refuses an old token with another status than 401 is right too"""
        sessions = load("attacks.advisory").sessions
        async with shops() as shop:
            inner = shop.http.request

            async def refuse(method, url, sent):
                answer = await inner(method, url, **sent)
                return said(403, method, url) if answer.status_code == 401 else answer

            relay(shop, refuse)
            found = await sessions(shop)
        expect.equal(
            [one.route for one in found],
            [],
            did="the routes of sessions(shop), on an app that says 403 to a session that has ended",
            why=FALSE_ALARM,
            hint="a session goes on if the answer is 200; every other status is a refusal",
            at=sessions,
        )

    async def test_each(self, load, shops):
        """Each of the five faults gives one advisory, with its route"""
        for fault, route in ENDED.items():
            found, _ = await self.advisories(load, shops, fault)
            expect.equal(
                [one.route for one in found],
                [route],
                did=f"the routes of sessions(shop){described(fault)}",
                why="the fault would stay, or something would be repaired that is right",
                hint="after the event: person.refresh, as it is then; and after switched_off the access token",
                at=load("attacks.advisory").sessions,
            )

    async def test_complete(self, load, shops):
        """Each advisory is complete: title, steps, impact, repair, severity"""
        module = load("attacks.advisory")
        at = {"at": module.sessions}
        found, _ = await self.advisories(load, shops, *ENDED)
        for one in found:
            did = f"the advisory {one.title!r}"
            title = isinstance(one.title, str) and one.title.strip() != "" and len(one.title) <= 80
            expect.that(
                title and "\n" not in one.title,
                did=f"the title of the advisory about {one.route}",
                got=expect.shown(one.title),
                expected="one line, 1 to 80 characters",
                why="it stands in a list with forty others",
                hint="a short title with the route in it",
                **at,
            )
            last = "GET /users/me" if one.route == "GET /users/me" else "POST /auth/refresh"
            steps = tuple(one.steps) if isinstance(one.steps, list | tuple) else ()
            expect.that(
                len(steps) >= 2 and all(isinstance(step, str) and step.strip() for step in steps),
                did=f"the steps of {did}",
                got=expect.shown(one.steps),
                expected="two or more texts",
                why="nobody could reproduce it, so nobody would repair it",
                hint='a tuple of texts; with one pair of parentheses too few, ("a" "b") is one text',
                **at,
            )
            expect.that(
                last in steps[-1],
                did=f"the last step of {did}",
                got=f"{steps[-1]!r:.160}",
                expected=f"it names {last}",
                why="the last step is the one that should have failed",
                hint="the event's own request stands before it",
                **at,
            )
            other = "POST /auth/refresh" if last == "GET /users/me" else "GET /users/me"
            expect.that(
                other not in steps[-1],
                did=f"the last step of {did}",
                got=f"{steps[-1]!r:.160}",
                expected=f"it names {last}, and no other request that could have failed",
                why="whoever repairs it must know which door is open",
                hint=f"after {one.route}, it is {last} that should have failed",
                **at,
            )
            whole = [
                isinstance(text, str) and len(text.strip()) >= 20 and len(text.split()) >= 4
                for text in (one.impact, one.repair)
            ]
            expect.that(
                all(whole) and one.impact != one.repair,
                did=f"impact and repair of {did}",
                got=expect.shown((one.impact, one.repair)),
                expected="two different sentences, each of four words and 20 characters or more",
                why="without them the finding is a riddle",
                hint="impact: what can somebody do with it? repair: what must the code do?",
                **at,
            )
            expect.that(
                one.severity in module.SEVERITIES[2:],
                did=f"the severity of {did}",
                got=expect.shown(one.severity),
                expected="high or critical",
                why="a session that nobody can end would be repaired last",
                hint="one of SEVERITIES, in small letters; see the table",
                **at,
            )

    async def test_many(self, load, shops):
        """With all five faults there are five advisories, each with a title of its own"""
        found, _ = await self.advisories(load, shops, *ENDED)
        module = load("attacks.advisory")
        expect.equal(
            sorted(one.route for one in found),
            sorted(ENDED.values()),
            did="the routes of sessions(shop), on an app with all five faults",
            why="the first finding must not hide the others",
            hint="go on after a finding, with the next newcomer",
            at=module.sessions,
        )
        expect.equal(
            len({one.title for one in found}),
            5,
            did="how many different titles five advisories have",
            why="two of them would be taken for one",
            hint="put the route into the title",
            at=module.sessions,
        )

    async def test_no_secret(self, load, shops):
        """No token and no password stands in an advisory"""
        found, secrets = await self.advisories(load, shops, *ENDED)
        text = "\n".join(repr(one) for one in found)
        shown = [one for one in secrets if one in text]
        expect.that(
            not shown,
            did="all advisories, of an app with all five faults",
            got=f"{len(shown)} tokens or passwords stand in them",
            expected="none",
            why="an advisory is sent by mail, and read by many",
            hint='write "the old token" in place of the token',
            at=load("attacks.advisory").sessions,
        )


# ---------------------------------------------------------------------------------------------------------------- 15.9


def examiner(http):
    """Return the exam, asking an app of this process."""
    client = Client("http://shop", 60.0)
    client._http = httpx.AsyncClient(transport=http._transport, timeout=60)
    return Exam(client, "admin", PASSWORD, KEY, last_admin=True)


CRITERIA = {one.name: one for one in run.CRITERIA}


@exercise("15.9", limit=20)
class TestRepair:
    def replaced(self, load):
        """Return the learner's module as a part of another app."""
        load("repairs.item_service")
        folder = Path(sys.modules["app"].__file__).parent
        return {"items/service.py": (folder / "repairs" / "item_service.py").read_text(encoding="utf-8")}

    async def asked(self, load, shops, names, *, why, hint):
        """Expect that the repaired app passes what the exam asks about items."""
        async with shops(replaced=self.replaced(load)) as shop:
            exam = examiner(shop.http)
            for name in names.split():
                result = await run._one(exam, CRITERIA[name], float("inf"))
                expect.that(
                    result.outcome == run.PASSED,
                    did=result.did or result.criterion.text,
                    got=result.got,
                    expected=result.expected or "an answer",
                    why=why or result.why,
                    hint=hint,
                    at=load("repairs.item_service").ItemService,
                )
            await exam.client.close()

    async def test_others(self, load, shops):
        """Another one's item is 404, to read, to change and to delete"""
        await self.asked(
            load,
            shops,
            "other_peoples_items",
            why="",
            hint="`get` has one condition too few, what this user may see; and the answer is 404, not 403",
        )

    async def test_holes(self, load, shops):
        """Our matrix finds no hole any more"""
        async with shops(replaced=self.replaced(load)) as shop:
            cells = await reference(shop)
        right = right_cells()
        wrong = [(key, status) for key, status in cells.items() if status != right[key]]
        expect.that(
            not wrong,
            did="the matrix of the repaired app",
            got=expect.shown(wrong[:2]),
            expected=expect.shown([(key, right[key]) for key, _ in wrong[:2]]),
            why="the exploit still works, or somebody was locked out who must get in",
            hint="the condition depends on who asks: self.visible() knows it",
            at=load("repairs.item_service").ItemService,
        )

    async def test_lists(self, load, shops):
        """A list has one's own items only, with a search too, and counts only them"""
        await self.asked(
            load,
            shops,
            "lists_are_ones_own pages_and_total search",
            why="",
            hint="follow `where` in get_page: a search adds a condition, and both queries need the whole list",
        )

    async def test_admins(self, load, shops):
        """Admins read, change, delete, list and search everything"""
        await self.asked(
            load,
            shops,
            "admins_see_items admins_list_all_items",
            why="a repair that closes the shop is none",
            hint="for admins self.visible() is an empty list: all items",
        )

    async def test_all_else(self, load, shops):
        """Everything else about items works as before"""
        await self.asked(
            load,
            shops,
            "create_and_read change_an_item delete_an_item sorted_lists bounds_of_items injections",
            why="a repair breaks nothing that worked",
            hint="change only what is wrong",
        )

    async def test_searching_admin(self, load, shops):
        """An admin's search finds other people's items, and counts them, however many there are"""
        async with shops(replaced=self.replaced(load)) as shop:
            await shop.pen(await shop.newcomer(), title="Red ink")
            await shop.pen(await shop.newcomer(), title="Blue ink")
            await many_more(shop, 130)
            answer = await shop.ask("GET", "/items", by=await shop.admin(), params={"q": "ink", "limit": "1"})
        expect.equal(
            (answer.status_code, len(answer.json()), answer.headers.get("X-Total-Count")),
            (200, 1, "132"),
            did="GET /items?q=ink&limit=1 by the admin, where 132 items have the word: status, items, X-Total-Count",
            why="a repair that closes the shop is none",
            hint="count with the same `where` as the page, and without its limit",
            at=load("repairs.item_service").ItemService,
        )

    async def test_no_error_is_hidden(self, load, shops):
        """A database that fails is a 500, not an empty list or a 404"""
        async with shops(replaced=self.replaced(load)) as shop:
            ada = await shop.newcomer()
            pen = await shop.pen(ada)
            engine = database_of(shop).kw["bind"].sync_engine
            event.listen(engine, "before_cursor_execute", fail_at_items)
            statuses = [(await shop.ask("GET", path, by=ada)).status_code for path in ("/items", f"/items/{pen}")]
            event.remove(engine, "before_cursor_execute", fail_at_items)
        expect.equal(
            statuses,
            [500, 500],
            did="GET /items and GET /items/{id}, while the database fails",
            why="an error that is caught and not told is there all the same",
            hint="no try: what you do not expect must be seen",
            at=load("repairs.item_service").ItemService,
        )


def fail_at_items(_connection, _cursor, statement, _parameters, _context, _many):
    """Fail in place of a query about items."""
    if "FROM items" in statement:
        raise RuntimeError("disk I/O error")


def database_of(shop):
    """Return the session factory of a shop's app."""
    return shop.http._transport.app.app.state.session_factory


async def many_more(shop, number):
    """Put copies of the newest item into a shop's database."""
    async with database_of(shop)() as session:
        rows = await session.execute(text("PRAGMA table_info(items)"))
        columns = ", ".join(row.name for row in rows if row.name != "id")
        newest = f"SELECT {columns} FROM items ORDER BY id DESC LIMIT 1"
        for _ in range(number):
            await session.execute(text(f"INSERT INTO items ({columns}) {newest}"))
        await session.commit()


async def reference(shop):
    """Fill the matrix, by our own code."""
    cells = {}
    for route in (*ITEM_ROUTES, *USER_ROUTES):
        method, path = route.split()
        body = {"title": "Seen"} if "items" in path else {"full_name": "Seen"}
        for who in ("nobody", "other", "owner", "admin"):
            owner, other = await shop.newcomer(), await shop.newcomer()
            by = {"nobody": None, "other": other, "owner": owner, "admin": await shop.admin()}[who]
            thing = await shop.pen(owner) if "items" in path else owner.id
            for whose, id in (("missing", 2_000_000_000), ("theirs", thing)):
                sent = {"json": body} if method == "PATCH" else {}
                answer = await shop.ask(method, path.format(id=id), by=by, **sent)
                cells[who, route, whose] = answer.status_code
    return cells


# --------------------------------------------------------------------------------------------------------------- 15.10

KEYS = ("tokens", "objects", "assignment", "enumeration", "injection", "leak", "sessions", "race")
NOT_CLOCKED = {"equal_work"}  # 15.5 counts it
SAMPLE = {
    "tokens": "the key is a word",
    "objects": "another one's item is 403",
    "assignment": "everybody signs up as an admin",
    "enumeration": "an unknown name costs nothing",
    "injection": "sorted by the hash",
    "leak": "validation that repeats the input",
    "sessions": "signing out ends nothing",
    "race": "the last admin can go",
}


@exercise("15.10", limit=40)
class TestSuite:
    async def attack(self, load, shops, *faults, **options):
        """Let the learner's suite attack an app."""
        attack = load("attacks.suite").attack
        async with shops(*faults, file=True, **options) as shop:
            found = await attack(shop)
        return self.shaped(load, found)

    def shaped(self, load, found):
        """Expect eight lists of texts, in order."""
        attack = load("attacks.suite").attack
        expect.that(
            isinstance(found, dict),
            did="attack(shop)",
            got=expect.shown(found),
            expected="a dict",
            why="nobody could read it",
            hint=why_none(attack, "the dict") if found is None else "fill a dict, and return it",
            at=attack,
        )
        expect.equal(
            list(found),
            list(KEYS),
            did="the keys of attack(shop)",
            why="an attack that is missing finds nothing, and nobody notices; the race may cost the admin their rights",
            hint="all eight, in the order of the table",
            at=attack,
        )
        for name, one in found.items():
            expect.that(
                isinstance(one, list) and all(isinstance(text, str) for text in one),
                did=f"attack(shop)[{name!r}]",
                got=expect.shown(one),
                expected="a list of texts",
                why="findings of eight kinds could not be told in one list",
                hint="holes(await matrix(shop)) for objects, the titles for sessions; await each of them",
                at=attack,
            )
        return found

    async def test_right(self, load, shops):
        """On an app that is right all eight are empty"""
        found = await self.attack(load, shops)
        expect.equal(
            found,
            {name: [] for name in KEYS},
            did="attack(shop), on an app that is right",
            why=FALSE_ALARM,
            hint="run the attacks one after the other, not at the same moment",
            at=load("attacks.suite").attack,
        )

    async def test_each(self, load, shops):
        """A fault of each topic is found under its key"""
        for chosen in (KEYS[::2], KEYS[1::2]):
            found = await self.attack(load, shops, *(SAMPLE[name] for name in chosen))
            for name in KEYS:
                right = bool(found[name]) and not found[name][0].startswith("failed")
                told = f", on an app with the fault: {SAMPLE[name]}" if name in chosen else ", without such a fault"
                expect.that(
                    right if name in chosen else not found[name],
                    did=f"attack(shop)[{name!r}]{told}",
                    got=expect.shown(found[name]),
                    expected="what this attack has found" if name in chosen else "[]",
                    why="the fault would stay, or be looked for at the wrong place",
                    hint="each key has its own attack: compare with the table",
                    at=load("attacks.suite").attack,
                )

    async def test_titles(self, load, shops):
        """Under sessions stand the titles of the advisories"""
        found = await self.attack(load, shops, "signing out ends nothing")
        async with shops("signing out ends nothing", file=True) as shop:
            expected = [one.title for one in await load("attacks.advisory").sessions(shop)]
        expect.equal(
            found["sessions"],
            expected,
            did="attack(shop)['sessions']",
            why="an Advisory is no text",
            hint="[advisory.title for advisory in await sessions(shop)]",
            at=load("attacks.suite").attack,
        )

    async def test_an_attack_fails(self, load, shops):
        """An attack that raises is told by its exception's name, and the others go on"""
        attack = load("attacks.suite").attack
        async with shops(file=True) as shop:

            async def hashes():
                raise ZeroDivisionError("the counter is broken")

            shop.hashes = hashes
            try:
                found = await attack(shop)
            except ZeroDivisionError:
                found = "it raised ZeroDivisionError"
        expect.that(
            found != "it raised ZeroDivisionError",
            did="attack(shop), while one of the attacks raises",
            got=str(found),
            expected="the other seven go on",
            why="one broken tool would hide what seven others find",
            hint="the `try` stands inside the loop, around one attack",
            at=attack,
        )
        expect.equal(
            self.shaped(load, found),
            {name: [] for name in KEYS} | {"enumeration": ["failed: ZeroDivisionError"]},
            did="attack(shop), on an app that is right, while the counter raises ZeroDivisionError",
            why="a tool that breaks off looks like a tool that has found nothing",
            hint='[f"failed: {type(error).__name__}"], and its key stays where it is',
            at=attack,
        )

    async def test_stopped(self, load, shops):
        """A run that is cancelled ends: that is no finding"""
        attack = load("attacks.suite").attack
        async with shops() as shop:

            async def hashes():
                raise asyncio.CancelledError

            shop.hashes = hashes
            try:
                found = await attack(shop)
            except asyncio.CancelledError:
                found = None
        expect.that(
            found is None,
            did="attack(shop), while it is cancelled",
            got=expect.shown(found),
            expected="the CancelledError comes out",
            why="Ctrl+C would not stop it",
            hint="except Exception, not BaseException and not a bare except",
            at=attack,
        )

    async def test_own_app(self, load, tmp_path):
        """Your own app survives your own suite"""
        main, shop_of = load("main"), load("attacks.shop").Shop
        url = f"sqlite+aiosqlite:///{tmp_path}/own.db"
        async with opened("app", main, url) as http:
            found = self.shaped(load, await load("attacks.suite").attack(shop_of(http)))
        expect.equal(
            found,
            {name: [] for name in KEYS},
            did="attack(shop), on your own app",
            why="the fault is in your app: repair it there",
            hint="the key says which chapter: tokens 8, enumeration 7 and 9, sessions 9, objects 10, race 6 and 10",
            at=load("attacks.suite").attack,
        )

    async def test_own_exam(self, load, tmp_path):
        """Your own app passes the black-box exam"""
        url = f"sqlite+aiosqlite:///{tmp_path}/exam.db"
        async with opened("app", load("main"), url, rate_limit_enabled=True) as http:
            chosen = [one for one in run.CRITERIA if one.name not in NOT_CLOCKED]
            report = await run.run(examiner(http), chosen, float("inf"))
        wrong = [*report.of(run.FAILED), *(one for one in report.of(run.UNASKED) if not one.chosen)]
        if wrong:
            first = wrong[0]
            raise expect.Wrong(
                did=f"exercise {first.criterion.exercise}: {first.criterion.text} ({first.did})",
                got=first.got,
                expected=first.expected or "an answer",
                why=first.why or "your app does not keep what its interface promises",
                hint=f"repair it in your own app, then `%check {first.criterion.exercise}`",
                at=load("attacks.suite").attack,
            )
        expect.that(
            len(report.of(run.PASSED)) > 50,
            did="the exam of your own app",
            got=f"{len(report.of(run.PASSED))} criteria passed",
            expected="more than fifty",
            hint="run `workbook exam` from a terminal: it says why nothing was asked",
            at=load("attacks.suite").attack,
        )
