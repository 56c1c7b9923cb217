"""The checks of chapter 01."""

import random
import sys
import warnings
from asyncio import CancelledError
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import combinations
from pathlib import Path

from pydantic import SecretStr, ValidationError

from workbook import expect
from workbook.checks import exercise

# Strong enough for every later rule about keys: 40 characters, many different ones, no word of a language.
KEY = "q7Rz-Lk2mPw9-Xc4vTb6-Hn8sYd3-Jf5gUe1-Za0"
SHOP, EVIL = "https://shop.example", "https://evil.example"


STAGES = ("staging", "production")
# each problem's variable, and the values that bring it about
PROBLEMS = {
    "SECRET_KEY": {},
    "CORS_ORIGINS": {"cors_origins": [SHOP, "*"]},
    "DEBUG": {"debug": True},
}


def method(model, name):
    """Return the learner's method of a class, or the class where there is none of that name."""
    return getattr(model, name, model)


def key_of(settings, where):
    """Return the text of settings.secret_key, which must be a SecretStr."""
    found, model = getattr(settings, "secret_key", None), type(settings)
    field = getattr(model, "model_fields", {}).get("secret_key")
    declared = field is not None and "SecretStr" in str(field.annotation)
    expect.that(
        isinstance(found, SecretStr),
        did=f"{where}.secret_key",
        got=f"a {type(found).__name__}" if found is not None else "no such field, or None",
        expected="a SecretStr",
        why="a key that is a plain str is printed with the settings, into logs and error reports",
        hint="Pydantic does not convert what a validator assigns: wrap the new text in SecretStr(…) yourself"
        if declared and found is not None
        else "which type of the text above shows stars? Declare the field with it, and give it an empty one",
        at=method(model, "fill_in_defaults") if declared else model,
    )
    key = found.get_secret_value()
    expect.that(
        isinstance(key, str),
        did=f"{where}.secret_key.get_secret_value()",
        got=f"a {type(key).__name__}",
        expected="a str",
        hint='SecretStr takes a text: SecretStr("") is the empty one',
        at=model,
    )
    return key


def make(model, did="", why="the app would not start", **values):
    """Make settings from the environment; a refusal is the learner's mistake, not the check's."""
    try:
        return model(**values)
    except Exception as error:
        if isinstance(error, NotImplementedError):
            raise
        raise expect.Wrong(
            did=did or f"{model.__name__}()",
            got=f"{type(error).__name__}: {' '.join(str(error).split())[:160]}",
            expected="it is accepted",
            why=why,
            hint=hint_for(str(error)),
            at=model,
        ) from None


def hint_for(message):
    """Return what repairs settings that were refused with this message."""
    if "error parsing value" in message:
        return "declare the list as Annotated[list[str], NoDecode], and split the text in a validator"
    if "Extra inputs" in message:
        return 'put extra="ignore" into model_config: other lines of .env are not ours'
    if "input_value=''" in message:
        return "an empty variable counts as not set: env_ignore_empty=True in model_config"
    if "Field required" in message:
        return "give the field a default: a validator decides later whether it is good enough"
    return "read the message: it names the field, and what is wrong with it"


def told(config, **values):
    """Return the message with which Settings(**values) is refused, or None when it is accepted."""
    try:
        config.Settings(**values)
    except ValueError as error:
        return str(error)
    return None


def makes_up_a_key(config, **values):
    """Say whether Settings(**values), without a key, is accepted and has one all the same."""
    values = {name: value for name, value in values.items() if name == "stage"}
    try:
        return bool(config.Settings(**values).secret_key.get_secret_value())
    except Exception:
        return False


def hint_for_refusal(config, names, values):
    """Return what repairs settings that should be refused: see first for what the learner's code has an eye already."""
    name, others = names[0], [stage for stage in STAGES if stage != values.get("stage")]
    if len(names) > 1:
        return "collect the problems in a list, and raise once, after the last test"
    if any(name in (told(config, **values | {"stage": stage}) or "") for stage in others):
        return f"you refuse it in {others[0]} already: only development is let off, so compare with Stage.DEVELOPMENT"
    if name == "CORS_ORIGINS" and name in (told(config, **values | {"cors_origins": ["*"]}) or ""):
        return "you find the star when it stands alone: ask whether it is anywhere in the list"
    if not hasattr(config.Settings, "refuse_unsafe"):
        return "the cell's refuse_unsafe is missing: keep its name, or a later cell cannot replace it"
    return f"refuse_unsafe lets this pass: test for it there, and name {name} in the ValueError"


def refuses(config, names, **values):
    """Expect Settings(**values) to be refused with one message that holds every name, and no other problem's."""
    shown = ", ".join(f"{name}={value!r}" for name, value in values.items() if name != "secret_key")
    did = f"Settings({shown}{', with a key' if 'secret_key' in values else ', without a key'})"
    at = method(config.Settings, "refuse_unsafe")
    made_up = "secret_key" not in values and makes_up_a_key(config, **values)
    with expect.raising(
        ValueError,
        says=names[0],
        did=did,
        why="an app that starts with unsafe settings is found by others before you notice",
        hint=f"a key is made up in {values.get('stage')} too: fill_in_defaults may do that in development only"
        if made_up
        else hint_for_refusal(config, names, values),
        at=method(config.Settings, "fill_in_defaults") if made_up else at,
    ) as caught:
        config.Settings(**values)
    expect_no_key(str(caught.value), did, at)
    message = said_in(caught.value)
    told_origins = [one for one in values.get("cors_origins", ()) if one != "*" and one in message]
    expect.that(
        not told_origins,
        did=did,
        got=f"a message that shows the address {', '.join(told_origins)}: {message}",
        expected="a message that names the variable, and shows no address of it",
        why="this message lands in logs that more people read than your settings, and tells them your addresses",
        hint="name CORS_ORIGINS and the star; take the list itself out of the message",
        at=at,
    )
    missing = [name for name in names if name not in message]
    spelled = all(name.lower() in message.lower() for name in names)
    expect.that(
        not missing,
        did=did,
        got=f"a message without {', '.join(missing)}: {message}",
        expected=f"one message that names {', '.join(names)}",
        why="the operator looks for this name in the environment, and there it has capitals"
        if spelled
        else "the operator repairs one setting, starts the app again, and learns of the next",
        hint="write the variable's name in the message in capitals, as in the environment"
        if spelled
        else "collect the problems in a list, and raise once, after the last test",
        at=at,
    )
    invented = [name for name in PROBLEMS if name not in names and name in message]
    expect.that(
        not invented,
        did=did,
        got=f"a message that names {', '.join(invented)} too: {message}",
        expected=f"a message that names only {', '.join(names)}",
        why="the operator would repair what is right, and trust the message less the next time",
        hint="put a problem's name into the message only when that problem is there",
        at=at,
    )


def said_in(error):
    """Return an error's message; of Pydantic's, only what the learner wrote, without the address behind it."""
    return "; ".join(one["msg"] for one in error.errors()) if isinstance(error, ValidationError) else str(error)


def expect_no_key(message, did, at):
    """Expect that an error does not show the secret key, whole or in part."""
    expect.that(
        KEY[:8] not in message and KEY[-8:] not in message,
        did=did,
        got="a message that shows the key",
        expected="a message without it",
        why="the message of a failed start is in a log that many people read",
        hint="name the variable, never its value; and leave hide_input_in_errors=True in model_config",
        at=at,
    )


