"""Checks of chapter 08, tokens: made, read, of two types, and forged by hand."""

import hashlib
import hmac
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from jose.exceptions import JOSEError

from course_checks.samples import KEY, MAX_ID
from course_checks.tokens import (
    A_500,
    ANYBODY,
    CLAIMS,
    HASHES,
    HEADER,
    JTI,
    LIBRARY,
    SID,
    claims_of,
    compact,
    forge,
    nested,
    parts_of,
    raised,
    sign,
    write,
)
from workbook import expect
from workbook.checks import exercise

NONES = ("none", "None", "NONE", "nOnE", "")
LONGEST = 4096
KEPT_500 = "an older version of your app, or whoever shares its key, could turn a request into a 500"
FORGET = "remember nothing between two calls: check the signature and the clock each time"
NOT_YOURS = "your app never writes such a claim: the token is not yours"


# ------------------------------------------------------------------------------------------------- tokens made by hand


def unsigned(alg):
    """Make a token without a signature."""
    return forge(header={"alg": alg, "typ": "JWT"}).rpartition(".")[0] + "."


def of_length(length):
    """Make a good token of this many characters, with the six claims only: spaces behind the JSON fill it up."""
    header, payload = compact(HEADER), compact(claims_of())
    for size in range(length):
        token = sign(header, payload + b" " * size) if size > length // 2 else ""
        if len(token) >= length:
            return token
    raise AssertionError(length)


def other_algorithms():
    """Return tokens that name another algorithm than HS256, by what they are."""
    tokens = {f"a token signed with {alg} and your key": forge(header={"alg": alg, "typ": "JWT"}) for alg in HASHES}
    return tokens | {f"a token with alg {alg!r} and no signature": unsigned(alg) for alg in NONES}


# --------------------------------------------------------------------------------------------------- the learner's code


@pytest.fixture
def security(load):
    """The learner's `app.core.security`."""
    return load("core.security")


REFUSED = object()


def outcome(security, token, what, kind="access", key=KEY):
    """Return what decode_token returns, or REFUSED; another exception than InvalidToken is a wrong answer."""
    try:
        return security.decode_token(token, key, security.TokenType(kind))
    except security.InvalidToken:
        return REFUSED
    except LIBRARY as error:
        raise expect.Wrong(
            did=call(what, kind, key),
            got=raised(error),
            expected="InvalidToken",
            why=A_500,
            hint=hint_for(error),
            at=security.decode_token,
        ) from None


def hint_for(error):
    """Say how to turn an exception into InvalidToken."""
    name = type(error).__name__
    if isinstance(error, JOSEError):
        return "catch JWTError, and raise InvalidToken; read nothing outside the try"
    if isinstance(error, ValueError):
        kind = "" if name == "ValueError" else f" ({name} is one)"
        return f"catch JWTError and ValueError{kind}, and raise InvalidToken; read nothing outside the try"
    return f"{name} is no JWTError: catch it too, and read nothing outside the try"


def call(what, kind, key=KEY):
    """Return a call of decode_token as a person would write it."""
    return f"decode_token({what}, {'key' if key else repr(key)}, TokenType.{kind.upper()})"


def refuses(security, token, what, *, why, hint, kind="access", key=KEY):
    """Expect InvalidToken."""
    found = outcome(security, token, what, kind, key)
    expect.that(
        found is REFUSED,
        did=call(what, kind, key),
        got=f"it returned {found!r}" if found is None else "it was accepted",
        expected="InvalidToken",
        why=why,
        hint=hint if found is not None else "raise InvalidToken; a caller could forget to look for None",
        at=security.decode_token,
    )


UNASKED = "TokenClaims has the rule, and nobody asks it (model_construct checks nothing, model_validate does)"


def ruled(security, name):
    """Say whether TokenClaims requires a field already, and sub as a number."""
    field = security.TokenClaims.model_fields.get(name)
    return field is not None and field.is_required() and (name != "sub" or field.annotation is int)


