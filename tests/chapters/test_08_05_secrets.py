"""Checks of chapter 08, keys that are strong enough, and a partner's program with tokens of its own."""

import time
from contextlib import suppress

import pytest

from course_checks.samples import KEY
from course_checks.tokens import A_500, ANYBODY, CLAIMS, LIBRARY, claims_of, forge, nested, parts_of, raised
from workbook import expect
from workbook.checks import exercise

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