@exercise("1.1")
class TestSettings:
    def test_key_is_read_and_hidden(self, load, monkeypatch):
        """SECRET_KEY is read from the environment, and stars are printed for it"""
        monkeypatch.setenv("SECRET_KEY", KEY)
        model = load("core.config").Settings
        for stage in ("development", *STAGES):
            monkeypatch.setenv("STAGE", stage)
            settings = make(model)
            expect.equal(
                key_of(settings, "Settings()"),
                KEY,
                did=f"SECRET_KEY=… and STAGE={stage} in the environment, Settings().secret_key",
                why="with another key than the operator chose, every token of the other processes is refused",
                hint="make up a key only if there is none",
                at=method(model, "fill_in_defaults"),
            )
            expect.that(
                KEY not in f"{settings!r} {settings}",
                did="print(Settings())",
                got="the key, in full",
                expected="stars instead of the key",
                why="settings are printed in logs and error reports, which many people read",
                hint="no other field, and no __repr__ of your own, may hold the key as a str",
                at=model,
            )

    def test_development_makes_up_a_key(self, load):
        """In development a missing key is made up, long and different each time"""
        model = load("core.config").Settings
        at, keys = method(model, "fill_in_defaults"), []
        for _ in range(5):
            random.seed(2026)  # what comes from `random` is the same each time now; what comes from `secrets` is not
            keys.append(key_of(make(model), "Settings()"))
        expect.that(
            len(keys[0].encode()) >= 32,
            did="Settings().secret_key, without SECRET_KEY",
            got=f"a key of {len(keys[0].encode())} bytes",
            expected="32 bytes or more",
            why="a short key can be found by trying all of them",
            hint="the field is empty in development, too: let fill_in_defaults make a key up"
            if not keys[0]
            else "ask `secrets` for more bytes: the text above says how many",
            at=at,
        )
        expect.that(
            len(set(keys)) == len(keys),
            did="Settings().secret_key, five times, after random.seed(2026) each time",
            got="the same key more than once",
            expected="five different keys",
            why="a key that is the same for everyone who has the code is not secret, and what `random` gives can be "
            "worked out",
            hint="call `secrets` inside fill_in_defaults, so that it runs for each object",
            at=at,
        )

    def test_no_key_no_start(self, load):
        """Without a key the settings are refused in staging and in production"""
        for stage in STAGES:
            refuses(load("core.config"), ["SECRET_KEY"], stage=stage)

    def test_empty_key(self, load, monkeypatch):
        """In staging and production an empty SECRET_KEY counts as missing"""
        monkeypatch.setenv("SECRET_KEY", "")
        for stage in STAGES:
            refuses(load("core.config"), ["SECRET_KEY"], stage=stage)

    def test_debug(self, load, monkeypatch):
        """In staging and production DEBUG is refused, also with a key, and the message does not show the key"""
        config = load("core.config")
        for stage in STAGES:
            refuses(config, ["DEBUG"], stage=stage, secret_key=KEY, debug=True)
        for name, value in (("STAGE", "production"), ("SECRET_KEY", KEY), ("DEBUG", "1")):
            monkeypatch.setenv(name, value)
        at, did = method(config.Settings, "refuse_unsafe"), "Settings(), with STAGE=production, DEBUG=1 and a key"
        with expect.raising(
            ValueError,
            says="DEBUG",
            did=did,
            why="the server reads its settings from the environment, and from nowhere else",
            hint="look at what self.debug holds: a bool, wherever it came from",
            at=at,
        ) as caught:
            config.Settings()
        expect_no_key(str(caught.value), did, at)

    def test_any_origin(self, load):
        """In staging and production "*" as an origin is refused, alone or among others, also with a key"""
        for origins in (["*"], ["*", SHOP], [SHOP, "*"], [SHOP, "*", EVIL]):
            for stage in STAGES:
                refuses(load("core.config"), ["CORS_ORIGINS"], stage=stage, secret_key=KEY, cors_origins=origins)

    def test_all_problems_at_once(self, load):
        """Two or three problems give one message that names each of them, and nothing else"""
        config = load("core.config")
        for stage in STAGES:
            for count in (2, 3):
                for names in combinations(PROBLEMS, count):
                    values = {} if "SECRET_KEY" in names else {"secret_key": KEY}
                    for name in names:
                        values |= PROBLEMS[name]
                    refuses(config, list(names), stage=stage, **values)

    def test_safe_settings(self, load):
        """Safe settings are accepted in staging and production, also after others were refused"""
        config = load("core.config")
        told(config, stage="production", debug=True, cors_origins=["*"])  # what an earlier object had must not count
        for stage in STAGES:
            for origins in ([SHOP], []):
                values = {"stage": stage, "secret_key": KEY, "cors_origins": origins}
                settings = expect.accepted(
                    config.Settings,
                    values,
                    why="the app could not start at all where its users are",
                    hint="raise only if there are problems, and end each validator with `return self`",
                    at=method(config.Settings, "refuse_unsafe"),
                )
                did = f"Settings(stage={stage!r}, …)"
                expect.equal(key_of(settings, did), KEY, did=f"{did}.secret_key", at=config.Settings)

    def test_log_level(self, load):
        """The log level is DEBUG in development and INFO elsewhere, unless it was chosen"""
        model = load("core.config").Settings
        for stage, expected in (("development", "DEBUG"), ("staging", "INFO"), ("production", "INFO")):
            for chosen in (None, "ERROR"):
                values = {"stage": stage, "secret_key": KEY} | ({"log_level": chosen} if chosen else {})
                did = (
                    f"Settings({', '.join(f'{k}={v!r}' for k, v in values.items() if k != 'secret_key')}, …).log_level"
                )
                expect.equal(
                    make(model, did, **values).log_level,
                    chosen or expected,
                    did=did,
                    why="whoever looks for a mistake would see too little; whoever pays for the logs, too much",
                    hint="leave the given lines of fill_in_defaults as they are: they choose the log level",
                    at=method(model, "fill_in_defaults"),
                )

    def test_development_is_free(self, load):
        """In development debug and "*" are accepted"""
        model = load("core.config").Settings
        for values in ({"debug": True, "cors_origins": ["*"]}, {"secret_key": KEY, "cors_origins": [SHOP, "*"]}):
            expect.accepted(
                model,
                values,
                why="nobody could try the app on a laptop",
                hint="refuse_unsafe returns self at once in development",
                at=method(model, "refuse_unsafe"),
            )

    def test_importing_reads_nothing(self, load, monkeypatch):
        """Importing core/config.py reads no settings: only get_settings() does, once"""
        monkeypatch.setenv("STAGE", "production")
        try:
            config = load.fresh("core.config")
        except ValidationError as error:
            raise expect.Wrong(
                did="import app.core.config, with STAGE=production and no key",
                got="the import was refused",
                expected="the import works; get_settings() is refused",
                why="settings read at import cannot be chosen by a test, and break every tool that imports the app",
                hint="take the call of Settings() at the end of the file away; get_settings() makes the object",
                error=error,
            ) from None
        with expect.raising(
            ValueError,
            says="SECRET_KEY",
            did="get_settings(), with STAGE=production and no key",
            why="the server takes its settings from there",
            hint="get_settings makes the object with Settings(), which reads the environment",
            at=config.get_settings,
        ):
            config.get_settings()
        monkeypatch.setenv("STAGE", "development")
        expect.that(
            config.get_settings() is config.get_settings(),
            did="get_settings() is get_settings()",
            got="two objects",
            expected="one object",
            why="in development each one would have a key of its own",
            hint="leave @lru_cache on get_settings",
            at=config.get_settings,
        )


