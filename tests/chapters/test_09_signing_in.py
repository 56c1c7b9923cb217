"""Checks of chapter 09: signing up, signing in, staying signed in, signing out."""

import asyncio
import logging
from contextlib import contextmanager
from typing import Annotated

import pytest
from fastapi import Depends
from sqlalchemy import event, func, select

from workbook import expect
from workbook.checks import exercise

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


def bad_tokens(people, user_id, kind):
    """Return tokens that prove nothing: rubbish, one that is forged, and one that has expired."""
    forged = people.token(user_id, kind=kind, key="another key of 32 characters or more")
    return "rubbish", "a.b.c", forged, people.token(user_id, kind=kind, minutes=-5)


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
        hint="raise an exception of auth/exceptions.py that has oauth_error",
    )
    not_stored(answer)


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


@exercise("9.1")
class TestRegister:
    async def test_signed_up_and_signed_in(self, load, visitor):
        """Signing up answers 201 with both tokens and the user"""
        answer = await register(visitor)
        pair = pair_of(
            answer,
            201,
            why="a client that creates an account expects 201 Created, with the tokens in it",
            hint="set status_code=status.HTTP_201_CREATED in the decorator, and return what the service returns",
        )
        expect.equal(pair["token_type"], "bearer", did="token_type", hint="return the TokenPair of the service")
        expect.equal(
            pair["user"].get("username"), "ada", did="user.username", hint="return the TokenPair of the service"
        )
        for kind in ("access", "refresh"):
            claims = claims_of(load, pair[f"{kind}_token"], kind, answer)
            expect.equal(claims.sub, pair["user"]["id"], did=f"sub of the {kind} token", hint="let `_pair` make both")

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
        """A second sign-up with the same e-mail, in other capitals, is 409"""
        await register(visitor)
        answer = await register(visitor, "other", email="ADA@example.com")
        hint = "let service.register create the user, from a Register"
        expect.status(answer, 409, why="two accounts would share one mailbox", hint=hint)

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
        said, handler = [], logging.Handler()
        handler.emit = lambda record: said.append(record.getMessage())
        logger = logging.getLogger("app.users.notifications")
        logger.addHandler(handler)
        try:
            pair = pair_of(await register(visitor), 201, hint="return the TokenPair of the service")
            await register(visitor)
            await register(visitor, "bob", password="weak")
        finally:
            logger.removeHandler(handler)
        expect.equal(
            [text for text in said if "welcome" in text],
            [f"welcome message for user {pair['user']['id']}"],
            did="the messages of send_welcome after one good and two refused sign-ups",
            why="a new user never hears from us, or somebody is welcomed to an account that does not exist",
            hint="background.add_task(send_welcome, pair.user.id), below the call of the service",
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
            hint="`background.add_task(send_welcome, pair.user.id)`: a background task runs after the commit",
        )


# ---------------------------------------------------------------------------------------------------------------- 9.2


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
            why="the docs page and every OAuth client send a form; this route reads JSON or the address",
            hint="take `form: Annotated[OAuth2PasswordRequestForm, Depends()]`: it reads the form",
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

    async def test_the_authorize_button_signs_in(self, visitor, people):
        """The form as the Authorize button of /docs sends it, with more fields, answers 200"""
        await people.add("ada")
        form = {"grant_type": "password", "username": "ada", "password": PASSWORD, "scope": "", "client_id": ""}
        headers = {"Authorization": "Basic Og==", "X-Requested-With": "XMLHttpRequest"}
        expect.status(
            await visitor.post(f"{API}/auth/login", data=form, headers=headers),
            200,
            why="nobody could sign in on the docs page",
            hint="take `form: Annotated[OAuth2PasswordRequestForm, Depends()]`: it knows these fields",
        )

    async def test_a_wrong_password_is_refused(self, visitor, people):
        """A wrong password is 401"""
        await people.add("ada")
        answer = await login(visitor, "ada", "Wrong horse")
        expect.status(answer, 401, why="anybody could sign in as Ada", hint="let service.login decide")

    async def test_every_character_arrives(self, visitor, people, load):
        """A password with &, +, %, = and é arrives unchanged"""
        password = "A&b+c=d%20 é?"
        await people.add("eve", hashed_password=await load("core.security").hash_password(password))
        expect.status(
            await login(visitor, "eve", password),
            200,
            why="a person with such a password is locked out",
            hint="let OAuth2PasswordRequestForm read the form; do not cut the text yourself",
        )

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
                hint="one parameter `form: Annotated[OAuth2PasswordRequestForm, Depends()]`, and no other way in",
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
            hint="take `form: Annotated[OAuth2PasswordRequestForm, Depends()]`",
        )


