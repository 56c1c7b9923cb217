"""Checks of chapter 09: signing up, signing in, staying signed in, signing out."""

import asyncio
import logging
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

import bcrypt
import pytest
from fastapi import Depends, HTTPException
from sqlalchemy import event, func, select
from sqlalchemy.exc import IntegrityError

from workbook import expect
from workbook.checks import exercise
from workbook.endings import why_none

PASSWORD = "Correct horse"
API = "/api/v1"
PAIR = ("access_token", "refresh_token", "token_type", "user")


def new_user(name="ada", **changes):
    """Return the body of a sign-up."""
    return {"email": f"{name}@example.com", "username": name, "password": PASSWORD} | changes


async def register(client, name="ada", **changes):
    """Sign somebody up over HTTP."""
    return await client.post(f"{API}/auth/register", json=new_user(name, **changes))


async def login(client, name, password=PASSWORD):
    """Sign in with the form."""
    return await client.post(f"{API}/auth/login", data={"username": name, "password": password})


async def refresh(client, token):
    """Exchange a refresh token."""
    return await client.post(f"{API}/auth/refresh", json={"refresh_token": token})


async def logout(client, token):
    """Sign out."""
    return await client.post(f"{API}/auth/logout", json={"refresh_token": token})


async def me(client, token=None):
    """Ask who I am."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return await client.get(f"{API}/users/me", headers=headers)


def fields(answer):
    """Return the fields of a JSON object; another body has none."""
    body = expect.body(answer)
    return body if isinstance(body, dict) else {}


def crashed(answer):
    """Return what an unexpected error says; an answer that is no 500 says nothing."""
    exchange = answer.extensions.get("workbook.exchange")
    return str(exchange.response_body) if answer.status_code == 500 and exchange is not None else ""


def not_crashed(answer, part, *, at, why, hint, expected="an answer"):
    """Expect that no unexpected error says `part`: it rose far from the mistake, which is in `at`."""
    if part in crashed(answer):
        exchange = answer.extensions.get("workbook.exchange")
        raise expect.Wrong(
            did=exchange.request_line,
            got=f"500: {crashed(answer)[:160]}",
            expected=expected,
            why=why,
            hint=hint,
            at=at,
            exchange=exchange,
            sure=True,
        )


def bad_tokens(people, user_id, kind):
    """Return tokens that prove nothing, each by a word for it: rubbish, one that is forged, one that has expired."""
    return {
        'the token "rubbish"': "rubbish",
        'the token "a.b.c"': "a.b.c",
        "a token signed with another key": people.token(user_id, kind=kind, key="another key of 32 characters or more"),
        "a token that has expired": people.token(user_id, kind=kind, minutes=-5),
    }


async def add_switched_off(load, people):
    """Store people of every kind who are switched off; yield a word for each, and the person."""
    role = load("users.schemas").Role
    kinds = {"a user": {}, "an admin": {"role": role.ADMIN}, "a superuser": {"is_superuser": True}}
    for number, (who, columns) in enumerate(kinds.items()):
        yield who, await people.add(f"off{number}", is_active=False, **columns)


def has_error(load, answer, name, **reason):
    """Expect the `code` of one of the app's own errors."""
    expect.equal(
        fields(answer).get("code"), getattr(load("auth.exceptions"), name).code, did="code of the answer", **reason
    )


def pair_of(answer, expected=200, **reason):
    """Expect a pair of tokens with its user, and return it."""
    expect.status(answer, expected, **reason)
    body = fields(answer)
    missing = [name for name in PAIR if not body.get(name)]
    expect.that(
        not missing,
        response=answer,
        got=f"the body lacks {', '.join(missing)}",
        expected="access_token, refresh_token, token_type and user",
        why="the client would not be signed in, or only until the access token expires",
        hint="return the whole TokenPair that the service gives",
    )
    return body


def claims_of(load, token, kind, answer):
    """Read a token of an answer as the app would, or say that it cannot be read."""
    security = load("core.security")
    try:
        return security.decode_token(
            token, load("auth.tokens").TokenIssuer(settings_of(load)).key, security.TokenType(kind)
        )
    except security.InvalidToken:
        raise expect.Wrong(
            did="",
            got=f"the field {kind}_token holds no valid {kind} token",
            expected=f"a signed {kind} token",
            why="the next request with it would be refused",
            hint="let `_pair` make both tokens",
            exchange=answer.extensions.get("workbook.exchange"),
        ) from None


def settings_of(load):
    """Return settings with the key of the checks."""
    return load("core.config").Settings(secret_key="k8Jd72hLq09ZxC4vBn6MwE3rTy5UiOpA")


def challenged(answer, **reason):
    """Expect a 401 that says how to sign in."""
    expect.status(answer, 401, **reason)
    expect.header(
        answer,
        "www-authenticate",
        "Bearer",
        why="HTTP asks that each 401 says how to sign in; clients and the docs page rely on it",
        hint="raise an error of auth/exceptions.py: NotAuthenticated carries the header",
    )


def not_stored(answer):
    """Expect that no cache keeps the answer."""
    expect.header(
        answer,
        "cache-control",
        "no-store",
        why="a cache that keeps the answer hands the tokens to the next person",
        hint="keep `dependencies=[Depends(forbid_storing)]` at the router, and raise the errors of auth/exceptions.py",
    )


def refused_grant(answer, **reason):
    """Expect the 401 of a token route: challenge, RFC 6749's field, and no-store."""
    challenged(answer, **reason)
    expect.equal(
        fields(answer).get("error"),
        "invalid_grant",
        did="the field `error` of the answer",
        why="an OAuth client reads `error`, not our `detail`",
        hint=reason.get("hint", "raise an exception of auth/exceptions.py that has oauth_error"),
    )
    not_stored(answer)


@contextmanager
def with_token(kind):
    """Say in a failure which token the request carried: its text says nothing to a person."""
    try:
        yield
    except expect.Wrong as wrong:
        wrong.did = f"{wrong.did}, with {kind}"
        raise


@contextmanager
def unprinted(name):
    """Keep what a logger says out of the feedback, where it would only repeat what the check says."""
    logger, handler = logging.getLogger(name), logging.NullHandler()
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = True


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
        sent, engine = [], visitor.sessions.kw["bind"].sync_engine
        event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
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
