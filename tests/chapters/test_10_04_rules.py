"""Checks of chapter 10, rules about data: my own fields, the last admin, whose items a list shows."""

import re
from contextlib import contextmanager
from decimal import Decimal

import pytest

from course_checks import permissions
from course_checks.answers import fields
from course_checks.paths import API
from course_checks.permissions import (
    MANY,
    add_item,
    add_many,
    ask,
    coded,
    failing,
    is_500,
    items_of,
    only_who_may_sign_in,
    source_of,
)
from course_checks.statements import heard
from workbook import expect
from workbook.checks import exercise

# fixtures
_http = permissions._http


@contextmanager
def watched(client):
    """Give the list of what the statements of a block do to users: lock, change, read."""
    steps = []

    def note(statement, _values, context):
        compiled = getattr(getattr(context, "compiled", None), "statement", None)
        kinds = [getattr(context, f"is{name}", False) for name in ("insert", "update", "delete")]
        if not re.search(r"\busers\b", statement):
            return
        if getattr(compiled, "_for_update_arg", None) is not None:
            steps.append("lock")
        elif any(kinds) or re.match(r"\s*(?:insert|update|delete)\b", statement, re.IGNORECASE):
            steps.append("change")
        elif re.search(r"\brole\b", statement):  # whatever it begins with: a query may begin with WITH
            steps.append("read")

    with heard(client, note):
        yield steps


# ---------------------------------------------------------------------------------------------------------------- 10.4


WRITES = "let the service write what was sent: it knows all the rules"
THE_LIST = (
    "the schema of the body decides what one may change: UserUpdate lists what people may change about themselves"
)


