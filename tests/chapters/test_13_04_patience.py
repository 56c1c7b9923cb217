"""Checks of chapter 13, a cache under load: many who ask at once, and a server that is slow or away."""

import asyncio
import sys
from decimal import Decimal
from time import monotonic
from time import sleep as sleep_process

import pytest
from redis.exceptions import ConnectionError as RedisDown
from redis.exceptions import RedisError

from course_checks import caching, logs
from course_checks.caching import (
    Loader,
    Question,
    Spy,
    add_item,
    asked,
    counted,
    emptied,
    method_of,
    summaries_of,
    summary_of,
)
from course_checks.modules import module_of
from course_checks.people import People
from workbook import expect
from workbook.checks import exercise, free_port

# fixtures
caches, patient, redis_server = caching.caches, caching.patient, caching.redis_server
log = logs.log

# ---------------------------------------------------------------------------------------------------------------- 13.4


class Door(Spy):
    """A cache that notes who has a lock, and whether somebody else takes it away."""

    def __init__(self, inner):
        super().__init__(inner)
        self.holders, self.is_stolen = {}, False

    async def add(self, key, value, ttl):
        """Take a lock, if nobody has it."""
        taken = await self.inner.add(key, value, ttl)
        if taken:
            self.holders[key] = asyncio.current_task()
        return taken

    async def delete(self, key):
        """Give a lock back, or take it away from its holder."""
        holder = self.holders.get(key)
        self.is_stolen |= holder not in (None, asyncio.current_task()) and not holder.done()
        await self.inner.delete(key)

    def hint(self, otherwise):
        """Return what to do about a lock that was taken away, or else another hint."""
        return STOLEN if self.is_stolen else otherwise


STOLEN = "delete the lock only where `add` has given you True, also in a `finally`: it belongs to the one who has it"


@pytest.fixture
def awake(load, monkeypatch):
    """Refuse `time.sleep`, in which nothing else of the process runs: forty rounds of it would last for minutes."""

    def sleep(seconds):
        """Say what a sleep of the whole process does; sleep where not the learner's code asks for it."""
        if not sys._getframe(1).f_globals["__name__"].startswith("app."):
            return sleep_process(seconds)
        raise expect.Wrong(
            did=f"time.sleep({seconds:g}), called in a coroutine",
            got="the whole process stands still",
            expected="only this reader waits",
            why="nobody else is answered meanwhile, also not the one who loads the summary",
            hint="`await asyncio.sleep(WAIT_SECONDS)` lets the others run",
            at=method_of(load, "fill_once"),
        )

    monkeypatch.setattr("time.sleep", sleep)


