"""Checks of chapter 09, sessions: tokens that are renewed, used twice, given back, or ended by a new password."""

import asyncio
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, HTTPException
from sqlalchemy import select

from course_checks.paths import API
from course_checks.samples import PASSWORD
from course_checks.signing_in import (
    bad_tokens,
    challenged,
    claims_of,
    has_error,
    login,
    logout,
    me,
    not_crashed,
    not_stored,
    pair_of,
    refresh,
    refused_grant,
    register,
    settings_of,
    unprinted,
    with_token,
)
from course_checks.statements import sent_by
from workbook import expect
from workbook.checks import exercise

# ---------------------------------------------------------------------------------------------------------------- 9.6


async def start_session(load, client, person, expires):
    """Store a session of a person behind the routes' back; return its id, and the id of its newest token."""
    model, new = load("auth.models").LoginSession, load("core.security").new_token_id
    ids = new(), new()
    async with client.sessions.begin() as session:
        session.add(model(id=ids[0], user_id=person.id, current_jti=ids[1], expires_at=expires))
    return ids


def refresh_token(load, person, ids, expires, key=None):
    """Sign a refresh token of a stored session."""
    issuer, security = load("auth.tokens").TokenIssuer(settings_of(load)), load("core.security")
    return security.create_token(
        key or issuer.key,
        security.TokenType.REFRESH,
        user_id=person.id,
        session_id=ids[0],
        jti=ids[1],
        expires=expires,
    )


async def stored_session(load, client, session_id):
    """Return the row of a session, or None."""
    async with client.sessions() as session:
        return await session.get(load("auth.models").LoginSession, session_id)


async def signed_in(client, people, name="ada"):
    """Store a user, sign in, and return the pair."""
    await people.add(name)
    return pair_of(await login(client, name), hint="write exercises 9.2 and 9.3 first")


