"""Checks of chapter 13, a cache: what it keeps, what is to happen after the commit, and what is outdated."""

import asyncio
import json
from decimal import Decimal

from sqlalchemy import event

from course_checks import caching, logs, mails
from course_checks.caching import FILE, Loader, Spy, add_item, counted, method_of, summaries_of, summary_of
from course_checks.paths import API
from course_checks.people import People
from workbook import expect
from workbook.checks import exercise

# fixtures
caches, redis_server = caching.caches, caching.redis_server
log = logs.log
handed = mails.handed


def in_hand(did, found, kind, *, at, hint):
    """Expect that a method returned something of a kind."""
    expect.that(
        isinstance(found, kind),
        did=did,
        got=f"it returned {expect.shown(found)}",
        expected=f"{'an' if kind.__name__[0] in 'AI' else 'a'} {kind.__name__}",
        why="the route answers with what comes back here",
        hint=hint,
        at=at,
    )
    return found


# ---------------------------------------------------------------------------------------------------------------- 13.1


@exercise("13.1")
class TestKept:
    async def test_second_read(self, load, visitor, people):
        """The first GET /users/me/summary reads the items, the second one within a minute does not"""
        ada = await people.add("ada")
        await add_item(visitor, ada)
        at = method_of(load, "kept")
        async with counted(visitor, "sum(items.price)") as queries:
            first, second = await summary_of(visitor, ada), await summary_of(visitor, ada)
        expect.equal(
            first,
            {"items": 1, "worth": "1.50"},
            did="the summary of one pen for 1.50",
            why="the number on the page would be wrong",
            hint="return what `load` gives",
            at=method_of(load, "fill"),
        )
        expect.equal(
            second, first, did="the second summary, with nothing changed", why="it contradicts the first", at=at
        )
        expect.equal(
            queries.n,
            1,
            did="how often the items were read, in two requests",
            why="a cache that nobody finds again is work for nothing",
            hint="`fill` keeps what it made under `self.key(user_id)`, and `kept` looks under the same name",
            at=at,
        )

    async def test_own(self, load, caches):
        """Everybody gets their own summary: Bob's is made for Bob"""
        for cache in caches:
            summaries, ada, bob = summaries_of(load, cache), Loader(load, items=3), Loader(load, items=0, worth="0")
            await summaries.read(7, ada)
            found = await summaries.read(77, bob)
            expect.that(
                bob.made == 1 and getattr(found, "items", None) == 0,
                did="read(77, …), after read(7, …) has kept a summary with 3 items",
                got=f"{expect.shown(found)}, and `load` of user 77 was called {bob.made} times",
                expected="a summary of its own, with 0 items",
                why="one user would see what another one owns, and no log would tell",
                hint="the key names all that the answer depends on: put the user's id into it",
                at=summaries.key,
            )
            again = await summaries.read(7, ada)
            expect.equal(
                getattr(again, "items", None),
                3,
                did="items in read(7, …), after user 77 has read too",
                why="the second user's summary took the place of the first one's",
                hint="a key of its own for each user",
                at=summaries.key,
            )

    async def test_zero(self, load, caches):
        """A summary with 0 items is kept as any other"""
        for cache in caches:
            summaries, loader = summaries_of(load, cache), Loader(load, items=0, worth="0")
            await summaries.read(7, loader)
            await summaries.read(7, loader)
            expect.equal(
                loader.made,
                1,
                did="how often `load` ran, in two reads of an empty summary",
                why="who owns nothing would cost a query each time",
                hint="keep whatever `load` gives, and ask with `is None` whether something is kept",
                at=method_of(load, "kept" if await cache.get(summaries.key(7)) else "fill"),
            )

    async def test_ttl(self, load, caches):
        """What is kept is gone after SUMMARY_SECONDS"""
        module = load("items.summary")
        for cache in caches:
            spy = Spy(cache)
            await summaries_of(load, spy).read(7, Loader(load))
            ttls = [asked[-1] for asked in spy.all("set")]
            expect.equal(
                ttls,
                [module.SUMMARY_SECONDS],
                did="the TTLs with which summaries were kept, in one read",
                why="whatever goes wrong with a cache, the TTL ends it; without it an old answer stays for ever",
                hint="`set` takes three things: the key, the value, and SUMMARY_SECONDS",
                at=method_of(load, "fill"),
            )
            summaries, loader = summaries_of(load, cache), Loader(load)
            await cache.delete(summaries.key(7))
            await summaries.read(8, loader)
            await cache.delete(summaries.key(8))
            await summaries.read(8, loader)
            expect.equal(
                loader.made,
                2,
                did="how often `load` ran, when the cache had lost the summary between two reads",
                why="an answer that lives outside of the cache has no TTL, and nobody can forget it",
                hint="keep it in `self.cache` and nowhere else: a dict of your own lives for ever",
                at=method_of(load, "kept"),
            )

    async def test_key(self, load):
        """The key is a text, the same in every process, and has a part for the version beside the user's id"""
        keys = [summaries_of(load, load("core.cache").MemoryCache()).key(id) for id in (7, 77, 7)]
        at = method_of(load, "key")
        in_hand("key(7)", keys[0], str, at=at, hint="an f-string with the id, such as summary:v1:7")
        expect.that(
            keys[0] == keys[2] and keys[0] != keys[1],
            did="key(7), key(77), key(7)",
            got=expect.shown(keys),
            expected="one name for user 7, and another one for user 77",
            why="a name that changes is never found again",
            hint="build it from the user's id, and from nothing that differs from call to call",
            at=at,
        )
        rest = keys[0].replace("7", "", 1)
        expect.that(
            any(character.isdigit() for character in rest) and len(rest) > 2,
            did="key(7)",
            got=expect.shown(keys[0]),
            expected="a name with a number for the version, such as summary:v1:7",
            why="a later version of the app keeps other things in the same Redis, and must not meet these",
            hint="write what it is, and a number that you raise when the schema changes, in front of the id",
            at=at,
        )

    async def test_old_version(self, load, caches):
        """What another version of the app has kept, or what is no JSON, counts as nothing: a new one is made"""
        for stored in (b'{"count": 3}', b'{"items": "many", "worth": null}', b"null", b"\x80\x04pickle", b""):
            for cache in caches:
                summaries, loader = summaries_of(load, cache), Loader(load)
                await cache.set(summaries.key(7), stored, 60)
                try:
                    found = await summaries.read(7, loader)
                except Exception as error:
                    raise expect.Wrong(
                        did=f"read(7, …), while {stored!r} is kept",
                        got=f"it raised {type(error).__name__}",
                        expected="a new summary, as if nothing was kept",
                        why="after an update of the app every request would be a 500, until the old values are gone",
                        hint="catch the ValidationError of model_validate_json, and return None",
                        at=method_of(load, "kept"),
                        sure=True,
                    ) from None
                expect.that(
                    loader.made == 1 and found == loader.summary,
                    did=f"read(7, …), while {stored!r} is kept",
                    got=f"it returned {expect.shown(found)}; `load` was called {loader.made} times",
                    expected="a new summary, as if nothing was kept",
                    why="a value that today's schema does not know would go out to the client",
                    hint="check what was stored with ItemSummary.model_validate_json: it looks at every field",
                    at=method_of(load, "kept"),
                )

    async def test_json(self, load, caches):
        """What is kept is JSON, with the two fields"""
        for cache in caches:
            summaries = summaries_of(load, cache)
            await summaries.fill(7, Loader(load))
            stored = await cache.get(summaries.key(7))
            at = method_of(load, "fill")
            expect.that(
                not isinstance(stored, str),
                did="what `fill` has handed to `self.cache.set`",
                got=f"a str, {expect.shown(stored)}",
                expected="bytes",
                why="a cache takes bytes and gives bytes back: with a text each kind of cache would give another thing",
                hint="`encode()` makes bytes of a text",
                at=at,
            )
            try:
                fields = json.loads(stored)
            except (TypeError, ValueError):
                fields = None
            expect.that(
                isinstance(fields, dict) and set(fields) == {"items", "worth"},
                did="what `fill` has kept, read as JSON",
                got=expect.shown(stored),
                expected='{"items":3,"worth":"10.00"}',
                why="pickle runs code when it reads; JSON can be checked, and read by the next version",
                hint="`summary.model_dump_json().encode()` gives the bytes",
                at=at,
            )
            kept = await summaries.kept(7)
            expect.equal(
                getattr(kept, "worth", kept),
                Decimal("10.00"),
                did="worth in `kept(7)`, after `fill`",
                why="what is read is not what was kept",
                hint="return the ItemSummary that model_validate_json gives",
                at=method_of(load, "kept"),
            )

    async def test_error(self, load, caches):
        """When `load` raises, the exception rises, nothing is kept, and the next read tries again"""
        for cache in caches:
            summaries, loader = summaries_of(load, cache), Loader(load, fails=1)
            try:
                found = await summaries.read(7, loader)
            except OSError:
                found = None
            else:
                raise expect.Wrong(
                    did="read(7, load), while `load` raises OSError",
                    got=f"it returned {expect.shown(found)}",
                    expected="the OSError of `load`",
                    why="a broken database would look like an empty shop, for a minute",
                    hint="catch the ValidationError of `kept` only; let `load` fail",
                    at=method_of(load, "fill"),
                )
            again = await summaries.read(7, loader)
            expect.that(
                again == loader.summary,
                did="the next read(7, load)",
                got=expect.shown(again),
                expected="the summary that `load` makes now",
                why="one bad moment would be answered for a whole minute",
                hint="call `load` first, and keep what it returned",
                at=method_of(load, "fill"),
            )

    async def test_fault(self, load, monkeypatch):
        """A fault that is none of the stored value rises: `kept` expects one that cannot be read, and nothing wider"""
        cache, model = load("core.cache").MemoryCache(), load("items.schemas").ItemSummary
        summaries = summaries_of(load, cache)
        await summaries.fill(7, Loader(load))

        def fail(*_arguments, **_named):
            raise RuntimeError("a fault")

        async def get(_key):
            fail()

        async def get_badly(_key):
            raise ValueError("a fault")

        places = [(cache, "get", get, "self.cache.get", RuntimeError)]
        places += [
            (model, name, fail, f"ItemSummary.{name}", RuntimeError)
            for name in ("model_validate_json", "model_validate")
        ]
        places += [(cache, "get", get_badly, "self.cache.get", ValueError)]
        for owner, name, instead, told, kind in places:
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, instead)
                try:
                    found = await summaries.kept(7)
                except kind:
                    continue
            expect.that(
                found is not None,  # it asks in another way
                did=f"kept(7), while {told} raises {kind.__name__}",
                got="it returned None",
                expected=f"the {kind.__name__} rises",
                why="a fault in the code would look like an empty cache, and nobody would repair it",
                hint="name what you expect in the `except`: ValidationError, and nothing wider",
                at=method_of(load, "kept"),
            )

    async def test_nothing(self, load, caches):
        """`kept` is None where nothing is there, and `fill` returns the summary"""
        for cache in caches:
            summaries, loader = summaries_of(load, cache), Loader(load)
            found = await summaries.kept(7)
            expect.that(
                found is None,
                did="kept(7), with an empty cache",
                got=expect.shown(found),
                expected="None",
                why="`read` asks by it whether a summary must be made",
                hint="`self.cache.get` returns None where nothing is kept: hand it on",
                at=method_of(load, "kept"),
            )
            made = await summaries.fill(7, loader)
            in_hand("fill(7, load)", made, type(loader.summary), at=method_of(load, "fill"), hint="return the summary")


