"""Checks of chapter 09, signing in: an account, the form, its credentials, and whose request it is."""

import asyncio
import logging
from contextlib import contextmanager

import bcrypt
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from course_checks.answers import fields
from course_checks.paths import API
from course_checks.samples import PASSWORD
from course_checks.signing_in import (
    bad_tokens,
    challenged,
    claims_of,
    crashed,
    has_error,
    login,
    me,
    not_crashed,
    not_stored,
    pair_of,
    refused_grant,
    register,
    unprinted,
    with_token,
)
from workbook import expect
from workbook.checks import exercise, why_none


async def add_switched_off(load, people):
    """Store people of every kind who are switched off; yield a word for each, and the person."""
    role = load("users.schemas").Role
    kinds = {"a user": {}, "an admin": {"role": role.ADMIN}, "a superuser": {"is_superuser": True}}
    for number, (who, columns) in enumerate(kinds.items()):
        yield who, await people.add(f"off{number}", is_active=False, **columns)


# ---------------------------------------------------------------------------------------------------------------- 9.1


@contextmanager
def welcomes():
    """Give the list of the welcome messages that are sent while the block runs."""
    said, handler = [], logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage()) if "welcome" in record.getMessage() else None
    logger = logging.getLogger("app.users.notifications")
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)


@exercise("9.1")
class TestRegister:
    async def test_signed_up_and_signed_in(self, load, visitor):
        """Signing up answers 201 with both tokens and the user"""
        for name in ("ada", "bob"):
            answer = await register(visitor, name)
            pair = pair_of(
                answer,
                201,
                why="a client that creates an account expects 201 Created, with the tokens in it",
                hint="the decorator has a parameter for the status of success; the body is what the service returns"
                if answer.status_code == 200
                else "compare with `create_user` in users/router.py, line by line",
            )
            expect.equal(pair["token_type"], "bearer", did="token_type", hint="return the TokenPair of the service")
            expect.equal(
                pair["user"].get("username"),
                name,
                did=f"user.username after the sign-up of {name}",
                why="Bob would be signed in as Ada",
                hint="return the TokenPair that the service made for this request",
            )
            for kind in ("access", "refresh"):
                claims = claims_of(load, pair[f"{kind}_token"], kind, answer)
                expect.equal(
                    claims.sub, pair["user"]["id"], did=f"sub of the {kind} token", hint="let `_pair` make both"
                )

    async def test_the_password_rules_hold(self, visitor):
        """A weak password, a bad e-mail and a short user name are refused with 422"""
        for change in ({"password": "weak"}, {"email": "ada"}, {"username": "a"}):
            expect.status(
                await register(visitor, **change),
                422,
                why="a second door without the rules of UserCreate lets in what the first one refuses",
                hint="take a Register: it inherits every rule of UserCreate",
            )

    async def test_a_role_in_the_body_is_ignored(self, visitor, people):
        """Role and state in the body are ignored: a visitor cannot sign up as an admin"""
        answer = await register(visitor, role="admin", is_superuser=True, is_active=False)
        user = pair_of(answer, 201, hint="take a Register: it drops fields that it does not list")["user"]
        expect.equal(
            (user.get("role"), user.get("is_active")),
            ("user", True),
            did='role and is_active after a sign-up with "role": "admin"',
            why="everybody could make themselves an admin",
            hint="take a Register and hand it on as it is: role and is_active are not in it",
        )

    async def test_a_taken_address_is_a_conflict(self, visitor):
        """A second sign-up with the same e-mail, in other capitals, is 409 with the code user_exists"""
        await register(visitor)
        answer = await register(visitor, "other", email="ADA@example.com")
        hint = "let service.register create the user, from a Register"
        expect.status(answer, 409, why="two accounts would share one mailbox", hint=hint)
        expect.equal(
            fields(answer).get("code"),
            "user_exists",
            did="code of the answer",
            why="a client reads the code, and each door must say the same",
            hint="service.register raises UserExists: let it pass, the handler of chapter 06 answers",
        )

    async def test_no_secret_leaves(self, visitor):
        """The answer holds neither the password nor its hash, and no cache may keep it"""
        answer = await register(visitor)
        expect.that(
            PASSWORD not in answer.text and "$2b$" not in answer.text and "hashed_password" not in answer.text,
            response=answer,
            got="the password or its hash stands in the answer",
            expected="only the fields of TokenPair",
            why="whoever reads the hash can guess passwords at home",
            hint="return a TokenPair, and say so in the return annotation",
        )
        not_stored(answer)

    async def test_the_new_user_is_welcomed(self, visitor):
        """A new user is welcomed once, by id; a refused sign-up welcomes nobody"""
        with welcomes() as found:
            pairs = [pair_of(await register(visitor), 201, hint="return the TokenPair of the service")]
            await register(visitor)
            await register(visitor, "bob", password="weak")
            pairs.append(pair_of(await register(visitor, "eve"), 201, hint="return the TokenPair of the service"))
        ids = [pair["user"]["id"] for pair in pairs]
        expect.equal(
            found,
            [f"welcome message for user {id}" for id in ids],
            did=f"the messages of send_welcome after the sign-ups of the users {ids[0]} and {ids[1]}, and two refused",
            why="a new user never hears from us, or somebody is welcomed to an account that does not exist",
            hint="a background task: the function, and behind it the new id; both below the call of the service"
            if not found
            else "one task for each good sign-up, with the id of the user that this sign-up made",
        )

    async def test_welcomed_after_the_commit(self, load, open_visit, monkeypatch):
        """When the welcome is sent, another session can see the new user already"""
        seen, user = [], load("users.models").User
        async with open_visit("sqlite+aiosqlite:///welcome.db") as client:

            async def look(*_args, **_values):
                async with client.sessions() as session:
                    seen.append(await session.scalar(select(func.count()).select_from(user)))

            for name in ("users.notifications", "auth.router"):
                load(name)
                monkeypatch.setattr(f"app.{name}.send_welcome", look, raising=False)
            answer = await register(client)
            for _ in range(10):  # a task of its own, if the learner made one, needs a moment
                await asyncio.sleep(0 if seen else 0.01)
        expect.status(answer, 201, why="a good sign-up would fail", hint="return the TokenPair of the service")
        expect.equal(
            seen,
            [1],
            did="the users that the welcome sees, one number for each welcome",
            why="the row is not saved yet: when the commit fails, somebody who is no user gets a welcome",
            hint="a background task runs after the commit: hand `send_welcome` to the BackgroundTasks",
        )

    async def test_what_the_service_raises(self, visitor, load, monkeypatch):
        """What the service raises passes through the route: an error that it does not explain is a 500"""

        async def refuse(_service, _data):
            raise IntegrityError("INSERT INTO users", {}, Exception("UNIQUE constraint failed"))

        monkeypatch.setattr(load("auth.service").AuthService, "register", refuse)
        with unprinted("app.core.middleware"):
            answer = await register(visitor)
        expect.equal(
            answer.status_code,
            500,
            did="the status of POST /api/v1/auth/register, while service.register raises an IntegrityError",
            why="a rule that stands in this route does not hold for a script, nor for the route under /users",
            hint="catch nothing here: the service says what a taken name is",
        )

    async def test_a_broken_database(self, visitor, broken_database):
        """When the database fails, the answer is 500, not a taken name, and nobody is welcomed"""
        with welcomes() as found:
            for kind in ("insert", "commit"):
                with unprinted("app.core.middleware"), broken_database(visitor, kind) as broken:
                    answer = await register(visitor)
                broken.is_500(answer, hint="the route catches nothing: the service says what is wrong")
        expect.that(
            not found,
            did="POST /api/v1/auth/register, while the database fails",
            got="a welcome was sent",
            expected="nobody is welcomed",
            why="somebody is welcomed to an account that does not exist",
            hint="hand the task over below the call of the service",
        )

    async def test_get_session_commits(self, visitor, endings):
        """The route and the service commit nothing: get_session does, when the route has returned"""
        await register(visitor)
        await register(visitor)
        endings.none(
            did="POST /api/v1/auth/register",
            hint="get_session commits when the route has returned, and a background task runs after that",
        )