@exercise("10.4")
class TestUpdateMe:
    @pytest.fixture
    def route(self, load):
        """The learner's route."""
        return getattr(load("users.router"), "update_me", None)

    async def test_people_change_themselves(self, visitor, people, snapshot):
        """Name, user name and e-mail can be changed, and are saved; nothing else changes"""
        await people.add("first")
        ada = await people.add("ada")
        form = {"username": "ada", "password": people.password}
        await visitor.post(f"{API}/auth/login", data=form)  # a session that must go on
        new = {"full_name": "Ada L.", "username": "lovelace", "email": "ada@new.example.com"}
        before = await snapshot(visitor)
        answer = await ask(visitor, ada, "PATCH", "/users/me", **new)
        hint = "return what service.update returns for this user and this body"
        expect.status(answer, 200, why="people could not correct their own name", hint=hint)
        for body in (fields(answer), fields(await ask(visitor, ada, "GET", "/users/me"))):
            expect.equal({name: body.get(name) for name in new}, new, did="the changed fields", hint=hint)
        (await snapshot(visitor)).same(
            before,
            but=[f"users/{ada.id}/{name}" for name in (*new, "updated_at")],
            did="PATCH /users/me",
            why="people would lose what they did not ask to change, such as their sessions",
            hint="change `user`, the one who asks, by service.update, and nothing besides",
        )

    async def test_no_secret_leaves(self, visitor, people):
        """The answer holds no hash, and nothing else that only the database should know"""
        answer = await ask(visitor, await people.add("ada"), "PATCH", "/users/me", full_name="Ada")
        expect.status(answer, 200, why="people could not correct their own name", hint=WRITES)
        secret = [name for name in ("hashed_password", "is_superuser", "deleted_at") if name in answer.text]
        expect.that(
            not secret,
            response=answer,
            got=f"the answer holds {', '.join(secret)}",
            expected="the fields of UserPublic",
            why="whoever reads the hash can guess passwords at home",
            hint="keep response_model=UserPublic in the decorator",
        )

    async def test_only_what_is_sent(self, visitor, people, snapshot):
        """What is not sent stays; null removes the full name; an empty body changes nothing"""
        ada = await people.add("ada", full_name="Ada")
        for body, expected in (({}, "Ada"), ({"username": "lovelace"}, "Ada"), ({"full_name": None}, None)):
            before = await snapshot(visitor)
            answer = await ask(visitor, ada, "PATCH", "/users/me", **body)
            expect.status(answer, 200, why="people could not correct their own name", hint=WRITES)
            expect.equal(
                fields(answer).get("full_name"),
                expected,
                did=f"full_name after PATCH /users/me with {body}",
                why="a form that sends one field would delete the others",
                hint=WRITES,
            )
            (await snapshot(visitor)).same(
                before,
                but=[f"users/{ada.id}/{name}" for name in (*body, "updated_at") if body],
                did=f"PATCH /users/me with {body}",
                why="a form that sends one field would change the others",
                hint=WRITES,
            )

    async def test_no_power_by_assignment(self, visitor, people):
        """Role, superuser, state, password and id are ignored: the answer is 200, and they stay"""
        ada = await people.add("ada")
        before = await people.stored(ada)
        for name, value in (
            ("role", "admin"),
            ("is_superuser", True),
            ("is_active", False),
            ("password", "Battery staple"),
            ("hashed_password", "!"),
            ("id", 4711),
            ("deleted_at", None),
            ("deleted_at", "2030-01-01T00:00:00Z"),
            ("created_at", "2030-01-01T00:00:00Z"),
            ("role", "emperor"),
            ("password", "weak"),
        ):
            answer = await ask(visitor, ada, "PATCH", "/users/me", **{"full_name": "Ada", name: value})
            expect.that(
                answer.status_code == 200,
                response=answer,
                got=f"{answer.status_code}",
                expected=f"200: {name} is ignored",
                why="clients send back the whole user that they got, role and all",
                hint="a schema drops the fields that it does not list, and that is enough: " + THE_LIST,
            )
            row = await people.stored(ada)
            kept = ("role", "is_superuser", "is_active", "hashed_password", "deleted_at", "created_at")
            changed = [one for one in kept if getattr(row, one) != getattr(before, one)]
            expect.that(
                not changed,
                response=answer,
                got=f"{', '.join(changed)} changed in the database",
                expected=f"{name} is ignored",
                why="everybody could make themselves an admin"
                if name in {"role", "is_superuser"}
                else "who finds an unlocked phone would own the account",
                hint="a list of what is forbidden is never complete: " + THE_LIST,
            )

    async def test_the_rules_of_the_schema_hold(self, visitor, people):
        """A bad e-mail, a bad user name or null in their place is refused with 422"""
        ada = await people.add("ada")
        for body in ({"email": "nonsense"}, {"username": "a b"}, {"username": None}, {"email": None}):
            expect.status(
                await ask(visitor, ada, "PATCH", "/users/me", **body),
                422,
                why="a second door without the rules of sign-up lets in what the first one refuses",
                hint="FastAPI checks a body by its parameter's type: the rules stand in UserUpdate",
            )

    async def test_a_taken_name_is_a_conflict(self, visitor, people):
        """The e-mail address or user name of somebody else is 409; one's own is 200"""
        ada, bob = await people.add("ada"), await people.add("bob")
        gone = await people.add("gone", deleted_at=people._load("db.base").utc_now())
        hint = "service.update knows refuse_duplicates: ask it, and catch nothing around it"
        for body in ({"email": bob.email}, {"email": bob.email.upper()}, {"username": "bob"}, {"email": gone.email}):
            coded(
                await ask(visitor, ada, "PATCH", "/users/me", **body),
                409,
                "user_exists",
                why="a taken name would be a 500",
                hint=hint,
            )
        for body in ({"email": ada.email}, {"email": ada.email.upper()}, {"username": "ada"}):
            answer = await ask(visitor, ada, "PATCH", "/users/me", **body)
            expect.status(answer, 200, why="who sends the whole form back would be refused", hint=hint)

    async def test_strangers_and_admins(self, visitor, people):
        """A stranger gets 401; who is switched off 400; an admin stays one"""
        hint = "keep `user: CurrentUser`"
        expect.status(await ask(visitor, None, "PATCH", "/users/me", full_name="x"), 401, hint=hint)
        await only_who_may_sign_in(visitor, people, "PATCH", "/users/me", full_name="x")
        root = await people.admin()
        answer = await ask(visitor, root, "PATCH", "/users/me", full_name="Root", role="user")
        expect.status(answer, 200, hint=hint)
        expect.equal(
            fields(answer).get("role"),
            "admin",
            did="role of an admin after PATCH /users/me",
            why="an admin could give up the role by accident",
            hint="the same schema for everybody: for more there is PATCH /users/{user_id}",
        )

    async def test_a_broken_database(self, visitor, people, broken_database, endings, route):
        """When the database fails, the answer is a 500, and not a 409; the route commits nothing"""
        ada = await people.add("ada")
        endings.clear()
        await ask(visitor, ada, "PATCH", "/users/me", full_name="Ada")
        hint = "the route's session commits when the route has returned; take the commit out of the route"
        endings.none(did="PATCH /api/v1/users/me", hint=hint, at=route)
        with broken_database(visitor, "update"):
            await is_500(visitor, ada, "PATCH", "/users/me", at=route, full_name="Ada L.")