# ---------------------------------------------------------------------------------------------------------------- 13.2


def probe(load, client, actions, *, error=None, look=None):
    """Add a route that writes a user, notes actions, and ends well or with an error."""
    session_dep, module, user = load("db.session").SessionDep, load("db.session"), load("users.models").User

    @client.app.post("/probe")
    async def route(session: session_dep) -> None:
        session.add(user(email="eve@example.com", username="eve", hashed_password="none"))
        await session.flush()
        for action in actions:
            module.after_commit(session, action)
        if error is not None:
            raise error

    client.watched.alone = False


class Actions:
    """Actions that note when they ran, and how many users another session saw then."""

    def __init__(self, load, client, *, fails=()):
        self.ran, self._fails, self._client = [], fails, client
        self._user = load("users.models").User

    def __getitem__(self, name):
        async def action():
            self.ran.append((name, await self.stored()))
            if name in self._fails:
                raise OSError(f"{name} failed")

        return action

    async def stored(self):
        """Say whether another session sees Eve."""
        async with self._client.sessions() as session:
            return await session.scalar(self._user.__table__.select().where(self._user.username == "eve")) is not None


LATER = {
    "why": "what is done for a change that is not saved cannot be taken back: a cache, a mail",
    "hint": "commit first; what stands below it runs only when the commit has worked",
}


