"""Checks of chapter 13, limits: how often one may try, and from which address."""

from contextlib import contextmanager, suppress
from time import time
from types import SimpleNamespace

import pytest
from limits.util import WindowStats
from starlette.requests import Request

from course_checks import caching, logs
from course_checks.caching import emptied, method_of
from course_checks.paths import LOGIN, REFRESH, REGISTER
from course_checks.people import People
from course_checks.samples import ADA
from course_checks.signing_in import login
from workbook import expect
from workbook.checks import exercise, free_port

# fixtures
redis_server = caching.redis_server
log = logs.log

# ---------------------------------------------------------------------------------------------------------------- 13.6


LIMITED = {"rate_limit_enabled": True, "rate_limit_identity": "3/minute", "rate_limit_address": "8/minute"}


@pytest.fixture
async def limiters(load, redis_server):
    """Return a coroutine that gives pairs of limiters: two processes' in Redis, and one in this process alone."""
    make, shared = load("core.rate_limit").RateLimiter, []

    async def pairs():
        if redis_server is None:
            return [(make(None),)]
        await emptied(redis_server)
        shared.extend(make(redis_server.url) for _ in range(2))
        return [(make(None),), tuple(shared)]

    yield pairs
    for limiter in shared:
        await limiter.aclose()


async def log_in(client, name="ada", password="Wrong horse"):
    """Try to log in; return the answer."""
    return await login(client, name, password)


def count_of(load):
    """Return what is at fault when tries are counted wrongly."""
    return method_of(load, "count", "core.rate_limit", "Tries")


def is_limited(answer, at, **reason):
    """Expect a 429 with its body and a Retry-After that can be believed."""
    expect.status(answer, 429, at=at, **reason)
    body, after = expect.body(answer), answer.headers.get("Retry-After", "")
    expect.that(
        isinstance(body, dict) and body.get("code") == "too_many_requests" and "request_id" in body,
        response=answer,
        got=f"the body {expect.shown(body)}",
        expected='the one error body, with the code "too_many_requests"',
        why="a program acts on the code",
        hint="raise TooManyRequests with the seconds: the handler of chapter 06 does the rest",
        at=at,
    )
    expect.that(
        after.isdigit() and 1 <= int(after) <= 60,
        response=answer,
        got=f"Retry-After: {after or 'missing'}",
        expected="whole seconds, from 1 to 60, for a limit by the minute",
        why="a client that waits too short tries in vain, and one that waits for years never comes back",
        hint="when the window ends, less `time()`, rounded up, at least 1",
        at=at,
    )


class Window:
    """A window that is played: it counts, and ends at a time that the check chooses."""

    def __init__(self, allowed, ends_in):
        self.allowed, self.ends_in, self.asked, self.looked = allowed, ends_in, [], []

    async def hit(self, *arguments, **_named):
        """Count a try."""
        self.asked.append(arguments)
        return len(self.asked) <= self.allowed

    async def get_window_stats(self, *arguments, **_named):
        """Return when the window ends, and how many are left."""
        self.looked.append(arguments)
        return WindowStats(time() + self.ends_in, 0)


async def counted_first(load, client):
    """Return what is counted first, and what second, where both are: "identity" or "address"."""
    asked = []

    class Limiter:
        async def seconds(self, limit, *_names):
            asked.append(limit.amount)
            return 0

    settings = load("core.config").Settings(
        rate_limit_enabled=True, rate_limit_identity="3/minute", rate_limit_address="8/minute"
    )
    with suppress(load("core.exceptions").TooManyRequests):
        await load("core.rate_limit").Tries(Limiter(), settings, "192.0.2.1").count("login", "ada")
    return [{3: "identity", 8: "address"}.get(amount) for amount in asked]


BY_IDENTITY = "count by identity too, when one is named: the counter of an identity does not hold the address"


