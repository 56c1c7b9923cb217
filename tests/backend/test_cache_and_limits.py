"""A real Redis beside the app: shared by processes, killed under load, and back; limits; mail that is not lost."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import event, update

from tests.backend.conftest import APP_DIR, OpenApp
from tests.backend.support import PASSWORD, Person, connect, new_user
from workbook.servers.redis import RedisServer, free_port, serve

SUMMARY = "users/me/summary"

# what one process of the app does: it counts tries on the Redis of its arguments, and prints how many were allowed
WORKER = """
import asyncio, sys
from app.core.config import Settings
from app.core.exceptions import TooManyRequests
from app.core.rate_limit import RateLimiter, Tries

async def main(url, address):
    settings = Settings(rate_limit_enabled=True, rate_limit_identity="20/minute", rate_limit_address="1000/minute")
    limiter = RateLimiter(url)
    tries, allowed = Tries(limiter, settings, address), 0
    for _ in range(20):
        try:
            await tries.count("login", "ada")
            allowed += 1
        except TooManyRequests:
            pass
    await limiter.aclose()
    print(allowed)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis of the test's own."""
    with serve() as server:
        if server is None:
            if os.environ.get("WORKBOOK_REQUIRE_REDIS"):
                pytest.fail("there is no redis-server, and WORKBOOK_REQUIRE_REDIS asks for one")
            pytest.skip("there is no redis-server on this machine")
        yield server


async def sign_up(client: Any, name: str = "ada") -> Person:
    """Register somebody."""
    body = (await client.post("auth/register", json=new_user(username=name, email=f"{name}@example.com"))).json()
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    return Person(body["user"]["id"], body["user"]["email"], name, headers=headers)


def test_two_processes_share_a_limit(redis: RedisServer) -> None:
    """Of forty tries in two processes, from two addresses, twenty are allowed."""
    command = [sys.executable, "-c", WORKER, redis.url]
    environment = os.environ | {"PYTHONPATH": str(APP_DIR)}
    workers = [
        subprocess.Popen([*command, f"192.0.2.{number}"], env=environment, stdout=subprocess.PIPE, text=True)
        for number in (1, 2)
    ]
    allowed = [int(worker.communicate(timeout=120)[0]) for worker in workers]
    assert sum(allowed) == 20


@contextmanager
def counted(app: Any, part: str) -> Iterator[Counter[str]]:
    """Count the statements that hold a text, while the block runs."""
    found, engine = Counter[str](), app.state.session_factory.kw["bind"].sync_engine

    def note(*arguments: Any) -> None:
        found[part] += part in arguments[2].lower()

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def several(database_url: str) -> dict[str, str]:
    """The settings of a database with several connections: one in memory has one, and lets nobody race."""
    return {"database_url": "sqlite+aiosqlite:///race.db"} if database_url.endswith("://") else {}


async def test_twenty_readers_make_one_summary(redis: RedisServer, several: dict[str, str], open_app: Any) -> None:
    """Twenty requests for a summary that nobody has kept read the items once: with a Redis, and without."""
    for settings in ({"redis_url": redis.url}, {}):
        async with open_app(**several, **settings) as app, connect(app) as client:
            ada = await sign_up(client)
            await client.post("items", json={"title": "Pen", "price": 1}, headers=ada.headers)
            with counted(app, "sum(items.price)") as queries:
                answers = await asyncio.gather(*(client.get(SUMMARY, headers=ada.headers) for _ in range(20)))
            assert [answer.json() for answer in answers] == [{"items": 1, "worth": "1.00"}] * 20
            assert queries.total() == 1


async def test_twenty_tries_at_once_are_counted(redis: RedisServer, several: dict[str, str], open_app: Any) -> None:
    """Of twenty log-ins at the same moment, where ten are allowed, ten are refused: with a Redis, and without."""
    limits = {"rate_limit_enabled": True, "rate_limit_identity": "10/hour"}
    form = {"username": "ada", "password": "Wrong horse"}
    for settings in ({"redis_url": redis.url}, {}):
        async with open_app(**several, **limits, **settings) as app, connect(app) as client:
            answers = await asyncio.gather(*(client.post("auth/login", data=form) for _ in range(20)))
        assert Counter(answer.status_code for answer in answers) == {401: 10, 429: 10}