@exercise("13.2")
class TestAfterCommit:
    async def test_after(self, load, open_visit):
        """The actions of a request run after its commit, in their order, each of them once"""
        async with open_visit(FILE) as client:
            actions = Actions(load, client)
            probe(load, client, [actions["first"], actions["second"]])
            expect.status(await client.post("/probe"), 200, why="a request that works would fail", hint="")
            expect.equal(
                [name for name, _ in actions.ran],
                ["first", "second"],
                did="the actions that ran, of a request that noted `first` and `second`",
                why="what was noted is not done: an old summary stays, a mail is not sent",
                hint="take the list out of session.info, go through it in its order, and await each action",
                at=load("db.session").commit,
            )
            expect.equal(
                [seen for _, seen in actions.ran],
                [True, True],
                did="whether another session could see the new row, when each action ran",
                at=load("db.session").commit,
                **LATER,
            )

    async def test_twice(self, load, db):
        """A second commit of the same session does not run them again, but what was noted since"""
        module, ran = load("db.session"), []

        def noting(name):
            async def action():
                ran.append(name)

            return action

        for name in ("first", "second"):
            module.after_commit(db, noting(name))
            await module.commit(db)
        expect.equal(
            ran,
            ["first", "second"],
            did="the actions that ran, when `first` was noted, then commit, then `second`, then commit",
            why="a mail would be sent again at each commit",
            hint="`pop` takes the list out of session.info: what is done is no note any more",
            at=module.commit,
        )

    async def test_before_the_answer(self, load, open_visit):
        """They have run when the answer comes"""
        async with open_visit(FILE) as client:
            actions, sent = Actions(load, client), []
            probe(load, client, [actions["first"]])
            inner = client.app

            async def app(scope, receive, send):
                async def note(message):
                    if message["type"] == "http.response.start":
                        sent.append(len(actions.ran))
                    await send(message)

                await inner(scope, receive, note)

            client.watched.app = app
            await client.post("/probe")
            expect.equal(
                sent,
                [1],
                did="how many actions had run when the answer was sent",
                why="who has seen a 201 must be able to read what they wrote",
                hint="await each action in `commit`: a task of its own runs at any time",
                at=load("db.session").commit,
            )

    async def test_error(self, load, open_visit):
        """A request that raises runs no action, and neither does the next one"""
        async with open_visit(FILE) as client:
            actions = Actions(load, client)
            probe(load, client, [actions["first"]], error=load("core.exceptions").NotFound())
            expect.status(await client.post("/probe"), 404, why="an error must stay the error that it is", hint="")
            expect.equal(
                actions.ran,
                [],
                did="the actions of a request that ended in a 404",
                at=load("db.session").commit,
                **LATER,
            )
            ada = {"email": "ada@example.com", "username": "ada", "password": "Correct horse"}
            await client.post(f"{API}/auth/register", json=ada)
            expect.equal(
                actions.ran,
                [],
                did="the actions that the failed request had noted, after the next request",
                why="the next one would do what another one asked for, and took back",
                hint="session.info belongs to one session; a list of the module belongs to all",
                at=load("db.session").commit,
            )

    async def test_failed_commit(self, load, open_visit):
        """When the commit fails, no action runs, and the answer is a 500"""
        async with open_visit(FILE) as client:
            actions = Actions(load, client)
            probe(load, client, [actions["first"]])
            engine = client.sessions.kw["bind"].sync_engine

            def fail(_connection):
                raise OSError("no space left on device")

            event.listen(engine, "commit", fail)
            try:
                answer = await client.post("/probe")
            finally:
                event.remove(engine, "commit", fail)
            expect.equal(
                [name for name, _ in actions.ran],
                [],
                did="the actions, after a commit that failed",
                at=load("db.session").commit,
                **LATER,
            )
            expect.status(
                answer,
                500,
                why="the client hears that all is well, and nothing is saved",
                hint="the `try` stands around one action; the commit stands outside of it",
                at=load("db.session").commit,
            )

    async def test_kept_changes(self, load, open_visit):
        """An error that keeps its changes has committed: its actions run, and it stays the error that it is"""
        module = load("core.exceptions")

        class Kept(module.NotFound):
            keep_changes = True

        async with open_visit(FILE) as client:
            actions = Actions(load, client)
            probe(load, client, [actions["first"]], error=Kept())
            answer = await client.post("/probe")
            expect.status(answer, 404, why="an error must stay the error that it is", hint="keep the `raise`")
            expect.equal(
                actions.ran,
                [("first", True)],
                did="the actions of a request whose error keeps its changes, and whether they saw the new row",
                why="the change is saved, and what belongs to it is not done",
                hint="get_session commits at two places: both call your `commit`",
                at=load("db.session").get_session,
            )

    async def test_failing_action(self, load, open_visit, log):
        """An action that fails is logged with its traceback; the next one runs, and the answer stays 200"""
        async with open_visit(FILE) as client:
            actions = Actions(load, client, fails={"first"})
            probe(load, client, [actions["first"], actions["second"]])
            answer = await client.post("/probe")
            at = load("db.session").commit
            expect.status(
                answer,
                200,
                why="the row is saved: a 500 would be a lie, and the client would try again",
                hint="put a `try` around one action, and catch Exception there",
                at=at,
            )
            expect.equal(
                [name for name, _ in actions.ran],
                ["first", "second"],
                did="the actions that ran, when `first` raised",
                why="one broken action would take all others with it",
                hint="the `try` stands inside of the loop",
                at=at,
            )
            told = [record for record in log if record.exc_info and isinstance(record.exc_info[1], OSError)]
            expect.equal(
                len(told),
                1,
                did="the log records that carry the exception of the failed action",
                why="a fault that nobody hears of is never repaired",
                hint="logger.exception(…) in the `except` writes the traceback too",
                at=at,
            )

    async def test_without(self, load, visitor):
        """A request that notes nothing works as before"""
        answer = await visitor.post(
            f"{API}/auth/register", json={"email": "ada@example.com", "username": "ada", "password": "Correct horse"}
        )
        expect.status(
            answer,
            201,
            why="nearly all requests note nothing",
            hint='`session.info.pop("after_commit", [])` gives an empty list where there is no note',
            at=load("db.session").commit,
        )

    async def test_cancelled(self, load, db):
        """A request that is cancelled stays cancelled"""
        module, reached = load("db.session"), []

        async def forever():
            reached.append(True)
            await asyncio.sleep(60)

        module.after_commit(db, forever)
        task = asyncio.create_task(module.commit(db))
        while not reached and not task.done():
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait([task])
        expect.that(
            task.cancelled(),
            did="`commit` is cancelled while it waits for an action",
            got="it went on, as if nothing had happened",
            expected="it ends, with the CancelledError",
            why="the server could not stop: whoever closes it would wait for ever",
            hint="catch Exception: CancelledError is none, on purpose",
            at=module.commit,
        )