@exercise("13.4")
@pytest.mark.usefixtures("awake")
class TestStampede:
    async def test_fifty(self, load, caches):
        """Fifty readers at once make one summary, and all of them get it"""
        for cache in caches:
            door = Door(cache)
            summaries, loader = summaries_of(load, door), Loader(load, seconds=0.1)
            found = await asyncio.gather(*(summaries.read(7, loader) for _ in range(50)))
            at = method_of(load, "fill_once")
            expect.equal(
                loader.made,
                1,
                did="how often `load` ran, for fifty readers at once",
                why="a query that is slow because the database is busy would be asked fifty times more",
                hint=door.hint("only who gets True from `add` may load; the others sleep, and look again"),
                at=at,
            )
            expect.that(
                all(one == loader.summary for one in found),
                did="what the fifty readers got",
                got=f"{expect.shown(next((one for one in found if one != loader.summary), None))}, one of them",
                expected="the summary, for each of them",
                why="who waited would get nothing",
                hint="after the sleep, return what `kept` gives when it is not None",
                at=at,
            )

    async def test_two_processes(self, load, caches):
        """Readers of two objects on one cache, as two processes have, make one summary too"""
        for cache in caches:
            door = Door(cache)
            one, two = summaries_of(load, door), summaries_of(load, door)
            loader = Loader(load, seconds=0.1)
            await asyncio.gather(*(summaries.read(7, loader) for summaries in (one, two) for _ in range(5)))
            expect.equal(
                loader.made,
                1,
                did="how often `load` ran, for readers of two SummaryCaches on one cache",
                why="each of your workers, and each request, has an object of its own: only the cache is shared",
                hint=door.hint("the lock is a key in self.cache, not a variable, an asyncio.Lock or an attribute"),
                at=method_of(load, "fill_once"),
            )

    async def test_users(self, load, caches):
        """Readers of different users do not wait for each other"""
        for cache in caches:
            summaries, slow, quick = summaries_of(load, cache), Loader(load, seconds=0.5), Loader(load)
            task = asyncio.create_task(summaries.read(7, slow))
            await asyncio.sleep(0.05)
            done = task.done()
            if done:
                await task  # it raised: that is what is to be told
            await summaries.read(8, quick)
            done = task.done()
            await task
            expect.that(
                not done,
                did="read(8, …), while the summary of user 7 is being made for half a second",
                got="it waited until the other user's was made",
                expected="it does not wait",
                why="one slow customer would hold up all others",
                hint="the lock's name holds the user, as the key does",
                at=method_of(load, "fill_once"),
            )

    async def test_second_look(self, load):
        """Who gets the lock looks once more: another reader may have finished in the meantime"""
        inner = load("core.cache").MemoryCache()
        summaries, loader = summaries_of(load, inner), Loader(load)

        class Late(Spy):
            async def add(self, *arguments, **named):
                await summaries.fill(7, loader)  # somebody else was quicker, and gave the lock back
                return await self.inner.add(*arguments, **named)

        found = await summaries_of(load, Late(inner)).read(7, loader)
        expect.that(
            loader.made == 1 and found == loader.summary,
            did="read(7, …), when another reader finished between the first look and the lock",
            got=f"`load` ran {loader.made} times",
            expected="once: the summary of the other reader is there",
            why="of fifty readers, those who come a moment late would load again",
            hint="with the lock, ask `kept` before you call `fill`",
            at=method_of(load, "fill_once"),
        )

    async def test_failing_load(self, load, caches, monkeypatch):
        """When the first `load` raises, its reader gets the exception, and the next one loads at once"""
        monkeypatch.setattr(module_of(load, "items.summary"), "MAX_WAITS", 200)  # 4 s, when nobody tries for the lock
        for cache in caches:
            door = Door(cache)
            summaries, loader = summaries_of(load, door), Loader(load, seconds=0.05, fails=1)
            started = monotonic()
            found = await asyncio.gather(*(summaries.read(7, loader) for _ in range(5)), return_exceptions=True)
            failed = [one for one in found if isinstance(one, BaseException)]
            at = method_of(load, "fill_once")
            expect.that(
                len(failed) == 1 and isinstance(failed[0], OSError),
                did="five readers at once, when the first `load` raises OSError and the next one works",
                got=f"{len(failed)} exceptions: {', '.join(sorted({type(one).__name__ for one in failed})) or 'none'}",
                expected="one OSError, and four summaries",
                why="one failure would be everybody's, or nobody's",
                hint=door.hint("give the lock back in `finally`; who waits tries for it again in each round"),
                at=at,
            )
            took = monotonic() - started
            expect.equal(
                loader.made,
                2,
                did="how often `load` ran",
                why="the others would load all at once, after the one has failed",
                hint=door.hint("give the lock back in `finally`; in each round first try for it, then sleep and look"),
                at=at,
            )
            expect.that(
                took < 3,
                did="how long the five took, with 0.05 s for each `load`",
                got=f"{took:.1f} s",
                expected="no waiting for a lock that nobody has any more",
                why="one failure would make everybody slow",
                hint="give the lock back in `finally`, and try for it in each round",
                at=at,
            )

    async def test_lock_given_back(self, load, caches):
        """The lock is given back: after `forget` the next reader loads at once"""
        for cache in caches:
            summaries, loader = summaries_of(load, cache), Loader(load)
            await summaries.read(7, loader)
            await summaries.forget(7)
            await asyncio.wait_for(summaries.read(7, loader), 5)
            spy = Spy(cache)
            await cache.delete(summaries.key(7))
            await summaries_of(load, spy).read(7, loader)
            locks = [asked[0] for asked in spy.all("add")]
            left = [key for key in locks if await cache.get(key) is not None]
            expect.equal(
                left,
                [],
                did="the locks that are still there, after a reader has its summary",
                why="the next one who wants to load would wait for nobody",
                hint="`await self.cache.delete(lock)` in the `finally`",
                at=method_of(load, "fill_once"),
            )

    async def test_lock_ttl(self, load):
        """The lock has a TTL of LOCK_SECONDS, and a key of its own"""
        module, spy = load("items.summary"), Spy(load("core.cache").MemoryCache())
        summaries = summaries_of(load, spy)
        await summaries.read(7, Loader(load))
        at, asked = method_of(load, "fill_once"), spy.all("add")
        expect.that(
            len(asked) == 1 and asked[0][-1] == module.LOCK_SECONDS,
            did="the calls of `add`, in one read",
            got=expect.shown([f"ttl {one[-1]}" for one in asked]),
            expected=f"one, with a ttl of {module.LOCK_SECONDS}",
            why="a process that dies with the lock would lock out everybody, for ever",
            hint="`add` takes the name of the lock, any bytes, and LOCK_SECONDS",
            at=at,
        )
        expect.that(
            asked[0][0] != summaries.key(7),
            did="the name of the lock",
            got=expect.shown(asked[0][0]),
            expected="another name than the summary's own",
            why="the lock would lie where the summary belongs",
            hint='build it from the key: f"{self.key(user_id)}:lock"',
            at=at,
        )

    async def test_dead(self, load, caches, monkeypatch):
        """When somebody died with the lock, everybody has an answer after MAX_WAITS rounds"""
        module = module_of(load, "items.summary")
        monkeypatch.setattr(module, "MAX_WAITS", 5)
        for cache in caches:
            spy = Spy(cache)
            await summaries_of(load, spy).fill_once(9, Loader(load))
            lock = spy.all("add")[0][0].replace("9", "7") if spy.all("add") else "lock"
            await cache.add(lock, b"somebody who died", 30)
            summaries, loader = summaries_of(load, cache), Loader(load)
            at = method_of(load, "fill_once")
            try:
                found = await asyncio.wait_for(summaries.read(7, loader), 4)
            except TimeoutError:
                found = "it was still waiting after 4 s"
            expect.that(
                found == loader.summary,
                did=f"read(7, …), while somebody who died has the lock, with MAX_WAITS = {module.MAX_WAITS}",
                got=expect.shown(found),
                expected="the summary: after the last round it is loaded without the lock",
                why="a slow answer is better than none",
                hint="`for _ in range(MAX_WAITS)`, and below the loop `return await self.fill(…)`",
                at=at,
            )
            left = await cache.get(lock)
            await cache.delete(lock)
            expect.that(
                left is not None,
                did="the lock of somebody else, after that read",
                got="it is gone",
                expected="it is still there",
                why="you would open a door that somebody else has locked, and let the herd in",
                hint=STOLEN,
                at=at,
            )

    async def test_waits(self, load):
        """Who waits sleeps between two looks, and does not ask without a pause"""
        spy = Spy(load("core.cache").MemoryCache())
        summaries, loader = summaries_of(load, spy), Loader(load, seconds=0.2)
        await asyncio.gather(*(summaries.read(7, loader) for _ in range(2)))
        expect.that(
            len(spy.asked) < 60,
            did="what two readers asked the cache, while one `load` took 0.2 s",
            got=f"{len(spy.asked)} questions",
            expected="a few: a look every 0.02 s",
            why="those who wait would keep Redis and the processor busy",
            hint="`await asyncio.sleep(WAIT_SECONDS)` in each round",
            at=method_of(load, "fill_once"),
        )

    async def test_cancelled(self, load, caches):
        """When the one who loads goes away, the lock is free, and one of the others loads"""
        for cache in caches:
            door = Door(cache)
            summaries, slow, quick = summaries_of(load, door), Loader(load, seconds=30), Loader(load, seconds=0.05)
            first = asyncio.create_task(summaries.read(7, slow))
            while not slow.made and not first.done():
                await asyncio.sleep(0.01)
            if first.done():
                await first  # it raised: that is what is to be told
            others = [asyncio.create_task(summaries.read(7, quick)) for _ in range(5)]
            await asyncio.sleep(0.05)
            first.cancel()
            found = await asyncio.gather(first, *others, return_exceptions=True)
            expect.that(
                quick.made == 1 and found[1:] == [quick.summary] * 5,
                did="five readers, whose sixth had the lock and was cancelled",
                got=f"`load` ran {quick.made} times; {found[1:].count(quick.summary)} of 5 got a summary",
                expected="one of the five loads, and all get its summary",
                why="browsers are closed all the time, also while a page is made",
                hint=door.hint("`finally` runs for every exception, also when a request is cancelled"),
                at=method_of(load, "fill_once"),
            )