def accepts(security, token, what="a good token", *, kind="access", hint="", sub=7):
    """Expect the claims of a good token."""
    found = outcome(security, token, what, kind)
    did, at = call(what, kind), security.decode_token
    why = "nobody could sign in any more"
    expect.that(
        found is not REFUSED,
        did=did,
        got="InvalidToken",
        expected="the claims of the token",
        why=why,
        hint=hint or "a good token must pass every rule",
        at=at,
    )
    expect.that(
        isinstance(found, security.TokenClaims),
        did=did,
        got=f"it returned {'None' if found is None else expect.with_article(type(found).__name__)}",
        expected="a TokenClaims",
        why=why,
        hint="return the object that TokenClaims.model_validate makes",
        at=at,
    )
    hint = f"{UNASKED}: sub is still a text" if ruled(security, "sub") else "declare sub as an int"
    expect.equal(getattr(found, "sub", None), sub, did=f"{did}.sub", why=why, hint=hint, at=at)
    return found


# ------------------------------------------------------------------------------------------------------------------ 8.1


@pytest.fixture
def tokyo(monkeypatch):
    """A machine whose clock shows the time of Tokyo."""
    if not hasattr(time, "tzset"):
        yield
        return
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def create(security, kind="access", key=KEY, user_id=7, expires=None):
    """Call the learner's create_token."""
    expires = expires or datetime.now(UTC) + timedelta(minutes=30)
    kind = security.TokenType(kind)
    return security.create_token(key, kind, user_id=user_id, session_id=SID, jti=JTI, expires=expires)


def claims_in(security, token):
    """Return the claims of a token of create_token."""
    return parts_of(token, "create_token(…)", security.create_token)[1]


@exercise("8.1")
class TestCreate:
    def test_the_signature(self, security):
        """A token has the header {"alg": "HS256", "typ": "JWT"}, and a signature that fits the key"""
        for key in (KEY, KEY[::-1], f" {KEY} ", "   "):
            token = create(security, key=key)
            header, _ = parts_of(token, "create_token(…)", security.create_token)
            at = security.create_token
            why = "the token says how it is to be checked, and nobody who knows HS256 only could check it"
            expect.equal(header, HEADER, did="the header of a token", why=why, hint="pass algorithm=ALGORITHM", at=at)
            signed, _, signature = token.rpartition(".")
            expect.equal(
                signature,
                write(hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest()),
                did="the signature of a token",
                why="the app that signed it would refuse it",
                hint="sign with the argument `key`",
                at=at,
            )

    def test_who(self, security):
        """The subject is the user's id as text, "7" and not 7"""
        for user_id in (7, 123456):
            claims = claims_in(security, create(security, user_id=user_id))
            expect.equal(
                claims.get("sub"),
                str(user_id),
                did=f"create_token(…, user_id={user_id}, …), the claim sub",
                why="python-jose makes a token with a number, and then refuses to read it",
                hint="the subject must be a string: str(user_id)",
                at=security.create_token,
            )

    def test_what_for(self, security):
        """`type` is "access" or "refresh"; `jti` and `sid` are those that the caller gave"""
        for kind in ("access", "refresh"):
            claims = claims_in(security, create(security, kind))
            for name, value in (("type", kind), ("jti", JTI), ("sid", SID)):
                expect.equal(
                    claims.get(name),
                    value,
                    did=f"create_token(key, TokenType.{kind.upper()}, …), the claim {name}",
                    why="one kind of token could stand in for the other"
                    if name == "type"
                    else "chapter 09 finds a session and its newest token by these ids",
                    hint="take it from the arguments: token_type.value, jti, session_id",
                    at=security.create_token,
                )

    def test_the_times(self, security, tokyo):
        """`iat` is now and `exp` is `expires`, in whole seconds since 1970, whatever the machine's time zone"""
        at = security.create_token
        hint = "utc_now().timestamp() counts in UTC; datetime.utcnow() has lost its zone, so timestamp() goes wrong"
        for zone in (UTC, timezone(timedelta(hours=-5))):
            expires = datetime(2100, 1, 1, 12, 30, 15, 900_000, tzinfo=zone)
            before = int(time.time())
            claims = claims_in(security, create(security, expires=expires))
            found, after = claims.get("iat"), int(time.time())
            expect.that(
                type(found) is int and before <= found <= after,
                did="create_token(…), the claim iat",
                got=f"{found!r}",
                expected=f"{before}, the whole seconds since 1970 in UTC",
                why="a token could expire hours too early or too late, on another machine",
                hint=hint,
                at=at,
            )
            expect.equal(
                claims.get("exp"),
                int(expires.timestamp()),
                did=f"create_token(…, expires={expires.isoformat()}), the claim exp",
                why="a token could expire hours too early or too late",
                hint="int(expires.timestamp()) is right in every time zone",
                at=at,
            )

    def test_nothing_else(self, security):
        """A token has these six claims and no others: everybody can read it"""
        claims = claims_in(security, create(security))
        expect.equal(
            sorted(claims),
            sorted(CLAIMS),
            did="the claims of a token",
            why="whoever gets hold of a token can read all that it says",
            hint="give jwt.encode a dictionary with exactly six entries",
            at=security.create_token,
        )

    def test_no_key(self, security):
        """An empty key raises ValueError"""
        with expect.raising(
            ValueError,
            did='create_token("", TokenType.ACCESS, …)',
            why="everybody knows the empty key, and could sign the same token",
            hint="python-jose signs with an empty key; ask `if not key` first",
            at=security.create_token,
        ):
            create(security, key="")

    def test_the_clock_of_the_call(self, security):
        """`iat` is the time of this call: a token that is made a second later says so"""
        first = claims_in(security, create(security))
        time.sleep(1.1)
        second = claims_in(security, create(security))
        expect.that(
            isinstance(first.get("iat"), int) and isinstance(second.get("iat"), int) and second["iat"] > first["iat"],
            did="the iat of two tokens, the second made more than a second later",
            got=f"{first.get('iat')!r} and {second.get('iat')!r}",
            expected="two different times",
            why="every token would say that it was issued when the server was started",
            hint="ask for the time inside the function: what stands outside runs once, at the import",
            at=security.create_token,
        )