@exercise("9.6")
class TestRefresh:
    async def test_a_new_pair(self, load, visitor, people):
        """A refresh token brings a new pair; the new access token opens /users/me"""
        old = await signed_in(visitor, people)
        answer = await refresh(visitor, old["refresh_token"])
        new = pair_of(
            answer,
            why="after 30 minutes everybody would have to type the password again",
            hint="follow the five steps; the last one returns a pair of the same session",
        )
        not_stored(answer)
        expect.that(
            new["refresh_token"] != old["refresh_token"],
            response=answer,
            got="the refresh token is the old one",
            expected="a new refresh token",
            why="a token that works for ever can be copied and used for ever",
            hint="make a new id with new_token_id() and build a new pair with it",
        )
        expect.status(await me(visitor, new["access_token"]), 200, hint="let `_pair` make both tokens")
        before = claims_of(load, old["refresh_token"], "refresh", answer)
        for kind in ("refresh", "access"):
            after = claims_of(load, new[f"{kind}_token"], kind, answer)
            expect.equal(
                (after.sid, after.sub),
                (before.sid, before.sub),
                did=f"sid and sub of the new {kind} token, compared with the old refresh token",
                why="each refresh would open one more session, and the old ones could never be ended",
                hint="stay in the session: self._pair(user, claims.sid, …), not self._start_session(user)",
            )
        expect.equal(new["user"], old["user"], did="user of the new pair", hint="get the user by claims.sub")

    async def test_the_old_one_is_spent(self, visitor, people):
        """A refresh token works once: the second time it is 401"""
        old = (await signed_in(visitor, people))["refresh_token"]
        pair_of(await refresh(visitor, old), hint="follow the five steps")
        refused_grant(
            await refresh(visitor, old),
            why="a thief who copied the token gets new pairs for as long as they like",
            hint="rotate with old=claims.jti, and refuse when it says False: `await self._refuse_spent(claims)`",
        )

    async def test_again_and_again(self, visitor, people):
        """The newest token works: five refreshes in a row"""
        token = (await signed_in(visitor, people))["refresh_token"]
        for _ in range(5):
            answer = await refresh(visitor, token)
            token = pair_of(
                answer,
                why="people are signed out after the second refresh",
                hint="call new_token_id() once: rotate must store the id that the new token carries",
            )["refresh_token"]

    async def test_the_session_lives_on(self, open_visit, load, people):
        """Each refresh moves the end of the session: from now on the whole lifetime of the settings, row and token"""
        days = 3
        async with open_visit(refresh_token_expire_days=days) as visitor:
            ada, now = await type(people)(load, visitor).add("ada"), load("db.base").utc_now()
            ids = await start_session(load, visitor, ada, now + timedelta(days=1))
            answer = await refresh(visitor, refresh_token(load, ada, ids, now + timedelta(days=1)))
            new = claims_of(load, pair_of(answer, hint="follow the five steps")["refresh_token"], "refresh", answer)
            row = await stored_session(load, visitor, new.sid)
        wanted = now.timestamp() + days * 86400
        for what, end in (
            ("exp of the new refresh token", new.exp),
            ("expires_at of the session", row.expires_at.timestamp() if row is not None else 0),
        ):
            expect.that(
                abs(end - wanted) < 60,
                did=f"{what} after a refresh, with REFRESH_TOKEN_EXPIRE_DAYS={days}",
                got=f"{(end - now.timestamp()) / 86400:.1f} days from now" if end else "there is no row",
                expected=f"{days} days from now, though the old token had one day left",
                why="a session that is in use would end in the middle of the work, or live longer than allowed",
                hint="the end of the next token is self.tokens.refresh_expiry(): for rotate, and for _pair",
            )

    async def test_the_table_remembers(self, visitor, people, load):
        """The table holds the id of the newest refresh token, so a restart forgets nothing"""
        token = (await signed_in(visitor, people))["refresh_token"]
        for _ in range(2):
            answer = await refresh(visitor, token)
            token = pair_of(answer, hint="follow the five steps")["refresh_token"]
            claims = claims_of(load, token, "refresh", answer)
            row = await stored_session(load, visitor, claims.sid)
            expect.that(
                row is not None and row.current_jti == claims.jti,
                did="current_jti in the table after a refresh, compared with the jti of the new refresh token",
                got="another id" if row is not None else "there is no row",
                expected="the same id",
                why="after a restart, and in a second process, every spent token would work again",
                hint="spent is what is not in the table: rotate stores the id that the new token carries",
            )

    async def test_a_spent_token_ends_its_session(self, visitor, people, load):
        """A spent token raises ReusedRefreshToken and ends its session; every other session stays"""
        spent = (await signed_in(visitor, people))["refresh_token"]
        phone = pair_of(await login(visitor, "ada"), hint="write exercises 9.2 and 9.3 first")["refresh_token"]
        bob = (await signed_in(visitor, people, "bob"))["refresh_token"]
        answer = await refresh(visitor, spent)
        pair_of(answer, hint="follow the five steps")
        ended, *others = (claims_of(load, token, "refresh", answer).sid for token in (spent, phone, bob))
        model, module = load("auth.models").LoginSession, load("auth.service")
        async with visitor.sessions() as session:
            service = module.AuthService(session, load("auth.tokens").TokenIssuer(settings_of(load)))
            with expect.raising(
                load("auth.exceptions").ReusedRefreshToken,
                did="service.refresh(a spent token)",
                why="the next section asks this error whether its changes are kept",
                hint="`_refuse_spent` ends the session and raises: await it when rotate says False",
            ):
                await service.refresh(spent)
            left = set(await session.scalars(select(model.id)))
        for wanted, got, expected, why in (
            (ended not in left, "the session is still there", "its session ends", "whoever stole the token goes on"),
            (
                left >= set(others),
                "another session has ended, too",
                "only the session of this token ends",
                "one stolen token signs the user out everywhere, or signs out somebody else",
            ),
        ):
            expect.that(
                wanted,
                did="service.refresh(a spent token)",
                got=got,
                expected=expected,
                why=why,
                hint="let `_refuse_spent` do it: it ends the session that the claims name",
            )

    async def test_only_refresh_tokens(self, load, visitor, people):
        """An access token, a forged and an expired token, and rubbish are 401"""
        pair = await signed_in(visitor, people)
        user_id = pair["user"]["id"]
        tokens = {"an access token": pair["access_token"], "an empty token": ""} | bad_tokens(
            people, user_id, "refresh"
        )
        for kind, token in tokens.items():
            answer = await refresh(visitor, token)
            with with_token(kind):
                refused_grant(
                    answer,
                    why="an access token would be as good as a refresh token"
                    if kind == "an access token"
                    else "a bad token would be a 500, or good for a new pair",
                    hint="read it as TokenType.REFRESH, in a try; InvalidToken becomes InvalidRefreshToken",
                )
                has_error(load, answer, "InvalidRefreshToken", hint="what cannot be read is an InvalidRefreshToken")
        expect.status(
            await refresh(visitor, pair["refresh_token"]),
            200,
            why="anybody who sends rubbish could sign Ada out",
            hint="a refused token spends nothing",
        )

    async def test_who_is_gone_or_switched_off(self, visitor, people, load):
        """A user who was switched off, or deleted, gets no new pair: 401"""
        admin, now = load("users.schemas").Role.ADMIN, load("db.base").utc_now()
        for name, columns, change in (
            ("off", {}, {"is_active": False}),
            ("root", {"role": admin}, {"is_active": False}),
            ("boss", {"is_superuser": True}, {"is_active": False}),
            ("gone", {}, {"deleted_at": now}),
        ):
            person = await people.add(name, **columns)
            pair = pair_of(await login(visitor, name), hint="write exercises 9.2 and 9.3 first")
            await people.change(person, **change)
            answer = await refresh(visitor, pair["refresh_token"])
            refused_grant(
                answer,
                why="whoever an admin locks out stays signed in for 14 more days, again and again",
                hint="step 5: no pair for a user who is None, or not active",
            )
            has_error(load, answer, "InvalidRefreshToken", hint="one who is gone or switched off: InvalidRefreshToken")

    async def test_families_are_apart(self, visitor, people):
        """Two devices have a session each: a refresh on one does not spend the other's token"""
        laptop = (await signed_in(visitor, people))["refresh_token"]
        phone = pair_of(await login(visitor, "ada"), hint="write exercises 9.2 and 9.3 first")["refresh_token"]
        for token in (laptop, phone):
            expect.status(
                await refresh(visitor, token),
                200,
                why="whoever opens the app on the phone is thrown out on the laptop",
                hint="rotate only the session of this token: claims.sid",
            )

    async def test_the_end_comes(self, load, visitor, people, later):
        """A refresh token whose exchange failed is refused when its end has come"""
        ada, soon = await people.add("ada"), load("db.base").utc_now() + timedelta(days=1)
        ids = await start_session(load, visitor, ada, soon)
        token = refresh_token(load, ada, ids, soon)
        await people.change(ada, is_active=False)
        await refresh(visitor, token)
        await people.change(ada, is_active=True)
        later(days=2)
        refused_grant(
            await refresh(visitor, token),
            why="a token that was read once would be good for as long as the app runs",
            hint="remember nothing between two requests: read the token each time",
        )

    async def test_the_same_token_at_the_same_moment(self, open_visit):
        """Of ten requests with the same token at the same moment, one gets a pair"""
        async with open_visit(database_url="sqlite+aiosqlite:///race.db") as visitor:
            token = pair_of(await register(visitor), 201, hint="write exercise 9.1 first")["refresh_token"]
            with unprinted("app.core.middleware"):  # ten times the same traceback helps nobody
                answers = await asyncio.gather(*(refresh(visitor, token) for _ in range(10)))
        statuses = sorted(answer.status_code for answer in answers)
        expect.equal(
            statuses,
            [200] + [401] * 9,
            did="ten times POST /api/v1/auth/refresh with one token, at once",
            why="one token becomes two sessions: a thief who is quick enough is never noticed",
            hint="do not read and compare in Python: `rotate` asks and writes in one statement",
        )

    async def test_a_broken_database(self, visitor, people, broken_database):
        """When the database fails, the answer is 500, not 401, and the token is not spent"""
        token = (await signed_in(visitor, people))["refresh_token"]
        for kind in ("update", "select", "commit"):
            with unprinted("app.core.middleware"), broken_database(visitor, kind) as broken:
                answer = await refresh(visitor, token)
            broken.is_500(
                answer,
                why="a broken database is no bad token: everybody would be signed out",
                hint="catch InvalidToken only, and only around the reading of the token",
            )
        expect.status(
            await refresh(visitor, token),
            200,
            why="the client got no new token, and the old one is spent: people are signed out",
            hint="`refresh` commits nothing: get_session does, when all is done",
        )

    async def test_nothing_is_committed_here(self, visitor, people, endings):
        """`refresh` commits nothing and rolls nothing back: get_session does"""
        token = (await signed_in(visitor, people))["refresh_token"]
        endings.clear()
        for one in (token, token, "rubbish"):
            await refresh(visitor, one)
        endings.none(
            did="POST /api/v1/auth/refresh, with a good token, a spent one and rubbish",
            hint="take it out: get_session commits when the route has returned",
        )