@exercise("13.6")
class TestTries:
    async def test_seconds(self, load):
        """`count_try` is 0 for a try that is allowed, and else whole seconds, rounded up, 1 at the least"""
        module = load("core.rate_limit")
        limit = module.parse("2/minute")
        for ends_in, wanted in ((41.5, 42), (3.9, 4), (0.2, 1), (-0.5, 1)):
            window = Window(2, ends_in)
            found = [await module.count_try(window, limit, "login", "address", "1.2.3.4") for _ in range(3)]
            expect.equal(
                window.asked,
                [(limit, "login", "address", "1.2.3.4")] * 3,
                did="what `window.hit` was asked, in three calls",
                why="a try that is counted twice, or under another name, is a limit that nobody has set",
                hint="`window.hit(limit, *names)`, once in each call",
                at=module.count_try,
            )
            expect.that(
                all(one == window.asked[0] for one in window.looked),
                did="what `window.get_window_stats` was asked",
                got=expect.shown([one[1:] for one in window.looked]),
                expected=f"the names of the try, {expect.shown(window.asked[0][1:])}",
                why="each counter has a window of its own, which ends at another time",
                hint="`window.get_window_stats(limit, *names)`",
                at=module.count_try,
            )
            expect.that(
                found == [0, 0, wanted] and all(type(one) is int for one in found),
                did=f"three calls of count_try, where two are allowed, and the window ends in {ends_in} s",
                got=expect.shown(found),
                expected=f"[0, 0, {wanted}]",
                why="a client that comes a moment too early is refused again",
                hint="when the window ends is a time; to wait is the difference to `time()`, with ceil, and max(1, …)",
                at=module.count_try,
            )

    async def test_identity(self, load, open_visit):
        """The fourth log-in as Ada is a 429, where three are allowed, also with the right password"""
        async with open_visit(**LIMITED) as client:
            await People(load, client).add("ada")
            for _ in range(3):
                expect.status(
                    await log_in(client),
                    401,
                    why="three tries are allowed",
                    hint="raise only when the seconds are not 0",
                    at=count_of(load),
                )
            for password in ("Wrong horse", "Correct horse"):
                is_limited(
                    await log_in(client, password=password),
                    count_of(load),
                    why="a script tries thousands of passwords for one account",
                    hint=BY_IDENTITY,
                )

    async def test_spelling(self, load, open_visit):
        """Ada is one identity, however she is spelled"""
        async with open_visit(**LIMITED) as client:
            for name in ("ada", "ADA", " Ada "):
                await log_in(client, name)
            is_limited(
                await log_in(client, "aDA"),
                count_of(load),
                why="log-in takes every spelling, so each of them would be three tries more",
                hint="strip and lower the identity before it is counted",
            )

    async def test_others(self, load, open_visit):
        """Bob is let in after Ada's tries, until the address has had too many"""
        async with open_visit(**LIMITED) as client:
            await People(load, client).add("bob")
            for _ in range(4):
                await log_in(client)
            expect.status(
                await log_in(client, "bob", "Correct horse"),
                200,
                why="one account under attack would lock out everybody",
                hint="the name of the counter holds who is named",
                at=count_of(load),
            )
            for number in range(3):
                await log_in(client, f"user{number}")
            turned = await counted_first(load, client) == ["identity", "address"]
            is_limited(
                await log_in(client, "somebody"),
                count_of(load),
                why="a try that is refused for its identity would not count for the address"
                if turned
                else "one machine tries one password on thousands of accounts",
                hint="count the address first, then the identity"
                if turned
                else "count by address too: each of its tries, whoever is named",
            )

    async def test_addresses(self, load, open_visit, connect):
        """Another address has tries of its own, but the identity is the same from everywhere"""
        async with open_visit(**LIMITED) as client:
            tries, settings, limiter = (
                load("core.rate_limit").Tries,
                client.app.state.settings,
                client.app.state.limiter,
            )
            error = load("core.exceptions").TooManyRequests
            with allowed(load, 'eight count("login", …) of one address, each for another account'):
                for number in range(8):
                    await tries(limiter, settings, "192.0.2.1").count("login", f"user{number}")
            with expect.raising(
                error,
                did='the ninth count("login", …) of one address, where eight are allowed',
                why="one machine tries one password on thousands of accounts",
                hint="ask self.limiter with self.per_address and self.address",
                at=count_of(load),
            ):
                await tries(limiter, settings, "192.0.2.1").count("login", "somebody")
            try:
                for number in range(3):
                    await tries(limiter, settings, f"192.0.2.{number + 2}").count("login", "eve")
            except error:
                raise expect.Wrong(
                    did='count("login", "eve") from three other addresses',
                    got="TooManyRequests",
                    expected="three tries for one identity, and eight for each address",
                    why="one visitor's tries would lock out all others",
                    hint="the name of the counter holds the address",
                    at=count_of(load),
                ) from None
            with expect.raising(
                error,
                did='the fourth count("login", "eve"), from a fourth address',
                why="a thousand machines have a thousand addresses, and guess at one account",
                hint=BY_IDENTITY,
                at=count_of(load),
            ):
                await tries(limiter, settings, "192.0.2.9").count("login", "eve")

    async def test_apart(self, load, open_visit):
        """Log-in, sign-up and refresh are counted apart, and an address is no account"""
        async with open_visit(**LIMITED) as client:
            for _ in range(4):
                await log_in(client, ADA["email"])
            answer = await client.post(REGISTER, json=ADA)
            expect.status(
                answer,
                201,
                why="who has mistyped a password could not sign up",
                hint="the name of the counter holds the action",
                at=count_of(load),
            )
            tries, limiter = load("core.rate_limit").Tries, client.app.state.limiter
            settings = load("core.config").Settings(**LIMITED)
            for number in range(9):
                await refuse(tries(limiter, settings, "192.0.2.8").count("probe", f"user{number}"))
            with allowed(
                load,
                'count("other", "eve"), after nine count("probe", …) from the same address, where eight are allowed',
                why="who has mistyped passwords could not sign up",
                hint="the name of the address's counter holds the action too",
            ):
                await tries(limiter, settings, "192.0.2.8").count("other", "eve")
            # with two equal limits: counters of different limits are apart anyway
            settings = load("core.config").Settings(**LIMITED | {"rate_limit_address": "3/minute"})
            for _ in range(4):
                await refuse(tries(limiter, settings, "192.0.2.1").count("probe", "192.0.2.7"))
            with allowed(
                load,
                'count("probe") from the address 192.0.2.7, after four tries for an account of that name',
                why="who signs up as 192.0.2.7 could lock that address out",
                hint='a word for the kind, such as "address", makes two counters of one name',
            ):
                await tries(limiter, settings, "192.0.2.7").count("probe")

    async def test_register_and_refresh(self, load, open_visit):
        """Sign-up and refresh have limits too; a forged token counts for the address alone"""
        async with open_visit(**LIMITED | {"rate_limit_address": "100/minute"}) as client:
            body = expect.body(await client.post(REGISTER, json=ADA))
            for _ in range(3):
                await client.post(REGISTER, json=ADA)
            is_limited(
                await client.post(REGISTER, json=ADA),
                count_of(load),
                why="a script makes accounts, or asks which addresses are taken",
                hint="",
            )
            answer = None
            for _ in range(3):
                answer = await client.post(REFRESH, json={"refresh_token": body["refresh_token"]})
                body = expect.body(answer) if answer.status_code == 200 else body
            is_limited(
                await client.post(REFRESH, json={"refresh_token": body["refresh_token"]}),
                count_of(load),
                why="a stolen token could be tried without end",
                hint="",
            )
            for _ in range(4):
                answer = await client.post(REFRESH, json={"refresh_token": "forged"})
            expect.status(
                answer,
                401,
                why="a token that says nothing names nobody: all forged ones would share a counter",
                hint="an empty identity is nobody: count it by address alone (`if identity:`)",
                at=count_of(load),
            )

    async def test_long(self, load, open_visit):
        """A name of any length is counted under a short name, which does not show it"""
        async with open_visit(**LIMITED) as client:
            tries, asked = load("core.rate_limit").Tries, []

            class Limiter:
                async def seconds(self, _limit, *names):
                    asked.append(names)
                    return 0

            who = "ada@example.com" + "x" * 100_000
            with allowed(
                load,
                'count("login", …), with a limiter that allows every try',
                hint="the limiter counts; keep no counter of your own",
            ):
                await tries(Limiter(), client.app.state.settings, "192.0.2.1").count("login", who)
            expect.that(
                len(asked) == 2 and all(len(part) < 200 and "ada@" not in part for names in asked for part in names),
                did="the names under which a try is counted, for an identity of 100,015 characters",
                got=expect.shown([tuple(part[:60] for part in names) for names in asked]),
                expected="two counters, with short names, and no e-mail address in them",
                why="whoever fills in the form could fill your Redis, and whoever reads it would see who signs in",
                hint="put the identity through `digest`" if len(asked) == 2 else "",
                at=count_of(load),
            )

    async def test_off(self, load, open_visit):
        """With RATE_LIMIT_ENABLED=false nothing is counted"""
        async with open_visit(**LIMITED | {"rate_limit_enabled": False}) as client:
            answers = [await log_in(client) for _ in range(10)]
            expect.equal(
                [answer.status_code for answer in answers],
                [401] * 10,
                did="ten wrong passwords, with the limits switched off",
                why="a load test, or a bad day, needs the switch",
                hint="a guard clause: `if not self.enabled: return`",
                at=count_of(load),
            )

    async def test_shared(self, load, open_visit, limiters):
        """Two processes on one Redis count together; each app without Redis counts for itself"""
        settings = load("core.config").Settings(**LIMITED)
        tries, error = load("core.rate_limit").Tries, load("core.exceptions").TooManyRequests
        for pair in await limiters():
            refused = 0
            for number in range(4):
                try:
                    await tries(pair[number % len(pair)], settings, "192.0.2.1").count("login", "ada")
                except error:
                    refused += 1
            expect.equal(
                refused,
                1,
                did=f"four tries as Ada, in {'two processes' if pair[1:] else 'one process'}, where three are allowed: "
                "how many are refused",
                why="each worker of the app would allow as much again" if pair[1:] else "the limit is another one",
                hint="the limiter counts; keep no counter of your own" if refused or pair[1:] else "",
                at=count_of(load),
            )
        async with open_visit(**LIMITED) as one, open_visit(**LIMITED) as two:
            for _ in range(4):
                await log_in(one)
            expect.status(
                await log_in(two),
                401,
                why="two apps in one process, as in tests, would count together",
                hint="keep no counter in the module",
                at=count_of(load),
            )

    async def test_redis_away(self, load, open_visit):
        """While Redis is away, the app counts by itself"""
        async with open_visit(**LIMITED, redis_url=f"redis://127.0.0.1:{free_port()}") as client:
            for _ in range(3):
                expect.status(
                    await log_in(client),
                    401,
                    why="nobody could log in while Redis is away",
                    hint="",
                    at=count_of(load),
                )
            is_limited(
                await log_in(client),
                count_of(load),
                why="who can slow down your Redis would be rid of the limit",
                hint="",
            )


