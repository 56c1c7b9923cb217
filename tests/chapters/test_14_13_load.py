"""Checks of chapter 14, load: how fast the app is, and how many work at once."""

import asyncio
import sys
import threading
from contextlib import suppress
from time import monotonic

from course_checks import journal
from course_checks.clocks import Clock
from workbook import expect
from workbook.checks import exercise, why_none

# fixtures
log = journal.log

# --------------------------------------------------------------------------------------------------------------- 14.13


class Asked:
    """A request that takes as long as a check wants."""

    def __init__(self):
        self.begun, self.flying, self.most, self.gates = 0, 0, 0, []

    async def __call__(self):
        """Wait for the gate; give its status, or raise."""
        gate = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        self.begun, self.flying = self.begun + 1, self.flying + 1
        self.most = max(self.most, self.flying)
        try:
            return await gate
        finally:
            self.flying -= 1


@exercise("14.13")
class TestFastEnough:
    def result(self, load, values, percent):
        """Call the learner's percentile, with values and a percent that are right."""
        percentile = load("deploy.load").percentile
        try:
            return percentile(values, percent)
        except ValueError as error:
            raise expect.Wrong(
                did=f"percentile({expect.shown(list(values))}, {percent})",
                got=f"ValueError: {error}",
                expected="one of the values",
                why="whoever asks for the slowest one gets an error",
                hint="a percent is right if it is above 0 and at most 100: 0 < percent <= 100",
                at=percentile,
            ) from None

    def test_rank(self, load):
        """Percentile is the smallest value that at least so many percent do not exceed"""
        four, hundred = [0.3, 0.1, 0.2, 0.4], [float(number) for number in range(100, 0, -1)]
        for values, percent, expected in (
            (four, 50, 0.2),
            (four, 51, 0.3),
            (four, 25, 0.1),
            (four, 100, 0.4),
            (four, 0.1, 0.1),
            ((5.0,), 1, 5.0),
            ((5.0,), 100, 5.0),
            (hundred, 99, 99.0),
            (hundred, 99.5, 100.0),
            ([1.0] * 9 + [9.0], 90, 1.0),
            ([1.0] * 9 + [9.0], 91, 9.0),
            ([2.0, 2.0, 3.0], 50, 2.0),
        ):
            percentile, found = load("deploy.load").percentile, self.result(load, values, percent)
            named = expect.shown(list(values)) if len(values) < 20 else "100 values, 1.0 to 100.0"
            expect.equal(
                found,
                expected,
                did=f"percentile({named}, {percent})",
                why="a number that nobody has seen is no promise",
                hint=why_none(percentile, "the value")
                if found is None
                else "ceil(number of values * percent / 100) is the rank, from 1, among the sorted values",
                at=percentile,
            )

    def test_exact(self, load):
        """The rank is exact where a product of decimals is not: 7 % of 100 values is the 7th"""
        values = [float(number) for number in range(1, 101)]
        wrong = [percent for percent in range(1, 101) if self.result(load, values, percent) != float(percent)]
        expect.equal(
            wrong,
            [],
            did="the percents from 1 to 100 for which percentile of 1.0, 2.0, … 100.0 is another value",
            why="0.07 * 100 is 7.000000000000001, and ceil makes 8 of it",
            hint="first times, then divided: len(values) * percent / 100",
            at=load("deploy.load").percentile,
        )

    def test_unchanged(self, load):
        """The values keep their order"""
        values = [0.3, 0.1, 0.2]
        self.result(load, values, 50)
        expect.equal(
            values,
            [0.3, 0.1, 0.2],
            did="the list, after percentile",
            why="the caller's list is not yours",
            hint="sorted(values) makes a new list, values.sort() changes the old one",
            at=load("deploy.load").percentile,
        )

    def test_refused(self, load):
        """Without values, and for a percent that is not above 0 and at most 100: ValueError"""
        percentile = load("deploy.load").percentile
        for values, percent in (
            ([], 50),
            ((), 99),
            ([1.0, 2.0], 0),
            ([1.0, 2.0], -5),
            ([1.0, 2.0], 100.1),
            ([1.0], 101),
        ):
            try:
                found = expect.shown(percentile(values, percent))
            except Exception as error:
                found = type(error).__name__
            expect.equal(
                found,
                "ValueError",
                did=f"percentile({list(values)}, {percent}): what it raises, or gives",
                why="a wrong call would look like a good number",
                hint="if not values or not 0 < percent <= 100: raise ValueError(…)",
                at=percentile,
            )

    async def settled(self):
        """Let everything run that can."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def finish(self, asked, running):
        """Open every gate until the load is over."""
        while not running.done():
            for gate in asked.gates:
                if not gate.done():
                    gate.set_result(200)
            await self.settled()

    def start(self, load, asked, total, at_once):
        """Begin the learner's load."""
        return asyncio.create_task(load("deploy.load").send_load(asked, total, at_once))

    async def test_total(self, load):
        """Ask is called exactly `total` times"""
        for total, at_once in ((10, 3), (3, 10), (1, 1), (7, 7), (0, 2)):
            calls = 0

            async def ask():
                nonlocal calls
                calls += 1
                await asyncio.sleep(0)
                return 200

            found = await load("deploy.load").send_load(ask, total, at_once)
            expect.that(
                found is not None,
                did=f"send_load(ask, {total}, {at_once})",
                got="None",
                expected="a Load",
                why="there is nothing to look at",
                hint=why_none(load("deploy.load").send_load, "the Load"),
                at=load("deploy.load").send_load,
            )
            expect.equal(
                (calls, len(found.seconds), found.failed),
                (total, total, 0),
                did=f"send_load(ask, {total}, {at_once}): how many calls, times and failures",
                why="who measures must know how much they have measured",
                hint="what is left to do belongs to all visitors together: one iterator, `for _ in left`",
                at=load("deploy.load").send_load,
            )

    async def test_at_once(self, load):
        """`at_once` requests are under way: as soon as one is done, the next one begins"""
        asked = Asked()
        running = self.start(load, asked, 6, 3)
        await self.settled()
        if not asked.gates:
            running.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await running
        expect.that(
            bool(asked.gates),
            did="send_load(ask, 6, 3): how many requests have begun",
            got="none",
            expected="3",
            why="without a request there is no load",
            hint="`ask()` makes a coroutine, which does nothing yet: `await ask()`",
            at=load("deploy.load").send_load,
        )
        begun = [asked.begun]
        for number in range(3):  # always the one that began last: the first two hang
            asked.gates[min(2 + number, len(asked.gates) - 1)].done() or asked.gates[
                min(2 + number, len(asked.gates) - 1)
            ].set_result(200)
            await self.settled()
            begun.append(asked.begun)
        await self.finish(asked, running)
        await running
        expect.equal(
            (begun, asked.most),
            ([3, 4, 5, 6], 3),
            did=(
                "send_load(ask, 6, 3) while two requests hang: how many have begun, at first and after "
                "each one that is done; the most at once"
            ),
            why="a slow answer would take the load from your app, just when it counts",
            hint="no batches: each visitor asks again as soon as its answer is there",
            at=load("deploy.load").send_load,
        )

    async def test_failed(self, load):
        """A status of 500 or more, or an exception, is failed: no time, and the load goes on"""
        todo, asked = iter([200, 500, 404, OSError("away"), 503, 301, TimeoutError(), 499, 599]), []

        async def ask():
            await asyncio.sleep(0)
            asked.append(1)
            next_one = next(todo, 200)
            if isinstance(next_one, Exception):
                raise next_one
            return next_one

        try:
            found = await load("deploy.load").send_load(ask, 9, 3)
            if len(asked) > 9:  # too many calls are for the check above
                return
            numbers = (len(found.seconds), found.failed)
        except (OSError, TimeoutError) as error:
            numbers = f"it raised {type(error).__name__}"
        expect.equal(
            numbers,
            (4, 5),
            did="answers 200, 500, 404, 503, 301, 499, 599, and two exceptions: how many times, how many failed",
            why="an app that fails at once has the best times of all",
            hint="count `failed` for status >= 500 and in `except Exception`; a time only otherwise",
            at=load("deploy.load").send_load,
        )

    async def test_goes_on(self, load):
        """A visitor whose request fails asks again"""
        for error in (OSError("away"), TimeoutError()):
            calls = []

            async def ask(calls=calls, error=error):
                calls.append(1)
                await asyncio.sleep(0)
                if len(calls) <= 2:
                    raise error
                return 200

            with suppress(OSError):
                await load("deploy.load").send_load(ask, 5, 1)
            expect.equal(
                len(calls),
                5,
                did=f"send_load(ask, 5, 1), where the first two requests raise {type(error).__name__}: how many calls",
                why="just when your app fails, the load would stop",
                hint="after an exception the visitor goes on with the next request: `continue`, not `return`",
                at=load("deploy.load").send_load,
            )

    async def test_stopped(self, load):
        """A load that is cancelled ends, and is no failure"""
        asked = Asked()
        running = self.start(load, asked, 6, 2)
        await self.settled()
        running.cancel()
        await self.settled()
        ended = running.done() and running.cancelled()
        await self.finish(asked, running)
        with suppress(asyncio.CancelledError):
            await running
        expect.that(
            ended,
            did="send_load(ask, 6, 2), cancelled while two requests are under way",
            got="it goes on",
            expected="it ends as cancelled",
            why="you press Ctrl+C, and the load goes on",
            hint="`except Exception` lets a cancellation pass; `except BaseException`, or a bare `except`, does not",
            at=load("deploy.load").send_load,
        )

    async def test_seconds(self, load, monkeypatch):
        """A time begins when its request begins, and ends with its answer"""
        module, clock = load("deploy.load"), Clock()
        monkeypatch.setattr(sys.modules["app.deploy.load"], "perf_counter", clock, raising=False)
        monkeypatch.setattr("time.perf_counter", clock)

        async def ask():
            await asyncio.sleep(0)
            clock.now += 0.5
            return 200

        found = await module.send_load(ask, 4, 1)
        expect.equal(
            [round(one, 3) for one in found.seconds],
            [0.5] * 4,
            did="send_load(ask, 4, 1), when each request takes 0.5 s: the times",
            why="waiting for one's turn is the visitor's time, and no fault of the app",
            hint="began = perf_counter() just before `await ask()`, behind every wait",
            at=module.send_load,
        )