async def test_twenty_with_one_reset_token(several: dict[str, str], open_app: Any) -> None:
    """Of twenty who come with one token at the same moment, one chooses the password."""
    from app.auth.password_reset import ResetMail

    async with open_app(**several) as app, connect(app) as client:
        ada = await sign_up(client)
        async with app.state.session_factory.begin() as session:
            mail = await ResetMail(app.state.settings).compose(session, ada.email)
        assert mail is not None
        token = mail.body.split("token=")[1].split()[0]
        bodies = [{"token": token, "new_password": f"Battery staple {number}"} for number in range(20)]
        answers = await asyncio.gather(*(client.post("auth/password-reset/confirm", json=body) for body in bodies))
        statuses = [answer.status_code for answer in answers]
        assert Counter(statuses) == {204: 1, 422: 19}
        form = {"username": "ada", "password": bodies[statuses.index(204)]["new_password"]}
        assert (await client.post("auth/login", data=form)).status_code == 200


async def test_a_redis_that_hangs_holds_nobody_up(redis: RedisServer, open_app: Any) -> None:
    """While Redis takes connections and answers nothing, the cache and the limits do without it."""
    async with open_app(redis_url=redis.url, rate_limit_enabled=True) as app, connect(app) as client:
        ada = await sign_up(client)
        redis.pause()
        try:
            async with asyncio.timeout(60):  # it hangs until all of them are answered
                form = {"username": ada.username, "password": PASSWORD}
                for _ in range(3):
                    assert (await client.get(SUMMARY, headers=ada.headers)).status_code == 200
                    assert (await client.post("auth/login", data=form)).status_code == 200
        finally:
            redis.resume()


async def test_redis_dies_and_comes_back_under_load(redis: RedisServer, open_app: Any) -> None:
    """While Redis is killed, paused and started under load, every summary is right, and every answer a 200 or 201."""
    async with open_app(redis_url=redis.url) as app, connect(app) as client:
        ada, statuses, wrong = await sign_up(client), Counter[int](), []
        number, going = 0, True

        async def write() -> None:
            nonlocal number
            while going:
                answer = await client.post("items", json={"title": "Pen", "price": 1}, headers=ada.headers)
                statuses[answer.status_code] += 1
                number += 1
                seen = await client.get(SUMMARY, headers=ada.headers)
                statuses[seen.status_code] += 1
                # one writer, who reads what was written: an older number is a value that should be forgotten
                if seen.json()["items"] != number:
                    wrong.append((number, seen.json()))

        async def read() -> None:
            while going:
                statuses[(await client.get("users/me", headers=ada.headers)).status_code] += 1

        async def disturb() -> None:
            nonlocal going
            for step in (redis.kill, redis.start, redis.pause, redis.resume):
                await asyncio.sleep(0.4)
                await asyncio.to_thread(step)
            await asyncio.sleep(1.5)
            going = False

        await asyncio.gather(write(), *(read() for _ in range(5)), disturb())
        assert not wrong
        assert statuses.keys() <= {200, 201}
        assert number > 1
        async with asyncio.timeout(60):  # the cache is used again, without a restart of the app
            while True:
                with counted(app, "sum(items.price)") as queries:
                    await client.get(SUMMARY, headers=ada.headers)
                if not queries.total():
                    break
                await asyncio.sleep(0.1)