# ------------------------------------------------------------------------------------------------------------------ 8.2


@exercise("8.2")
class TestDecode:
    def test_a_good_token(self, security):
        """A good token gives its claims, as a TokenClaims"""
        for kind in ("access", "refresh"):
            claims = claims_of(kind)
            found = accepts(security, forge(claims), f"a good {kind} token", kind=kind)
            for name, value in (claims | {"sub": 7}).items():
                expect.equal(
                    getattr(found, name, None),
                    security.TokenType(value) if name == "type" else value,
                    did=f"{call(f'a good {kind} token', kind)}.{name}",
                    why="the rest of the app works with what the token says",
                    hint=f"TokenClaims needs a field {name} of the right type",
                    at=security.TokenClaims,
                )

    def test_your_own_token(self, security):
        """A token of create_token is accepted"""
        accepts(security, create(security), "a token of create_token")

    def test_wrong_keys(self, security):
        """Signed with another key, with the empty key, or with a changed payload: refused"""
        hint = "jwt.decode(token, key, algorithms=[ALGORITHM]) checks the signature; nothing else does"
        head, _, signature = forge().split(".")
        swapped = f"{head}.{write(compact(claims_of(sub='1')))}.{signature}"
        tokens = {"a token signed with another key": forge(key="another key"), "a swapped payload": swapped}
        tokens["a token signed with the empty key"] = forge(key="")
        for what, token in tokens.items():
            refuses(security, token, what, why=ANYBODY, hint=hint)
        why = "a text that was changed after the signing counts as signed"
        refuses(security, f" {forge()}", "a good token behind a blank", why=why, hint="read the token as it came")

    def test_each_time_anew(self, security):
        """A token that was good a moment ago is refused with another key"""
        token = forge()
        accepts(security, token)
        refuses(
            security,
            token,
            "a token that was good a moment ago",
            why="the key was changed, and the stolen tokens go on",
            hint=FORGET,
            key=KEY[::-1],
        )

    def test_algorithms(self, security):
        """Another algorithm is refused, even when the token is signed with your key; `none` in every spelling too"""
        for what, token in other_algorithms().items():
            hint = "the checker names the one algorithm: algorithms=[ALGORITHM]"
            refuses(security, token, what, why="the token would choose how it is checked", hint=hint)

    def test_the_end(self, security, later):
        """An expired token is refused, also one that was good before its end came"""
        hint = "leave verify_exp as it is: jwt.decode looks at the clock"
        why = "a stolen token would work for ever"
        for seconds in (1, 3600, 10**6):
            token = forge(claims_of(exp=int(time.time()) - seconds))
            refuses(security, token, f"a token that ended {seconds} s ago", why=why, hint=hint)
        token = forge()
        accepts(security, token)
        later(days=400)
        why = "whoever stole a token before its end could use it for as long as the app runs"
        refuses(security, token, "a token that was good until its end came", why=why, hint=FORGET)

    def test_every_claim_is_required(self, security):
        """A token that lacks one of the six claims is refused"""
        for name in sorted(CLAIMS):
            token = forge(claims_of(**{name: None}))
            hint = UNASKED if ruled(security, name) else f"give the field {name} of TokenClaims no default"
            why = "a claim that is missing is not checked: a token without exp never ends"
            refuses(security, token, f"a token without {name}", why=why, hint=hint)

    def test_every_claim_has_a_form(self, security):
        """A subject that no user can have, an unknown type, and ids of 31 or 33 characters are refused"""
        bad = [("sub", sub) for sub in ("0", "-1", str(MAX_ID + 1), "10" * 20, "ada", "", "1 OR 1=1")]
        bad += [("type", kind) for kind in ("admin", "Access", "")]
        bad += [(name, "a" * size) for name in ("jti", "sid") for size in (0, 31, 33)]
        bad += [("iat", "now"), ("jti", 5), ("sid", 5)]
        for name, value in bad:
            hint = f"give the field {name} of TokenClaims the rule of the table"
            what = f"a token with {name} {expect.shown(value)}"
            why = "no user has this id: a query for it would fail later, as a 500" if name == "sub" else NOT_YOURS
            refuses(security, forge(claims_of(**{name: value})), what, why=why, hint=hint)

    def test_the_bounds(self, security):
        """The first and the last possible user are accepted"""
        for sub in (1, MAX_ID):
            accepts(security, forge(claims_of(sub=str(sub))), f"a token for user {sub}", sub=sub)

    def test_no_token_at_all(self, security):
        """A text that is no token raises InvalidToken, and no exception of a library"""
        texts = ("", "x", "a.b.c", "..", "null.null.null", "é.é.é", "\x00", "\ud800", "a.\ud800.c")
        for text in texts:
            hint = "catch JWTError and ValueError (a ValidationError is one), and raise InvalidToken"
            refuses(security, text, expect.shown(text), why=A_500, hint=hint)
        for payload in (b"[]", b"1", b'"text"', b"null", b"{", b"\xff"):
            token, what = sign(compact(HEADER), payload), f"a token whose payload is {payload!r}"
            refuses(security, token, what, why=KEPT_500, hint="catch JWTError and ValueError, raise InvalidToken")


