"""Checks of chapter 08: tokens. Every forged token is made by hand, with no help of the learner's code."""

import base64
import hashlib
import hmac
import json
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from jose.exceptions import JOSEError

from workbook import expect
from workbook.checks import exercise

KEY = "q7Rz-Lk2mPw9-Xc4vTb6-Hn8sYd3-Jf5gUe1-Za0"
HEADER = {"alg": "HS256", "typ": "JWT"}
HASHES = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}
JTI, SID = "0123456789abcdef" * 2, "fedcba9876543210" * 2
CLAIMS = {"sub", "type", "jti", "sid", "iat", "exp"}
NONES = ("none", "None", "NONE", "nOnE", "")
LARGEST = 2**31 - 1
LONGEST = 4096
LIBRARY = (JOSEError, ValueError, TypeError, KeyError, OverflowError, RecursionError)
A_500 = "any stranger could turn a request into a 500"
KEPT_500 = "an older version of your app, or whoever shares its key, could turn a request into a 500"
ANYBODY = "a stranger could be anybody"
FORGET = "remember nothing between two calls: check the signature and the clock each time"
NOT_YOURS = "your app never writes such a claim: the token is not yours"


# ------------------------------------------------------------------------------------------------- tokens made by hand


def compact(value):
    """Return JSON without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def write(data):
    """Write bytes as the parts of a token are written."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read(part):
    """Read the bytes of a part."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def claims_of(kind="access", **changes):
    """Return good claims of the user 7, with changes; None leaves a claim out."""
    now = int(time.time())
    claims = {"sub": "7", "type": kind, "jti": JTI, "sid": SID, "iat": now, "exp": now + 1800} | changes
    return {name: value for name, value in claims.items() if value is not None}


def sign(header, payload, key=KEY, hash_name=hashlib.sha256):
    """Sign two parts that are bytes."""
    signed = f"{write(header)}.{write(payload)}"
    return f"{signed}.{write(hmac.new(key.encode(), signed.encode(), hash_name).digest())}"


def forge(claims=None, header=None, key=KEY):
    """Make a token by hand."""
    header = HEADER if header is None else header
    hash_name = HASHES.get(str(header.get("alg")), hashlib.sha256)
    return sign(compact(header), compact(claims_of() if claims is None else claims), key, hash_name)


def unsigned(alg):
    """Make a token without a signature."""
    return forge(header={"alg": alg, "typ": "JWT"}).rpartition(".")[0] + "."


def nested(depth, part="header"):
    """Make a token with a list in a list in a list…, signed with the key."""
    deep = b"[" * depth + b"]" * depth
    return sign(deep, b"{}") if part == "header" else sign(compact(HEADER), deep)


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


def raised(error):
    """Say in one line what was raised."""
    return f"it raised {type(error).__name__}: {' '.join(str(error).split())[:80]}"


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


def parts_of(token, did, at):
    """Return header and claims of a token that the learner's code made; what is no token is a wrong answer."""
    try:
        header, claims, _ = token.split(".")
        return json.loads(read(header)), dict(json.loads(read(claims)))
    except (ValueError, AttributeError, TypeError):
        raise expect.Wrong(
            did=did,
            got=f"{token!r}"[:200],
            expected="a token: three parts with dots between them",
            why="no client could send it back",
            hint="return what jwt.encode(claims, key, algorithm=ALGORITHM) returns",
            at=at,
        ) from None


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
        bad = [("sub", sub) for sub in ("0", "-1", str(LARGEST + 1), "10" * 20, "ada", "", "1 OR 1=1")]
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
        for sub in (1, LARGEST):
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


# ------------------------------------------------------------------------------------------------------------------ 8.5