# ---------------------------------------------------------------------------------------------------------------- 9.7


class Probe:
    """Routes that write a user and then end in different ways, on the learner's get_session."""

    def __init__(self, load, visitor):
        self._load, self._visitor = load, visitor
        self.model, errors = load("users.models").User, load("core.exceptions")
        kept = type("Kept", (errors.DomainError,), {"keep_changes": True})
        alike = HTTPException(418)
        alike.keep_changes = True
        self.endings = {
            "domain": errors.Conflict,
            "unknown": errors.NotAuthenticated,
            "http": HTTPException(418),
            "other": RuntimeError,
            "like": alike,
            "alike": type("Alike", (RuntimeError,), {"keep_changes": True}),
            "kept": kept,
            "again": kept,
            "fine": None,
        }
        session = Annotated[load("db.session").AsyncSession, Depends(load("db.session").get_session, scope="function")]

        async def probe(ending: str, session: session) -> dict[str, str]:
            session.add(self.model(email=f"{ending}@example.com", username=ending, hashed_password="!"))
            await session.flush()
            if self.endings[ending] is not None:
                raise self.endings[ending]
            return {"ended": ending}

        visitor.app.add_api_route("/probe/{ending}", probe, methods=["POST"])

    async def ask(self, ending):
        """Run the route; return its answer, and whether the row is in the table afterwards."""
        with unprinted("app.core.middleware"):
            answer = await self._visitor.post(f"/probe/{ending}")
        crud = self._load("users.crud").user_crud
        async with self._visitor.sessions() as session:
            return answer, await crud.get_by_email(session, f"{ending}@example.com") is not None


