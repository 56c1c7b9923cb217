"""Checks of chapter 05, routes that change and delete a user."""

import pytest
from sqlalchemy.exc import OperationalError

from course_checks.endpoints import add_users, shown, surely
from course_checks.paths import USERS
from course_checks.samples import HASH
from workbook import expect
from workbook.checks import exercise


async def stored(load, api, user_id):
    """Return a user's row as it is in the database, also of a deleted one, or None."""
    async with api.sessions() as session:
        return await session.get(load("users.models").User, user_id)


# ---------------------------------------------------------------------------------------------------------------- 5.7


@exercise("5.7")
class TestChange:
    async def change(self, load, api, body, name="ada", **columns):
        """Store a user, send a PATCH; return the answer and the stored row."""
        [user_id] = await add_users(load, api, name, **{"full_name": "Ada"} | columns)
        answer = await api.patch(f"{USERS}/{user_id}", json=body)
        reason = {"why": "a change that is allowed would be refused", "at": self.update(load)}
        if "'coroutine'" in shown(answer):
            with surely():
                expect.status(answer, 200, hint="`hash_password` was called without `await`", **reason)
        hint = "user_crud.update does the work: hand it the user, the data and your values, and return its result"
        expect.status(answer, 200, hint=hint, **reason)
        return answer, await stored(load, api, user_id)

    @staticmethod
    def update(load):
        """Return the learner's method, for `at=`; None where there is no such method."""
        return getattr(load("users.service").UserService, "update", None)

    async def test_only_what_was_sent(self, load, api):
        """A change of the full name changes nothing else"""
        answer, row = await self.change(load, api, {"full_name": "Ada Lovelace"})
        expect.equal(
            (row.full_name, row.email, row.username, row.role.value, row.is_active),
            ("Ada Lovelace", "ada@example.com", "ada", "user", True),
            did=f'PATCH {USERS}/1 {{"full_name": "Ada Lovelace"}}, then a look at the row',
            why="a person who corrects a name would lose the e-mail address",
            hint="write only what was sent: user_crud.update does, model_dump() alone does not",
            at=self.update(load),
        )
        body = expect.body(answer)
        got = body.get("full_name") if isinstance(body, dict) else None
        expect.equal(
            got,
            "Ada Lovelace",
            did="full_name in the answer",
            why="the client would show the old name",
            hint="return the user that user_crud.update returns",
            at=self.update(load),
        )

    async def test_no_password_no_new_hash(self, load, api):
        """Without a password the stored hash stays as it is"""
        for body in ({"full_name": "Ada Lovelace"}, {}):
            _answer, row = await self.change(load, api, body)
            expect.equal(
                row.hashed_password,
                HASH,
                did=f"PATCH {USERS}/1 {body}, then hashed_password in the row",
                why="a person who corrects a name could never sign in again",
                hint="make a hash only when `data.password is not None`",
                at=self.update(load),
            )
            async with api.sessions.begin() as session:
                await session.delete(row)

    @pytest.fixture
    def hashed(self, load, monkeypatch):
        """A list of the passwords that were hashed; each hash says which number it has in it."""
        passwords = []

        async def hash_password(password):
            passwords.append(password)
            return f"hash number {len(passwords)}"

        for name in ("core.security", "users.service"):
            load(name)
            monkeypatch.setattr(f"app.{name}.hash_password", hash_password, raising=False)
        return passwords

    async def test_password(self, load, api, hashed):
        """A new password is stored as a hash, made by hash_password of exactly what was sent"""
        password = load("users.schemas").AdminUserUpdate(password="Another Horse ").password
        answer, row = await self.change(load, api, {"password": "Another Horse "})
        got = "the old hash" if row.hashed_password == HASH else expect.shown(row.hashed_password)
        if hashed and hashed != [password]:
            got = f"the hash of {' and of '.join(map(expect.shown, hashed))}"
        expect.that(
            row.hashed_password == "hash number 1" and hashed == [password],
            did=f'PATCH {USERS}/1 {{"password": "Another Horse "}}, then hashed_password in the row',
            got=got,
            expected="what hash_password returned for it",
            why="the new password lies there for everybody to read"
            if row.hashed_password == password
            else "the new password would not open the account",
            hint="make a hash of the new password as it is, and hand it to user_crud.update by the name of its column",
            at=self.update(load),
        )
        expect.that(
            "Another Horse" not in answer.text and "hash number" not in answer.text,
            got="the answer shows the password or its hash",
            expected="the public fields",
            response=answer,
            at=self.update(load),
        )

    async def test_password_and_more(self, load, api, hashed):
        """A password that comes with other fields is stored, and they too; the next change begins without it"""
        _answer, row = await self.change(load, api, {"password": "Another Horse", "full_name": "Ada Lovelace"})
        expect.equal(
            (row.full_name, row.hashed_password),
            ("Ada Lovelace", "hash number 1"),
            did=f"PATCH {USERS}/1 with a password and a full name, then both in the row",
            why="the client hears 200, and half of what it sent is lost",
            hint="the password is one more value: hand it to user_crud.update together with the data",
            at=self.update(load),
        )
        _answer, row = await self.change(load, api, {"full_name": "Bob"}, name="bob")
        expect.equal(
            row.hashed_password,
            HASH,
            did="the hash of another user, whose name is changed after it",
            why="the password of one person would open the account of another",
            hint="begin with an empty dict in each call",
            at=self.update(load),
        )

    async def test_password_alone(self, load, api, hashed, snapshot):
        """A new password changes nothing but the hash: who is switched off stays switched off"""
        for name, stays, body in (
            ("ada", False, {"password": "Another Horse"}),
            ("bob", True, {"password": "Another Horse"}),
            ("eve", False, {"password": "Another Horse", "is_active": False}),
        ):
            [user_id] = await add_users(load, api, name, full_name="Somebody", is_active=stays, role="admin")
            before = await snapshot(api)
            did = f"PATCH {USERS}/{user_id} {body}, for a user with is_active {str(stays).lower()}, then the table"
            reason = {
                "why": "a person who was locked out would be let in again, or the other way round, by a new password",
                "hint": "beside the data hand over the hash of the new password, and no other value",
                "at": self.update(load),
            }
            answer = await api.patch(f"{USERS}/{user_id}", json=body)
            expect.status(answer, 200, **reason)
            changed = [f"users/{user_id}/{column}" for column in ("hashed_password", "updated_at")]
            (await snapshot(api)).same(before, but=changed, did=did, **reason)

    async def test_null(self, load, api):
        """full_name null empties the name"""
        _answer, row = await self.change(load, api, {"full_name": None})
        expect.equal(
            row.full_name,
            None,
            did=f'PATCH {USERS}/1 {{"full_name": null}}, then full_name in the row',
            why="a person could not take back a name",
            hint="null is a value too: ask what was sent (exclude_unset), not what is None",
            at=self.update(load),
        )

    async def test_role(self, load, api):
        """The fields role and is_active can be changed here"""
        _answer, row = await self.change(load, api, {"role": "admin", "is_active": False})
        expect.equal(
            (row.role.value, row.is_active),
            ("admin", False),
            did=f'PATCH {USERS}/1 {{"role": "admin", "is_active": false}}',
            why="nobody could switch an account off",
            hint="hand the whole `data` to user_crud.update",
            at=self.update(load),
        )

    async def test_a_schema_without_password(self, load, api):
        """The method update also takes a UserUpdate, which has no password"""
        schemas, service = load("users.schemas"), load("users.service").UserService
        update = getattr(service, "update", None)
        expect.that(
            update is not None,
            did="UserService.update",
            got="there is no such method",
            expected="a method",
            why="the route for PATCH calls it: each change would be a 500",
            hint="define `update` inside the class; mind the spelling",
        )
        [user_id] = await add_users(load, api, "ada")
        async with api.sessions.begin() as session:
            user = await session.get(load("users.models").User, user_id)
            try:
                await service(session).update(user, schemas.UserUpdate(full_name="Ada Lovelace"))
            except AttributeError as error:
                raise expect.Wrong(
                    did="service.update(user, UserUpdate(full_name=...))",
                    got=f"AttributeError: {error}",
                    expected="the name is changed",
                    why="from chapter 09 on people change themselves with this schema: each try would be a 500",
                    hint="ask `isinstance(data, AdminUserUpdate)` before data.password",
                    at=update,
                    sure=True,
                ) from None
        row = await stored(load, api, user_id)
        expect.equal(
            (row.full_name, row.hashed_password),
            ("Ada Lovelace", HASH),
            did="the full name and the hash after service.update(user, UserUpdate(full_name=...))",
            why="a person who corrects a name would see the old one, or could never sign in again",
            hint="hand the data to user_crud.update, whatever its class",
            at=update,
        )

    async def test_unknown(self, api):
        """A change of an unknown user is a 404"""
        answer = await api.patch(f"{USERS}/987654", json={"full_name": "Nobody"})
        expect.status(answer, 404, why="the client would think that somebody was changed", hint="finish 5.3 first")

    async def test_nothing_else(self, load, api, snapshot):
        """Nothing but what was sent is touched: no other user, no other column; with {} not even updated_at"""
        user_id, _other = await add_users(load, api, "ada", "bob", full_name="Somebody")
        for body in ({"full_name": "Ada Lovelace"}, {}):
            before = await snapshot(api)
            answer = await api.patch(f"{USERS}/{user_id}", json=body)
            expect.status(
                answer,
                200,
                why="a change that is allowed would be refused",
                hint="return the user",
                at=self.update(load),
            )
            changed = [f"users/{user_id}/{name}" for name in (*body, "updated_at")] if body else []
            (await snapshot(api)).same(
                before,
                but=changed,
                did=f"PATCH {USERS}/{user_id} {body}, then a look at all tables",
                why="what nobody asked for is changed: a time that says `changed` without a change, or another person",
                hint="hand over no value that was not sent: the dict stays empty without a password",
                at=self.update(load),
            )

    async def test_the_work_of_others(self, load, api, endings, broken_database, monkeypatch):
        """user_crud.update does the work, get_session commits, and a fault of the database stays a 500"""
        crud, calls = load("users.crud").user_crud, []
        original = crud.update

        async def update(*args, **values):
            calls.append(args)
            return await original(*args, **values)

        monkeypatch.setattr(crud, "update", update)
        endings.clear()
        await self.change(load, api, {"full_name": "Ada Lovelace"})
        endings.none(
            did=f'PATCH {USERS}/1 {{"full_name": "Ada Lovelace"}}',
            at=self.update(load),
            why="a route that fails after it would have saved half of its work",
            hint="take the commit out: the service never commits, get_session does",
        )
        expect.that(
            bool(calls),
            did=f'PATCH {USERS}/1 {{"full_name": "Ada Lovelace"}}',
            got="user_crud.update was not called",
            expected="user_crud.update writes the row",
            why="a rule about writing rows that stands in the queries would not hold here",
            hint="hand the user, the data and your values to user_crud.update",
            at=self.update(load),
        )
        [user_id] = await add_users(load, api, "bob")
        with broken_database(api, "update") as broken:
            answer = await api.patch(f"{USERS}/{user_id}", json={"full_name": "Bob"})
            broken.is_500(answer, at=self.update(load), hint="catch nothing here")