# ------------------------------------------------------------------------------------------------------------------ 8.3


@exercise("8.3")
class TestTypes:
    def test_each_does_its_own_work(self, security):
        """Each kind of token is accepted where it is wanted"""
        for kind in ("access", "refresh"):
            hint = "refuse when claims.type is not token_type; otherwise return the claims"
            accepts(security, forge(claims_of(kind)), f"the {kind} token", kind=kind, hint=hint)
            accepts(security, create(security, kind), f"the {kind} token of create_token", kind=kind, hint=hint)

    def test_a_refresh_token_is_no_access_token(self, security):
        """A refresh token is refused where an access token is wanted"""
        why = "a stolen refresh token would open every route for 14 days"
        hint = "compare claims.type with token_type, and raise InvalidToken when they differ"
        refuses(security, forge(claims_of("refresh")), "a refresh token", why=why, hint=hint)

    def test_an_access_token_is_no_refresh_token(self, security):
        """An access token is refused where a refresh token is wanted"""
        why = "a token for 30 minutes could renew itself for ever"
        hint = "compare claims.type with token_type in both directions"
        refuses(security, forge(claims_of("access")), "an access token", kind="refresh", why=why, hint=hint)

    def test_the_signature_still_counts(self, security):
        """The right type alone opens nothing: a wrong key and an expired token are refused as before"""
        hint = "keep jwt.decode with the key and the algorithm; compare the type below it"
        for kind in ("access", "refresh"):
            for what, token in {
                f"a forged {kind} token": forge(claims_of(kind), key="another key"),
                f"an expired {kind} token": forge(claims_of(kind, exp=1)),
                f"an unsigned {kind} token": forge(claims_of(kind)).rpartition(".")[0] + ".",
            }.items():
                refuses(security, token, what, kind=kind, why=ANYBODY, hint=hint)
        for what, token in other_algorithms().items():
            refuses(security, token, what, why="the token would choose how it is checked", hint=hint)