def not_swallowed(answer, load):
    """Expect that get_session raises again what it caught; FastAPI has no answer otherwise."""
    not_crashed(
        answer,
        "UnboundLocalError",
        at=load("db.session").get_session,
        why="the exception was caught and is lost, so nobody knows what to answer",
        hint="what is caught must be raised again: a bare `raise` at the end of the except block",
        expected="the answer of the error that the route raised",
    )


@exercise("9.7")
class TestReuse:
    async def test_the_newest_token_is_worthless(self, visitor, people, load):
        """When a spent token comes again, the newest token of the same session is refused, too"""
        stolen = (await signed_in(visitor, people))["refresh_token"]
        thief = pair_of(await refresh(visitor, stolen), hint="write exercise 9.6 first")["refresh_token"]
        with sent_by(visitor) as sent:
            answer = await refresh(visitor, stolen)
        not_swallowed(answer, load)
        refused_grant(answer, hint="raise the error again after the commit: a bare `raise`")
        deleted = any(text.startswith("DELETE FROM login_sessions") for text in sent)
        answer = await refresh(visitor, thief)
        if answer.status_code == 200:
            raise expect.Wrong(
                did="the session's newest token, after a spent one came again",
                got="200: a new pair" + (" (the session was deleted, and then rolled back)" if deleted else ""),
                expected="401 Unauthorized",
                why="the reuse was only refused: whoever stole the token stays signed in, and Ada is out",
                hint="commit in get_session when the error has keep_changes"
                if deleted
                else "does your refresh (9.6) call `await self._refuse_spent(claims)`, and does that end the session?",
                at=load("db.session").get_session
                if deleted
                else getattr(load("auth.service").AuthService, "refresh", None),
            )
        refused_grant(answer)

    async def test_other_sessions_go_on(self, visitor, people):
        """Ada's other session, and everybody else's, go on"""
        stolen = (await signed_in(visitor, people))["refresh_token"]
        phone = pair_of(await login(visitor, "ada"), hint="write exercise 9.2 first")["refresh_token"]
        bob = (await signed_in(visitor, people, "bob"))["refresh_token"]
        await refresh(visitor, stolen)
        await refresh(visitor, stolen)
        for token in (phone, bob):
            expect.status(
                await refresh(visitor, token),
                200,
                why="one stolen token signs everybody out",
                hint="end only the session that the token names: claims.sid",
            )

    async def test_an_error_that_keeps_its_changes(self, visitor, load):
        """A DomainError with keep_changes is answered, and what the route wrote is saved"""
        probe = Probe(load, visitor)
        for ending in ("kept", "again"):
            answer, saved = await probe.ask(ending)
            not_swallowed(answer, load)
            expect.status(
                answer,
                400,
                why="the client gets a wrong answer, or none",
                hint="raise the error again after the commit: a bare `raise`",
            )
            expect.that(
                saved,
                did="a route that writes a row and raises an error with keep_changes"
                + (", for the second time" if ending == "again" else ""),
                got="the row is not there",
                expected="the row is there",
                why="a revocation is taken back by its own answer",
                hint="in the except block: when the error has keep_changes, commit",
            )

    async def test_other_errors_save_nothing(self, visitor, load):
        """Every other error is answered as before, and nothing of the request is saved"""
        probe = Probe(load, visitor)
        for ending, status, name in (
            ("domain", 409, "a Conflict"),
            ("unknown", 401, "a NotAuthenticated"),
            ("http", 418, "an HTTPException"),
            ("other", 500, "a RuntimeError"),
            ("like", 418, "an HTTPException, which is no DomainError, with keep_changes"),
            ("alike", 500, "a RuntimeError, which is no DomainError, with keep_changes"),
        ):
            answer, saved = await probe.ask(ending)
            not_swallowed(answer, load)
            expect.status(
                answer,
                status,
                why="the client is told something else than what happened",
                hint="raise the error again: a bare `raise`, below the `if`",
            )
            expect.that(
                not saved,
                did=f"a route that writes a row and raises {name}",
                got="the row is there",
                expected="nothing is saved",
                why="a request that failed leaves half of its work behind",
                hint="commit in the except block only when error.keep_changes is True; catch DomainError only",
            )

    async def test_success_is_saved(self, visitor, load):
        """A route that returns is saved, as before"""
        answer, saved = await Probe(load, visitor).ask("fine")
        expect.status(answer, 200, hint="the route's own answer goes to the client")
        expect.that(
            saved,
            did="a route that writes a row and returns",
            got="the row is not there",
            expected="the row is there",
            why="every 201 would be a lie",
            hint="keep `await session.commit()` below the try block",
        )

    async def test_a_commit_that_fails(self, visitor, load, broken_database):
        """When the commit fails, the answer is 500, whatever the route did"""
        Probe(load, visitor)
        for ending in ("fine", "kept"):
            with unprinted("app.core.middleware"), broken_database(visitor, "commit") as broken:
                answer = await visitor.post(f"/probe/{ending}")
            broken.is_500(
                answer,
                why="the client hears that all went well, and nothing is saved",
                hint="let the exception of a commit pass",
            )