NO_ORIGINS = {
    "a path": [f"{SHOP}/app", f"{SHOP}/", f"{SHOP}:8443/", f"{SHOP}//", "http://localhost:5173/"],
    "a query": [f"{SHOP}?a=1", f"{SHOP}?", f"{SHOP}/?", f"{SHOP}:8443?"],
    "a fragment": [f"{SHOP}#top", f"{SHOP}#", f"{SHOP}?#"],
    "no http or https": [
        "shop.example",
        "ftp://shop.example",
        "//shop.example",
        "httpsx://a.example",
        "localhost:5173",
        "null",
    ],
    "no host": ["https://", "http://", "https:", "https:shop.example", "https:/shop.example"],
}


@exercise("1.2")
class TestOrigins:
    def test_commas(self, load, monkeypatch):
        """CORS_ORIGINS is split at its commas, and the order stays"""
        many = [f"https://{name}.example" for name in ("shop", "bakery", "zoo", "library", "museum")]
        for origins in ([SHOP, EVIL], many):
            expect_origins(load, monkeypatch, ",".join(origins), origins)

    def test_blanks(self, load, monkeypatch):
        """Blanks and empty parts of CORS_ORIGINS are left out"""
        blank = ((f" {SHOP} , ,", [SHOP]), (f"{SHOP},", [SHOP]), (f",{SHOP},,\t{EVIL} ", [SHOP, EVIL]))
        for text, expected in (*blank, ("", []), (" , ", [])):
            expect_origins(load, monkeypatch, text, expected)

    def test_default(self, load):
        """Without the variable there are no origins"""
        model = load("core.config").Settings
        expect.equal(
            make(model).cors_origins,
            [],
            did="Settings().cors_origins, without CORS_ORIGINS",
            why="pages that nobody chose could call the API",
            hint="the default stands behind the type: an empty list",
            at=model,
        )

    def test_origins(self, load, monkeypatch):
        """http, https, a port and "*" are accepted"""
        for text in (SHOP, "http://localhost:5173", f"{SHOP}:8443", "http://127.0.0.1", "https://a.b-c.example:1", "*"):
            expect_origins(load, monkeypatch, text, [text])
        expect_origins(load, monkeypatch, f"*,{SHOP}", ["*", SHOP])

    def test_list_passes(self, load):
        """A list, handed over by code, stays as it is"""
        for origins in ([SHOP], [SHOP, EVIL], ["*"], []):
            model = load("core.config").Settings
            settings = expect.accepted(
                model,
                {"cors_origins": origins},
                why="tests build settings in Python, with real lists",
                hint="split_origins returns everything that is not a str unchanged",
                at=method(model, "split_origins"),
            )
            lost = settings.cors_origins is None
            expect.equal(
                settings.cors_origins,
                origins,
                did=f"Settings(cors_origins={origins!r}).cors_origins",
                hint="one of the two validators returns nothing: a list that is right is returned" if lost else "",
                at=method(model, "check_origins" if lost else "split_origins"),
            )

    def test_too_long(self, load):
        """An origin with one character more, be it a slash, ? or #, is refused, and the message names it"""
        for kind in ("a path", "a query", "a fragment"):
            expect_no_origins(load, kind)

    def test_no_scheme(self, load):
        """What does not begin with http:// or https:// and a host is refused, and the message names it"""
        for kind in ("no http or https", "no host"):
            expect_no_origins(load, kind)

    def test_every_entry(self, load):
        """Every entry is judged, wherever it stands, also beside a star"""
        model, wrong = load("core.config").Settings, f"{SHOP}/"
        for origins in (["*", wrong], [wrong, "*"], [wrong, SHOP], [SHOP, wrong, EVIL], [SHOP, EVIL, EVIL, wrong]):
            hint = "one good entry says nothing of the next: is the loop left too early?"
            if "*" in origins:
                hint = 'skip "*" with `continue`: `break` or `return` leaves the rest of the list unread'
            expect.refused(
                model,
                {"cors_origins": origins},
                field="cors_origins",
                says=wrong,
                why="the wrong entry would match nothing, and nobody would be told",
                hint=hint,
                at=method(model, "check_origins"),
            )

    def test_from_the_environment(self, load, monkeypatch):
        """A wrong origin in CORS_ORIGINS is refused as one in a list is, and "*" in production as in 1.1"""
        model = load("core.config").Settings
        for text in (f"{SHOP}/", f"{SHOP}?", "shop.example"):
            monkeypatch.setenv("CORS_ORIGINS", text)
            with expect.raising(
                ValueError,
                says=text,
                did=f'Settings(), with CORS_ORIGINS="{text}"',
                why="no browser ever sends this; it would match nothing, and nobody would be told",
                hint=hint_for_repaired(model, text) or "check_origins judges the finished list, wherever it came from",
                at=method(model, "check_origins"),
            ):
                model()
        for name, value in (("CORS_ORIGINS", f"{SHOP},*"), ("STAGE", "production"), ("SECRET_KEY", KEY)):
            monkeypatch.setenv(name, value)
        with expect.raising(
            ValueError,
            says="CORS_ORIGINS",
            did=f'Settings(), with CORS_ORIGINS="{SHOP},*", STAGE=production and a key',
            why="an app that is open to every page would start in production",
            hint="let the star through into the list: refuse_unsafe looks for it there",
            at=method(model, "refuse_unsafe"),
        ):
            model()


def hint_for_origins(model, text, found):
    """Return what repairs a text that was read as another list, or not at all: look what is done already."""
    try:
        parts = model.split_origins(text)
    except Exception:
        parts = None
    parts = found if isinstance(found, list) else parts
    if parts is None:
        return "does each of the two validators return what it has made?"
    if not isinstance(parts, list):
        return "split the text in split_origins, at its commas, and return the list"
    if any(part != part.strip() for part in parts if isinstance(part, str)):
        return "a blank belongs to no address: strip each part"
    if "" in parts:
        return "the blanks are away; leave out the parts that are empty then"
    return "the text is split: compare the parts, and their order, with the text"


def hint_for_nothing(model, text):
    """Return what to do about a list that was lost: one of the validators has no `return`."""
    hint = hint_for_origins(model, text, None)
    return "check_origins returns nothing: end it with `return origins`" if hint.startswith("the text is") else hint


def is_refused_unnamed(model, data, says):
    """Say whether the settings are refused already, with a message that lacks a part."""
    try:
        model(**data)
    except ValidationError as error:
        return says not in said_in(error)
    except Exception:
        return False
    return False