# ---------------------------------------------------------------------------------------------------------------- 9.2


def missing_fields(answer):
    """Return the places of what a 422 says is missing."""
    errors = fields(answer).get("errors")
    return {tuple(map(str, one.get("loc", ()))) for one in errors} if isinstance(errors, list) else set()


def why_not_understood(answer):
    """Say in what language the route listened."""
    lost = missing_fields(answer)
    if any(place[-1] == "grant_type" for place in lost):
        return "the docs page and many clients send no grant_type, or an empty one"
    where = {place[0] for place in lost}
    heard = "the address" if where == {"query"} else "JSON, or fields of other names"
    return f"the docs page and every OAuth client send a form with username and password; this route reads {heard}"


def hint_for_the_form(answer):
    """Say what to change about the parameter."""
    if any(place[-1] == "grant_type" for place in missing_fields(answer)):
        return "take OAuth2PasswordRequestForm: the strict form insists on a grant_type"
    return "look at the small app in the text: its parameter reads a form"


def by_service(name):
    """Return a hint: the service's error passes."""
    return f"let the service's error pass: {name} has the header, the field and the code"


@exercise("9.2")
class TestLoginForm:
    async def test_the_form_signs_in(self, load, visitor, people):
        """The form with user name and password answers 200 with a pair of tokens"""
        ada = await people.add("ada")
        answer = await login(visitor, "ada")
        expect.that(
            answer.status_code != 422,
            response=answer,
            got="422: the form was not understood",
            expected="200 OK",
            why=why_not_understood(answer),
            hint=hint_for_the_form(answer),
        )
        expect.that(
            answer.status_code != 201,
            response=answer,
            got="201 Created",
            expected="200 OK",
            why="a sign-in creates nothing with an address of its own",
            hint="the default status, 200",
        )
        pair = pair_of(answer, why="nobody could sign in", hint="hand form.username and form.password on")
        expect.equal(pair["user"].get("id"), ada.id, did="user.id", hint="return the TokenPair of the service")
        claims_of(load, pair["access_token"], "access", answer)
        not_stored(answer)

    async def test_the_e_mail_is_a_name_too(self, visitor, people):
        """The e-mail address works as `username`, in any capitals"""
        await people.add("ada")
        for name in ("ada@example.com", "Ada@Example.com", " ADA "):
            expect.status(
                await login(visitor, name),
                200,
                why="people do not remember which of the two they typed",
                hint="hand form.username and form.password on, in this order",
            )
        await people.add("lady", email="ada.lovelace@example.com")
        answer = await login(visitor, "ada.lovelace@example.com")
        expect.status(
            answer,
            200,
            why="only people whose user name stands in their address could sign in with it",
            hint="hand form.username on as it came: the service knows addresses and names",
        )
        expect.equal(pair_of(answer)["user"].get("username"), "lady", did="user.username", hint="as it came")

    async def test_the_authorize_button_signs_in(self, visitor, people):
        """The form as the Authorize button of /docs sends it, with more fields, answers 200"""
        await people.add("ada")
        form = {"grant_type": "password", "username": "ada", "password": PASSWORD, "scope": "", "client_id": ""}
        headers = {"Authorization": "Basic Og==", "X-Requested-With": "XMLHttpRequest"}
        expect.status(
            await visitor.post(f"{API}/auth/login", data=form, headers=headers),
            200,
            why="nobody could sign in on the docs page",
            hint="take the form object of the small app in the text: it knows these fields",
        )

    async def test_a_wrong_password_is_refused(self, load, visitor, people):
        """A wrong password is the 401 of the service: challenge, invalid_grant, no-store"""
        await people.add("ada")
        answer = await login(visitor, "ada", "Wrong horse")
        expect.status(answer, 401, why="anybody could sign in as Ada", hint="let service.login decide")
        refused_grant(answer, hint=by_service("InvalidCredentials"))
        has_error(
            load,
            answer,
            "InvalidCredentials",
            why="a client reads the code to tell a wrong password from a missing token",
            hint=by_service("InvalidCredentials"),
        )

    async def test_every_character_arrives(self, visitor, people, load):
        """A password with &, +, %, =, é and spaces at both ends arrives unchanged"""
        for number, password in enumerate(("A&b+c=d%20 é?", "  Two spaces, and one behind ")):
            await people.add(f"eve{number}", hashed_password=await load("core.security").hash_password(password))
            expect.status(
                await login(visitor, f"eve{number}", password),
                200,
                why="a person with such a password is locked out",
                hint="let OAuth2PasswordRequestForm read the form, and hand the password on as it is",
            )

    async def test_the_service_decides(self, visitor, load, monkeypatch):
        """service.login gets the name and the password as they came, once for each request"""
        asked, refusal = [], load("auth.exceptions").InvalidCredentials

        async def login_of_the_service(_self, identifier, password):
            asked.append((identifier, password))
            raise refusal

        monkeypatch.setattr(load("auth.service").AuthService, "login", login_of_the_service)
        for password in ("  Correct horse", "E\u0301" * 12, "\ufb01 Correct horse", "x" * 200):
            asked.clear()
            answer = await login(visitor, "ada", password)
            expect.that(
                len(asked) == 1,
                response=answer,
                got=f"service.login was called {len(asked)} times" if asked else "service.login was never called",
                expected="one call of service.login",
                why="two copies of the rules for signing in: the next section repairs only one of them",
                hint="let service.login do the work, and return what it returns",
            )
            for what, got, sent in zip(("name", "password"), asked[0], ("ada", password), strict=True):
                expect.equal(
                    got,
                    sent,
                    did=f"the {what} that service.login got",
                    why="every character of a password counts: another text is another password"
                    if what == "password"
                    else "the service looks for somebody else",
                    hint=f"hand form.{'username' if what == 'name' else 'password'} on as it is",
                )

    async def test_what_the_service_raises(self, visitor, load, monkeypatch):
        """What the service raises passes through the route: an error that it does not explain is a 500"""
        for error in (IntegrityError("INSERT INTO login_sessions", {}, Exception("UNIQUE")), ValueError("a bug")):

            async def fail(_service, _identifier, _password, error=error):
                raise error

            monkeypatch.setattr(load("auth.service").AuthService, "login", fail)
            with unprinted("app.core.middleware"):
                answer = await login(visitor, "ada")
            expect.equal(
                answer.status_code,
                500,
                did=f"the status of POST /api/v1/auth/login, while service.login raises {type(error).__name__}",
                why="a bug is no wrong password: people would change good ones, and nobody would repair the bug",
                hint="the route catches nothing: let the service's error pass",
            )

    async def test_a_broken_database(self, visitor, people, broken_database):
        """When the database fails, the answer is 500, not 401"""
        await people.add("ada")
        with unprinted("app.core.middleware"), broken_database(visitor, "select") as broken:
            answer = await login(visitor, "ada")
        broken.is_500(
            answer,
            why="a broken database is no wrong password: people would change passwords that are right",
            hint="the route catches nothing: let the service's error pass",
        )

    async def test_get_session_commits(self, visitor, people, endings):
        """The route commits nothing: get_session does, when the route has returned"""
        await people.add("ada")
        endings.clear()
        for password in (PASSWORD, "Wrong horse"):
            await login(visitor, "ada", password)
        endings.none(did="POST /api/v1/auth/login", hint="take it out: get_session commits when the route has returned")

    async def test_incomplete_forms_and_json(self, visitor, people):
        """A form without a password is 422, and so are the fields as JSON or in the address"""
        await people.add("ada")
        good = {"username": "ada", "password": PASSWORD}
        path = f"{API}/auth/login"
        asked = [{"data": {"username": "ada"}}, {"data": {"password": PASSWORD}}, {"json": good}, {"params": good}]
        for request in asked:
            expect.status(
                await visitor.post(path, **request),
                422,
                why="a password in the address stands in every log on its way; two languages are two doors to guard",
                hint="one parameter, which reads the form, and no other way in",
            )

    async def test_the_document_shows_a_form(self, visitor):
        """The documentation says that the route takes a form with username and password"""
        document = fields(await visitor.get(f"{API}/openapi.json"))
        route = document.get("paths", {}).get(f"{API}/auth/login", {}).get("post", {})
        kinds = list(route.get("requestBody", {}).get("content", {}))
        expect.equal(
            kinds,
            ["application/x-www-form-urlencoded"],
            did="the content types of POST /auth/login in openapi.json",
            why="clients that are made from the document would send the wrong thing",
            hint="take the form object of the small app in the text",
        )