# ---------------------------------------------------------------------------------------------------------------- 9.8


@exercise("9.8")
class TestLogout:
    async def test_the_session_ends(self, visitor, people):
        """Signing out is 204 without a body; the refresh token is worthless afterwards"""
        token = (await signed_in(visitor, people))["refresh_token"]
        answer = await logout(visitor, token)
        expect.status(answer, 204, why="there is nothing to say", hint="return None")
        refused_grant(
            await refresh(visitor, token),
            why="whoever signs out on a shared computer is still signed in there",
            hint="you have a query that ends one session: it needs the ids that the claims hold",
        )

    async def test_a_spent_token_ends_it_too(self, visitor, people):
        """A spent token of the session ends it, too"""
        first = (await signed_in(visitor, people))["refresh_token"]
        newest = pair_of(await refresh(visitor, first), hint="write exercise 9.6 first")["refresh_token"]
        expect.status(
            await logout(visitor, first), 204, why="the client wants out, and gets an error", hint="return None"
        )
        refused_grant(
            await refresh(visitor, newest),
            why="the client believes that it has signed out",
            hint="end the session by claims.sid and claims.sub; the token's own id does not matter here",
        )

    async def test_rubbish_is_no_error(self, visitor, people):
        """Rubbish, an expired token and a forged one are 204, too"""
        ada = await people.add("ada")
        for kind, token in (bad_tokens(people, ada.id, "refresh") | {"an empty token": ""}).items():
            answer = await logout(visitor, token)
            with with_token(kind):
                expect.status(
                    answer,
                    204,
                    why="a client that signs out has what it wants; an error helps nobody",
                    hint="reading the token may raise InvalidToken: here it means that there is nothing to do",
                )

    async def test_a_forged_token_ends_nothing(self, load, visitor, people):
        """A token that names a session, signed with another key, is 204 and ends nothing"""
        ada, soon = await people.add("ada"), load("db.base").utc_now() + timedelta(days=1)
        ids = await start_session(load, visitor, ada, soon)
        forged = refresh_token(load, ada, ids, soon, key="another key of 32 characters or more")
        expect.status(await logout(visitor, forged), 204, hint="a token that cannot be read is no error")
        expect.that(
            await stored_session(load, visitor, ids[0]) is not None,
            did="a log-out with a token that names Ada's session, signed with another key",
            got="the session has ended",
            expected="the session goes on",
            why="whoever knows the id of a session could sign people out",
            hint="read the token with self.tokens.read: it checks the signature",
        )

    async def test_twice_is_no_error(self, visitor, people):
        """Signing out twice is 204 twice"""
        token = (await signed_in(visitor, people))["refresh_token"]
        for time in ("once", "twice"):
            answer = await logout(visitor, token)
            with with_token(f"the same token, {time}"):
                expect.status(
                    answer,
                    204,
                    why="an impatient person presses the button twice, and gets an error",
                    hint="`end` says False when there is no such session: that is no error here",
                )

    async def test_who_is_gone_or_switched_off(self, load, visitor, people):
        """The session of a user who was switched off, or deleted, ends too"""
        now = load("db.base").utc_now()
        for name, change in (("off", {"is_active": False}), ("gone", {"deleted_at": now})):
            person = await people.add(name)
            ids = await start_session(load, visitor, person, now + timedelta(days=1))
            await people.change(person, **change)
            expect.status(
                await logout(visitor, refresh_token(load, person, ids, now + timedelta(days=1))),
                204,
                why="the client wants out, and gets an error",
                hint="the user does not matter here: end the session that the token names",
            )
            expect.that(
                await stored_session(load, visitor, ids[0]) is None,
                did=f"a log-out of a user who {'was switched off' if name == 'off' else 'is deleted'}",
                got="the session is still there",
                expected="the session has ended",
                why="when the user is switched on again, the old token works again",
                hint="the user does not matter here: end the session that the token names",
            )

    async def test_a_broken_database(self, visitor, people, broken_database):
        """When the database fails, the answer is 500, not 204"""
        token = (await signed_in(visitor, people))["refresh_token"]
        with unprinted("app.core.middleware"), broken_database(visitor, "select", "delete") as broken:
            answer = await logout(visitor, token)
        broken.is_500(
            answer,
            why="a broken database ends nothing: the client hears 204, and the session lives",
            hint="catch InvalidToken only: it alone means that there is nothing to do",
        )

    async def test_nothing_is_committed_here(self, visitor, people, endings):
        """`logout` commits nothing and rolls nothing back: get_session does"""
        token = (await signed_in(visitor, people))["refresh_token"]
        endings.clear()
        for one in (token, token, "rubbish"):
            await logout(visitor, one)
        endings.none(
            did="POST /api/v1/auth/logout", hint="take it out: get_session commits when the route has returned"
        )

    async def test_an_access_token_ends_nothing(self, visitor, people):
        """An access token is 204, and ends nothing"""
        pair = await signed_in(visitor, people)
        expect.status(
            await logout(visitor, pair["access_token"]), 204, hint="a token that is no refresh token is no error here"
        )
        expect.status(
            await refresh(visitor, pair["refresh_token"]),
            200,
            why="an access token goes to many places; whoever sees one could sign you out",
            hint="read the token as TokenType.REFRESH",
        )

    async def test_only_this_session(self, visitor, people):
        """The other sessions of the same user go on, and so do those of others"""
        laptop = (await signed_in(visitor, people))["refresh_token"]
        phone = pair_of(await login(visitor, "ada"), hint="write exercise 9.2 first")["refresh_token"]
        bob = (await signed_in(visitor, people, "bob"))["refresh_token"]
        await logout(visitor, laptop)
        for token in (phone, bob):
            expect.status(
                await refresh(visitor, token),
                200,
                why="whoever signs out on the laptop is thrown out on the phone",
                hint="end one session with `end`, not all with `end_all`",
            )