# ---------------------------------------------------------------------------------------------------------------- 13.5


OWN = "keep the time in self, not in a variable of the module or the class"


def unless_shared(patient, hint):
    """Return a hint; another one where a new Patience has not asked: then it shares the pause of those before it."""
    return hint if patient.question.asked else OWN


@exercise("13.5")
class TestPatience:
    async def test_answer(self, patient):
        """While Redis answers, its answer is returned"""
        for _ in range(2):
            expect.equal(
                await asked(patient),
                "tea",
                did='ask(question, "nothing"), while Redis answers "tea"',
                why="the cache would be of no use",
                hint="return what `await question()` gives",
                at=patient.at,
            )
        expect.equal(
            patient.question.asked,
            2,
            did="how often Redis was asked, in two calls",
            why="each call asks once",
            hint="call `question` once, and remember nothing of its answer",
            at=patient.at,
        )

    async def test_down(self, patient):
        """While Redis is away, the answer is `otherwise`, for every kind of failure"""
        for error in (
            RedisDown("refused"),
            RedisError("loading"),
            ConnectionResetError(),
            TimeoutError(),
            OSError("no route"),
        ):
            patient.question.error = error
            patient.ask = patient.module.Patience().ask
            expect.equal(
                await asked(patient),
                "nothing",
                did=f'ask(question, "nothing"), while Redis raises {type(error).__name__}',
                why="a cache that is away would break pages that work without it",
                hint="catch RedisError and OSError around the question, and return `otherwise`",
                at=patient.at,
            )

    async def test_slow(self, patient):
        """While Redis hangs, the answer is `otherwise` after MAX_WAIT seconds"""
        patient.question.seconds = 30
        started, found = monotonic(), await asked(patient)
        raised = found == "it raised TimeoutError"
        expect.equal(
            found,
            "nothing",
            did='ask(question, "nothing"), while Redis does not answer, with MAX_WAIT = 0.1',
            why="every page would be an error as long as Redis hangs"
            if raised
            else "every page would wait for as long as the client library likes",
            hint="what `asyncio.timeout` raises is an OSError, and no RedisError: catch both, around the `async with`"
            if raised
            else "`async with asyncio.timeout(MAX_WAIT):` around the question",
            at=patient.at,
        )
        expect.that(
            monotonic() - started < 3,
            did="how long that took",
            got=f"{monotonic() - started:.1f} s",
            expected="about 0.1 s",
            why="somebody waits for this page",
            hint="the bound is MAX_WAIT",
            at=patient.at,
        )

    async def test_pause(self, patient):
        """After a failure nobody asks for PAUSE seconds"""
        for failure in ({"error": RedisDown("refused")}, {"seconds": 30}):
            question = patient.question = Question()
            vars(question).update(failure)
            patient.ask = patient.module.Patience().ask
            found = []
            while len(found) < 4 and found in ([], ["nothing"] * len(found)):
                found.append(await asked(patient))
            what = "refuses" if question.error else "hangs"
            expect.that(
                question.asked == 1 and found == ["nothing"] * 4,
                did=f"four calls of ask, one after the other, while Redis {what}",
                got=f"Redis was asked {question.asked} times; the answers are {expect.shown(found)}",
                expected='asked once, and four times "nothing"',
                why="fifty requests that wait a quarter of a second each are slow too"
                if question.asked
                else "two apps in one process, as in tests, would share their bad days",
                hint=unless_shared(patient, "remember in self._asleep_until how long nobody asks, and look there first")
                if found[-1] == "nothing"
                else "",
                at=patient.at,
            )

    async def test_length(self, patient):
        """The pause has its whole length, PAUSE seconds, counted from the failure"""
        patient.module.MAX_WAIT = 0.3
        for failure, bound in (({"error": RedisDown("refused")}, 0.0), ({"seconds": 30}, 0.3)):
            question = patient.question = Question()
            vars(question).update(failure)
            patient.ask = patient.module.Patience().ask
            started = monotonic()
            found = await asked(patient)
            wait = min(bound, monotonic() - started)
            if question.asked != 1 or found != "nothing":
                return  # another criterion says what is wrong
            question.error, question.seconds = None, 0.0
            while question.asked == 1 and monotonic() < started + wait + 1:
                await asked(patient)
                pause = monotonic() - started - wait
                await asyncio.sleep(0.02)
            expect.that(
                question.asked == 1 or pause > 0.49,
                did=f"ask(…), again and again, after Redis {'hung' if wait else 'refused'}, with PAUSE = 0.5",
                got=f"Redis was asked again {max(pause, 0):.2f} s after the failure",
                expected="not before 0.5 s",
                why="the shorter the pause, the more requests wait for a Redis that is away",
                hint="the pause begins where the wait ends: read the clock in the `except`"
                if wait
                else "the time until which nobody asks is `monotonic() + PAUSE`",
                at=patient.at,
            )

    async def test_back(self, patient):
        """After the pause Redis is asked again, and is used when it is back"""
        patient.question.error = RedisDown("refused")
        await asked(patient)
        patient.question.error = None
        await asyncio.sleep(0.6)
        for _ in range(2):
            expect.equal(
                await asked(patient),
                "tea",
                did="ask(…), when Redis is back and the pause is over",
                why="the app would need a restart to notice that Redis is back",
                hint="remember when the pause ends, `monotonic() + PAUSE`: a flag, or a later time, is too long",
                at=patient.at,
            )

    async def test_every_pause(self, patient):
        """A second failure begins a second pause"""
        patient.question.error = RedisDown("refused")
        for _ in range(2):
            await asked(patient)
            await asyncio.sleep(0.6)
        await asked(patient)
        await asked(patient)
        expect.equal(
            patient.question.asked,
            3,
            did="how often Redis was asked: in a call, in one after the pause, and in two after the next pause",
            why="an hour without Redis would be slow from the second minute on",
            hint="set self._asleep_until anew at each failure",
            at=patient.at,
        )

    async def test_apart(self, patient):
        """Another cache has a pause of its own"""
        patient.question.error = RedisDown("refused")
        await asked(patient)
        patient.question.error = None
        patient.ask = patient.module.Patience().ask
        expect.equal(
            await asked(patient),
            "tea",
            did="ask(…) of a second Patience, after the first one had a failure",
            why="two apps in one process, as in tests, would share their bad days",
            hint=OWN,
            at=patient.at,
        )

    async def test_faults(self, patient):
        """A fault of the code is no failure of Redis: it rises"""
        for error in (TypeError("a fault"), ValueError("a fault"), KeyError("a fault")):
            patient.question.error = error
            try:
                found = await patient.ask(patient.question, "nothing")
            except type(error):
                continue
            raise expect.Wrong(
                did=f"ask(question, …), while the question raises {type(error).__name__}",
                got=f"it returned {expect.shown(found)}",
                expected=f"the {type(error).__name__} rises",
                why="a fault in your code would look like a Redis that is away, and nobody would repair it",
                hint=unless_shared(patient, "name what you expect in the `except`: RedisError and OSError"),
                at=patient.at,
            )

    async def test_cancelled(self, patient):
        """A request that is cancelled stays cancelled"""
        patient.module.MAX_WAIT = 30
        patient.question.seconds = 30
        task = asyncio.create_task(patient.ask(patient.question, "nothing"))
        while not patient.question.asked and not task.done():
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        expect.that(
            task.cancelled(),
            did="a call of ask that is cancelled while it waits",
            got="it returned, as if Redis had failed",
            expected="it ends, with the CancelledError",
            why="who closes the server would wait for every request",
            hint=unless_shared(patient, "catch RedisError and OSError, and not BaseException"),
            at=patient.at,
        )

    async def test_log(self, patient, log):
        """A failure is one warning in the log, and the calls of the pause say nothing"""
        patient.question.error = RedisDown("refused")
        for _ in range(5):
            await asked(patient)
        records = [record for record in log if record.name.startswith("app.core.cache")]
        expect.equal(
            [record.levelname for record in records],
            ["WARNING"],
            did="the log of five calls, while Redis is away",
            why="nobody would know why the app is slow; and a line for each request would fill the disk",
            hint=unless_shared(patient, "logger.warning(…) in the `except`, and nothing in the pause"),
            at=patient.at,
        )
        try:
            records[0].getMessage()
        except (TypeError, ValueError) as error:
            raise expect.Wrong(
                did="the warning, put together from its text and its values",
                got=f"{type(error).__name__}: {error}",
                expected="a line",
                why="in place of your line the log would hold a traceback of logging itself",
                hint="one %s in the text for each value behind it",
                at=patient.at,
            ) from None

    async def answered(self, patient):
        """Expect an answer that was awaited, before an app works with it."""
        expect.equal(
            await asked(patient),
            "tea",
            did='ask(question, "nothing"), while Redis answers "tea"',
            why="the app would work with something that is no answer",
            hint=unless_shared(patient, "return what `await question()` gives"),
            at=patient.at,
        )

    async def test_app_without_redis(self, load, open_visit, patient):
        """The app answers while nobody listens at REDIS_URL, and with what the database says now"""
        await self.answered(patient)
        async with open_visit(redis_url=f"redis://127.0.0.1:{free_port()}") as client:
            ada = await People(load, client).add("ada")
            for number in (1, 2):
                await add_item(client, ada)
                expect.equal(
                    await summary_of(client, ada),
                    {"items": number, "worth": str(Decimal("1.50") * number)},
                    did="the summary, while nobody listens at REDIS_URL",
                    why="the database is well, and the page is an error all the same",
                    hint="every failure of Redis becomes `otherwise`",
                    at=method_of(load, "ask", "core.cache", "Patience"),
                )

    async def test_redis_comes_and_goes(self, load, open_visit, redis_server, monkeypatch, patient):
        """With a real Redis that is killed, paused and started again, every answer is right, and caching comes back"""
        if redis_server is None:
            return  # the other criteria say it of a Redis that is played
        await self.answered(patient)
        await emptied(redis_server)
        monkeypatch.setattr(patient.module, "PAUSE", 0.2)
        monkeypatch.setattr(patient.module, "MAX_WAIT", 0.25)
        at = method_of(load, "ask", "core.cache", "Patience")
        async with open_visit(redis_url=redis_server.url) as client:
            ada = await People(load, client).add("ada")
            number = 0

            async def step(what):
                nonlocal number
                number += 1
                await add_item(client, ada)
                for _ in range(2):
                    expect.equal(
                        (await summary_of(client, ada))["items"],
                        number,
                        did=f"the number of items in the summary, {what}",
                        why="a cache must never change an answer",
                        hint="return `otherwise` when Redis fails, and ask it again after the pause",
                        at=at,
                    )

            await step("while Redis runs")
            redis_server.kill()
            await step("after Redis was killed")
            redis_server.start()
            await asyncio.sleep(0.3)
            await step("after Redis was started again")
            redis_server.pause()
            try:
                await step("while Redis hangs")
            finally:
                redis_server.resume()
            await asyncio.sleep(0.3)
            expect.equal(
                (await summary_of(client, ada))["items"],
                number,
                did="the number of items in the summary, when a Redis that hung goes on",
                why="a cache must never change an answer",
                hint="return `otherwise` when Redis fails, and ask it again after the pause",
                at=at,
            )
            async with counted(client, "sum(items.price)") as queries:
                await summary_of(client, ada)
            expect.equal(
                queries.n,
                0,
                did="how often the items are read, when Redis is back and the summary was asked for a second time",
                why="the cache would stay off until somebody restarts the app",
                hint="after the pause, ask again",
                at=at,
            )