def expect_origins(load, monkeypatch, text, expected):
    """Expect CORS_ORIGINS=text to be read as a list."""
    model = load("core.config").Settings
    monkeypatch.setenv("CORS_ORIGINS", text)
    did = f'Settings().cors_origins, with CORS_ORIGINS="{text}"'
    try:
        found = model().cors_origins
    except ValueError as error:
        undecoded = "error parsing value" in str(error)
        hint = hint_for_origins(model, text, None)
        raise expect.Wrong(
            did=did,
            got=f"{type(error).__name__}: {said_in(error).splitlines()[0][:160]}",
            expected=str(expected),
            why="an operator writes addresses with commas, in every shell and every hosting panel",
            hint="the text is still read as JSON: which of the two tools above says to leave it as it is?"
            if undecoded
            else "the text is split well; does check_origins refuse too much?"
            if hint.startswith("the text is split")
            else hint,
            at=model if undecoded else method(model, "check_origins" if "split:" in hint else "split_origins"),
        ) from None
    expect.equal(
        found,
        expected,
        did=did,
        why="a browser's origin is compared letter by letter: one blank, and the page is locked out",
        hint=hint_for_nothing(model, text) if found is None else hint_for_origins(model, text, found),
        at=method(model, "check_origins" if found is None else "split_origins"),
    )


def hint_for_origin(origin, kind):
    """Return what repairs an origin of this kind that was accepted."""
    if kind.startswith("no"):
        return "two parts of urlsplit must be right: the scheme is one of two words, and the host is not empty"
    if origin.endswith(("?", "#")):
        return "an empty query or fragment leaves no part behind: compare the whole text, not the parts one by one"
    return "nothing may stand behind host and port: what would the text be, put together again from those parts?"


def hint_for_repaired(model, text):
    """Return a hint for an address that is refused in a list, and accepted when the environment holds it; else ""."""
    try:
        model(cors_origins=[text])
    except ValidationError:
        return "do not repair an address: split_origins takes blanks and empty parts away, and nothing else"
    return ""


def expect_no_origins(load, kind):
    """Expect each text of this kind to be refused as an origin."""
    model = load("core.config").Settings
    for origin in NO_ORIGINS[kind]:
        expect.refused(
            model,
            {"cors_origins": [origin]},
            field="cors_origins",
            says=origin,
            why=f"it has {kind}: no browser ever sends this; it would match nothing, and nobody would be told",
            hint=f"it is refused, as it should be; let the message say which entry it is, {origin}"
            if is_refused_unnamed(model, {"cors_origins": [origin]}, origin)
            else hint_for_origin(origin, kind),
            at=method(model, "check_origins"),
        )


@contextmanager
def own_app(made):
    """Name the app that the requests go to. It lives in the check only, so a request cannot be sent to it again."""
    try:
        yield
    except expect.Wrong as wrong:
        if wrong.exchange is not None:
            wrong.did, wrong.exchange = f"{wrong.did}, in an app with {made}", None
        raise