# ---------------------------------------------------------------------------------------------------------------- 10.5


# the role comes last: who reads `user.is_admin` again after the change fails there only
GIVING_UP = (("PATCH", {"is_active": False}), ("DELETE", {}), ("PATCH", {"role": "user"}))
NOBODY_LEFT = "nobody could manage users any more, and nobody could undo it"


def done(method):
    """Return the status of a change that is made."""
    return 204 if method == "DELETE" else 200


def after_the_change(steps):
    """Return what was done from the change on; nothing, when nothing was changed."""
    return steps[steps.index("change") :] if "change" in steps else []


@exercise("10.5")
class TestLastAdmin:
    @pytest.fixture
    def keeping(self, load):
        """The learner's method."""
        service = load("users.service").UserService
        return getattr(service, "_keeping_an_admin", service)

    async def refused(self, client, people, person, method, body, at):
        """Expect a 409 that changes nothing."""
        with watched(client) as steps:
            answer = await ask(client, person, method, f"/users/{person.id}", **body)
        expect.that(
            answer.is_error or "read" in after_the_change(steps),
            response=answer,
            got=f"{answer.status_code}: the change was made, and nobody counts after the change",
            expected="409 Conflict: after the change the admins are counted, and there is none",
            why=NOBODY_LEFT,
            hint=await self.hint_for_no_count(people, person, body, steps),
            at=at,
        )
        coded(answer, 409, "last_admin", why=NOBODY_LEFT, hint=self.hint_for_a_wrong_count(answer, at), at=at)
        row = await people.stored(person)
        expect.that(
            row.is_active is True and row.deleted_at is None and (row.role.value == "admin" or row.is_superuser),
            response=answer,
            got="the answer is 409, but the change was saved",
            expected="nothing has changed",
            why="the answer would be a lie",
            hint="raise LastAdmin, and let it rise: get_session then saves nothing",
            at=at,
        )

    @staticmethod
    async def hint_for_no_count(people, person, body, steps):
        """Choose the hint by what the change did to the user, and by whether anything was done above the `yield`."""
        if "lock" in steps and "role" in body:
            return (
                "what stands below the `yield` sees the user after the change: she is no admin there; "
                "ask who she is above the `yield`, and count below it in any case"
            )
        if "lock" not in steps and (await people.stored(person)).is_superuser:
            return "a superuser is an admin too, whatever the role: `user.is_admin` knows both"
        return "what stands below the `yield` runs after the change: there, ask how many admins can still sign in"

    @staticmethod
    def hint_for_a_wrong_count(answer, at):
        """Choose the hint by what the learner counts with."""
        if answer.is_error:
            return "raise LastAdmin when nobody is left who can administrate, and no other error"
        if "can_administrate" in source_of(at):
            return "one admin is left when the number is 1, none when it is 0: then raise LastAdmin"
        return "who is switched off or deleted cannot help, and a superuser can: User.can_administrate() knows it"

    async def test_the_last_admin_stays(self, visitor, people, snapshot, keeping):
        """The last active admin cannot give up the role, be switched off or be deleted: 409, and nothing changes"""
        root = await people.admin()
        await people.add("ada")
        before = await snapshot(visitor)
        for method, body in GIVING_UP:
            await self.refused(visitor, people, root, method, body, keeping)
            (await snapshot(visitor)).same(
                before,
                did=f"{method} /api/v1/users/{root.id} {body or ''}".rstrip() + ", which is refused",
                hint="raise LastAdmin, and let it rise: get_session then saves nothing",
                at=keeping,
            )

    async def test_who_cannot_sign_in_does_not_count(self, load, visitor, people, keeping):
        """An admin who is switched off or deleted does not count"""
        root, role = await people.admin(), load("users.schemas").Role.ADMIN
        await people.add("asleep", role=role, is_active=False)
        await people.add("gone", role=role, deleted_at=load("db.base").utc_now())
        for method, body in GIVING_UP:
            await self.refused(visitor, people, root, method, body, keeping)

    async def test_one_of_two_may_go(self, load, open_visit, people, keeping):
        """One of two admins may go, by herself or by the other; the one who is left may not"""
        for method, body in GIVING_UP:
            async with open_visit() as client:
                crowd = type(people)(people._load, client)
                root, eve = await crowd.admin(), await crowd.admin("eve")
                expect.status(
                    await ask(client, root, method, f"/users/{eve.id}", **body),
                    done(method),
                    why="no admin could ever be removed",
                    hint="raise LastAdmin only when the count is 0",
                    at=keeping,
                )
                await self.refused(client, crowd, root, method, body, keeping)

    async def test_among_many(self, load, visitor, people, keeping):
        """The admins are found among many users: 101 others come before them"""
        names = [f"user{number}" for number in range(MANY)]
        rows = [{"email": f"{name}@example.com", "username": name, "hashed_password": "none"} for name in names]
        await add_many(visitor, load("users.models").User, rows)
        root, eve = await people.admin(), await people.admin("eve")
        expect.status(
            await ask(visitor, root, "PATCH", f"/users/{eve.id}", role="user"),
            200,
            why="in an app with more than a hundred users no admin could go",
            hint="let the database count: a list of users is a page only",
            at=keeping,
        )
        await self.refused(visitor, people, root, "PATCH", {"role": "user"}, keeping)

    async def test_a_superuser_counts(self, visitor, people, keeping):
        """A superuser counts as an admin, and cannot go when it is the last one"""
        boss, root = await people.add("boss", is_superuser=True), await people.admin()
        expect.status(
            await ask(visitor, root, "DELETE", f"/users/{root.id}"),
            204,
            why="the superuser is still there",
            hint="the role does not say who is a superuser: User.can_administrate() knows both",
            at=keeping,
        )
        for method, body in (("PATCH", {"is_active": False}), ("DELETE", {})):
            await self.refused(visitor, people, boss, method, body, keeping)
        for role in ("admin", "user"):
            expect.status(
                await ask(visitor, boss, "PATCH", f"/users/{boss.id}", role=role),
                200,
                why="a superuser without the role can still manage everything",
                hint="count who can administrate after the change, whatever was changed",
                at=keeping,
            )

    async def test_everything_else_goes_on(self, visitor, people, keeping):
        """The last admin may change her name and her password, and everything about users who are no admins"""
        root, ada, bob = await people.admin(), await people.add("ada"), await people.add("bob")
        hint = "refuse only when no admin is left after the change"
        for person, method, body in (
            (root, "PATCH", {"full_name": "Root"}),
            (root, "PATCH", {"role": "admin"}),
            (root, "PATCH", {"password": "Another horse"}),
            (root, "PATCH", {}),
            (ada, "PATCH", {"is_active": False}),
            (ada, "DELETE", {}),
            (bob, "PATCH", {"role": "admin"}),
            (root, "PATCH", {"role": "user"}),
        ):
            answer = await ask(visitor, root, method, f"/users/{person.id}", **body)
            expect.status(answer, done(method), why="admins could not do their work", hint=hint, at=keeping)
        answer = await ask(visitor, ada, "GET", "/users/me")
        expect.status(answer, 401, why="Ada was deleted", hint="keep a `yield` in every branch", at=keeping)
        row = await people.stored(bob)
        expect.equal(
            row.role.value,
            "admin",
            did="Bob's role in the database",
            why="the answer says that Bob is an admin, and he is not",
            hint="keep a `yield` in every branch",
            at=keeping,
        )

    async def test_a_change_that_fails(self, visitor, people, broken_database, keeping):
        """A change that fails by itself is not counted: a taken e-mail is 409 user_exists, a fault 500"""
        root, ada = await people.admin(), await people.add("ada")
        hint = "an exception comes out of the `yield`: let it rise, without a `try` around it, and count nothing"
        for path in (f"/users/{root.id}", "/users/me"):
            coded(
                await ask(visitor, root, "PATCH", path, email=ada.email),
                409,
                "user_exists",
                why="an admin would read about the last admin, or of a fault, and not that the address is taken",
                hint=hint,
                at=keeping,
            )
        for method, body in GIVING_UP:
            with broken_database(visitor, "update"):
                await is_500(visitor, root, method, f"/users/{root.id}", at=keeping, **body)

    async def test_users_without_an_admin(self, visitor, people, keeping):
        """Where there is no admin at all, users can still change themselves"""
        ada = await people.add("ada")
        expect.status(
            await ask(visitor, ada, "PATCH", "/users/me", full_name="Ada"),
            200,
            why="an app without a first admin would refuse every change",
            hint="a user who is no admin needs no count: `user.is_admin` says so before the change",
            at=keeping,
        )

    async def test_lock_change_count(self, visitor, people, endings, keeping):
        """The rows of the admins are locked before the change, and counted after it, in the request's transaction"""
        root, eve = await people.admin(), await people.admin("eve")
        for method, body in GIVING_UP:
            endings.clear()
            with watched(visitor) as steps:
                answer = await ask(visitor, root, method, f"/users/{eve.id}", **body)
            expect.status(
                answer,
                done(method),
                why="no admin could ever be removed",
                hint="raise LastAdmin only when the count is 0",
                at=keeping,
            )
            self.in_order(steps, answer, body, keeping)
            why = "the lock ends with the transaction: from then on the others go on"
            endings.none(did=answer.extensions["workbook.exchange"].request_line, why=why, at=keeping)
            await people.change(eve, role=(await people.stored(root)).role, is_active=True, deleted_at=None)
        endings.clear()
        await ask(visitor, root, "DELETE", f"/users/{eve.id}")
        await self.refused(visitor, people, root, "DELETE", {}, keeping)
        hint = "raise LastAdmin: get_session takes the change back"
        endings.none(did=f"DELETE /api/v1/users/{root.id}, which is refused", hint=hint, at=keeping)

    @staticmethod
    def in_order(steps, answer, body, at):
        why = "two admins who remove each other in the same second would leave none"
        expect.that(
            "lock" in steps[: len(steps) - len(after_the_change(steps))],
            response=answer,
            got="the rows of the admins are not locked before the change",
            expected="lock, change, count",
            why=why,
            hint="user_crud.lock_admins must run before the change, and what stands above the `yield` does",
            at=at,
        )
        expect.that(
            "read" in after_the_change(steps),
            response=answer,
            got="nobody counts after the change",
            expected="lock, change, count",
            why=why,
            hint="she is no admin any more below the `yield`: ask who she is above it, and count below it in any case"
            if "role" in body
            else "count below the `yield`: what is counted above it can be wrong a moment later",
            at=at,
        )

    async def test_a_user_needs_no_lock(self, visitor, people, keeping):
        """A change of a user who is no admin waits for nobody: no lock is taken, and nobody is counted"""
        root, ada = await people.admin(), await people.add("ada")
        for person, path, body in ((ada, "/users/me", {"full_name": "Ada"}), (root, f"/users/{ada.id}", {})):
            with watched(visitor) as steps:
                answer = await ask(visitor, person, "PATCH", path, **body)
            hint = "for a user who is no admin only the `yield` runs"
            expect.status(answer, 200, why="people could not change their name", hint=hint, at=keeping)
            expect.equal(
                (steps.count("lock"), after_the_change(steps).count("read")),
                (0, 0),
                did="locks, and counts after the change, while Ada, who is no admin, is changed",
                why="every change of every user would wait for the changes of admins",
                hint="`user.is_admin` says before anything else whether the three steps are needed",
                at=keeping,
            )