# ---------------------------------------------------------------------------------------------------------------- 5.8


async def remove(load, api, user_id):
    """Send a DELETE; an id in place of the user is a wrong answer."""
    answer = await api.delete(f"{USERS}/{user_id}")
    with surely():
        expect.that(
            "'int' object has no attribute" not in shown(answer),
            did=f"DELETE {USERS}/{user_id}",
            got=shown(answer),
            expected="204 No Content",
            why="each try to delete somebody would be a 500",
            hint="hand over the user from UserById, not the id",
            at=load("users.router").delete_user,
        )
    return answer


@exercise("5.8")
class TestDelete:
    async def test_no_content(self, load, api):
        """DELETE answers 204, without a body"""
        reason = {
            "hint": "the status of success stands in the decorator, and a route with nothing to say returns None",
            "at": load("users.router").delete_user,
        }
        [user_id] = await add_users(load, api, "ada")
        answer = await remove(load, api, user_id)
        expect.status(answer, 204, why="another status says that there is something to read", **reason)
        expect.equal(
            answer.content,
            b"",
            did=f"DELETE {USERS}/{user_id}, the body",
            why="a body behind a 204 is taken for the beginning of the next answer",
            **reason,
        )

    async def test_gone(self, load, api):
        """Afterwards the user cannot be read, and cannot be deleted again"""
        reason = {
            "why": "a person who left would still be there",
            "hint": "the route awaits the delete of the service, with the user from UserById",
            "at": load("users.router").delete_user,
        }
        [user_id] = await add_users(load, api, "ada")
        await remove(load, api, user_id)
        expect.status(await api.get(f"{USERS}/{user_id}"), 404, **reason)
        expect.status(await remove(load, api, user_id), 404, **reason)

    async def test_hidden_not_removed(self, load, api):
        """The row stays in the table, hidden and inactive"""
        [user_id] = await add_users(load, api, "ada")
        await remove(load, api, user_id)
        row = await stored(load, api, user_id)
        expect.that(
            row is not None and row.deleted_at is not None and row.is_active is False,
            did=f"DELETE {USERS}/{user_id}, then a look at the table",
            got="the row is gone" if row is None else "the row is not marked as deleted",
            expected="the row with deleted_at, and is_active false",
            why="a newcomer could take over the e-mail address, and with it what was meant for its first owner",
            hint="leave it to the service: service.delete hides the row",
            at=load("users.router").delete_user,
        )

    async def test_others_stay(self, load, api):
        """Nobody else is deleted"""
        first, second, third = await add_users(load, api, "ada", "bob", "eve")
        await remove(load, api, second)
        for user_id in (first, third):
            expect.status(
                await api.get(f"{USERS}/{user_id}"),
                200,
                why="the wrong person would be gone",
                hint="use UserById",
                at=load("users.router").delete_user,
            )

    async def test_unknown(self, load, api):
        """An unknown user is a 404, an impossible id a 422"""
        reason = {
            "why": "the client would think that it had deleted somebody",
            "hint": "get the user by UserById",
            "at": load("users.router").delete_user,
        }
        expect.status(await remove(load, api, 987654), 404, **reason)
        expect.status(await remove(load, api, 0), 422, **reason)

    async def test_the_service_does_the_work(self, load, api, monkeypatch, endings):
        """The route asks service.delete and commits nothing; when the service fails, it is a 500, not a 204"""
        asked, service, at = [], load("users.service").UserService, load("users.router").delete_user
        original = service.delete

        async def delete(one, user):
            asked.append(user)
            return await original(one, user)

        first, second = await add_users(load, api, "ada", "bob")
        monkeypatch.setattr(service, "delete", delete)
        endings.clear()
        answer = await remove(load, api, first)
        expect.that(
            len(asked) == 1,
            got="service.delete was not called" if not asked else f"service.delete was called {len(asked)} times",
            expected="one call of service.delete",
            why="what later chapters add to it, such as ending the sessions of the user, would not happen",
            hint="leave the query to the service: `await service.delete(user)`",
            response=answer,
            at=at,
        )
        hint = "take the commit out: get_session commits when the route has returned"
        endings.none(did=f"DELETE {USERS}/{first}", at=at, hint=hint)
        for error in (
            RuntimeError("the database is on fire"),
            OperationalError("UPDATE users", {}, OSError("disk I/O error")),
            OSError("no space left on device"),
        ):

            async def broken(_one, _user, error=error):
                raise error

            monkeypatch.setattr(service, "delete", broken)
            answer = await api.delete(f"{USERS}/{second}")
            expect.that(
                answer.status_code == 500,
                did=f"DELETE {USERS}/{second}, while service.delete raises {type(error).__name__}",
                got=shown(answer),
                expected="500 Internal Server Error",
                why="the client hears that the user is gone, and the user is still there",
                hint="await service.delete in the route itself, and catch nothing: only then it is done when 204 "
                "goes out",
                at=at,
            )