@exercise("1.3")
class TestFactory:
    async def test_settings_are_obeyed(self, load, monkeypatch):
        """create_app(settings) uses these settings, not those of the environment: the title, and app.state.settings"""
        main, config = load("main"), load("core.config")
        monkeypatch.setenv("PROJECT_NAME", "Another")
        settings = config.Settings(project_name="Bakery")
        app = main.create_app(settings)
        expect_title(app, main)
        expect.that(
            getattr(app.state, "settings", None) is settings,
            did="create_app(settings).state.settings is settings",
            got="something else, or nothing",
            expected="the settings that were handed in",
            why="later code finds the settings of its own app there",
            hint="app.state takes any attribute: the table names the one that is missing or another's",
            at=main.create_app,
        )

    async def test_two_apps(self, load):
        """Two calls make two apps that share nothing, whatever settings they get"""
        main, config = load("main"), load("core.config")
        same = config.Settings(project_name="Bakery")
        for title, pair in (
            ("Settings of two kinds", (same, config.Settings(project_name="Library"))),
            ("equal settings", (same, config.Settings(project_name="Bakery"))),
            ("the same settings twice", (same, same)),
            ("no settings", (None, None)),
        ):
            first, second = (main.create_app(settings) for settings in pair)
            self.expect_two(main, (first, second), title, pair)

    def expect_two(self, main, apps, title, pair):
        """Expect two apps, each with its own settings and nothing of the other's."""
        first, second = apps
        did, at = f"create_app twice, with {title}", main.create_app
        expect.that(
            first is not second and main.app not in apps,
            did=did,
            got="one app, returned twice" if first is second else "the app of the server, `app`",
            expected="two new apps",
            why="one global app that every call changes lets one test decide the result of another",
            hint="does every call come to the line that makes a FastAPI object, and return that object?",
            at=at,
        )
        for app, settings in zip(apps, pair, strict=True):
            if settings is None:
                continue
            expect.equal(
                app.title,
                settings.project_name,
                did=f"{did}: the title of the one for {settings.project_name}",
                why="a test that asks for special settings would test something else",
                hint="what comes in by the parameter must reach FastAPI(…): where does its title come from now?",
                at=at,
            )
            expect.that(
                getattr(app.state, "settings", None) is settings,
                did=f"{did}: app.state.settings of the one for {settings.project_name}",
                got="other settings, or none",
                expected="the settings that it was given",
                why="what one app is told would hold for the other, or for none",
                hint="the table says what app.state holds; it belongs to the app that this call makes",
                at=at,
            )
        first.state.only_here = True
        first.dependency_overrides[main.create_app] = None
        first.add_api_route("/only-here", lambda: None)
        shared = [
            name
            for name, found in (
                ("app.state", hasattr(second.state, "only_here")),
                ("dependency_overrides", main.create_app in second.dependency_overrides),
                ("the routes", any(getattr(route, "path", "") == "/only-here" for route in second.routes)),
            )
            if found
        ]
        expect.that(
            not shared,
            did=f"{did}; then change one of them",
            got=f"the other app has changed too: {', '.join(shared)}",
            expected="nothing in common",
            why="a test that replaces something in its app would replace it in every app",
            hint="make everything that belongs to an app inside create_app",
            at=at,
        )

    async def test_lifespan(self, load, connect, monkeypatch):
        """The app that create_app makes is started and stopped by `lifespan`, answers /health, and is not ready yet"""
        main, config = load("main"), load("core.config")
        seen = []

        @asynccontextmanager
        async def lifespan(app):
            seen.append("start")
            yield
            seen.append("stop")

        expect.that(callable(main.lifespan), did="app.main.lifespan", got="no function", expected="a function")
        monkeypatch.setattr(sys.modules["app.main"], "lifespan", lifespan)
        app = main.create_app(config.Settings())
        async with connect(app) as client:
            with own_app("Settings()"):
                await expect_health(client, main)
        expect.equal(
            seen,
            ["start", "stop"],
            did="start and stop an app made by create_app: what lifespan saw",
            why="nothing that lifespan opens would ever be open: 1.4 needs it",
            hint="FastAPI(...) has a second argument in the cell as it was given: it hands lifespan over",
            at=main.create_app,
        )
        expect.equal(
            getattr(app.state, "ready", None),
            False,
            did="create_app(Settings()).state.ready",
            why="1.4 begins with this flag",
            hint="keep the last lines of create_app as they were",
            at=main.create_app,
        )

    def test_environment_by_default(self, load, monkeypatch):
        """create_app() uses the settings of get_settings(), and so does the app that the server runs"""
        monkeypatch.setenv("PROJECT_NAME", "Bakery")
        main, config = load.fresh("main"), load("core.config")
        for name, app in (("create_app()", main.create_app()), ("app.main.app", main.app)):
            expect.equal(
                app.title,
                "Bakery",
                did=f"{name}.title, with PROJECT_NAME=Bakery",
                why="the server would run with settings that nobody chose",
                hint="when the parameter is None, which function gives the settings of the environment?",
                at=main.create_app,
            )
            expect.that(
                getattr(app.state, "settings", None) is config.get_settings(),
                did=f"{name}.state.settings is get_settings()",
                got="another object",
                expected="the one object that get_settings() returns",
                why="in development each Settings object makes up a key of its own: one part of the app would sign "
                "with a key that another part refuses",
                hint="there is a function that makes the object once, and keeps it: ask that one",
                at=main.create_app,
            )

    def test_unsafe_does_not_start(self, load, monkeypatch):
        """With STAGE=production and no key, `uvicorn app.main:app` does not start"""
        monkeypatch.setenv("STAGE", "production")
        with expect.raising(
            ValueError,
            says="SECRET_KEY",
            did="import app.main, with STAGE=production and no key",
            why="fail fast: an app without a key must not begin to serve",
            hint="the last line of main.py calls create_app(), without settings: leave it as it was",
        ):
            load.fresh("main")

    async def test_listed_origins(self, load, connect):
        """A page of a listed origin may read, with credentials, and may send PATCH with Authorization"""
        for origins in ([SHOP], [SHOP, "http://localhost:5173", "https://library.example"]):
            async with app_for(load, connect, origins) as (client, main):
                for origin in origins:
                    for response in (await get_from(client, origin), await preflight(client, origin)):
                        await self.expect_allowed(response, origin, main)

    async def expect_allowed(self, response, origin, main):
        """Expect that a page of the origin may read, with credentials."""
        why = "your own web page could not use your API"
        hint = (
            "which origins does CORSMiddleware get? The settings hold the list; methods and headers stay as they were"
        )
        expect.status(response, 200, why=why, hint=hint, at=main.add_cors)
        expect.header(response, "access-control-allow-origin", origin, why=why, hint=hint, at=main.add_cors)
        expect.header(
            response,
            "access-control-allow-credentials",
            "true",
            why="your own web page could not send its cookies along",
            hint="a list without a star may have credentials: it is the star that forbids them",
            at=main.add_cors,
        )

    async def test_methods_and_headers(self, load, connect):
        """A listed origin may send the methods and headers that add_cors lists, and no others"""
        async with app_for(load, connect, [SHOP]) as (client, main):
            for method in ("GET", "POST", "PATCH", "DELETE"):
                response = await preflight(client, SHOP, method, "Content-Type")
                expect.status(
                    response,
                    200,
                    why="your own web page could not use your API",
                    hint="keep allow_methods and allow_headers as they were in the cell",
                    at=main.add_cors,
                )
            for method, header in (("PUT", "Content-Type"), ("GET", "X-Probe-Of-The-Check")):
                response = await preflight(client, SHOP, method, header)
                expect.status(
                    response,
                    400,
                    why="what a page may send was wider than the exercise's list",
                    hint="keep allow_methods and allow_headers as they were in the cell: a list, no star",
                    at=main.add_cors,
                )

    async def test_other_origin(self, load, connect):
        """A page of any other origin may not read, however near its name, and without a list none may"""
        near = ("https://shop.example.evil.example", "https://other.shop.example", "https://myshop.example")
        others = (EVIL, "http://shop.example", f"{SHOP}:8443", "https://shopxexample", "null", *near)
        for origins in ([SHOP], [], [SHOP, "https://library.example"]):
            async with app_for(load, connect, origins) as (client, main):
                for other in others if origins else (SHOP, EVIL):
                    for response in (await get_from(client, other), await preflight(client, other)):
                        expect.header(
                            response,
                            "access-control-allow-origin",
                            None,
                            why="any page in the world could read what your users may read",
                            hint="no origins means none: hand the list over as it is, also when it is empty"
                            if not origins
                            else "the middleware gets a list of origins that may: which list do the settings hold?",
                            at=main.add_cors,
                        )

    async def test_any_origin(self, load, connect):
        """With "*" in the list, alone or not, any page may read, but never with credentials"""
        for origins in (["*"], ["*", SHOP], [SHOP, "*"]):
            async with app_for(load, connect, origins) as (client, main):
                for origin in (EVIL, SHOP):
                    for response in (await get_from(client, origin), await preflight(client, origin)):
                        self.expect_any_origin(response, origin, main)

    def expect_any_origin(self, response, origin, main):
        """Expect that the origin may read, without credentials."""
        allowed = response.headers.get("access-control-allow-origin")
        expect.that(
            allowed in ("*", origin),
            response=response,
            got=f"access-control-allow-origin: {allowed}",
            expected="any origin is allowed, as the settings say",
            why="an operator who allows every page in development would wonder",
            hint="hand the list of the settings over as it is: the middleware knows what a star means",
            at=main.add_cors,
        )
        expect.header(
            response,
            "access-control-allow-credentials",
            None,
            why='"*" with credentials lets any page act as the user who is signed in',
            hint="whether credentials are allowed depends on the list: is there a star anywhere in it?",
            at=main.add_cors,
        )


def expect_title(app, main):
    """Expect that an app was made with the settings it was given, whose project is called Bakery."""
    expect.equal(
        app.title,
        "Bakery",
        did='create_app(Settings(project_name="Bakery")).title',
        why="a test that asks for special settings would test something else",
        hint="what comes in by the parameter must reach FastAPI(…): where does its title come from now?",
        at=main.create_app,
    )


async def expect_health(client, main):
    """Expect that an app of the factory answers GET /health."""
    response = await client.get("/health")
    why = "machines ask for /health, whatever the app is made of"
    hint = "keep the last lines of create_app: the route is made inside it, for each app anew"
    expect.status(response, 200, why=why, hint=hint, at=main.create_app)
    expect.json(response, {"status": "ok"}, why=why, hint=hint, at=main.create_app)


@asynccontextmanager
async def app_for(load, connect, origins):
    """Give a client on an app whose settings list these origins, and the learner's module."""
    main, config = load("main"), load("core.config")
    app = main.create_app(config.Settings(project_name="Bakery", cors_origins=origins))
    expect_title(app, main)  # who ignores the settings is told so, and not of each origin
    with own_app(f"Settings(cors_origins={origins!r})"):
        async with connect(app) as client:
            yield client, main


async def get_from(client, origin):
    """Ask for /health as a page of that origin does."""
    return await client.get("/health", headers={"Origin": origin})


async def preflight(client, origin, method="PATCH", header="authorization"):
    """Ask, as a browser does, whether a page of that origin may send a method with a header."""
    return await client.options(
        "/health",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": header,
        },
    )


async def start(app, stack):
    """Start the app; it stops with the stack."""
    try:
        await stack.enter_async_context(app.router.lifespan_context(app))
    except (TypeError, AttributeError) as error:
        if "async" not in str(error) and "__anext__" not in str(error):
            raise
        raise expect.Wrong(
            did="start the app",
            got=f"{type(error).__name__}: {error}",
            expected="lifespan is an async generator: it has one `yield`",
            why="the app could not start at all",
            hint="lifespan needs one `yield`: there the app serves",
            at=sys.modules["app.main"].lifespan,
        ) from None