# ---------------------------------------------------------------------------------------------------------------- 13.3


def kept_ids(load, client, *people):
    """Return a coroutine that says whose summaries are kept."""

    async def look():
        summaries = summaries_of(load, client.app.state.cache)
        return [one.username for one in people if await summaries.kept(one.id) is not None]

    return look()


THE_OWNER = "the one who asks is the admin; the summary belongs to the item's owner: item.owner_id"


@exercise("13.3")
class TestOutdated:
    async def two(self, client, people):
        """Give two people with a pen each, whose summaries are kept, and the pens' ids."""
        ada, bob = await people.add("ada"), await people.add("bob")
        pens = [(await add_item(client, person))["id"] for person in (ada, bob)]
        for person in (ada, bob):
            await summary_of(client, person)
        return ada, bob, pens

    async def test_adds(self, load, visitor, people, handed):
        """Who adds an item reads a summary that knows of it, and nobody else's is forgotten"""
        await self.own(load, visitor, people, handed, "adds")

    async def test_changes(self, load, visitor, people, handed):
        """Who changes an item reads a summary that knows of it, and nobody else's is forgotten"""
        await self.own(load, visitor, people, handed, "changes")

    async def test_deletes(self, load, visitor, people, handed):
        """Who deletes an item reads a summary that knows of it, and nobody else's is forgotten"""
        await self.own(load, visitor, people, handed, "deletes")

    async def own(self, load, visitor, people, handed, how):
        """Let Ada do something, and look at both summaries."""
        ada, bob, pens = await self.two(visitor, people)
        name = {"adds": "create", "changes": "update", "deletes": "delete"}[how]
        at = method_of(load, name, owner="SummarizedItems")
        path = f"{API}/items/{pens[0]}"
        if how == "adds":
            await add_item(visitor, ada, price="2.50")
        elif how == "changes":
            answer = await visitor.patch(path, json={"price": "9.00"}, headers=ada.headers)
            expect.status(answer, 200, why="nobody could change an item", hint="", at=at)
            got = expect.body(answer)
            expect.equal(
                isinstance(got, dict) and got.get("price"),
                "9.00",
                did="price in the answer of PATCH",
                why="the client would not see what it changed",
                hint="return what `super().update(…)` returns",
                at=at,
            )
        else:
            answer = await visitor.delete(path, headers=ada.headers)
            expect.status(answer, 204, why="nobody could delete an item", hint="", at=at)
        wanted = {
            "adds": {"items": 2, "worth": "4.00"},
            "changes": {"items": 1, "worth": "9.00"},
            "deletes": {"items": 0, "worth": "0.00"},
        }[how]
        handed.none(at)
        expect.equal(
            await summary_of(visitor, ada),
            wanted,
            did=f"Ada's summary, after Ada {how} an item",
            why="for a minute the page contradicts what she did a second ago",
            hint=f"`{name}` notes what is to be done after the commit: after_commit(self.session, …)",
            at=at,
        )
        expect.equal(
            await kept_ids(load, visitor, bob),
            ["bob"],
            did=f"the summaries that are still kept, of Bob, after Ada {how} an item",
            why="a busy shop would forget everybody's summary all the time",
            hint="forget the summary of the item's owner only",
            at=at,
        )

    async def test_admin_changes(self, load, visitor, people, handed):
        """When an admin changes Ada's item, Ada's summary is forgotten, and not the admin's"""
        await self.admin(load, visitor, people, handed, "changes")

    async def test_admin_deletes(self, load, visitor, people, handed):
        """When an admin deletes Ada's item, Ada's summary is forgotten, and not the admin's"""
        await self.admin(load, visitor, people, handed, "deletes")

    async def admin(self, load, visitor, people, handed, how):
        """Let an admin do something to Ada's item, and look at both summaries."""
        ada, _bob, pens = await self.two(visitor, people)
        root = await people.admin()
        await add_item(visitor, root)
        await summary_of(visitor, root)
        path = f"{API}/items/{pens[0]}"
        if how == "changes":
            await visitor.patch(path, json={"price": "9.00"}, headers=root.headers)
        else:
            await visitor.delete(path, headers=root.headers)
        at = method_of(load, "update" if how == "changes" else "delete", owner="SummarizedItems")
        wanted = {"items": 1, "worth": "9.00"} if how == "changes" else {"items": 0, "worth": "0.00"}
        handed.none(at)
        expect.equal(
            await summary_of(visitor, ada),
            wanted,
            did=f"Ada's summary, after an admin {how} Ada's item",
            why="the owner would see the old number for a minute",
            hint=THE_OWNER,
            at=at,
        )
        expect.equal(
            await kept_ids(load, visitor, root),
            ["root"],
            did="whether the admin's summary is still kept",
            why="the wrong person's summary is made anew",
            hint=THE_OWNER,
            at=at,
        )

    async def test_not_before(self, load, open_visit, handed):
        """A reader who comes between the change and its commit cannot put the old summary back"""
        async with open_visit(FILE) as client:
            people = People(load, client)
            ada = await people.add("ada")
            pen = await add_item(client, ada)
            service = load("items.summary").SummarizedItems
            summaries = summaries_of(load, client.app.state.cache)
            item_crud, user = load("items.crud").item_crud, await people.stored(ada)

            async def read():
                async with client.sessions() as session:
                    return await summaries.read(ada.id, lambda: item_crud.summarize(session, ada.id))

            for name in ("create", "update", "delete"):
                at = method_of(load, name, owner="SummarizedItems")
                await summaries.forget(ada.id)
                before = await read()
                async with client.sessions() as session:
                    items = service(session, user, summaries)
                    if name == "create":
                        await items.create(load("items.schemas").ItemCreate(title="Ink", price=5))
                    else:
                        item = await items.get(pen["id"])
                        changes = load("items.schemas").ItemUpdate(price=7)
                        await (items.update(item, changes) if name == "update" else items.delete(item))
                    handed.none(at)
                    expect.equal(
                        await summaries.kept(ada.id),
                        before,
                        did=f"the summary that is kept, after `{name}` and before its commit",
                        why="a reader who comes now cannot see the change: it would keep the old summary for a minute",
                        hint="do not forget here; hand a function to after_commit, which is called later",
                        at=at,
                    )
                    await load("db.session").commit(session)
                found = await summaries.kept(ada.id)
                expect.that(
                    found is None,
                    did=f"the summary that is kept, after `{name}` and its commit",
                    got=expect.shown(found),
                    expected="None: it is forgotten",
                    why="the old summary stays for a minute",
                    hint="note it with after_commit(self.session, lambda: self.summaries.forget(…))",
                    at=at,
                )

    async def test_refused(self, load, visitor, people):
        """A request that ends in an error forgets nothing"""
        ada, bob, pens = await self.two(visitor, people)
        await visitor.patch(f"{API}/items/{pens[0]}", json={"price": "1.00"}, headers=bob.headers)
        await visitor.patch(f"{API}/items/{pens[0]}", json={"price": "-1.00"}, headers=ada.headers)
        await visitor.delete(f"{API}/items/{pens[0] + 100}", headers=ada.headers)
        expect.equal(
            await kept_ids(load, visitor, ada, bob),
            ["ada", "bob"],
            did="whose summaries are kept, after three requests that were refused",
            why="a stranger could empty the cache by requests that are refused",
            hint="note it in the methods that change something, and nowhere else",
            at=method_of(load, "update", owner="SummarizedItems"),
        )

    async def test_many(self, load, open_visit, handed):
        """Several changes in one transaction forget the summary of each owner"""
        async with open_visit(FILE) as client:
            people = People(load, client)
            ada, bob, root = await people.add("ada"), await people.add("bob"), await people.admin()
            pens = [(await add_item(client, person))["id"] for person in (ada, bob)]
            for person in (ada, bob, root):
                await summary_of(client, person)
            summaries = summaries_of(load, client.app.state.cache)
            async with client.sessions() as session:
                items = load("items.summary").SummarizedItems(session, await people.stored(root), summaries)
                for pen in pens:
                    await items.update(await items.get(pen), load("items.schemas").ItemUpdate(price=3))
                await load("db.session").commit(session)
            handed.none(method_of(load, "update", owner="SummarizedItems"))
            kept = await kept_ids(load, client, ada, bob, root)
            late = "give each action its own owner: a lambda reads a variable when it is called, not before"
            expect.equal(
                kept,
                ["root"],
                did="whose summaries are kept, after an admin has changed Ada's and Bob's pens in one transaction",
                why="one of the owners would see an old number",
                hint=late if kept == ["ada", "root"] else THE_OWNER,
                at=method_of(load, "update", owner="SummarizedItems"),
            )