async def test_the_limiter_counts_without_redis(redis: RedisServer, open_app: Any) -> None:
    """A limit holds while Redis is away, with Retry-After and the one error body."""
    limits = {"rate_limit_enabled": True, "rate_limit_identity": "3/minute"}
    async with open_app(redis_url=redis.url, **limits) as app, connect(app) as client:
        redis.kill()
        form = {"username": "ada", "password": "Wrong horse"}
        answers = [await client.post("auth/login", data=form) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert answers[-1].json().keys() == {"detail", "code", "request_id"}


class Mailbox:
    """What a mail server took; it refuses the first ones."""

    def __init__(self, refuse: int = 0) -> None:
        self.bodies: list[str] = []
        self.refuse = refuse

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Take a mail, or ask to come again."""
        if self.refuse:
            self.refuse -= 1
            return "451 try again"
        self.bodies.append(envelope.content.decode())
        return "250 taken"


@pytest.fixture
async def mail() -> AsyncIterator[tuple[Mailbox, dict[str, Any]]]:
    """A real mail server on 127.0.0.1, and the settings that name it."""
    box = Mailbox()
    port = free_port()  # the controller calls itself at this number, so it cannot be 0
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box, {"mail_host": "127.0.0.1", "mail_port": port, "mail_start_tls": False}
    finally:
        controller.stop()


async def arrives(box: Mailbox, number: int, seconds: float = 30) -> bool:
    """Wait until so many mails have come."""
    async with asyncio.timeout(seconds):
        while len(box.bodies) < number:
            await asyncio.sleep(0.02)
    return len(box.bodies) == number


async def test_a_forgotten_password_by_mail(mail: tuple[Mailbox, dict[str, Any]], open_app: Any) -> None:
    """The mail comes through a real mail server, its token works once, and the old password does not any more."""
    box, settings = mail
    async with open_app(**settings) as app, connect(app) as client:
        ada = await sign_up(client)
        for email in (ada.email, "nobody@example.com"):
            assert (await client.post("auth/password-reset", json={"email": email})).status_code == 202
        assert await arrives(box, 1)
        token = box.bodies[0].replace("=\r\n", "").split("token=")[1].removeprefix("3D").split()[0]
        new = {"token": token, "new_password": "Battery staple"}
        statuses = [(await client.post("auth/password-reset/confirm", json=new)).status_code for _ in range(2)]
        assert statuses == [204, 422]
        for password, status in ((PASSWORD, 401), ("Battery staple", 200)):
            answer = await client.post("auth/login", data={"username": "ada", "password": password})
            assert answer.status_code == status


async def test_a_refused_mail_is_tried_again(mail: tuple[Mailbox, dict[str, Any]], open_app: Any) -> None:
    """A mail server that says "later" costs no mail: the row stays, and the next try sends it."""
    from app.db.base import utc_now
    from app.outbox.models import OutboxMessage

    box, settings = mail
    box.refuse = 1
    async with open_app(**settings) as app, connect(app) as client:
        ada = await sign_up(client)
        await client.post("auth/password-reset", json={"email": ada.email})
        async with asyncio.timeout(30):
            while box.refuse:
                await asyncio.sleep(0.02)
        assert box.bodies == []
        async with app.state.session_factory.begin() as session:
            await session.execute(update(OutboxMessage).values(due_at=utc_now()))
        app.state.wake.set()
        assert await arrives(box, 1)


async def test_the_app_stops_whatever_the_postman_does(open_app: OpenApp) -> None:
    """A request rings for the postman, and the app is stopped some milliseconds later, in the middle of his queries."""
    for milliseconds in range(0, 24, 2):
        async with asyncio.timeout(60), open_app() as app, connect(app) as client:
            answer = await client.post("auth/password-reset", json={"email": "nobody@example.com"})
            assert answer.status_code == 202
            await asyncio.sleep(milliseconds / 1000)


@pytest.mark.parametrize(
    ("proxies", "hops", "counted_as_one"),
    [
        ("", ("198.51.100.{n}",), True),  # nobody is named: the header is a stranger's claim
        ("127.0.0.1", ("198.51.100.{n}",), False),
        ("127.0.0.1", ("198.51.100.{n}", "203.0.113.7"), True),  # what stands before the last hop is a claim, too
        ("127.0.0.1, 203.0.113.0/24", ("198.51.100.{n}", "203.0.113.7"), False),
        ("127.0.0.1", ("no address", "198.51.100.{n}"), False),
        ("127.0.0.1, 198.51.100.0/24", ("no address", "198.51.100.{n}"), True),
    ],
)
async def test_a_header_counts_when_the_proxy_is_named(
    open_app: OpenApp, proxies: str, hops: tuple[str, ...], counted_as_one: bool
) -> None:
    """Three tries from one address are allowed; six come with other addresses in X-Forwarded-For."""
    limits = {"rate_limit_enabled": True, "rate_limit_address": "3/hour", "trusted_proxies": proxies}
    async with open_app(**limits) as app, connect(app) as client:
        answers = []
        for number in range(6):
            forwarded = ", ".join(hops).format(n=number)
            form = {"username": f"nobody{number}", "password": PASSWORD}
            answers.append(await client.post("auth/login", data=form, headers={"X-Forwarded-For": forwarded}))
    refused = [answer.status_code for answer in answers].count(429)
    assert refused == (3 if counted_as_one else 0)