STRONG = (
    KEY,
    "abcdeABCDE" * 4,
    "abcdefghij" + "a" * 22,
    "äöüßéèêñçø" + "ä" * 6,
    "k8Jd72hLq09ZxC4vBn6MwE3rTy5UiOpA",
    " 0123456789 and 20 more of them ",  # the last one: a hint of its own
)
WEAK = (
    ("", "missing"),
    ("dev", "32 bytes"),
    ("changeme2026", "32 bytes"),
    (KEY[:31], "32 bytes"),
    ("ä" * 15, "32 bytes"),
    ("a" * 64, "10 different"),
    ("abcdefghi" * 8, "10 different"),
    ("ä" * 40, "10 different"),
    ("äöüßéèêñç" * 4, "10 different"),
    ("please-change-this-key-0123456789", "placeholder"),
    ("PLEASE-CHANGE-THIS-KEY-0123456789", "placeholder"),
    ("an-Example-key-for-the-tutorial-0123456789", "placeholder"),
    ("0123456789-my-password-is-a-very-long-one", "placeholder"),
    ("0123456789-your-secret-goes-here-thank-you", "placeholder"),
    ("0123456789_YOUR_SECRET_goes_here_thank_you", "placeholder"),
    ("   ", "32 bytes"),  # the last ones: a hint of their own
    (" " * 40, "10 different"),
)


RULES = {
    "missing": "ask `if not secret` first",
    "32 bytes": "count bytes with len(secret.encode())",
    "10 different": "count the different characters with len(set(secret))",
    "placeholder": "look for each word of PLACEHOLDERS inside secret.lower()",
}


def expect_the_key_is_read(config, monkeypatch):
    """Expect that refuse_unsafe, if it asks weak_secret_reason, asks about the key itself."""
    asked = []
    with monkeypatch.context() as patch:
        patch.setattr("app.core.config.weak_secret_reason", asked.append, raising=False)
        with suppress(ValueError):
            config.Settings(stage="production", secret_key=KEY)
    expect.that(
        all(secret == KEY for secret in asked),
        did="the calls of weak_secret_reason in refuse_unsafe",
        got=f"weak_secret_reason({asked[0]!r})" if asked else "",
        expected="a call with the text of the key",
        why="str() makes ten stars of every SecretStr: all keys look alike, and anybody can sign a token with stars",
        hint="a SecretStr gives out its text in one way only: get_secret_value()",
        at=config.Settings.refuse_unsafe,
    )


def hint_for_decorator(model):
    """Return what repairs a method that Pydantic never calls, if that is what happened to refuse_unsafe."""
    known = model.__pydantic_decorators__.model_validators
    if "refuse_unsafe" in vars(model) and "refuse_unsafe" not in known:
        return "the decorator of 1.1 is missing: without it, Pydantic never calls refuse_unsafe"
    return ""


def hint_for_blanks(secret):
    """Return a hint for a key with a blank at one of its ends; else an empty text."""
    return "a blank is a character like every other: judge the key as it is" if secret != secret.strip() else ""