# ---------------------------------------------------------------------------------------------------------------- 10.6


ITEMS = (
    ("ada", "Diary one", "5"),
    ("bob", "Pen", "9"),
    ("ada", "Diary two", "7"),
    ("ada", "Lamp", "10"),
    ("bob", "Ink", "1.5"),
)


@exercise("10.6")
class TestListOfItems:
    @pytest.fixture
    def get_page(self, load):
        """The learner's method."""
        return items_of(load).get_page

    @pytest.fixture
    async def crowd(self, load, visitor, people):
        """Ada with three items, Bob with two between them, and an admin."""
        found = {"ada": await people.add("ada"), "bob": await people.add("bob"), "root": await people.admin()}
        item = load("items.models").Item
        async with visitor.sessions.begin() as session:
            for name, title, price in ITEMS:
                values = {"description": "secret_blue", "price": Decimal(price), "owner_id": found[name].id}
                session.add(item(title=title, **values))
                await session.flush()
        return found

    async def expect_page(self, client, person, query, titles, total, why, hint, at):
        answer = await ask(client, person, "GET", f"/items{query}")
        expect.status(answer, 200, why="nobody could look at a list", hint=hint, at=at)
        body = expect.body(answer)
        got = [one.get("title") for one in body] if isinstance(body, list) else body
        theirs = {title for name, title, _ in ITEMS if person.username not in (name, "root", "boss")}
        expect.that(
            not theirs.intersection(got if isinstance(got, list) else ()),
            response=answer,
            got=f"the titles {expect.shown(got)}: some are somebody else's",
            expected=f"the titles {expect.shown(titles)}",
            why="by a search a script could read other people's titles"
            if "q=" in query
            else "everybody could read everybody's items",
            hint="all conditions in `where` must hold together: the search is one more, beside those of `visible()`"
            if "visible()" in source_of(at)
            else "nobody asks `visible()` here: it has the conditions of what this user may see",
            at=at,
        )
        expect.that(
            got == titles,
            response=answer,
            got=f"the titles {expect.shown(got)}",
            expected=f"the titles {expect.shown(titles)}",
            why=why,
            hint=hint,
            at=at,
        )
        self.expect_total(answer, total, len(titles), at)

    @staticmethod
    def expect_total(answer, total, shown, at):
        """Expect the number of all items that one may see; the hint depends on what was counted instead."""
        count = answer.headers.get("x-total-count") or ""
        number = int(count) if count.isdigit() else None
        if number == shown:
            hint = "this is the length of the page: ask item_crud.count, which counts all that meet the conditions"
        else:
            hint = "page and count must get the same conditions"
        expect.that(
            number == total,
            response=answer,
            got=f"X-Total-Count: {count}",
            expected=f"X-Total-Count: {total}",
            why="the number tells how many rows there are that one may not see"
            if number is not None and number > total
            else "a client works out from this number how many pages there are; it would stop too early",
            hint=hint,
            at=at,
        )

    async def test_one_sees_ones_own(self, visitor, crowd, people, get_page):
        """Everybody sees and counts their own items, and somebody without items sees none"""
        why, hint = "people would not find what is theirs", "the conditions come from `visible()`, for page and count"
        await self.expect_page(visitor, crowd["bob"], "", ["Pen", "Ink"], 2, why, hint, get_page)
        await self.expect_page(visitor, crowd["ada"], "", ["Diary one", "Diary two", "Lamp"], 3, why, hint, get_page)
        await self.expect_page(visitor, await people.add("eve"), "", [], 0, why, hint, get_page)

    async def test_admins_see_all(self, visitor, crowd, people, get_page):
        """Admins and superusers see and count all items"""
        boss = await people.add("boss", is_superuser=True)
        await add_item(visitor, crowd["root"], title="Root's own")
        for person in (crowd["root"], boss):
            await self.expect_page(
                visitor,
                person,
                "",
                ["Diary one", "Pen", "Diary two", "Lamp", "Ink", "Root's own"],
                6,
                "an admin could not help anybody",
                "`visible()` knows who may see all: then it is empty, and nothing else may narrow the list",
                get_page,
            )

    async def test_who_manages_items(self, load, visitor, crowd, monkeypatch, get_page):
        """The permission decides, not the role: whoever gets items:manage sees and counts all"""
        permissions, role = load("users.permissions"), load("users.schemas").Role.USER
        monkeypatch.setitem(permissions.ROLE_PERMISSIONS, role, frozenset({permissions.Permission.MANAGE_ITEMS}))
        answer = await ask(visitor, crowd["bob"], "GET", "/items")
        expect.equal(
            (len(expect.body(answer)), answer.headers.get("x-total-count")),
            (5, "5"),
            did="number of items and X-Total-Count for a user whose role has items:manage",
            why="whoever gives a role a right changes only ROLE_PERMISSIONS: the rest of the code must follow",
            hint="`visible()` asks has_permission already: take what it says, and do not ask for the role",
            at=get_page,
        )

    async def test_pages_are_full(self, visitor, crowd, get_page):
        """`skip` and `limit` count only what one may see"""
        why = "a page would be short or empty, though there is more"
        hint = "give the conditions to get_multi; a filter in Python comes too late"
        if "skip" not in source_of(get_page) and "model_dump" not in source_of(get_page):
            hint = "the page's `skip` is used nowhere: get_multi takes it, beside `limit`"
        bob, ada = crowd["bob"], crowd["ada"]
        for person, query, titles, total in (
            (bob, "?limit=1", ["Pen"], 2),
            (bob, "?skip=1&limit=1", ["Ink"], 2),
            (bob, "?skip=2", [], 2),
            (ada, "?limit=2", ["Diary one", "Diary two"], 3),
            (ada, "?skip=2&limit=2", ["Lamp"], 3),
        ):
            await self.expect_page(visitor, person, query, titles, total, why, hint, get_page)

    async def test_the_search_tells_nothing(self, visitor, crowd, get_page):
        """A search finds and counts only what one may see, in title and description"""
        why, hint = "people would not find what they search for", "item_crud.matches(page.q) is one more condition"
        for name, query, titles in (
            ("bob", "?q=diary", []),
            ("bob", "?q=in", ["Ink"]),
            ("bob", "?q=secret_blue", ["Pen", "Ink"]),
            ("ada", "?q=diary", ["Diary one", "Diary two"]),
            ("ada", "?q=t%25", []),
            ("root", "?q=secret&limit=5", ["Diary one", "Pen", "Diary two", "Lamp", "Ink"]),
        ):
            await self.expect_page(visitor, crowd[name], query, titles, len(titles), why, hint, get_page)

    async def test_search_and_page_together(self, visitor, crowd, get_page):
        """A page of a search is counted by the search, not by the page"""
        why, hint = (
            "a client would stop too early",
            "page and count get the same conditions, and only the page its bounds",
        )
        for name, query, titles, total in (
            ("ada", "?q=diary&limit=1", ["Diary one"], 2),
            ("ada", "?q=diary&skip=1", ["Diary two"], 2),
            ("root", "?q=n&limit=2&skip=1", ["Pen", "Ink"], 3),
        ):
            await self.expect_page(visitor, crowd[name], query, titles, total, why, hint, get_page)

    async def test_more_than_a_hundred(self, load, visitor, crowd, get_page):
        """Who has more than a hundred items reaches every one of them, and all are counted"""
        bob = crowd["bob"]
        rows = [{"title": f"Nail {number}", "price": Decimal(1), "owner_id": bob.id} for number in range(MANY)]
        await add_many(visitor, load("items.models").Item, rows)
        why = "who has 150 items would see 100, and a total of 100"
        hint = "`skip` and `limit` belong into the query; what Python cuts is one page, a hundred rows at most"
        for query, titles, total in (
            ("?skip=102&limit=2", ["Nail 100"], 103),
            ("?q=nail&skip=99&limit=2", ["Nail 99", "Nail 100"], 101),
            ("?q=nail&limit=1", ["Nail 0"], 101),
        ):
            await self.expect_page(visitor, bob, query, titles, total, why, hint, get_page)

    async def test_sorted(self, visitor, crowd, get_page):
        """Sorting works on what one may see, and prices go by number"""
        why = "a list that claims to be sorted, and is not, hides the cheapest thing on a later page"
        hint = "get_multi sorts: hand the page's `sort` on"
        for name, query, titles in (
            ("bob", "?sort=price", ["Ink", "Pen"]),
            ("ada", "?sort=-price", ["Lamp", "Diary two", "Diary one"]),
            ("root", "?sort=-price&limit=2&skip=1", ["Pen", "Diary two"]),
        ):
            total = {"bob": 2, "ada": 3, "root": 5}[name]
            await self.expect_page(visitor, crowd[name], query, titles, total, why, hint, get_page)

    async def test_bounds(self, visitor, crowd):
        """Bad bounds and unknown columns are still refused with 422"""
        for query in ("?limit=0", "?limit=101", "?skip=-1", "?sort=owner_id", "?sort=hashed_password"):
            expect.status(
                await ask(visitor, crowd["ada"], "GET", f"/items{query}"),
                422,
                why="a stranger's number or text must not reach the database",
                hint="keep `page: Annotated[ItemPage, Query()]` in the route",
            )

    async def test_who_asks(self, visitor, people, crowd, get_page):
        """A stranger gets 401, who is switched off 400; a failing database is a 500, and no empty list"""
        answer = await ask(visitor, None, "GET", "/items")
        expect.status(answer, 401, why="nobody would know whose items to show", hint="keep the given dependencies")
        await only_who_may_sign_in(visitor, people, "GET", "/items")
        with failing(visitor, "items"):
            await is_500(visitor, crowd["ada"], "GET", "/items", at=get_page)