# ---------------------------------------------------------------------------------------------------------------- 9.3


HASHPW = bcrypt.hashpw


@pytest.fixture
def runs(monkeypatch):
    """A list that grows by one for each run of bcrypt: work is counted, never timed."""
    found = []

    def hashpw(secret, salt):
        found.append(salt)
        return HASHPW(secret, salt)

    monkeypatch.setattr(bcrypt, "hashpw", hashpw)
    return found


@exercise("9.3")
class TestCredentials:
    async def test_unknown_and_wrong_look_alike(self, visitor, people):
        """An unknown name and a wrong password get the same 401, with challenge, invalid_grant and no-store"""
        await people.add("ada")
        answers = [await login(visitor, "ada", "Wrong horse"), await login(visitor, "nobody")]
        for answer in answers:
            expect.status(
                answer,
                401,
                why="a stranger reads from the answer who has an account",
                hint="one exception for both: InvalidCredentials, after the comparison",
            )
            refused_grant(answer)
        wrong, unknown = ({**fields(answer), "request_id": ""} for answer in answers)
        expect.equal(
            unknown,
            wrong,
            did="the answer for an unknown name, compared with the one for a wrong password",
            why="a stranger reads from the answer who has an account",
            hint="raise InvalidCredentials for both",
        )

    async def test_the_clock_tells_nothing(self, visitor, people, runs):
        """Every log-in costs one comparison: known or not, right or wrong, switched off, or a hostile password"""
        await people.add("ada")
        await people.add("off", is_active=False)
        await login(visitor, "nobody", "Wrong horse")
        for name, password in (
            ("nobody", "Wrong horse"),
            ("ada", "Wrong horse"),
            ("ada", PASSWORD),
            ("off", "Wrong horse"),
            ("nobody", "A" * 73),
            ("ada", "A" * 73),
            ("nobody", "Wrong horse"),
        ):
            runs.clear()
            await login(visitor, name, password)
            expect.that(
                len(runs) == 1,
                did={"nobody": "a log-in with an unknown name", "ada": "a log-in with a known name"}.get(
                    name, "a log-in of somebody who is switched off"
                )
                + f", password {expect.shown(password)}",
                got=f"{len(runs)} runs of bcrypt" if runs else "no hash was compared: the answer came at once",
                expected="one run of bcrypt, as for everybody",
                why="a stranger reads from the clock who has an account",
                hint="call verify_password before the first `if`, with None when there is no user"
                if not runs
                else "call verify_password once, for everybody",
            )
            cost = bytes(runs[0])[4:6].decode()
            expect.that(
                cost == "04",
                did=f"the cost of that comparison, for {name}, where all hashes are of cost 04",
                got=cost,
                expected="04",
                why="when the cost is changed, a stranger reads from the clock again who has an account",
                hint="for nobody hand None to verify_password: it takes a hash of today's cost",
            )

    async def test_the_right_password_signs_in(self, load, visitor, people):
        """The right password still signs in"""
        ada = await people.add("ada")
        answer = await login(visitor, "ada")
        not_crashed(
            answer,
            "NOT NULL constraint failed: users.hashed_password",
            at=load("auth.service").AuthService.login,
            why="nobody whose hash is good could sign in",
            hint="the second value of verify_password is None when the old hash is good: store it only when it is one",
        )
        pair = pair_of(answer, why="nobody could sign in", hint="the last line starts the session of this user")
        expect.equal(pair["user"].get("id"), ada.id, did="user.id", hint="start the session of this user")

    async def test_switched_off(self, load, visitor, people):
        """Switched off, with the right password: 400 with inactive_user, invalid_grant and no-store, for admins too"""
        async for who, person in add_switched_off(load, people):
            answer = await login(visitor, person.username)
            expect.status(
                answer,
                400,
                why=f"{who} who was locked out signs in again",
                hint="look at is_active when the password was found right, and at nothing else",
            )
            has_error(
                load,
                answer,
                "InactiveLogin",
                why="the client cannot tell this person the reason",
                hint="raise InactiveLogin: it has the status, the code and the field",
            )
            expect.equal(
                fields(answer).get("error"),
                "invalid_grant",
                did="the field `error` of the answer",
                why="an OAuth client reads `error`, not our `detail`",
                hint="raise InactiveLogin, not InactiveUser",
            )
            not_stored(answer)

    async def test_switched_off_with_a_wrong_password(self, visitor, people):
        """Switched off, with a wrong password: the 401 that everybody gets"""
        await people.add("off", is_active=False)
        answer = await login(visitor, "off", "Wrong horse")
        expect.status(
            answer,
            401,
            why="a stranger without the password learns that the account exists",
            hint="look at is_active after the password was found right",
        )
        expect.equal(fields(answer).get("code"), "invalid_credentials", did="code", hint="raise InvalidCredentials")

    async def test_a_cheap_hash_is_replaced(self, visitor, people, load):
        """A hash that is too cheap is replaced at the log-in, and the password still fits"""
        ada = await people.add("ada")
        load("core.security").pwd_context.update(bcrypt__rounds=5)
        expect.status(await login(visitor, "ada"), 200, hint="return await self._start_session(user)")
        stored = (await people.stored(ada)).hashed_password
        expect.that(
            stored.startswith("$2b$05$"),
            did="the hash in the table, after the cost was raised from 4 to 5 and Ada signed in",
            got=f"{stored[:7]}…",
            expected="$2b$05$…",
            why="old hashes stay cheap to guess for ever, though the password was here a moment ago",
            hint="keep the second value of verify_password; when there is one, set user.hashed_password",
            at=load("auth.service").AuthService.login,
        )
        expect.status(
            await login(visitor, "ada"),
            200,
            why="a password that was right a moment ago would be wrong for ever",
            hint="store the new hash, nothing else",
        )

    async def test_a_good_hash_stays(self, visitor, people):
        """A hash that is expensive enough stays as it is"""
        ada = await people.add("ada")
        before = (await people.stored(ada)).hashed_password
        await login(visitor, "ada")
        expect.equal(
            (await people.stored(ada)).hashed_password,
            before,
            did="the hash in the table after a log-in",
            why="a hash that needs no change would be lost, or made anew at each sign-in",
            hint="set user.hashed_password only when verify_password returned a new hash",
        )

    async def test_hostile_names_are_only_wrong(self, visitor, people):
        """A NUL in the name, and a password of 73 bytes, are 401, not 500"""
        await people.add("ada")
        for name, password in (
            ("ada\x00", PASSWORD),
            ("ada", "A" * 73),
            ("ada", "Correct\x00horse"),
            ("nobody", "A" * 73),
            ("nobody", "Correct\x00horse"),
        ):
            expect.status(
                await login(visitor, name, password),
                401,
                why="a stranger can fill your log with errors",
                hint="use get_by_identifier and verify_password; both take any text",
            )

    async def test_a_broken_database(self, visitor, people, broken_database):
        """When the database fails, the answer is 500, not 401"""
        await people.add("ada")
        with unprinted("app.core.middleware"), broken_database(visitor, "select") as broken:
            answer = await login(visitor, "ada")
        broken.is_500(
            answer,
            why="a broken database is no wrong password: people would change passwords that are right",
            hint="nothing in `login` needs a `try`",
        )

    async def test_nothing_is_committed_here(self, visitor, people, load, endings):
        """`login` commits nothing and rolls nothing back, also when it stores a new hash: get_session does"""
        await people.add("ada")
        load("core.security").pwd_context.update(bcrypt__rounds=5)
        endings.clear()
        for name, password in (("ada", PASSWORD), ("ada", "Wrong horse"), ("nobody", PASSWORD)):
            await login(visitor, name, password)
        endings.none(
            did="POST /api/v1/auth/login",
            why="when the rest of the sign-in fails, half of it is saved",
            hint="take it out: the session has noticed the new value, and get_session commits at the end",
        )