async def refuse(counting):
    """Count a try, whether it is refused or not."""
    try:
        await counting
    except Exception as error:
        if type(error).__name__ != "TooManyRequests":
            raise


@contextmanager
def allowed(load, did, *, why="what is within the limits would be refused", hint=""):
    """Expect that the tries in the block are allowed."""
    try:
        yield
    except load("core.exceptions").TooManyRequests:
        raise expect.Wrong(
            did=did,
            got="TooManyRequests",
            expected="nothing is raised",
            why=why,
            hint=hint or "a limit for each name: the counter of one account, or address, is not that of another",
            at=count_of(load),
        ) from None


# ---------------------------------------------------------------------------------------------------------------- 13.7


@exercise("13.7")
class TestAddress:
    def ask(self, load, peer, *headers, proxies="10.0.0.0/8, 2001:db8::/32"):
        """Ask where a request comes from."""
        settings = load("core.config").Settings(trusted_proxies=proxies)
        lines = [(b"x-forwarded-for", header.encode("latin-1")) for header in headers]
        app = SimpleNamespace(state=SimpleNamespace(settings=settings))
        scope = {"type": "http", "method": "GET", "path": "/", "headers": lines, "query_string": b"", "app": app}
        request = Request(scope | {"client": (peer, 1234) if peer else None})
        return load("auth.dependencies").client_address(request)

    def walks(self, load):
        """Say whether the way goes on behind a proxy, from the right: without that other hints would lead astray."""
        return all(
            self.ask(load, "10.0.0.1", header) == "203.0.113.9"
            for header in ("203.0.113.9,10.0.0.2", "1.2.3.4,203.0.113.9")
        )

    def says(self, load, wanted, peer, *headers, why, hint, **named):
        """Expect an answer."""
        told = " and ".join(f"X-Forwarded-For: {header}" for header in headers) or "no such header"
        did = f"client_address of a connection from {peer or 'an unknown peer'}, with {told}"
        try:
            found = self.ask(load, peer, *headers, **named)
        except AttributeError as error:
            mistakes = [("'NoneType' object has no attribute", hint)]
            expect.known(error, mistakes, did=did, expected=expect.shown(wanted), why=why)
        expect.equal(
            found,
            wanted,
            did=did,
            why=why,
            hint=hint,
            at=load("auth.dependencies").client_address,
        )

    def test_direct(self, load):
        """Without a proxy the client is the peer, with a header or without"""
        why = "everybody can write this header: each request would count for another client"
        for headers in ((), ("1.2.3.4",), ("1.2.3.4, 10.0.0.1",), ("10.0.0.1",)):
            hint = "look first whether the peer is a proxy of yours; only then is its header read"
            self.says(load, "198.51.100.7", "198.51.100.7", *headers, why=why, hint=hint)

    def test_no_proxies(self, load):
        """Where the settings name no proxy, no header is believed"""
        why = "without settings the app does not know any proxy"
        hint = "is_trusted says False for every address then"
        self.says(load, "10.0.0.1", "10.0.0.1", "1.2.3.4", proxies="", why=why, hint=hint)

    def test_one_proxy(self, load):
        """Behind one proxy the client is what the proxy wrote, and that stands at the right"""
        why = "all visitors would share the proxy's address, and its limit"
        self.says(load, "203.0.113.9", "10.0.0.1", "203.0.113.9", why=why, hint="take the header's address")
        why = "what stands at the left came with the request: the script chooses it anew each time"
        hint = "read from the right: the last one is what your proxy has seen"
        self.says(load, "203.0.113.9", "10.0.0.1", "1.2.3.4, 203.0.113.9", why=why, hint=hint)
        self.says(load, "203.0.113.9", "10.0.0.1", "10.9.9.9, 203.0.113.9", why=why, hint=hint)

    def test_two_proxies(self, load):
        """Behind several proxies of yours the client is the first address from the right that is none of them"""
        why = "all visitors would share the address of the inner proxy"
        hint = "go on to the left as long as the address in your hand is a proxy of yours"
        self.says(load, "203.0.113.9", "10.0.0.1", "203.0.113.9, 10.0.0.2", why=why, hint=hint)
        self.says(load, "203.0.113.9", "10.0.0.1", "1.2.3.4, 203.0.113.9, 10.0.0.3, 10.0.0.2", why=why, hint=hint)

    def test_several_headers(self, load):
        """A header that comes twice is one list"""
        why = "a script sends one header, your proxy adds another: with the wrong one the script chooses its address"
        hint = "one look into request.headers gives the first of them only: join all that getlist gives, by commas"
        self.says(load, "203.0.113.9", "10.0.0.1", "1.2.3.4", "203.0.113.9", why=why, hint=hint)

    def test_form(self, load):
        """Spaces and empty parts do no harm, and IPv6 works as IPv4 does"""
        why = "the same client would have several counters"
        hint = "strip each part, and leave out the empty ones" if self.walks(load) else ""
        self.says(load, "203.0.113.9", "10.0.0.1", " 1.2.3.4 ,, 203.0.113.9 , ", why=why, hint=hint)
        self.says(load, "2001:db9::7", "2001:db8::1", "2001:db9::7", why=why, hint=hint)

    def test_only_proxies(self, load):
        """Where every address is a proxy of yours, the client is the leftmost"""
        why = "a machine of your own asks, through your proxies"
        hint = "when the list has come to its end, return the address in your hand" if self.walks(load) else ""
        self.says(load, "10.0.0.9", "10.0.0.1", "10.0.0.9, 10.0.0.2", why=why, hint=hint)
        self.says(load, "10.0.0.1", "10.0.0.1", why=why, hint=hint)

    def test_no_address(self, load):
        """What is no address ends the way: it is none of your proxies"""
        why = "what a script has written at the left would be believed"
        hint = "is_trusted says False for it: stop there"
        self.says(load, "unknown", "10.0.0.1", "1.2.3.4,unknown", why=why, hint=hint)

    def test_unknown_peer(self, load):
        """When the peer is unknown, the address is empty, and no header is believed"""
        why = "the request would be a 500, or choose its own address"
        hint = "request.client is None here: begin with an empty text"
        self.says(load, "", None, "1.2.3.4", why=why, hint=hint)

    async def test_limit(self, load, open_visit):
        """Behind your proxy each visitor has tries of their own, and a header of their own invention helps nobody"""
        values = LIMITED | {"trusted_proxies": "127.0.0.1", "rate_limit_address": "3/minute"}
        async with open_visit(**values) as client:
            at = load("auth.dependencies").client_address
            statuses = []
            for number in range(4):
                headers = {"X-Forwarded-For": f"1.2.3.{number}, 203.0.113.9"}
                form = {"username": f"user{number}", "password": "Wrong horse"}
                statuses.append((await client.post(LOGIN, data=form, headers=headers)).status_code)
            expect.equal(
                statuses,
                [401, 401, 401, 429],
                did="four log-ins of one visitor behind your proxy, each with another address of its own invention",
                why="a script that invents addresses would have no limit",
                hint="read from the right: the last one is what your proxy has seen",
                at=at,
            )
            form = {"username": "eve", "password": "Wrong horse"}
            answer = await client.post(LOGIN, data=form, headers={"X-Forwarded-For": "203.0.113.10"})
            expect.status(answer, 401, why="one visitor would lock out all that come through the proxy", hint="", at=at)