# ------------------------------------------------------------------------------------------------------------------ 8.4


HEADERS = (
    {"kid": "../../dev/null"},
    {"kid": "x' UNION SELECT 'secret"},
    {"jku": "http://127.0.0.1:9/keys"},
    {"jwk": {"kty": "oct", "k": "c2VjcmV0"}},
    {"jwks": {"keys": []}},
    {"x5u": "http://127.0.0.1:9/certificate"},
    {"crit": ["exp"]},
    {"zip": "DEF"},
    {"typ": "at+jwt"},
    {"typ": None},
)


@exercise("8.4")
class TestForgeries:
    def test_good_tokens(self, security):
        """Good tokens are accepted as before"""
        hint = "the header of a good token is {'alg': 'HS256', 'typ': 'JWT'}"
        for kind in ("access", "refresh"):
            accepts(security, create(security, kind), f"the {kind} token of create_token", kind=kind, hint=hint)
            accepts(security, forge(claims_of(kind)), f"a good {kind} token", kind=kind, hint=hint)

    def test_headers(self, security):
        """A header with kid, jku, jwk, jwks, or anything else that you never write, is refused, even with your key"""
        for more in HEADERS:
            what = f"a token with the header {HEADER | more}"
            why = "one day a library follows it, and a stranger brings the key along"
            hint = "compare the whole header with TOKEN_HEADER, before jwt.decode"
            refuses(security, forge(header=HEADER | more), what, why=why, hint=hint)
        short = forge(header={"alg": "HS256"})
        refuses(security, short, "a token without typ", why="it is not yours", hint="compare the whole header")

    def test_nested(self, security):
        """A header or a payload that is nested a hundred thousand times, or four hundred times, is refused"""
        for part in ("header", "payload"):
            for depth in (400, 1_100, 1_450, 100_000):
                what = f"a token with a {part} nested {depth:,} times"
                hint = "RecursionError is no JWTError: catch it too, and read nothing outside the try"
                why = A_500 if part == "header" else KEPT_500
                refuses(security, nested(depth, part), what, why=why, hint=hint)

    def test_strange_claims(self, security):
        """Claims that no clock understands are refused: a list, infinity, null"""
        for name, values in {"exp": ([], {}, float("inf"), float("nan")), "iat": ([], {}, float("inf"))}.items():
            for value in values:
                what = f"a token with {name} {value!r}"
                hint = "put TypeError and OverflowError into the tuple behind except"
                refuses(security, forge(claims_of(**{name: value})), what, why=KEPT_500, hint=hint)
        null = forge(claims_of() | {"exp": None})
        refuses(security, null, "a token with exp null", why=KEPT_500, hint="catch TypeError too")
        for alg in (["HS256"], {"HS256": 1}, 1, None, True):
            token = sign(compact({"alg": alg, "typ": "JWT"}), compact(claims_of()))
            refuses(security, token, f"a token with alg {alg!r}", why=A_500, hint="catch TypeError too")

    def test_own_faults(self, security, monkeypatch):
        """A fault of your own, such as a mistyped name, does not become InvalidToken"""
        called = []

        def mistyped(*_, **__):
            called.append(True)
            raise NameError("name 'clams' is not defined")

        monkeypatch.setattr("jose.jwt.decode", mistyped)
        try:
            outcome(security, forge(), "a good token, while jwt.decode raises a NameError")
        except NameError:
            return
        if called:
            raise expect.Wrong(
                did="decode_token(a good token, …), while jwt.decode raises a NameError",
                got="InvalidToken",
                expected="the NameError goes on",
                why="people could not sign in, and nothing would say why",
                hint="name the exceptions that a bad token causes; `except Exception` hides your own faults",
                at=security.decode_token,
            )

    def test_long(self, security):
        """A token of 4096 characters is accepted, one of 4097 is refused, before anything reads it"""
        accepts(security, of_length(LONGEST), "a good token of 4096 characters", hint="only more than 4096 is too long")
        hint = "ask `len(token) > MAX_TOKEN_LENGTH` first"
        why = "a stranger could keep your app busy with reading"
        for length in (LONGEST + 1, 2 * LONGEST):
            refuses(security, of_length(length), f"a good token of {length} characters", why=why, hint=hint)

    def test_long_is_asked_first(self, security, monkeypatch):
        """For a token that is too long python-jose is not called at all"""
        seen = []
        for name in ("get_unverified_header", "get_unverified_headers", "get_unverified_claims", "decode"):
            monkeypatch.setattr(f"jose.jwt.{name}", lambda *_, _name=name, **__: seen.append(_name) or {})
        outcome(security, "x" * 10**6, "a text of a million characters")
        expect.equal(
            seen,
            [],
            did="decode_token(a text of a million characters, …), the calls of python-jose",
            why="reading costs time, which a stranger could buy for nothing",
            hint="the guard clause about the length comes first",
            at=security.decode_token,
        )

    def test_no_key(self, security):
        """When the key is empty every token is refused"""
        hint = "python-jose takes an empty key; ask `if not key` first"
        why = "an app that lost its key would believe everybody"
        refuses(security, forge(key=""), "a token signed with the empty key", key="", why=why, hint=hint)
        found = outcome(security, forge(key="   "), "a good token", "access", "   ")
        expect.that(
            found is not REFUSED and found is not None,
            did="decode_token(a token signed with a key of three blanks, the same key, …)",
            got="InvalidToken",
            expected="the claims of the token",
            why="settings say which keys are weak; here a token that was signed with a key must be read with it",
            hint="only the empty key is no key: ask about the key as it is",
            at=security.decode_token,
        )
        refuses(security, forge(), "a good token", key="", why=why, hint=hint)

    def test_rubbish(self, security):
        """NUL, half a character, and other texts that are no token raise InvalidToken and nothing else"""
        texts = ("", ".", "..", "...", "a.b", "a.b.c.d.e", "e30.e30.", "=.=.=", "eyJhbGciOiJIUzI1NiJ9..")
        texts += ("\x00", forge() + "\x00", "\ud800", forge() + "\ud800", "a.\ud800.c", "é.é.é", "A" * 4000)
        for text in texts:
            hint = "catch JWTError and ValueError too, and read nothing outside the try"
            refuses(security, text, expect.shown(text), why=A_500, hint=hint)

    def test_the_old_rules(self, security):
        """Wrong key, wrong algorithm, wrong type, an expired or incomplete token: refused as before"""
        tokens = other_algorithms() | {
            "a token signed with another key": forge(key="another key"),
            "an expired token": forge(claims_of(exp=int(time.time()) - 1)),
            "a refresh token": forge(claims_of("refresh")),
            "a token without exp": forge(claims_of(exp=None)),
            "a token for user 0": forge(claims_of(sub="0")),
        }
        for what, token in tokens.items():
            refuses(security, token, what, why=ANYBODY, hint="keep what you had in exercise 8.3")