def expect_ready(app, expected, when):
    """Expect app.state.ready to be `expected` at this moment."""
    main = sys.modules["app.main"]
    expect.equal(
        getattr(app.state, "ready", None),
        expected,
        did=f"app.state.ready, {when}",
        why="who asks too early or too late would be sent to an app that cannot answer",
        hint=hint_for_flag(main, app, expected),
        at=main.lifespan,
    )


def hint_for_flag(main, app, expected):
    """Return what repairs a flag that is not as expected: look first where it went."""
    own, found = getattr(main, "app", None), getattr(app.state, "ready", None)
    if own is not app and expected and getattr(getattr(own, "state", None), "ready", None) is True:
        return "you set the flag of the `app` at the end of the file: set it on the app that comes in as the argument"
    if expected:
        return "the flag is set too late, or not at all: what must be true while the app serves is done before `yield`"
    if found is None:
        return "the flag is False from the beginning: who takes it away?"
    return "what holds while the app serves must end with it, whatever ended it: what runs in every case?"


@exercise("1.4")
class TestLifespan:
    async def test_not_started(self, load, connect):
        """An app that was made but not started is not ready"""
        app = load("main").create_app(load("core.config").Settings())
        expect_ready(app, False, "before the start")
        async with connect(app, lifespan=False) as client:
            await client.get("/health")
            expect_ready(app, False, "after a request to an app whose lifespan never ran")

    async def test_start_and_stop(self, load):
        """It is ready while it serves and not after it stopped, also the second time"""
        app = load("main").create_app(load("core.config").Settings())
        for time in ("first", "second"):
            async with AsyncExitStack() as stack:
                await start(app, stack)
                expect_ready(app, True, f"while it serves, the {time} time")
            expect_ready(app, False, f"after it stopped, the {time} time")

    async def test_stopped_by_an_error(self, load):
        """It is not ready after it was stopped by an error, and the error goes on"""
        kinds = ((KeyboardInterrupt, "an interrupt"), (CancelledError, "a cancelled task"), (OSError, "an OSError"))
        for kind, name in kinds:
            app = load("main").create_app(load("core.config").Settings())
            with expect.raising(
                kind,
                did=f"stop the app by {name}",
                why="an error that is swallowed here lets a broken app look healthy",
                hint="an `except` that does not raise again ends the error there: which word needs none?",
                at=sys.modules["app.main"].lifespan,
            ):
                async with AsyncExitStack() as stack:
                    await start(app, stack)
                    raise kind
            expect_ready(app, False, f"after {name}")

    async def test_own_flag(self, load):
        """Each app has its own flag: starting or stopping one does not change another's"""
        main, config = load("main"), load("core.config")
        first, second = (main.create_app(config.Settings()) for _ in range(2))
        async with AsyncExitStack() as outer:
            async with AsyncExitStack() as inner:
                await start(first, outer)
                expect_ready(first, True, "of the app that was started")
                expect_ready(second, False, "of another app that was not started")
                await start(second, inner)
                expect_ready(second, True, "of the second app, which was started beside the first")
            expect_ready(second, False, "of the second app, which was stopped")
            expect_ready(first, True, "of the first app, which goes on after the second was stopped")

    async def test_the_app_of_the_file(self, load):
        """The `app` at the end of main.py has a flag of its own too: it is ready only when it is started itself"""
        main, config = load("main"), load("core.config")
        own = getattr(main, "app", None)
        state = getattr(own, "state", None)
        if state is None:
            return
        for before in (False, True):
            state.ready = before
            async with AsyncExitStack() as stack:
                await start(main.create_app(config.Settings()), stack)
                self.expect_untouched(main, before, "while another app serves")
            self.expect_untouched(main, before, "after another app was stopped")

    @staticmethod
    def expect_untouched(main, before, when):
        """Expect the flag of the app at the end of main.py as it was before another app was started."""
        expect.equal(
            getattr(main.app.state, "ready", None),
            before,
            did=f"app.main.app.state.ready, which was {before}, {when}",
            why="who asks would be sent to an app that was never started, or kept away from one that serves",
            hint="set only the flag of the app that comes in as the argument of lifespan",
            at=main.lifespan,
        )