@exercise("8.5")
class TestSecrets:
    def test_strong_keys(self, load):
        """A strong key has no reason against it: 32 bytes and 10 different characters are enough"""
        config = load("core.config")
        for secret in STRONG:
            expect.equal(
                config.weak_secret_reason(secret),
                None,
                did=f"weak_secret_reason({secret!r})",
                why="an app with a good key would not start",
                hint=hint_for_blanks(secret)
                or "each rule begins one below its number: `<`, not `<=`; and count bytes with len(secret.encode())",
                at=config.weak_secret_reason,
            )

    def test_weak_keys(self, load):
        """A weak key has a reason: it is missing, it has too few bytes or characters, it is a placeholder"""
        config = load("core.config")
        for secret, says in WEAK:
            found = config.weak_secret_reason(secret)
            expect.that(
                isinstance(found, str) and says in found,
                did=f"weak_secret_reason({secret!r})",
                got=repr(found),
                expected=f"a text that contains {says!r}",
                why="a stranger finds such a key with a list, and signs tokens as your admin",
                hint=hint_for_blanks(secret)
                or f"{RULES[says]}; of all rules that are broken, the first of the table counts",
                at=config.weak_secret_reason,
            )

    def test_production(self, load, monkeypatch):
        """In staging and production a weak key is refused: the message names SECRET_KEY and the reason, not the key"""
        expect_the_key_is_read(load("core.config"), monkeypatch)
        model = load("core.config").Settings
        for stage in ("staging", "production"):
            for secret, says in WEAK:
                did = f"Settings(stage={stage!r}, secret_key={secret!r})"
                with expect.raising(
                    ValueError,
                    says=says,
                    did=did,
                    why="whoever starts the app must learn what to repair",
                    hint=hint_for_decorator(model) or 'in refuse_unsafe: problems.append(f"SECRET_KEY: {reason}")',
                    at=getattr(model, "refuse_unsafe", model),
                ) as caught:
                    model(stage=stage, secret_key=secret)
                message = str(caught.value)
                expect.that(
                    "SECRET_KEY" in message and (len(secret) < 4 or secret not in message),
                    did=f"{did}, the message",
                    got=message,
                    expected="a message with SECRET_KEY, and without the key",
                    why="messages stand in logs, and logs are read by many people",
                    hint="put the reason into the message, never the key",
                    at=getattr(model, "refuse_unsafe", model),
                )

    def test_every_problem_at_once(self, load):
        """One message still names every problem"""
        model = load("core.config").Settings
        for says in ("SECRET_KEY", "CORS_ORIGINS", "DEBUG"):
            with expect.raising(
                ValueError,
                says=says,
                did='Settings(stage="production", secret_key="dev", cors_origins="*", debug=True)',
                why="nobody wants to start the app three times to learn three things",
                hint="append to problems; do not raise at once",
                at=getattr(model, "refuse_unsafe", model),
            ):
                model(stage="production", secret_key="dev", cors_origins="*", debug=True)

    def test_what_still_starts(self, load, monkeypatch):
        """A strong key starts everywhere, and a weak one still starts in development"""
        expect_the_key_is_read(load("core.config"), monkeypatch)
        model = load("core.config").Settings
        cases = [(stage, secret) for stage in ("staging", "production") for secret in STRONG]
        for stage, secret in [*cases, ("development", "dev"), ("development", KEY)]:
            did, got = f"Settings(stage={stage!r}, secret_key={secret!r})", ""
            try:
                model(stage=stage, secret_key=secret)
            except ValueError as error:
                got = f"it was refused: {error}"
            expect.that(
                got == "",
                did=did,
                got=got,
                expected="settings",
                why="nobody could work with the app",
                hint="keep the early return for development, and append a problem only if there is a reason",
                at=getattr(model, "refuse_unsafe", model),
            )


# ------------------------------------------------------------------------------------------------------------------ 8.6


@pytest.fixture
def partner(load):
    """The learner's `app.auth.partner_tokens`."""
    return load("auth.partner_tokens")


def pair_of(partner, function, *arguments, did):
    """Return the pair that a call makes; what is no pair is a wrong answer."""
    pair = function(*arguments)
    good = isinstance(pair, dict) and {"access_token", "refresh_token", "token_type"} <= set(pair)
    expect.that(
        good and all(isinstance(pair[name], str) for name in ("access_token", "refresh_token")),
        did=did,
        got=f"{pair!r}"[:200],
        expected="a dict with access_token, refresh_token and token_type",
        why="the partner's program finds nothing in it",
        hint="return a dict with these three names; the tokens are texts",
        at=function,
    )
    return pair


def signed_in(partner, user_id=7):
    """Return the pair of a sign-in."""
    return pair_of(partner, partner.sign_in, user_id, KEY, did=f"sign_in({user_id}, key)")


def read_by(partner, name, token, what, expected="None"):
    """Return what current_user_id or refresh makes of a token; an exception is a wrong answer."""
    function = getattr(partner, name)
    try:
        return function(token, KEY)
    except LIBRARY as error:
        raise expect.Wrong(
            did=f"{name}({what}, key)",
            got=raised(error),
            expected=expected,
            why=A_500 if expected == "None" else "nobody ever gets in",
            hint="decode_token turns all that can go wrong into InvalidToken; catch that"
            if expected == "None"
            else "decode_token returns a TokenClaims, an object with attributes: look at the line that raised",
            at=function,
            error=error,
            sure=expected == "None",
        ) from None


def expect_none(partner, names, tokens, why, hint):
    """Expect None for each token at each function."""
    for name in names:
        for what, token in tokens.items():
            found = read_by(partner, name, token, what)
            expect.that(
                found is None,
                did=f"{name}({what}, key)",
                got="a new pair" if isinstance(found, dict) else repr(found),
                expected="None",
                why=why,
                hint=hint,
                at=getattr(partner, name),
            )


