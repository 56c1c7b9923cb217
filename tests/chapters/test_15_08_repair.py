"""Checks of chapter 15, what comes of it: advisories, a repair, and a suite of all attacks."""

import asyncio
import sys
from pathlib import Path

from sqlalchemy import event, text

from course_checks import workshops
from course_checks.cells import ITEM_ROUTES, USER_ROUTES, right_cells
from course_checks.exploits import FALSE_ALARM, described, relay, said
from course_checks.samples import PASSWORD
from course_checks.workshops import KEY, opened
from workbook import expect
from workbook.checks import exercise, why_none
from workbook.sabotage import Client, Exam, run

# fixtures
shops = workshops.shops

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

            async def refuse(method, url, sent):
                answer = await ask(method, url, **sent)
                return said(403, method, url) if answer.status_code == 401 else answer

            ask = relay(shop, refuse)
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
    return Exam(Client("http://shop", 60.0, transport=http._transport), "admin", PASSWORD, KEY, last_admin=True)


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
RAISED = "it raised ZeroDivisionError"
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
    known = {}  # noqa: RUF012 - what was found already: several criteria read one run

    async def attack(self, load, shops, *topics, broken=False):
        """Let the learner's suite attack an app with a fault of some topics, once for each app.

        Where the counter of hashes is `broken`, the result may be the text that says what came out of the suite.
        """
        if (topics, broken) not in self.known:
            self.known[topics, broken] = await self.run(load, shops, topics, broken)
        return self.known[topics, broken]

    async def run(self, load, shops, topics, broken):
        """Let the learner's suite attack an app."""

        async def hashes():
            raise ZeroDivisionError("the counter is broken")

        together = not topics or "race" in topics  # only then does it matter whether two requests can meet
        async with shops(*(SAMPLE[name] for name in topics), file=together) as shop:
            if broken:
                shop.hashes = hashes
            try:
                return await load("attacks.suite").attack(shop)
            except ZeroDivisionError:
                if not broken:
                    raise
                return RAISED

    async def each(self, load, shops, topics):
        """Return what is found of some topics; where none is about the counter, it may have been broken meanwhile."""
        broken = "enumeration" not in topics
        found = await self.attack(load, shops, *topics, broken=broken)
        if found == RAISED:  # another criterion tells it
            broken, found = False, await self.attack(load, shops, *topics)
        found = self.shaped(load, found)
        return {name: one for name, one in found.items() if not (broken and name == "enumeration")}

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
        found = self.shaped(load, await self.attack(load, shops))
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
            found = await self.each(load, shops, chosen)
            for name in found:
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
        found = await self.each(load, shops, KEYS[::2])
        async with shops(SAMPLE["sessions"]) as shop:
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
        attack, chosen = load("attacks.suite").attack, KEYS[::2]
        found = await self.attack(load, shops, *chosen, broken=True)
        expect.that(
            found != RAISED,
            did="attack(shop), while one of the attacks raises",
            got=str(found),
            expected="the other seven go on",
            why="one broken tool would hide what seven others find",
            hint="the `try` stands inside the loop, around one attack",
            at=attack,
        )
        rest = {name: one for name, one in self.shaped(load, found).items() if name not in chosen}
        expect.equal(
            rest,
            {name: [] for name in rest} | {"enumeration": ["failed: ZeroDivisionError"]},
            did="attack(shop), while the counter raises ZeroDivisionError: the topics of which the app has no fault",
            why="a tool that breaks off looks like a tool that has found nothing",
            hint='[f"failed: {type(error).__name__}"], and its key stays where it is',
            at=attack,
        )

    async def test_stopped(self, load, shops):
        """A run that is cancelled ends: that is no finding"""
        attack = load("attacks.suite").attack

        async def stop(_method, _url, _sent):
            raise asyncio.CancelledError

        async with shops() as shop:
            relay(shop, stop)
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
