"""Checks of chapter 15, first attacks: a report that is read, tokens that are forged, and a matrix of rights."""

import base64
import hashlib
import hmac
import random
import sys
from contextlib import suppress

from course_checks import workshops
from course_checks.cells import ITEM_ROUTES, USER_ROUTES, right_cells
from course_checks.exploits import FALSE_ALARM, described, read, texts
from course_checks.workshops import KEY
from workbook import expect
from workbook.checks import exercise, why_none
from workbook.sabotage import EDITS, TOPICS

# fixtures
shops = workshops.shops

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

    async def opens(self, load, shops, fault, hint, *, own=False, edits=(), spelling=""):
        """Expect that a forged token opens an account of a faulty app."""
        module = load("attacks.tokens")
        async with shops(*([fault] if fault in EDITS else []), edits=edits) as shop:
            sys.modules[f"{shop.http.package}.core.security"].SPELLING = spelling
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
        only = new.replace('.get("alg", "").lower() == "none"', '.get("alg", "") == SPELLING')
        for name in ("none", "None", "NONE", "nOnE"):
            fault, hint = (
                f"alg {name} is taken, and no other",
                "some backends refuse one spelling only: use each of SPELLINGS",
            )
            await self.opens(load, shops, fault, hint, edits=((path, old, only),), spelling=name)

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