@exercise("1.5")
class TestRouter:
    async def test_prefix(self, load, connect):
        """Routes of api_router answer below /api/v1, and only there"""
        with own_app('Settings(api_prefix="/api/v1"), with a route of the check in api_router'):
            await self.expect_prefix(load, connect, "/api/v1")

    async def test_other_prefix(self, load, connect):
        """With another prefix in the settings they answer below that one"""
        with own_app('Settings(api_prefix="/v9"), with a route of the check in api_router'):
            await self.expect_prefix(load, connect, "/v9")

    async def expect_prefix(self, load, connect, prefix):
        router = load.fresh("api").api_router

        async def probe() -> dict[str, bool]:
            return {"found": True}

        router.add_api_route("/probe-of-the-check", probe)
        main, config = load("main"), load("core.config")
        app = main.create_app(config.Settings(api_prefix=prefix))
        why = "clients look for every versioned route below the prefix, and nowhere else"
        hint = "the router is included in create_app, with a prefix: where do the settings hold it?"
        async with connect(app) as client:
            response = await client.get(f"{prefix}/probe-of-the-check")
            expect.status(response, 200, why=why, hint=hint, at=main.create_app)
            other = "/api/v1" if prefix == "/v9" else "/api"
            for path in ("", other, prefix * 2):
                response = await client.get(f"{path}/probe-of-the-check")
                expect.status(response, 404, why=why, hint=hint, at=main.create_app)
            self.expect_documented(app, prefix, main)
            response = await client.get(f"{prefix}/probe-of-the-check/")
            expect.status(
                response,
                404,
                why="a redirect costs a second request, and some clients lose their token on the way",
                hint="one path, one answer: which argument of FastAPI(...) decides about the slash?",
                at=main.create_app,
            )

    def expect_documented(self, app, prefix, main):
        """Expect that the router's route stands in the app's document."""
        paths = sorted(app.openapi().get("paths", {}))
        expect.that(
            f"{prefix}/probe-of-the-check" in paths,
            did="the paths of app.openapi(), with a route of the check in api_router",
            got=f"it is not among {', '.join(paths[:3])}",
            expected=f"{prefix}/probe-of-the-check",
            why="a mounted router answers, but as an app of its own: not documented, and without the app's rules",
            hint="a router is included; what is mounted is another app",
            at=main.create_app,
        )

    async def test_document(self, load, connect):
        """The OpenAPI document lies below the prefix, with title, description and version 1.0.0"""
        for prefix in ("/api/v1", "/v9"):
            with own_app(f"Settings(api_prefix={prefix!r})"):
                await self.expect_document(load, connect, prefix)

    async def expect_document(self, load, connect, prefix):
        main, config = load("main"), load("core.config")
        app = main.create_app(config.Settings(api_prefix=prefix, project_name="Bakery"))
        why = "programs that are made from the document look for it there"
        async with connect(app) as client:
            response = await client.get(f"{prefix}/openapi.json")
            hint = "the fourth argument decides where the document lies: build its path from the prefix of the settings"
            expect.status(response, 200, why=why, hint=hint, at=main.create_app)
            info = expect.body(response).get("info", {})
            response = await client.get("/openapi.json")
            expect.status(response, 404, why="two addresses for one document", hint=hint, at=main.create_app)
        for name, expected in (("title", "Bakery"), ("version", "1.0.0")):
            expect.equal(
                info.get(name),
                expected,
                did=f'the "{name}" in the info of {prefix}/openapi.json',
                why="readers of the documentation must know what they look at",
                hint="the version of the app, three numbers, is another thing than the v1 in its paths"
                if name == "version" and str(info.get(name)).startswith("v")
                else f"FastAPI(...) has an argument for the {name}; the table says what it shall be",
                at=main.create_app,
            )
        expect.that(
            bool(str(info.get("description", "")).strip()),
            did=f'the "description" in the info of {prefix}/openapi.json',
            got="nothing",
            expected="a sentence",
            why="it is the first thing a reader of /docs sees",
            hint="FastAPI(...) has an argument for it; a sentence of your own will do",
            at=main.create_app,
        )

    async def test_pages(self, load, connect):
        """/docs and /redoc show that document"""
        with own_app('Settings(api_prefix="/v9")'):
            await self.expect_pages(load, connect)

    async def expect_pages(self, load, connect):
        main, config = load("main"), load("core.config")
        async with connect(main.create_app(config.Settings(api_prefix="/v9"))) as client:
            for page in ("/docs", "/redoc"):
                response = await client.get(page)
                expect.status(
                    response,
                    200,
                    why="people who want to use your API look there first",
                    hint="leave docs_url and redoc_url as they are, and give openapi_url a path",
                    at=main.create_app,
                )
                expect.that(
                    "/v9/openapi.json" in response.text,
                    response=response,
                    got="a page that reads another document",
                    expected="a page that reads /v9/openapi.json",
                    hint="both pages read the document where openapi_url says: does it begin with the prefix?",
                    at=main.create_app,
                )

    async def test_still_as_before(self, load, connect):
        """The app still starts by lifespan, keeps its settings, and lets a listed origin call"""
        main, config = load("main"), load("core.config")
        settings = config.Settings(cors_origins=[SHOP])
        app = main.create_app(settings)
        expect.that(
            getattr(app.state, "settings", None) is settings,
            did="create_app(settings).state.settings is settings",
            got="something else, or nothing",
            expected="the settings that were handed in",
            why="later code finds the settings of its own app there",
            hint="keep the other lines of create_app as they were in 1.3: which one stored the settings?",
            at=main.create_app,
        )
        expect.equal(
            getattr(app.state, "ready", None),
            False,
            did="app.state.ready, before the start",
            why="who asks too early would be sent to an app that cannot answer",
            hint="keep the other lines of create_app as they were in 1.3: which one sets the flag?",
            at=main.create_app,
        )
        with own_app(f"Settings(cors_origins=[{SHOP!r}])"):
            async with connect(app) as client:
                expect.equal(
                    getattr(app.state, "ready", None),
                    True,
                    did="app.state.ready, while it serves",
                    why="what lifespan opens would be missing in every request",
                    hint="the call of FastAPI(...) had one more argument before: lifespan",
                    at=main.create_app,
                )
                response = await get_from(client, SHOP)
                hint = "keep the other lines of create_app as they were in 1.3: one of them calls add_cors"
                why = "your own web page could not use your API"
                expect.header(response, "access-control-allow-origin", SHOP, why=why, hint=hint, at=main.create_app)

    async def test_health(self, client, load):
        """GET /health stays without a prefix, and a slash behind it gives 404, no redirect"""
        at = load("main").create_app
        why = "a redirect costs a second request, and some clients lose their token on the way"
        known = "machines ask for /health, in every version"
        hint = "the route stays as it was: on the app itself, without a prefix"
        response = await client.get("/health")
        expect.status(response, 200, why=known, hint=hint, at=at)
        expect.json(response, {"status": "ok"}, why=known, hint="the answer of /health stays as it was in 1.3", at=at)
        expect.status(await client.get("/api/v1/health"), 404, why="one path, one answer", hint=hint, at=at)
        response = await client.get("/health/")
        hint = "one path, one answer: which argument of FastAPI(...) decides about the slash?"
        expect.status(response, 404, why=why, hint=hint, at=at)


def hint_for_unread(model, name):
    """Return what repairs a setting that is not read, if that is how its name is found now; else an empty text."""
    field, config = model.model_fields.get(name), model.model_config
    if field is None:
        return f"keep the name of the field: {name}"
    if "env" in (field.json_schema_extra or {}):
        return "since Pydantic 2 nobody reads `env=` of a Field: one option of model_config does it for all fields"
    if not config.get("env_prefix") and field.validation_alias is None:
        return "the field is read from a variable of its own name: which option puts SMTP_ before it?"
    return ""


def expect_read(settings, name, expected, shown="", source="in the environment"):
    """Expect a mail setting to be what the environment says, or the file .env."""
    found = getattr(settings, name, None)
    expect.equal(
        found.get_secret_value() if isinstance(found, SecretStr) else found,
        expected,
        did=f"MailSettings().{name}, with SMTP_{name.upper()}={shown or expected} {source}",
        why="the operator sets it, nothing happens, and mail goes to the default, or nowhere",
        hint=hint_for_unread(type(settings), name)
        or (
            "compare the names: the variable is SMTP_ and the field's name in capitals"
            if source == "in the environment"
            else "model_config says which file is read, as in core/config.py"
        ),
        at=type(settings),
    )