BOTH = ("current_user_id", "refresh")


@exercise("8.6")
class TestPartner:
    def test_sign_in_and_enter(self, partner):
        """The access token of sign_in(7, key) gives 7"""
        for user_id in (7, 123456):
            pair = signed_in(partner, user_id)
            expect.equal(
                pair["token_type"],
                "bearer",
                did=f'sign_in({user_id}, key)["token_type"]',
                why="the partner's program reads there how it must send the token",
                hint="keep the entry token_type as it is",
                at=partner.sign_in,
            )
            expect.equal(
                read_by(partner, "current_user_id", pair["access_token"], "its access token", str(user_id)),
                user_id,
                did=f"current_user_id(the access token of sign_in({user_id}, key), key)",
                why="nobody ever gets in",
                hint="the subject of a token must be text; create_token knows that",
                at=partner.current_user_id,
            )

    def test_what_a_pair_says(self, partner):
        """Both tokens carry the six claims, one sid, ids of their own, and live 30 minutes and 14 days"""
        pair, now = signed_in(partner), int(time.time())
        lives = {
            "access": (30 * 60, "an access token must end soon, because nobody can call it back"),
            "refresh": (
                14 * 24 * 60 * 60,
                "people would have to sign in too often, or a stolen token would live too long",
            ),
        }
        ids, sessions, at = set(), set(), partner.sign_in
        for kind, (life, why) in lives.items():
            did = f'the claims of sign_in(7, key)["{kind}_token"]'
            _, claims = parts_of(pair[f"{kind}_token"], did, at)
            expect.equal(
                sorted(CLAIMS & set(claims)),
                sorted(CLAIMS),
                did=did,
                why="a claim that is missing is not checked",
                hint="make it with create_token",
                at=at,
            )
            expect.equal(
                claims["type"],
                kind,
                did=f"{did}, type",
                why="one token could stand in for the other",
                hint="give each token its own TokenType",
                at=at,
            )
            expect.that(
                type(claims["exp"]) is int and abs(claims["exp"] - now - life) <= 5,
                did=f"{did}, exp",
                got=repr(claims["exp"]),
                expected=f"{now + life}, which is {life:,} seconds from now",
                why=why,
                hint="utc_now() + timedelta(minutes=30), and timedelta(days=14)",
                at=at,
            )
            ids.add(claims["jti"])
            sessions.add(claims["sid"])
        expect.equal(
            len(ids),
            2,
            did="the number of different ids (jti) of both tokens",
            why="chapter 09 calls one token back by its id, and would hit both",
            hint="call new_token_id() for each token",
            at=at,
        )
        expect.equal(
            len(sessions),
            1,
            did="the number of different sessions (sid) of both tokens",
            why="both belong to one sign-in: who ends it would end the half of it",
            hint="call new_token_id() once for the sid, and give it to both tokens",
            at=at,
        )

    def test_each_sign_in_is_new(self, partner):
        """A later sign-in has later ends, and ids and a session of its own"""
        sign_ins = []
        for pause in (1.1, 0):
            pair, at = signed_in(partner), partner.sign_in
            sign_ins.append(
                [parts_of(pair[f"{kind}_token"], "sign_in(7, key)", at)[1] for kind in ("access", "refresh")]
            )
            time.sleep(pause)
        for kind, first, second in zip(("access", "refresh"), *sign_ins, strict=True):
            for name, good, why in (
                ("exp", first.get("exp") != second.get("exp"), "some time after the start every token is born dead"),
                ("jti", first.get("jti") != second.get("jti"), "who calls one token back calls back all of them"),
                ("sid", first.get("sid") != second.get("sid"), "who ends one session ends all of them"),
            ):
                expect.that(
                    good,
                    did=f"{name} of the {kind} tokens of two sign-ins, one after the other",
                    got=f"twice {first.get(name)!r}",
                    expected="two different values",
                    why=why,
                    hint="work it out inside the function: what stands outside runs once, at the import",
                    at=partner.sign_in,
                )

    def test_the_key_is_required(self, partner):
        """None of the three functions has a key of its own: without one the call is a TypeError"""
        for name, first in (("sign_in", 7), ("current_user_id", "x"), ("refresh", "x")):
            did = f"{name}({first!r}), without a key"
            why = "a key in the code is known to everybody who has the code"
            with expect.raising(TypeError, did=did, why=why, hint="give `key` no default", at=getattr(partner, name)):
                getattr(partner, name)(first)

    def test_two_types(self, partner):
        """A refresh token gives no user id, and an access token refreshes nothing"""
        pair = signed_in(partner)
        why = "an access token would renew itself, and a refresh token open every route"
        hint = "ask decode_token for TokenType.ACCESS in one function, and for TokenType.REFRESH in the other"
        expect_none(partner, ["current_user_id"], {"a refresh token": pair["refresh_token"]}, why, hint)
        expect_none(partner, ["refresh"], {"an access token": pair["access_token"]}, why, hint)

    def test_refresh(self, partner):
        """A refresh token brings a new pair for the same user"""
        for user_id in (7, 8):
            old = signed_in(partner, user_id)
            did, at = f"refresh(the refresh token of sign_in({user_id}, key), key)", partner.refresh
            new = pair_of(partner, partner.refresh, old["refresh_token"], KEY, did=did)
            found = read_by(partner, "current_user_id", new["access_token"], "the new access token", str(user_id))
            expect.equal(
                found,
                user_id,
                did=f"{did}, whose access token",
                why="somebody would go on as another person, or not at all",
                hint="pass the subject on",
                at=at,
            )
            for name in ("access_token", "refresh_token"):
                expect.that(
                    new[name] != old[name],
                    did=did,
                    got=f"the old {name}",
                    expected="a new one",
                    why="the old one ends soon, and is no help",
                    hint="sign a new pair: call sign_in",
                    at=at,
                )

    def test_forged(self, partner):
        """Another key, another algorithm, or an expired token: None at both functions"""
        for kind, name in zip(("access", "refresh"), BOTH, strict=True):
            claims = claims_of(kind)
            tokens = {
                f"{alg} and your key": forge(claims, {"alg": alg, "typ": "JWT"}) for alg in ("HS384", "HS512")
            } | {
                "alg none": forge(claims, {"alg": "none", "typ": "JWT"}).rpartition(".")[0] + ".",
                "a token of another key": forge(claims, key="tulip-1987"),
                "a token of the empty key": forge(claims, key=""),
                "an expired token": forge(claims | {"exp": 1}),
            }
            expect_none(partner, [name], tokens, ANYBODY, "decode_token names the one algorithm, and checks the key")

    def test_incomplete(self, partner):
        """A token without exp, sub or type is None at both functions"""
        for kind, name in zip(("access", "refresh"), BOTH, strict=True):
            for one, why in {
                "exp": "a token without exp never ends",
                "sub": "a token without sub is nobody's",
                "type": "a token without type could be used in place of either",
            }.items():
                token = forge(claims_of(kind, **{one: None}))
                expect_none(
                    partner, [name], {f"a token without {one}": token}, why, "decode_token requires every claim"
                )

    def test_rubbish(self, partner):
        """Any text at all is None, and never an exception"""
        tokens = {expect.shown(text): text for text in ("", "a.b.c", "\x00", "\ud800", "é.é.é")}
        tokens["a token nested 100,000 times"] = nested(100_000)
        for kind in ("access", "refresh"):
            tokens[f"{kind} token whose exp is a list"] = forge(claims_of(kind, exp=[]))
            tokens[f"{kind} token whose exp is infinite"] = forge(claims_of(kind, exp=float("inf")))
            tokens[f"{kind} token whose sub is no number"] = forge(claims_of(kind, sub="ada"))
        expect_none(partner, BOTH, tokens, A_500, "decode_token turns all of it into InvalidToken")

    def test_no_key(self, partner):
        """sign_in refuses an empty key with ValueError"""
        why = "everybody could sign the same"
        with expect.raising(ValueError, did='sign_in(7, "")', why=why, hint="create_token does it", at=partner.sign_in):
            partner.sign_in(7, "")