# ---------------------------------------------------------------------------------------------------------------- 9.9


NEW = "Battery staple "  # the space belongs to it


async def change_password(client, token, current=PASSWORD, new=NEW):
    """Choose a new password."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body = {"current_password": current, "new_password": new}
    return await client.post(f"{API}/auth/password", json=body, headers=headers)


@exercise("9.9")
class TestPasswordChange:
    async def test_the_new_one_signs_in(self, visitor, people):
        """With the right password: 204; then the new password signs in, letter by letter, and the old one does not"""
        token = (await signed_in(visitor, people))["access_token"]
        expect.status(
            await change_password(visitor, token),
            204,
            why="nobody could change a password",
            hint="compare data.current_password with the hash of the user, and return None at the end",
        )
        expect.status(
            await login(visitor, "ada", NEW),
            200,
            why="who changes the password is locked out",
            hint="store the hash of data.new_password as it came, in the user that was handed in",
        )
        expect.status(
            await login(visitor, "ada"),
            401,
            why="whoever knows the old password is still let in",
            hint="set user.hashed_password: the session notices, and get_session saves it",
        )
        pair = pair_of(await login(visitor, "ada", NEW))
        again = await change_password(visitor, pair["access_token"], NEW, "Third horse")
        expect.status(
            again, 204, why="a password could be changed only once", hint="compare with the hash that the user has now"
        )
        expect.status(await login(visitor, "ada", "Third horse"), 200, why="the second change is not stored")

    async def test_stored_as_a_hash(self, visitor, people, load):
        """The password itself is nowhere in the table"""
        ada = await people.add("ada")
        await change_password(visitor, people.token(ada.id))
        stored = (await people.stored(ada)).hashed_password
        expect.that(
            NEW.strip() not in stored,
            did="the column hashed_password after the change",
            got="the password",
            expected="its hash",
            why="whoever sees the table can sign in as everybody",
            hint="hash_password makes the hash",
            at=load("auth.service").AuthService.change_password,
        )

    async def test_every_session_ends(self, visitor, people):
        """Every session of the user ends, this one too"""
        laptop = await signed_in(visitor, people)
        phone = pair_of(await login(visitor, "ada"), hint="write exercise 9.2 first")
        await change_password(visitor, laptop["access_token"])
        for device, pair in (("the other device", phone), ("the device that asked", laptop)):
            with with_token(f"the refresh token of {device}"):
                refused_grant(
                    await refresh(visitor, pair["refresh_token"]),
                    why="the password was changed because somebody knows it, and that somebody is still signed in",
                    hint="auth/crud.py has the query that ends all sessions of a user",
                )

    async def test_other_people(self, visitor, people):
        """The passwords and the sessions of other people stay"""
        bob = await signed_in(visitor, people, "bob")
        await change_password(visitor, (await signed_in(visitor, people))["access_token"])
        expect.status(
            await refresh(visitor, bob["refresh_token"]),
            200,
            why="one person changes a password, and everybody is signed out",
            hint="only the sessions of this user end",
        )
        expect.status(
            await login(visitor, "bob"),
            200,
            why="everybody would have the same password",
            hint="change this user's row only",
        )

    async def test_a_wrong_password(self, load, visitor, people, snapshot):
        """A wrong current password is 400 wrong_password, for admins too, and nothing changes"""
        await signed_in(visitor, people)
        role = load("users.schemas").Role
        kinds = {"ada": {}, "root": {"role": role.ADMIN}, "top": {"is_superuser": True}}
        for name, columns in kinds.items():
            person = await people.add(f"{name}2", **columns)
            await login(visitor, person.username)
            before = await snapshot(visitor.sessions)
            for current in ("Wrong horse", NEW, "correct horse", "A" * 73, "Correct\x00horse"):
                answer = await change_password(visitor, people.token(person.id), current)
                with with_token(f"the current password {expect.shown(current)}"):
                    expect.status(
                        answer,
                        400,
                        why="a stolen access token is enough to take over the account",
                        hint="verify_password gives a pair, and a pair is always true: look at its first value"
                        if answer.status_code == 204
                        else "raise WrongPassword: it has the status and the code",
                    )
                has_error(
                    load,
                    answer,
                    "WrongPassword",
                    why="the client cannot tell what is wrong",
                    hint="raise WrongPassword: it has the status and the code",
                )
            (await snapshot(visitor.sessions)).same(
                before,
                did="five changes with a wrong current password",
                why="a stranger with an access token signs the owner out, or in with another password",
                hint="first the question, then the change",
            )

    async def test_without_a_token(self, visitor):
        """Without a token: 401 with a challenge"""
        challenged(await change_password(visitor, None), why="a stranger could try passwords here")

    async def test_a_broken_database(self, visitor, people, broken_database):
        """When the database fails, the answer is 500, and the old password stays"""
        token = (await signed_in(visitor, people))["access_token"]
        with unprinted("app.core.middleware"), broken_database(visitor, "update", "delete") as broken:
            answer = await change_password(visitor, token)
        broken.is_500(
            answer,
            why="the client hears that the password was changed, or that it was wrong, and neither is true",
            hint="nothing here needs a `try`",
        )
        expect.status(await login(visitor, "ada"), 200, why="the half of the work that was saved locks her out")

    async def test_nothing_is_committed_here(self, visitor, people, endings):
        """`change_password` commits nothing and rolls nothing back: get_session does"""
        token = (await signed_in(visitor, people))["access_token"]
        endings.clear()
        for current in ("Wrong horse", PASSWORD):
            await change_password(visitor, token, current)
        endings.none(
            did="POST /api/v1/auth/password", hint="take it out: get_session commits when the route has returned"
        )