# ---------------------------------------------------------------------------------------------------------------- 9.4


def nobody_returned(answer, function):
    """Expect that a dependency returns its user."""
    not_crashed(
        answer,
        "'input': None",
        at=function,
        why="the route gets None in place of the user",
        hint=why_none(function, "the user"),
        expected="200 OK",
    )


@exercise("9.4")
class TestCurrentUser:
    @pytest.fixture
    def turned_away(self, load):
        """Expect a 401 with the challenge; an InvalidToken that nobody caught is a mistake of its own."""

        def check(answer, token, **reason):
            with with_token(token):
                self_checked(answer, **reason)

        def self_checked(answer, **reason):
            expect.that(
                "InvalidToken" not in crashed(answer),
                response=answer,
                got="500 Internal Server Error: InvalidToken was raised, and nobody caught it",
                expected="401 Unauthorized",
                why="a bad token must send the client to the log-in; a 500 looks like our failure",
                hint="`tokens.read` raises InvalidToken, and HTTP does not know it: catch it where you read the token, "
                "and raise InvalidAccessToken in its place",
            )
            challenged(answer, **reason)

        return check

    async def test_an_access_token_is_its_user(self, load, visitor, people):
        """A good access token opens /users/me, and it is you"""
        await people.add("bob")
        ada = await people.add("ada")
        answer = await visitor.get(f"{API}/users/me", headers=ada.headers)
        expect.that(
            answer.status_code != 422,
            response=answer,
            got="422: the token in the header was not found",
            expected="200 OK",
            why="every client sends the token in the header Authorization",
            hint="let OAuth2PasswordBearer read the header: `token: Annotated[str, Depends(oauth2_scheme)]`",
        )
        nobody_returned(answer, load("auth.dependencies").get_current_user)
        expect.status(
            answer,
            200,
            why="nobody who is signed in could use the API",
            hint="the three bullets of the exercise, in their order: claims, user, return",
        )
        expect.equal(fields(answer).get("id"), ada.id, did="id of /users/me", hint="the user's id is claims.sub")

    async def test_the_end_comes(self, visitor, people, later, turned_away):
        """A token that was good is refused as soon as its end has come"""
        ada = await people.add("ada")
        token = people.token(ada.id)
        expect.status(await me(visitor, token), 200, why="nobody could use the API", hint="return the user")
        later(minutes=31)
        turned_away(
            await me(visitor, token),
            "a token that was good until its end came",
            why="a token that was good once would be good for as long as the app runs",
            hint="remember nothing between two requests: read the token each time",
        )

    async def test_no_token(self, visitor, turned_away):
        """Without a token, or with another scheme, the answer is 401 with the challenge, not 403"""
        for headers in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}):
            turned_away(
                await visitor.get(f"{API}/users/me", headers=headers),
                f"the header Authorization: {headers['Authorization']}" if headers else "no header Authorization",
                why="401 means: sign in first. A client that gets a 403 never shows the log-in",
                hint="let OAuth2PasswordBearer read the header: `token: Annotated[str, Depends(oauth2_scheme)]`",
            )

    async def test_forged_and_expired(self, load, visitor, people, turned_away):
        """Rubbish, a forged token and an expired one are 401 with the challenge"""
        ada = await people.add("ada")
        for kind, token in bad_tokens(people, ada.id, "access").items():
            answer = await me(visitor, token)
            turned_away(
                answer,
                kind,
                why="a bad token must send the client to the log-in; a 500 looks like our failure",
                hint="what `tokens.read` raises for a bad token must become an InvalidAccessToken",
            )
            has_error(
                load,
                answer,
                "InvalidAccessToken",
                why="a client reads the code: this token is of no use any more, so fetch another one",
                hint="everything that is no good is an InvalidAccessToken",
            )

    async def test_a_refresh_token_opens_nothing(self, visitor, people, turned_away):
        """A refresh token is no access token: 401"""
        ada = await people.add("ada")
        turned_away(
            await me(visitor, people.token(ada.id, kind="refresh")),
            "a good refresh token",
            why="a refresh token lives for days; whoever copies it could use every route with it",
            hint="read the token as TokenType.ACCESS, and as nothing else",
        )

    async def test_a_user_who_is_gone(self, load, visitor, people, turned_away):
        """A good token of a deleted user, or of one who never was, is 401"""
        off, kept = await people.add("off"), await people.add("kept")
        for person, is_active in ((off, False), (kept, True)):
            await people.change(person, deleted_at=load("db.base").utc_now(), is_active=is_active)
        for user_id, kind in (
            (off.id, "a good token of a deleted user"),
            (kept.id, "a good token of a deleted user"),
            (999, "a good token of a user who never was"),
        ):
            answer = await me(visitor, people.token(user_id))
            turned_away(
                answer,
                kind,
                why="a deleted user would still be let in, or the answer would be a 500",
                hint="ask user_crud.get, which hides deleted users, and look at what it returned before you go on",
            )
            has_error(
                load,
                answer,
                "InvalidAccessToken",
                why="a client reads the code: this token is of no use any more",
                hint="everything that is no good is an InvalidAccessToken",
            )

    async def test_the_user_is_read_each_time(self, visitor, people, load, turned_away):
        """With each request the user is read anew: a new name is seen, and who was deleted is out"""
        ada = await people.add("ada")
        token = people.token(ada.id)
        await me(visitor, token)
        await people.change(ada, full_name="Ada Lovelace")
        expect.equal(
            fields(await me(visitor, token)).get("full_name"),
            "Ada Lovelace",
            did="full_name of /users/me, with the same token, after the row was changed",
            why="the app would go on with what was true some minutes ago",
            hint="remember nothing between two requests: ask user_crud.get each time",
        )
        await people.change(ada, deleted_at=load("db.base").utc_now(), is_active=False)
        turned_away(
            await me(visitor, token),
            "the token that was good before its user was deleted",
            why="a deleted user goes on until the token expires",
            hint="remember nothing between two requests: ask user_crud.get each time",
        )

    async def test_who_is_switched_off_is_known(self, load, visitor, people):
        """The good token of a user who is switched off is no bad token: exercise 9.5 decides about them"""
        async for who, person in add_switched_off(load, people):
            answer = await me(visitor, people.token(person.id))
            expect.that(
                answer.status_code in (200, 400),
                response=answer,
                got=f"{answer.status_code}: the token of {who} who is switched off counts as a bad token",
                expected="the user, as for every good token: get_current_active_user decides",
                why="a switched-off user is known: the client would show the form to sign in, again and again",
                hint="the table asks one question about the user: is there one? Take the other question out",
            )

    async def test_a_broken_database(self, visitor, people, broken_database):
        """When the database fails, the answer is 500, not 401"""
        ada = await people.add("ada")
        with unprinted("app.core.middleware"), broken_database(visitor, "select") as broken:
            answer = await me(visitor, people.token(ada.id))
        broken.is_500(
            answer,
            why="a broken database is no bad token: everybody would be signed out",
            hint="catch InvalidToken only, and only around the reading of the token",
        )

    async def test_nothing_is_committed_here(self, visitor, people, endings):
        """The dependency commits nothing and rolls nothing back: get_session does"""
        ada = await people.add("ada")
        endings.clear()
        for token in (people.token(ada.id), "rubbish"):
            await me(visitor, token)
        endings.none(did="GET /api/v1/users/me")

    async def test_the_authorize_button(self, load, visitor):
        """The Authorize button of /docs sends its form to /api/v1/auth/login"""
        document = fields(await visitor.get(f"{API}/openapi.json"))
        schemes = document.get("components", {}).get("securitySchemes", {})
        found = [one.get("flows", {}).get("password", {}).get("tokenUrl") for one in schemes.values()]
        expect.equal(
            found,
            ["/api/v1/auth/login"],
            did="tokenUrl of the security schemes in openapi.json",
            why="the button would send the password to an address that does not exist",
            hint="the whole path of the log-in route, from the first slash on, as openapi.json lists it",
            at=(load("auth.dependencies"), "oauth2_scheme"),
        )
        paths = document.get("paths", {})
        expect.that(
            bool(paths.get(f"{API}/users/me", {}).get("get", {}).get("security")),
            did="GET /users/me in openapi.json",
            got="it is not locked",
            expected="it needs the security scheme",
            why="the docs page would not send the token",
            hint="get the token by Depends(oauth2_scheme)",
        )
        expect.that(
            "security" not in paths.get(f"{API}/auth/login", {}).get("post", {}),
            did="POST /auth/login in openapi.json",
            got="it is locked",
            expected="it is open",
            why="one would have to be signed in to sign in",
            hint="only routes that need a user ask for oauth2_scheme",
        )