# ---------------------------------------------------------------------------------------------------------------- 9.3


class Counter:
    """Counts the comparisons with a hash that a context makes."""

    def __init__(self, monkeypatch, context):
        self.count = 0
        for name in ("verify", "verify_and_update", "dummy_verify"):
            monkeypatch.setattr(context, name, self._counted(getattr(context, name)), raising=False)

    def _counted(self, function):
        def wrapper(*args, **kwargs):
            self.count += 1
            return function(*args, **kwargs)

        return wrapper


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
                hint="raise InvalidCredentials for both: `if user is None or not valid:`",
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

    async def test_the_clock_tells_nothing(self, visitor, people, load, monkeypatch):
        """An unknown name costs the time of a comparison, too"""
        await people.add("ada")
        await login(visitor, "ada", "Wrong horse")
        counter = Counter(monkeypatch, load("core.security").pwd_context)
        await login(visitor, "nobody", "Wrong horse")
        expect.that(
            counter.count > 0,
            did="a log-in with an unknown name",
            got="no hash was compared: the answer came at once",
            expected="as much work as for a known name",
            why="a stranger reads from the clock who has an account",
            hint="call verify_password before the first `if`, with None when there is no user",
            at=load("auth.service").AuthService.login,
        )

    async def test_the_right_password_signs_in(self, visitor, people):
        """The right password still signs in"""
        ada = await people.add("ada")
        answer = await login(visitor, "ada")
        hint = "return await self._start_session(user)"
        if "IntegrityError" in crashed(answer):
            hint = "the second value is None when the old hash is good: `if new_hash:`"
        pair = pair_of(answer, why="nobody could sign in", hint=hint)
        expect.equal(pair["user"].get("id"), ada.id, did="user.id", hint="start the session of this user")

    async def test_switched_off(self, visitor, people):
        """Switched off, with the right password: 400 with inactive_user, invalid_grant and no-store"""
        await people.add("off", is_active=False)
        answer = await login(visitor, "off")
        expect.status(
            answer,
            400,
            why="whoever was locked out by an admin signs in again",
            hint="after the password: `if not user.is_active: raise InactiveLogin`",
        )
        expect.equal(fields(answer).get("code"), "inactive_user", did="code", hint="raise InactiveLogin")
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
        for name, password in (("ada\x00", PASSWORD), ("ada", "A" * 73), ("ada", "Correct\x00horse")):
            expect.status(
                await login(visitor, name, password),
                401,
                why="a stranger can fill your log with errors",
                hint="use get_by_identifier and verify_password; both take any text",
            )


# ---------------------------------------------------------------------------------------------------------------- 9.4


