"""Checks of chapter 10, who may do what: permissions of a role, and of an item's owner."""

from decimal import Decimal

import pytest
from fastapi import Depends

from course_checks import permissions
from course_checks.answers import fields
from course_checks.paths import API
from course_checks.permissions import (
    MANY,
    NOWHERE,
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
from course_checks.samples import PEN
from workbook import expect
from workbook.checks import exercise

# fixtures
_http = permissions._http

OPEN_TO_ALL = "everybody could read, change and delete everybody's items"
CAN_BE_GUESSED = "ids are small numbers: a stranger would find out which ones exist"


def said(answer):
    """Return an error body without the request id, which always differs."""
    return {key: value for key, value in fields(answer).items() if key != "request_id"}


# ---------------------------------------------------------------------------------------------------------------- 10.1


USERS_ROUTES = (
    ("GET", "/users"),
    ("POST", "/users"),
    ("PATCH", f"/users/{NOWHERE}"),
    ("DELETE", f"/users/{NOWHERE}"),
)
NOT_ASKED = "the guard must say no before the route begins: who lacks a permission gets Forbidden"


def unless_returned(call, hint):
    """Choose the hint: an error that is returned, and not raised, explains whatever comes of it."""
    return "an error is raised, not returned" if "return Forbidden" in source_of(call) else hint


@exercise("10.1")
class TestRequirePermissions:
    @pytest.fixture
    def call(self, load):
        """The method that the exercise is about."""
        guard = load("users.dependencies").RequirePermissions
        return vars(guard).get("__call__", guard)

    @pytest.fixture
    def guarded(self, load, visitor):
        """Add a route to the app that needs the given permissions; its answer is the name of the user it got."""
        require = load("users.dependencies").RequirePermissions

        def add(*permissions):
            path = f"{API}/guarded-by-{'-and-'.join(permissions).replace(':', '-') or 'nothing'}"

            @visitor.app.get(path)
            async def guarded_route(user=Depends(require(*permissions))):  # noqa: B008
                return {"username": getattr(user, "username", None)}

            return path.removeprefix(API)

        return add

    async def test_an_admin_passes(self, visitor, people, call):
        """An admin may use the routes for admins"""
        root = await people.admin()
        ada = await people.add("ada")
        why = "nobody could manage users any more"
        for method, path, status, body in (
            ("GET", "/users", 200, {}),
            ("PATCH", f"/users/{ada.id}", 200, {"full_name": "A"}),
            ("DELETE", f"/users/{ada.id}", 204, {}),
        ):
            answer = await ask(visitor, root, method, path, **body)
            expect.status(answer, status, why=why, hint=self.hint_for_a_refused_admin(call), at=call)

    @staticmethod
    def hint_for_a_refused_admin(call):
        """Choose the hint by what the method hands over."""
        if "*self.permissions" in source_of(call):
            return "has_permission says True for who may pass: raise for all others, and return the user to these"
        return "has_permission takes the permissions one by one, and `self.permissions` is a tuple: a star unpacks it"

    async def test_a_user_is_forbidden(self, visitor, people, call):
        """A user without the permission gets 403, with the code forbidden"""
        ada = await people.add("ada")
        for method, path in (*USERS_ROUTES, ("PATCH", f"/users/{ada.id}"), ("DELETE", f"/users/{ada.id}")):
            coded(
                await ask(visitor, ada, method, path),
                403,
                "forbidden",
                why="everybody who is signed in could read, change and delete all users",
                hint=unless_returned(call, NOT_ASKED),
                at=call,
            )

    async def test_nothing_is_done_for_a_user(self, visitor, people, snapshot, call):
        """A refused request changes nothing"""
        ada, bob = await people.add("ada"), await people.add("bob")
        eve = {"email": "eve@example.com", "username": "eve", "password": "Correct horse"}
        for method, path, body in (
            ("PATCH", f"/users/{bob.id}", {"role": "admin"}),
            ("DELETE", f"/users/{bob.id}", {}),
            ("POST", "/users", eve),
        ):
            before = await snapshot(visitor)
            await ask(visitor, ada, method, path, **body)
            (await snapshot(visitor)).same(
                before,
                did=f"{method} /api/v1{path} by Ada, a user",
                why="a refusal that comes after the work is no refusal",
                hint=unless_returned(call, "raise Forbidden in `__call__`: it runs before the route"),
                at=call,
            )

    async def test_permission_comes_before_validation(self, visitor, people, call):
        """A user without the permission gets 403 also for a malformed request"""
        ada = await people.add("ada")
        for answer in (
            await ask(visitor, ada, "GET", "/users?limit=0"),
            await ask(visitor, ada, "POST", "/users", email=1),
        ):
            expect.status(
                answer,
                403,
                why="the messages would tell how the routes of admins work",
                hint=unless_returned(
                    call, "keep `dependencies=[...]` in the decorators: these run before the body is read"
                ),
                at=call,
            )

    async def test_a_stranger_signs_in_first(self, visitor, call):
        """Somebody without a token gets 401, not 403"""
        for method, path in USERS_ROUTES:
            expect.status(
                await ask(visitor, None, method, path),
                401,
                why="after a 401 a client shows the form to sign in, after a 403 it does not",
                hint="keep `user: CurrentUser` as the parameter of `__call__`",
                at=call,
            )

    async def test_who_was_dismissed(self, visitor, people):
        """An admin who is switched off gets 400, and one who is deleted 401"""
        await only_who_may_sign_in(visitor, people, "GET", "/users")

    async def test_a_superuser_passes(self, visitor, people, call):
        """A superuser passes, whatever the role"""
        boss = await people.add("boss", is_superuser=True)
        expect.status(
            await ask(visitor, boss, "GET", "/users"),
            200,
            why="who has the database in hand must not be locked out",
            hint="the table of roles does not know who is a superuser, and nor does the role; `has_permission` does",
            at=call,
        )

    async def test_each_request_is_asked_anew(self, load, visitor, people, call):
        """Who gets a role may use the routes at once, and who loses it may not any more"""
        role = load("users.schemas").Role
        ada = await people.add("ada")
        for now, status in ((role.USER, 403), (role.ADMIN, 200), (role.USER, 403)):
            await people.change(ada, role=now)
            expect.status(
                await ask(visitor, ada, "GET", "/users"),
                status,
                why="a right that was taken away would last until the app starts again",
                hint=unless_returned(
                    call, "one object serves all requests: ask at each call, and keep nothing in `self`"
                ),
                at=call,
            )

    async def test_all_permissions_are_needed(self, load, visitor, people, guarded, monkeypatch, call):
        """Who has one of two permissions does not pass; who has both does, and the route gets the user"""
        permissions = load("users.permissions")
        role = load("users.schemas").Role.USER
        first, second = permissions.Permission.READ_USERS, permissions.Permission.MANAGE_ITEMS
        monkeypatch.setitem(permissions.ROLE_PERMISSIONS, role, frozenset({first}))
        ada = await people.add("ada")
        both, one, none = guarded(first, second), guarded(first), guarded()
        other, turned = guarded(second), guarded(second, first)
        hint = unless_returned(
            call, "all of `self.permissions` are needed: has_permission takes as many as you give it"
        )
        for path in (both, other, turned):
            why = "one right would open what needs two"
            expect.status(await ask(visitor, ada, "GET", path), 403, why=why, hint=hint, at=call)
        for path in (one, none):
            answer = await ask(visitor, ada, "GET", path)
            expect.status(answer, 200, why="people could not do what they may do", hint=hint, at=call)
            expect.json(
                answer,
                {"username": "ada"},
                why="a route that needs the user would get nothing",
                hint="`__call__` gives a route what it returns: its last line is the user",
                at=call,
            )
        monkeypatch.setitem(permissions.ROLE_PERMISSIONS, role, frozenset({first, second}))
        for path in (both, other, turned):
            why = "people could not do what they may do"
            expect.status(await ask(visitor, ada, "GET", path), 200, why=why, hint=hint, at=call)


# ---------------------------------------------------------------------------------------------------------------- 10.2


NO_COMMIT = "the route's session commits when the route has returned; take the commit out of the service"


@exercise("10.2")
class TestItems:
    @pytest.fixture
    async def ada(self, people):
        """A user who is not the first one."""
        await people.add("first")
        return await people.add("ada")

    @pytest.fixture
    def service(self, load):
        """The learner's methods."""
        return items_of(load)

    async def test_create(self, visitor, ada, service):
        """A new item is answered with 201 and belongs to the one who asks"""
        item = await add_item(visitor, ada, description="blue", url="https://example.com/pen")
        for name, value in (PEN | {"description": "blue", "url": "https://example.com/pen"}).items():
            hint = "hand `data` to item_crud.create"
            expect.equal(item.get(name), value, did=f"{name} of the new item", hint=hint, at=service.create)
        expect.equal(
            item.get("owner_id"),
            ada.id,
            did="owner_id of an item that Ada has made",
            why="she could not find her own item again",
            hint="the service knows who asks: self.user; item_crud.create takes further values by name",
            at=service.create,
        )

    async def test_everybody_owns_their_own(self, visitor, people, ada, service):
        """Each new item belongs to the one who made it, whoever made one before"""
        bob, root = await people.add("bob"), await people.admin()
        for maker in (ada, bob, root, ada):
            item = await add_item(visitor, maker)
            expect.equal(
                item.get("owner_id"),
                maker.id,
                did=f"owner_id of a new item of {maker.username.title()}",
                why="an item of one person would belong to another one",
                hint="ask self.user at each call, and keep nobody's id between two calls",
                at=service.create,
            )

    async def test_the_owner_is_not_chosen(self, visitor, ada, service):
        """An owner_id in the body has no effect, neither in POST nor in PATCH"""
        item = await add_item(visitor, ada, owner_id=1)
        changed = await ask(visitor, ada, "PATCH", f"/items/{item.get('id')}", owner_id=1, title="Ink")
        expect.status(
            changed,
            200,
            why="clients send back the whole item that they got, owner_id and all",
            hint="return what item_crud.update returns",
            at=service.update,
        )
        for body, what, at in ((item, "POST", service.create), (fields(changed), "PATCH", service.update)):
            expect.equal(
                body.get("owner_id"),
                ada.id,
                did=f'owner_id after a {what} of Ada with "owner_id": 1',
                why="people could put things into other people's names",
                hint="the owner is self.user.id; the schemas have no owner_id, and that is right",
                at=at,
            )

    async def test_read(self, visitor, ada, service):
        """An item can be read; an id that does not exist is 404 with the code item_not_found"""
        item, second = await add_item(visitor, ada), await add_item(visitor, ada, title="Ink")
        for one in (item, second):
            answer = await ask(visitor, ada, "GET", f"/items/{one.get('id')}")
            why = "people could not read what they made"
            expect.status(answer, 200, why=why, hint="let `get` return the item", at=service.get)
            expect.json(
                answer,
                one,
                why="people would read another item than the one they asked for",
                hint="look for the item with this id: item_crud.get takes the session and the id",
                at=service.get,
            )
        for method, body in (("GET", {}), ("PATCH", {"title": "x"}), ("DELETE", {})):
            coded(
                await ask(visitor, ada, method, f"/items/{NOWHERE}", **body),
                404,
                "item_not_found",
                why="a client must be able to tell a wrong id from a failure of the app",
                hint="item_crud.get returns None where there is no row: then raise ItemNotFound",
                at=service.get,
            )

    async def test_every_item_is_found(self, load, visitor, ada, service):
        """An item is found among many: the 101st too"""
        rows = [PEN | {"price": Decimal(1), "title": f"Pen {number}", "owner_id": ada.id} for number in range(MANY)]
        await add_many(visitor, load("items.models").Item, rows)
        for id in (1, MANY):
            answer = await ask(visitor, ada, "GET", f"/items/{id}")
            expect.status(
                answer,
                200,
                why=f"the item with the id {id} is there, and nobody would find it",
                hint="ask for one id: a list holds a page only, at most a hundred rows",
                at=service.get,
            )
            expect.equal(fields(answer).get("id"), id, did=f"id of the item at /items/{id}", at=service.get)

    async def test_update(self, visitor, ada, snapshot, service):
        """PATCH changes what was sent, nothing else, and it is saved"""
        item = await add_item(visitor, ada, description="blue")
        await add_item(visitor, ada, title="Ink")
        id = item.get("id")
        why = "people could not change what they made"
        for body, stored in (
            ({"price": 2}, ["price"]),
            ({"url": "https://example.com/ink"}, ["url"]),
            ({"description": None}, ["description"]),
            ({}, []),
        ):
            before = await snapshot(visitor)
            answer = await ask(visitor, ada, "PATCH", f"/items/{id}", **body)
            expect.status(answer, 200, why=why, hint="return what item_crud.update returns", at=service.update)
            (await snapshot(visitor)).same(
                before,
                but=[f"items/{id}/{name}" for name in (*stored, "updated_at")],
                did=f"PATCH /items/{id} with {body}",
                why="a change of the price would delete the description, or take the item away",
                hint="item_crud.update changes what was sent; hand it the item and `data`, and no more",
                at=service.update,
            )
            self.is_saved(answer, body, await ask(visitor, ada, "GET", f"/items/{id}"), service)

    @staticmethod
    def is_saved(answer, sent, again, service):
        """Expect what was sent in the answer, and the same item at the next request."""
        wanted = sent | ({"price": "2.00"} if "price" in sent else {})
        for body, what in ((fields(answer), "the answer"), (fields(again), "the item, read again")):
            expect.equal(
                {name: body.get(name) for name in sent},
                wanted,
                did=f"{', '.join(sent)} after PATCH with {sent}: {what}",
                why="a change would be confirmed, and lost",
                hint="hand the item and `data` to item_crud.update, and return its result",
                at=service.update,
            )
        expect.equal(
            fields(answer),
            fields(again),
            did=f"the answer to PATCH with {sent}, and the item as it is read a moment later",
            why="the answer would show an item that does not exist, with an old updated_at for example",
            hint="the change must reach the database before the answer is built: item_crud.update flushes",
            at=service.update,
        )

    async def test_the_owner_stays(self, visitor, people, ada, service):
        """An admin who changes an item does not become its owner"""
        item = await add_item(visitor, ada)
        answer = await ask(visitor, await people.admin(), "PATCH", f"/items/{item.get('id')}", price=3)
        expect.status(answer, 200, why="an admin could not help anybody", at=service.update)
        for body in (fields(answer), fields(await ask(visitor, ada, "GET", f"/items/{item.get('id')}"))):
            expect.equal(
                body.get("owner_id"),
                ada.id,
                did="owner_id of Ada's item after an admin has changed its price",
                why="an admin who repairs a price would take the item away",
                hint="the owner is set once, when the item is made; `update` changes only what was sent",
                at=service.update,
            )

    async def test_delete(self, visitor, ada, snapshot, service):
        """DELETE answers 204 without a body; then this item is gone, and nothing else"""
        item, other = await add_item(visitor, ada), await add_item(visitor, ada)
        before = await snapshot(visitor)
        answer = await ask(visitor, ada, "DELETE", f"/items/{item.get('id')}")
        why, hint = "people could not get rid of what they made", "item_crud.delete takes the session and the item"
        expect.status(answer, 204, why=why, hint=hint, at=service.delete)
        expect.equal(answer.content, b"", did="the body of a 204", why="a 204 has no body", hint="return nothing")
        for one, status in ((item, 404), (other, 200)):
            expect.status(
                await ask(visitor, ada, "GET", f"/items/{one.get('id')}"),
                status,
                why="what people delete must be gone, and nothing else",
                hint=hint,
                at=service.delete,
            )
        (await snapshot(visitor)).same(
            before,
            but=[f"items/{item.get('id')}"],
            did=f"DELETE /items/{item.get('id')}",
            why="what people delete must be gone, and nothing else",
            hint=hint,
            at=service.delete,
        )

    async def test_nothing_is_committed_here(self, visitor, ada, endings, service):
        """The service commits nothing: the request's session does, when the route has returned"""
        item = await add_item(visitor, ada)
        endings.none(did="POST /api/v1/items", hint=NO_COMMIT, at=service.create)
        for method, body in (("GET", {}), ("PATCH", {"price": 2}), ("DELETE", {})):
            await ask(visitor, ada, method, f"/items/{item.get('id')}", **body)
            endings.none(did=f"{method} /api/v1/items/{item.get('id')}", hint=NO_COMMIT, at=service.get)

    async def test_a_broken_database(self, visitor, ada, service):
        """When the database fails, the answer is a 500, and not the 404 of an item that is not there"""
        item = await add_item(visitor, ada)
        with failing(visitor, "items"):
            for method, path, at, body in (
                ("GET", f"/items/{item.get('id')}", service.get, {}),
                ("POST", "/items", service.create, PEN),
                ("PATCH", f"/items/{item.get('id')}", service.update, {"price": 2}),
                ("DELETE", f"/items/{item.get('id')}", service.delete, {}),
            ):
                await is_500(visitor, ada, method, path, at=at, **body)

    async def test_a_stranger_signs_in_first(self, visitor, people):
        """Every route about items asks a stranger to sign in: 401; who is switched off gets 400"""
        for method, path in (("GET", ""), ("POST", ""), ("GET", "/1"), ("PATCH", "/1"), ("DELETE", "/1")):
            expect.status(
                await ask(visitor, None, method, f"/items{path}"),
                401,
                why="nobody would know whose items these are",
                hint="keep the given routes and dependencies: ItemServiceDep needs CurrentUser",
            )
        await only_who_may_sign_in(visitor, people, "POST", "/items", **PEN)


# ---------------------------------------------------------------------------------------------------------------- 10.3


@exercise("10.3")
class TestOwnerOrAdmin:
    @pytest.fixture
    def service(self, load):
        """The learner's methods."""
        return items_of(load)

    @pytest.fixture
    async def ada(self, people):
        """The owner of the item."""
        return await people.add("ada")

    @pytest.fixture
    async def item(self, visitor, people, ada):
        """An item of Ada's; the first one is somebody else's, and an id before it is free."""
        await add_item(visitor, await people.add("zoe"), title="the first one")
        gap = await add_item(visitor, ada, title="another one")
        made = await add_item(visitor, ada)
        await ask(visitor, ada, "DELETE", f"/items/{gap.get('id')}")
        return made

    async def test_the_owner(self, visitor, ada, item, service):
        """The owner reads, changes and deletes: 200, 200, 204"""
        hint = "for the owner both conditions hold: the item has this id, and its owner_id is the user's id"
        await self.may_do_all(visitor, ada, item, service, "people could not work with their own items", hint)

    async def test_an_admin(self, visitor, people, ada, item, service):
        """An admin reads, changes and deletes anybody's item, and its owner stays; her own she finds as well"""
        root = await people.admin()
        hint = "who has Permission.MANAGE_ITEMS needs no condition at all: an empty list"
        await self.may_do_all(visitor, root, item, service, "an admin could not help anybody", hint)
        own = await add_item(visitor, root)
        answer = await ask(visitor, root, "GET", f"/items/{own.get('id')}")
        expect.status(answer, 200, why="an admin could not read her own items", hint=hint, at=service.visible)
        off = await people.add("off")
        left = await add_item(visitor, off)
        await people.change(off, is_active=False)
        answer = await ask(visitor, root, "GET", f"/items/{left.get('id')}")
        why = "nobody could tidy up what somebody has left who was switched off"
        expect.status(answer, 200, why=why, hint=hint, at=service.visible)

    async def test_a_superuser(self, visitor, people, ada, item, service):
        """A superuser may do it too, whatever the role"""
        boss = await people.add("boss", is_superuser=True)
        why = "who has the database in hand must not be locked out"
        hint = "the role says nothing about a superuser: has_permission(user, permission) knows both"
        await self.may_do_all(visitor, boss, item, service, why, hint)

    @staticmethod
    async def may_do_all(client, person, item, service, why, hint):
        path = f"/items/{item.get('id')}"
        answer = await ask(client, person, "GET", path)
        expect.status(answer, 200, why=why, hint=hint, at=service.visible)
        expect.json(
            answer,
            item,
            why="people would read another item than the one they asked for",
            hint="look for the item with this id: Item.id == item_id",
            at=service.get,
        )
        changed = await ask(client, person, "PATCH", path, title="Checked")
        expect.status(changed, 200, why=why, hint=hint, at=service.visible)
        expect.equal(
            fields(changed).get("owner_id"),
            item.get("owner_id"),
            did="owner_id after the change",
            why="the owner would lose the item to somebody who has only corrected its title",
            hint="`update` changes what was sent; leave the owner alone",
            at=service.update,
        )
        expect.status(await ask(client, person, "DELETE", path), 204, why=why, hint=hint, at=service.visible)

    async def test_the_list_is_the_callers(self, load, db, service):
        """`visible` returns a new list each time: what a caller adds stays with this caller"""
        model, role = load("users.models").User, load("users.schemas").Role
        for who, columns in (("an admin", {"role": role.ADMIN}), ("a user", {"role": role.USER})):
            mine = load("items.service").ItemService(db, model(id=7, is_superuser=False, **columns))
            first = mine.visible()
            before = len(first)
            if isinstance(first, list):
                first.append(None)
            expect.equal(
                len(mine.visible()),
                before,
                did=f"the number of conditions of {who}, after a caller has added one to an earlier list",
                why="a search by one person would be a limit for everybody, until the app is started again",
                hint="make the list inside the method: `return []` gives a new one each time",
                at=service.visible,
            )

    async def test_others_find_nothing(self, visitor, people, ada, item, snapshot, service):
        """Somebody else gets 404 for reading, changing and deleting, and nothing changes"""
        bob = await people.add("bob")
        await add_item(visitor, bob)
        path = f"/items/{item.get('id')}"
        before = await snapshot(visitor)
        for method, body in (("GET", {}), ("PATCH", {"price": 0}), ("DELETE", {})):
            answer = await ask(visitor, bob, method, path, **body)
            expect.that(
                answer.status_code != 403,
                response=answer,
                got="403 Forbidden",
                expected="404 Not Found",
                why=CAN_BE_GUESSED,
                hint="raise ItemNotFound, not Forbidden, for somebody else's item",
                at=service.get,
            )
            expect.status(
                answer,
                404,
                why=OPEN_TO_ALL if answer.is_success else CAN_BE_GUESSED,
                hint=self.hint_for_an_open_item(service),
                at=service.get,
            )
        (await snapshot(visitor)).same(
            before,
            did=f"GET, PATCH and DELETE {path} by Bob",
            why="a refused request must change nothing",
            hint="refuse in `get`: it runs before the change",
            at=service.get,
        )

    @staticmethod
    def hint_for_an_open_item(service):
        """Choose the hint by what `get` asks."""
        if "visible()" not in source_of(service.get):
            return "`get` looks at the id only: it must ask for the conditions of `visible()` as well"
        return "both must hold for the item that is found: the right id, and every condition of `visible()`"

    async def test_the_same_answer_as_for_nothing(self, visitor, people, ada, item, service):
        """The 404 for somebody else's item has the same body as for an id that nobody has"""
        bob = await people.add("bob")
        for method, body in (("GET", {}), ("PATCH", {"price": 0}), ("DELETE", {})):
            hidden = await ask(visitor, bob, method, f"/items/{item.get('id')}", **body)
            nothing = await ask(visitor, bob, method, f"/items/{NOWHERE}", **body)
            coded(
                nothing,
                404,
                "item_not_found",
                why="a client must be able to tell a wrong id from a failure of the app",
                hint="raise ItemNotFound when nothing is found",
                at=service.get,
            )
            expect.that(
                said(hidden) == said(nothing),
                response=hidden,
                got=f"the body {expect.shown(said(hidden))}",
                expected=f"the body {expect.shown(said(nothing))}",
                why=CAN_BE_GUESSED,
                hint="raise the same ItemNotFound in both cases",
                at=service.get,
            )

    async def test_visible_decides(self, load, visitor, people, ada, item, monkeypatch, service):
        """`get` asks `visible` who may see an item, and has no rule of its own"""
        column, bob = load("items.models").Item.id, await people.add("bob")
        for person, conditions, status, what in (
            (ada, [column < 0], 404, "a condition that no item meets"),
            (bob, [], 200, "no condition"),
        ):
            monkeypatch.setattr(load("items.service").ItemService, "visible", lambda _service, found=conditions: found)
            answer = await ask(visitor, person, "GET", f"/items/{item.get('id')}")
            expect.equal(
                answer.status_code,
                status,
                did=f"the status of GET /items/{item.get('id')}, while `visible` returns {what}",
                why="two copies of one rule: one of them will be changed, and the other one forgotten",
                hint="`get` has a rule of its own: let it ask for the id, and for all conditions of `visible()`"
                if "owner_id" in source_of(service.get)
                else self.hint_for_an_open_item(service),
                at=service.get,
            )

    async def test_own_id_is_no_item_id(self, visitor, people, ada, item, service):
        """An item is found by its own id, not by the id of its owner"""
        answer = await ask(visitor, ada, "GET", f"/items/{item.get('id')}")
        expect.json(
            answer,
            item,
            why="people would read another item than the one they asked for",
            hint="compare Item.id with item_id, and Item.owner_id with self.user.id",
            at=service.get,
        )

    async def test_every_item_is_found(self, load, visitor, people, ada, service):
        """The owner and an admin find every item, also the 101st; other people find none of them"""
        rows = [PEN | {"price": Decimal(1), "title": f"Pen {number}", "owner_id": ada.id} for number in range(MANY)]
        await add_many(visitor, load("items.models").Item, rows)
        root, bob = await people.admin(), await people.add("bob")
        for person, status in ((ada, 200), (root, 200), (bob, 404)):
            for id in (1, MANY):
                answer = await ask(visitor, person, "GET", f"/items/{id}")
                expect.status(
                    answer,
                    status,
                    why=f"the item with the id {id} is there, and nobody would find it"
                    if status == 200
                    else "everybody could read everybody's items",
                    hint="get_multi gives a page, 20 rows or a hundred at most: let the query ask for the id"
                    if status == 200
                    else self.hint_for_an_open_item(service),
                    at=service.get,
                )
                if status == 200:
                    expect.equal(fields(answer).get("id"), id, did=f"id of the item at /items/{id}", at=service.get)

    async def test_who_may_manage_is_in_the_table(self, load, visitor, people, ada, item, monkeypatch, service):
        """The permission decides, not the role: whoever gets items:manage sees every item"""
        permissions, role = load("users.permissions"), load("users.schemas").Role.USER
        table, manage = permissions.ROLE_PERMISSIONS, permissions.Permission.MANAGE_ITEMS
        bob, path = await people.add("bob"), f"/items/{item.get('id')}"
        for held, status in (({manage}, 200), (set(permissions.Permission) - {manage}, 404)):
            monkeypatch.setitem(table, role, frozenset(held))
            expect.status(
                await ask(visitor, bob, "GET", path),
                status,
                why="whoever gives a role a right, or takes it away, changes only ROLE_PERMISSIONS: "
                "the rest of the code must follow",
                hint="ask has_permission(self.user, Permission.MANAGE_ITEMS), not for a role",
                at=service.visible,
            )

    async def test_a_broken_database(self, visitor, ada, item, endings, service):
        """When the database fails, the answer is a 500, and not "there is no such item"; nothing is committed here"""
        path = f"/items/{item.get('id')}"
        endings.clear()
        await ask(visitor, ada, "GET", path)
        endings.none(did=f"GET /api/v1{path}", hint=NO_COMMIT, at=service.get)
        with failing(visitor, "items"):
            await is_500(visitor, ada, "GET", path, at=service.get)