# ---------------------------------------------------------------------------------------------------------------- 9.5


@exercise("9.5")
class TestActiveUser:
    async def test_switched_off_with_a_fresh_token(self, load, visitor, people):
        """A user who is switched off is refused at once with 400 and inactive_user, though the token is fresh"""
        ada = await people.add("ada")
        answer = await me(visitor, people.token(ada.id))
        nobody_returned(answer, load("auth.dependencies").get_current_active_user)
        expect.status(answer, 200, why="nobody could use the API", hint="an active user may pass: return the user")
        await people.change(ada, is_active=False)
        answer = await visitor.get(f"{API}/users/me", headers=ada.headers)
        expect.that(
            answer.status_code != 200,
            response=answer,
            got="200 OK: she is switched off, and passes",
            expected="400 Bad Request",
            why="whoever an admin locks out goes on for up to 30 minutes",
            hint="one question about user.is_active before the user is returned, and a `raise` of the exception",
        )
        why = "the token is good, so signing in again does not help: a client must tell this apart from a 401"
        expect.status(answer, 400, why=why, hint="raise InactiveUser: it has the status and the code")
        expect.equal(fields(answer).get("code"), "inactive_user", did="code", why=why, hint="raise InactiveUser")
        expect.that(
            "error" not in fields(answer),
            response=answer,
            got=f"the field `error`: {fields(answer).get('error')!r}",
            expected="no field `error`: it belongs to the token routes",
            why="an OAuth client takes invalid_grant for a failed log-in, and there was none",
            hint="InactiveLogin is for the log-in; here raise InactiveUser",
        )

    async def test_everybody_can_be_switched_off(self, load, visitor, people):
        """An admin and a superuser who are switched off are refused, too"""
        async for who, person in add_switched_off(load, people):
            expect.status(
                await me(visitor, people.token(person.id)),
                400,
                why=f"{who} who was switched off goes on: the most dangerous account cannot be stopped",
                hint="ask user.is_active, and nothing else",
            )

    async def test_an_active_user_passes(self, load, visitor, people):
        """An active user passes; one who is switched on again does too"""
        ada = await people.add("ada", is_active=False)
        await visitor.get(f"{API}/users/me", headers=ada.headers)
        await people.change(ada, is_active=True)
        answer = await visitor.get(f"{API}/users/me", headers=ada.headers)
        nobody_returned(answer, load("auth.dependencies").get_current_active_user)
        expect.status(
            answer,
            200,
            why="nobody could use the API, or switching off could not be taken back",
            hint="return the user who is active",
        )
        expect.equal(
            fields(answer).get("id"),
            ada.id,
            did="id of /users/me",
            why="Ada would act as somebody else",
            hint="return the user who came in as the parameter",
        )

    async def test_no_token_is_still_401(self, visitor):
        """Without a token the answer is still 401"""
        challenged(
            await me(visitor),
            why="somebody whom the app does not know must sign in first",
            hint="keep `Depends(get_current_user)` in the annotation",
        )