@exercise("9.4")
class TestCurrentUser:
    @pytest.fixture
    def turned_away(self, load):
        """Expect a 401 with the challenge; an InvalidToken that nobody caught is a mistake of its own."""

        def check(answer, **reason):
            expect.that(
                "InvalidToken" not in crashed(answer),
                response=answer,
                got="500 Internal Server Error: InvalidToken was raised, and nobody caught it",
                expected="401 Unauthorized",
                why="a bad token must send the client to the log-in; a 500 looks like our failure",
                hint="`tokens.read` raises InvalidToken, and HTTP does not know it: catch it where you read the token, "
                "and raise InvalidAccessToken in its place",
                at=load("auth.dependencies").get_current_user,
            )
            challenged(answer, **reason)

        return check

    async def test_an_access_token_is_its_user(self, visitor, people):
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
        expect.status(
            answer,
            200,
            why="nobody who is signed in could use the API",
            hint="tokens.read(token, TokenType.ACCESS), then user_crud.get(session, claims.sub), then return the user",
        )
        expect.equal(fields(answer).get("id"), ada.id, did="id of /users/me", hint="the user's id is claims.sub")

    async def test_no_token(self, visitor, turned_away):
        """Without a token, or with another scheme, the answer is 401 with the challenge, not 403"""
        for headers in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}):
            turned_away(
                await visitor.get(f"{API}/users/me", headers=headers),
                why="401 means: sign in first. A client that gets a 403 never shows the log-in",
                hint="let OAuth2PasswordBearer read the header: `token: Annotated[str, Depends(oauth2_scheme)]`",
            )

    async def test_forged_and_expired(self, visitor, people, turned_away):
        """Rubbish, a forged token and an expired one are 401 with the challenge"""
        ada = await people.add("ada")
        for token in bad_tokens(people, ada.id, "access"):
            turned_away(
                await me(visitor, token),
                why="a bad token must send the client to the log-in; a 500 looks like our failure",
                hint="`except InvalidToken as error: raise InvalidAccessToken from error`",
            )

    async def test_a_refresh_token_opens_nothing(self, visitor, people, turned_away):
        """A refresh token is no access token: 401"""
        ada = await people.add("ada")
        turned_away(
            await me(visitor, people.token(ada.id, kind="refresh")),
            why="a refresh token lives for days; whoever copies it could use every route with it",
            hint="read the token as TokenType.ACCESS, and as nothing else",
        )

    async def test_a_user_who_is_gone(self, visitor, people, load, turned_away):
        """A good token of a deleted user, or of one who never was, is 401"""
        ada = await people.add("ada")
        await people.change(ada, deleted_at=load("db.base").utc_now(), is_active=False)
        for user_id in (ada.id, 999):
            turned_away(
                await me(visitor, people.token(user_id)),
                why="a deleted user would still be let in, or the answer would be a 500",
                hint="ask user_crud.get, which hides deleted users; `if user is None: raise InvalidAccessToken`",
            )

    async def test_the_authorize_button(self, visitor):
        """The Authorize button of /docs sends its form to /api/v1/auth/login"""
        document = fields(await visitor.get(f"{API}/openapi.json"))
        schemes = document.get("components", {}).get("securitySchemes", {})
        found = [one.get("flows", {}).get("password", {}).get("tokenUrl") for one in schemes.values()]
        expect.equal(
            found,
            ["/api/v1/auth/login"],
            did="tokenUrl of the security schemes in openapi.json",
            why="the button would send the password to an address that does not exist",
            hint='oauth2_scheme = OAuth2PasswordBearer(tokenUrl="/api/v1/auth/login")',
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
    async def test_switched_off_with_a_fresh_token(self, visitor, people):
        """A user who is switched off is refused at once with 400 and inactive_user, though the token is fresh"""
        ada = await people.add("ada")
        expect.status(
            await me(visitor, people.token(ada.id)),
            200,
            why="nobody could use the API",
            hint="an active user may pass: return the user",
        )
        await people.change(ada, is_active=False)
        answer = await visitor.get(f"{API}/users/me", headers=ada.headers)
        expect.that(
            answer.status_code != 200,
            response=answer,
            got="200 OK: she is switched off, and passes",
            expected="400 Bad Request",
            why="whoever an admin locks out goes on for up to 30 minutes",
            hint="`if not user.is_active: raise InactiveUser`, above the return",
        )
        why = "the token is good, so signing in again does not help: a client must tell this apart from a 401"
        expect.status(answer, 400, why=why, hint="raise InactiveUser: it has the status and the code")
        expect.equal(fields(answer).get("code"), "inactive_user", did="code", why=why, hint="raise InactiveUser")

    async def test_an_active_user_passes(self, visitor, people):
        """An active user passes; one who is switched on again does too"""
        ada = await people.add("ada", is_active=False)
        await people.change(ada, is_active=True)
        answer = await visitor.get(f"{API}/users/me", headers=ada.headers)
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
            hint="follow the five steps; the last one is `return self._pair(user, claims.sid, jti, expires)`",
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
        after = claims_of(load, new["refresh_token"], "refresh", answer)
        expect.equal(
            after.sid,
            before.sid,
            did="sid of the new refresh token, compared with the old one",
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

    async def test_the_session_lives_on(self, visitor, people, load):
        """Each refresh moves the end of the session, in the table and in the token"""
        pair = await signed_in(visitor, people)
        sessions, model = visitor.sessions, load("auth.models").LoginSession
        claims = claims_of(load, pair["refresh_token"], "refresh", await me(visitor))
        async with sessions() as session:
            row = await session.get(model, claims.sid)
            row.expires_at = load("db.base").utc_now()
            await session.commit()
        answer = await refresh(visitor, pair["refresh_token"])
        new = claims_of(load, pair_of(answer, hint="follow the five steps")["refresh_token"], "refresh", answer)
        async with sessions() as session:
            row = await session.get(model, claims.sid)
        expect.that(
            row is not None and abs(row.expires_at.timestamp() - new.exp) < 2,
            did="expires_at of the session after a refresh",
            got=f"{row.expires_at if row is not None else 'no row'}",
            expected="the moment when the new refresh token expires, in 14 days",
            why="a session that is in use would be cleared away as expired",
            hint="hand the same `expires` to rotate and to _pair",
        )

    async def test_only_refresh_tokens(self, visitor, people):
        """An access token, a forged and an expired token, and rubbish are 401"""
        pair = await signed_in(visitor, people)
        user_id = pair["user"]["id"]
        for token in (pair["access_token"], *bad_tokens(people, user_id, "refresh"), ""):
            refused_grant(
                await refresh(visitor, token),
                why="an access token would be as good as a refresh token, or a bad token would be a 500",
                hint="self.tokens.read(refresh_token, TokenType.REFRESH); InvalidToken becomes InvalidRefreshToken",
            )
        expect.status(
            await refresh(visitor, pair["refresh_token"]),
            200,
            why="anybody who sends rubbish could sign Ada out",
            hint="a refused token spends nothing",
        )

    async def test_who_is_gone_or_switched_off(self, visitor, people, load):
        """A user who was switched off, or deleted, gets no new pair: 401"""
        for name, change in (("off", {"is_active": False}), ("gone", {"deleted_at": load("db.base").utc_now()})):
            person = await people.add(name)
            pair = pair_of(await login(visitor, name), hint="write exercises 9.2 and 9.3 first")
            await people.change(person, **change)
            refused_grant(
                await refresh(visitor, pair["refresh_token"]),
                why="whoever an admin locks out stays signed in for 14 more days, again and again",
                hint="`if user is None or not user.is_active: raise InvalidRefreshToken`",
            )

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

    async def test_the_same_token_at_the_same_moment(self, open_visit, load):
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
            at=getattr(load("auth.service").AuthService, "refresh", None),
        )


# ---------------------------------------------------------------------------------------------------------------- 9.7


class Probe:
    """Routes that write a user and then end in different ways, on the learner's get_session."""

    def __init__(self, load, visitor):
        self._load, self._visitor = load, visitor
        self.model, errors = load("users.models").User, load("core.exceptions")
        kept = type("Kept", (errors.DomainError,), {"keep_changes": True})
        self.endings = {"domain": errors.Conflict, "other": RuntimeError, "kept": kept, "fine": None}
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


@exercise("9.7")
class TestReuse:
    async def test_the_newest_token_is_worthless(self, visitor, people, load):
        """When a spent token comes again, the newest token of the same session is refused, too"""
        stolen = (await signed_in(visitor, people))["refresh_token"]
        thief = pair_of(await refresh(visitor, stolen), hint="write exercise 9.6 first")["refresh_token"]
        sent, engine = [], visitor.sessions.kw["bind"].sync_engine
        event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
        refused_grant(await refresh(visitor, stolen), hint="raise the error again after the commit: a bare `raise`")
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
        answer, saved = await Probe(load, visitor).ask("kept")
        expect.status(
            answer,
            400,
            why="the client gets a wrong answer, or none",
            hint="raise the error again after the commit: a bare `raise`",
            at=load("db.session").get_session,
        )
        expect.that(
            saved,
            did="a route that writes a row and raises an error with keep_changes",
            got="the row is not there",
            expected="the row is there",
            why="a revocation is taken back by its own answer",
            hint="`if error.keep_changes: await session.commit()`, in the except block",
            at=load("db.session").get_session,
        )

    async def test_other_errors_save_nothing(self, visitor, load):
        """Every other error is answered as before, and nothing of the request is saved"""
        probe, place = Probe(load, visitor), load("db.session").get_session
        for ending, status, name in (("domain", 409, "a Conflict"), ("other", 500, "a RuntimeError")):
            answer, saved = await probe.ask(ending)
            expect.status(
                answer,
                status,
                why="the client is told something else than what happened",
                hint="raise the error again: a bare `raise`, below the `if`",
                at=place,
            )
            expect.that(
                not saved,
                did=f"a route that writes a row and raises {name}",
                got="the row is there",
                expected="nothing is saved",
                why="a request that failed leaves half of its work behind",
                hint="commit in the except block only when error.keep_changes is True; catch DomainError only",
                at=place,
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
            at=load("db.session").get_session,
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
            hint="`await login_session_crud.end(self.session, claims.sid, claims.sub)`",
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
        for token in (*bad_tokens(people, ada.id, "refresh"), ""):
            expect.status(
                await logout(visitor, token),
                204,
                why="a client that signs out has what it wants; an error helps nobody",
                hint="`except InvalidToken: return`",
            )

    async def test_an_access_token_ends_nothing(self, visitor, people):
        """An access token is 204, and ends nothing"""
        pair = await signed_in(visitor, people)
        expect.status(await logout(visitor, pair["access_token"]), 204, hint="`except InvalidToken: return`")
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