# --------------------------------------------------------------------------------------------------------------- 14.14


class Heavy:
    """Work that counts how many do it at once, and waits for a gate."""

    def __init__(self):
        self.lock, self.gate = threading.Lock(), threading.Event()
        self.begun, self.now, self.most, self.threads = [], 0, 0, set()

    def __call__(self, number):
        """Work, until the gate opens."""
        with self.lock:
            self.begun.append(number)
            self.now += 1
            self.most = max(self.most, self.now)
            self.threads.add(threading.get_ident())
        self.gate.wait(5)
        with self.lock:
            self.now -= 1
        return number * 2


@exercise("14.14")
class TestTurns:
    def at(self, load):
        """Return the function that is asked for."""
        return load("core.turns").in_turns

    async def until(self, done):
        """Wait until something is done by the threads, or for a second."""
        ends = monotonic() + 1
        while not done() and monotonic() < ends:
            await asyncio.sleep(0.005)

    async def crowd(self, module, heavy, waiting):
        """Let TURNS tasks work, and so many more wait; return both lists."""
        running = [asyncio.create_task(module.in_turns(heavy, number)) for number in range(module.TURNS)]
        await self.until(lambda: len(heavy.begun) >= module.TURNS)
        late = [asyncio.create_task(module.in_turns(heavy, 100 + number)) for number in range(waiting)]
        await asyncio.sleep(0.02)
        return running, late

    async def test_result(self, load):
        """It returns what the work returns, with named arguments too, and raises what it raises"""
        in_turns = self.at(load)
        found = await in_turns(divmod, 17, 5), await in_turns(sorted, [1, 3, 2], reverse=True)
        expect.that(
            not any(isinstance(one, asyncio.Future) or asyncio.iscoroutine(one) for one in found),
            did="in_turns(divmod, 17, 5)",
            got="a Future, of which the result is not known yet",
            expected=expect.shown((3, 2)),
            why="whoever asks wants the answer",
            hint="put `await` before what gives the Future: it waits for the result",
            at=in_turns,
        )
        expect.equal(
            found,
            ((3, 2), [3, 2, 1]),
            did="in_turns(divmod, 17, 5) and in_turns(sorted, [1, 3, 2], reverse=True)",
            why="whoever asks wants the answer",
            hint=why_none(in_turns, "the answer")
            if None in found
            else "partial(work, *args, **kwargs) brings all arguments along",
            at=in_turns,
        )
        try:
            await in_turns(int, "no number")
            raised = "nothing"
        except Exception as error:
            raised = type(error).__name__
        expect.equal(
            raised,
            "ValueError",
            did='in_turns(int, "no number"): what it raises',
            why="an error that nobody sees is a wrong answer",
            hint="await what the pool gives: it raises by itself",
            at=in_turns,
        )

    async def test_in_threads(self, load):
        """The work runs in another thread, and the event loop goes on"""
        heavy, ticks = Heavy(), 0
        working = asyncio.create_task(self.at(load)(heavy, 1))
        await self.until(lambda: heavy.begun)
        for _ in range(3):
            await asyncio.sleep(0)
            ticks += 1
        heavy.gate.set()
        result = await working
        expect.equal(
            (threading.get_ident() in heavy.threads, ticks, result),
            (False, 3, 2),
            did=(
                "whether the work ran in the event loop's thread, how often others had their turn "
                "meanwhile, and the result"
            ),
            why="0.2 s of hashing would stop every other request",
            hint="a pool of threads, and the loop's run_in_executor",
            at=self.at(load),
        )

    async def test_at_most(self, load, monkeypatch):
        """TURNS of them run at once: not more, not fewer, and all are done"""
        monkeypatch.setattr("os.cpu_count", lambda: 4)  # as on a machine with four cores
        module, heavy = load.fresh("core.turns"), Heavy()
        turns = module.TURNS
        asked = [asyncio.create_task(module.in_turns(heavy, number)) for number in range(turns + 4)]
        await self.until(lambda: len(heavy.begun) >= turns)
        await asyncio.sleep(0.05)
        begun = len(heavy.begun)
        heavy.gate.set()
        results = await asyncio.gather(*asked)
        expect.equal(
            (begun, heavy.most, results),
            (turns, turns, [2 * number for number in range(turns + 4)]),
            did=(
                f"{turns + 4} at the same moment, with TURNS = {turns}: how many begin at once, the most "
                "at any time, and the results"
            ),
            why="each one more takes the machine from everybody else; one less, and a core is idle",
            hint="ThreadPoolExecutor(TURNS), made once, in the module: a new pool for each call has no turns",
            at=module.in_turns,
        )

    async def test_together(self, load):
        """Different work takes turns together"""
        module, first, second = load("core.turns"), Heavy(), Heavy()
        turns = module.TURNS
        asked = [
            asyncio.create_task(module.in_turns(one, number)) for number in range(turns + 1) for one in (first, second)
        ]
        await self.until(lambda: len(first.begun) + len(second.begun) >= turns)
        await asyncio.sleep(0.05)
        begun = len(first.begun) + len(second.begun)
        first.gate.set()
        second.gate.set()
        await asyncio.gather(*asked)
        expect.equal(
            begun,
            turns,
            did=f"two kinds of work, {turns + 1} of each, with TURNS = {turns}: how many begin at once",
            why="signing up and signing in share the same cores",
            hint="one pool for all",
            at=module.in_turns,
        )

    async def test_hangs_up(self, load):
        """Who waits and hangs up takes nobody's turn: the work is not begun, and the next one is"""
        module, heavy = load("core.turns"), Heavy()
        running, waiting = await self.crowd(module, heavy, 2)
        waiting[0].cancel()
        await asyncio.sleep(0.02)
        heavy.gate.set()
        await asyncio.gather(*running, *waiting, return_exceptions=True)
        expect.equal(
            (100 in heavy.begun, waiting[0].cancelled(), None if waiting[1].cancelled() else waiting[1].result()),
            (False, True, 202),
            did=(
                "of two who wait the first hangs up: whether its work was begun, whether it is cancelled, "
                "and what the second one gets"
            ),
            why="a crowd that has gone home would keep your cores busy",
            hint=(
                "run_in_executor takes work out of the queue when its future is cancelled; a turn that is "
                "taken by hand is given back in a `finally`"
            ),
            at=module.in_turns,
        )

    async def test_cancelled(self, load):
        """Who hangs up while the work runs gives nobody the turn: the thread works on"""
        module, heavy = load("core.turns"), Heavy()
        running, (waiting,) = await self.crowd(module, heavy, 1)
        running[0].cancel()
        await asyncio.sleep(0.1)
        begun = 100 in heavy.begun
        heavy.gate.set()
        await asyncio.gather(*running, waiting, return_exceptions=True)
        expect.equal(
            (begun, heavy.most, None if waiting.cancelled() else waiting.result()),
            (False, module.TURNS, 200),
            did=f"TURNS = {module.TURNS}, and one hangs up whose work runs: whether the next begins before a thread "
            "is done, the most at once, and what the next one gets",
            why="a thread cannot be stopped: one more would work beside it, and more with each who hangs up",
            hint="the turn ends with the work, not with the waiting: a pool of TURNS threads knows that",
            at=module.in_turns,
        )

    def test_two_loops(self, load):
        """Two event loops, one after the other, can use it, also when it is crowded"""
        module = load("core.turns")

        async def crowd():
            return await asyncio.gather(
                *(module.in_turns(abs, -number) for number in range(3 * module.TURNS)), return_exceptions=True
            )

        found = []
        for _ in range(2):
            answers = asyncio.run(crowd())
            found.append(
                next((f"{type(one).__name__}: {one}" for one in answers if isinstance(one, Exception)), "all answered")
            )
        expect.equal(
            [one[:80] for one in found],
            ["all answered", "all answered"],
            did="a crowd in one event loop, and then a crowd in another",
            why="each of your tests has a loop of its own",
            hint=(
                "an asyncio.Semaphore of the module belongs to the loop that first waited for it; a pool "
                "of threads belongs to none"
            ),
            at=module.in_turns,
        )

    async def test_context(self, load):
        """The work sees the context variables of the request that asked"""
        now = load("core.context").request_id_now

        async def request(name):
            now.set(name)
            return await self.at(load)(now.get)

        found = await asyncio.gather(*(asyncio.create_task(request(f"request-{number}")) for number in range(4)))
        expect.equal(
            found,
            [f"request-{number}" for number in range(4)],
            did="what request_id_now says in the work of four requests",
            why="a log line from a thread would have no id, or somebody else's",
            hint="copy_context().run(work, …) in the thread; asyncio.to_thread does the same",
            at=self.at(load),
        )