@exercise("1.6")
class TestMailSettings:
    def test_environment_is_read(self, load, monkeypatch):
        """SMTP_HOST, SMTP_PORT and SMTP_PASSWORD are read"""
        model = load("core.mail_settings").MailSettings
        monkeypatch.setenv("SMTP_HOST", "mail.example.com")
        monkeypatch.setenv("SMTP_PORT", "587")
        monkeypatch.setenv("SMTP_PASSWORD", KEY)
        settings = make(model)
        for name, expected, shown in (("host", "mail.example.com", ""), ("port", 587, ""), ("password", KEY, "…")):
            expect_read(settings, name, expected, shown)

    def test_defaults(self, load, monkeypatch):
        """Without variables, or with empty ones: localhost, 25, no password, no addresses"""
        model = load("core.mail_settings").MailSettings
        self.expect_defaults(model, "without variables")
        for name in ("HOST", "PORT", "PASSWORD", "REPORT_TO"):
            monkeypatch.setenv(f"SMTP_{name}", "")
        self.expect_defaults(model, "with empty variables")

    def expect_defaults(self, model, when):
        """Expect every field to have its default."""
        settings = make(model, did=f"MailSettings(), {when}")
        for name, expected in (("host", "localhost"), ("port", 25), ("report_to", [])):
            expect.equal(
                getattr(settings, name),
                expected,
                did=f"MailSettings().{name}, {when}",
                why="a line such as SMTP_HOST= in .env means: not set",
                hint="compare the default of the field with the table"
                if when == "without variables"
                else "which option of core/config.py takes an empty variable for one that is not set?",
                at=model,
            )
        expect.that(
            settings.password is None,
            did=f"MailSettings().password, {when}",
            got="a password",
            expected="None",
            why="a password in the code is known to everyone who ever had the code",
            hint="no password is a password, too: let the type allow None, and make it the default",
            at=model,
        )

    def test_list(self, load, monkeypatch):
        """SMTP_REPORT_TO is split at commas, without blanks and empty parts"""
        model = load("core.mail_settings").MailSettings
        ada, bob, zoe = "ada@example.com", "bob@example.com", "zoe@example.com"
        for text, expected in (
            (ada, [ada]),
            (f"{ada},{bob}", [ada, bob]),
            (f"{zoe}, {ada} ,\t{bob}", [zoe, ada, bob]),
            (f" {ada} , ,", [ada]),
            (f",,{bob}", [bob]),
            ("", []),
            (" , ", []),
        ):
            monkeypatch.setenv("SMTP_REPORT_TO", text)
            expect.equal(
                make(model).report_to,
                expected,
                did=f'MailSettings().report_to, with SMTP_REPORT_TO="{text}"',
                why="reports would go to no one, or to an address that does not exist",
                hint=hint_for_unread(model, "report_to")
                or "the same two tools as in 1.2 read a list from text with commas; compare the results part by part",
                at=method(model, "split_addresses"),
            )
        # by either name: a field with an alias is not handed over by its own
        for addresses in ([ada], [zoe, bob], []):
            did = "MailSettings, with a list that code hands over"
            given = make(model, did, report_to=addresses, SMTP_REPORT_TO=addresses)
            expect.equal(
                given.report_to,
                addresses,
                did="MailSettings().report_to, with a list that code hands over",
                why="a test could not say where reports go",
                hint="the validator returns everything that is not a str unchanged",
                at=method(model, "split_addresses"),
            )

    def test_port(self, load, monkeypatch):
        """A port below 1 or above 65535 is refused, 1 and 65535 are accepted"""
        model = load("core.mail_settings").MailSettings
        for good in (1, 2, 465, 65534, 65535):
            monkeypatch.setenv("SMTP_PORT", str(good))
            expect_read(make(model, f"MailSettings(), with SMTP_PORT={good}", "it is a port"), "port", good)
        for bad in (0, -1, 65536, 65537, 99999, "mail"):
            monkeypatch.setenv("SMTP_PORT", str(bad))
            with expect.raising(
                ValidationError,
                says="port",
                did=f"MailSettings(), with SMTP_PORT={bad}",
                why="there is no such port: the first mail would fail, days after the start",
                hint="a Field can hold two bounds, one for each end; the text above names them",
                at=model,
            ):
                model()

    def test_password_is_hidden(self, load, monkeypatch):
        """The password is not printed, alone or with the settings, nor with an error"""
        model = load("core.mail_settings").MailSettings
        monkeypatch.setenv("SMTP_PASSWORD", KEY)
        settings = make(model)
        expect_read(settings, "password", KEY, "…")
        why = "settings are printed in logs and error reports, which many people read"
        for printed, shown in (
            ("MailSettings()", f"{settings!r} {settings}"),
            ("MailSettings().password", f"{settings.password!r} {settings.password}"),
            ("MailSettings().model_dump()", str(settings.model_dump())),
        ):
            expect.that(
                KEY not in shown,
                did=f"print({printed}), with SMTP_PASSWORD=…",
                got="the password, in full",
                expected="stars instead of the password",
                why=why,
                hint="which type shows stars where it is printed? You met it in 1.1",
                at=model,
            )
        monkeypatch.setenv("SMTP_PORT", "0")
        try:
            model()
        except ValidationError as error:
            expect.that(
                KEY[:8] not in str(error) and KEY[-8:] not in str(error),
                did="print(error), with SMTP_PASSWORD=… and SMTP_PORT=0",
                got="the password",
                expected="an error without the password",
                why=why,
                hint="core/config.py has an option that hides what was read in errors",
                at=model,
            )

    def test_dotenv(self, load):
        """.env is read, and the app's other lines in it do no harm"""
        model = load("core.mail_settings").MailSettings
        others = (
            "STAGE=development",
            "SECRET_KEY=another",
            "SMTP_UNKNOWN=1",
            "DEBUG=perhaps",
        )
        own = {
            "HOST": "mail.example.com",
            "PORT": "587",
            "PASSWORD": KEY,
            "REPORT_TO": "ada@example.com, bob@example.com",
        }
        lines = [*others, *(f"SMTP_{name}={value}" for name, value in own.items())]
        Path(".env").write_text("\n".join(lines) + "\n")
        why = "app and mail share one .env; each must leave the other's lines alone"
        did = "MailSettings(), with SMTP_HOST=mail.example.com and STAGE=development in .env"
        settings = make(model, did, why)
        wanted = {"host": "mail.example.com", "port": 587, "password": KEY, "report_to": own["REPORT_TO"].split(", ")}
        for name, expected in wanted.items():
            expect_read(settings, name, expected, "…" if name == "password" else own[name.upper()], "in .env")

    def test_import_reads_nothing(self, load, monkeypatch):
        """Importing the file reads nothing; get_mail_settings() makes the one object"""
        monkeypatch.setenv("SMTP_PORT", "a wrong port")
        why = "one wrong variable would stop every import, and no test could choose other values"
        hint = "who needs the object while the file is imported? get_settings in core/config.py shows another way"
        did = 'import app.core.mail_settings, with SMTP_PORT="a wrong port"'
        try:
            module = load.fresh("core.mail_settings")
        except ValidationError:
            raise expect.Wrong(did=did, got="the import was refused", expected="it works", why=why, hint=hint) from None
        get_mail_settings = module.get_mail_settings
        with expect.raising(
            ValueError,
            says="port",
            did="get_mail_settings(), with a wrong SMTP_PORT",
            why="a wrong setting must be told at the start, not with the first mail",
            hint=hint_for_unread(module.MailSettings, "port")
            or "get_mail_settings makes the object, and lets what it raises pass",
            at=get_mail_settings,
        ):
            get_mail_settings()
        made = [
            name
            for name, value in vars(sys.modules["app.core.mail_settings"]).items()
            if isinstance(value, module.MailSettings)
        ]
        expect.that(
            not made,
            did=did,
            got=f"`{', '.join(made)}`, made while the file was imported",
            expected="no object before the first call",
            why=why,
            hint=hint,
        )
        monkeypatch.setenv("SMTP_PORT", "587")
        module = load.fresh("core.mail_settings")
        monkeypatch.setenv("SMTP_PORT", "2525")
        first = module.get_mail_settings()
        expect.equal(
            first.port,
            2525,
            did="get_mail_settings().port, with SMTP_PORT=587 at the import and 2525 at the first call",
            why="a test that chooses its settings after the import would get others",
            hint=hint_for_unread(module.MailSettings, "port") or hint,
            at=module.get_mail_settings,
        )
        monkeypatch.setenv("SMTP_PORT", "465")
        expect.that(
            module.get_mail_settings() is first,
            did="get_mail_settings(), twice",
            got="two objects",
            expected="one object, made at the first call",
            why="the file .env would be read again for each mail",
            hint="one line above the function keeps the object of the first call, as in core/config.py",
            at=module.get_mail_settings,
        )

    def test_no_old_style(self, load):
        """Importing the file gives no warning about old style"""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            load.fresh("core.mail_settings")
        old = [
            str(one.message).split(";")[0]
            for one in caught
            if type(one.message).__name__.startswith("PydanticDeprecated")
        ]
        expect.that(
            not old,
            did="import app.core.mail_settings",
            got=f"a warning: {old[0]}" if old else "",
            expected="no warning",
            why="what is a warning today is an error after the next update",
            hint="two things are old style here: the inner class, and an argument of Field that nobody reads",
        )
