"""The routes by which one signs up, in and out, and what their answers hold (chapter 09)."""

import logging
from contextlib import contextmanager

from course_checks.answers import fields
from course_checks.paths import API, LOGIN, LOGOUT, REFRESH, REGISTER
from course_checks.samples import PASSWORD
from workbook import expect

PAIR = ("access_token", "refresh_token", "token_type", "user")


def new_user(name="ada", **changes):
    """Return the body of a sign-up."""
    return {"email": f"{name}@example.com", "username": name, "password": PASSWORD} | changes


async def register(client, name="ada", **changes):
    """Sign somebody up over HTTP."""
    return await client.post(REGISTER, json=new_user(name, **changes))


async def login(client, name, password=PASSWORD):
    """Sign in with the form."""
    return await client.post(LOGIN, data={"username": name, "password": password})


async def refresh(client, token):
    """Exchange a refresh token."""
    return await client.post(REFRESH, json={"refresh_token": token})


async def logout(client, token):
    """Sign out."""
    return await client.post(LOGOUT, json={"refresh_token": token})


async def me(client, token=None):
    """Ask who I am."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return await client.get(f"{API}/users/me", headers=headers)


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
