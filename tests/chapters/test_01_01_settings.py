"""Checks of chapter 01, settings: safe by default, a list of origins, and an old file of the mail's."""

import random
import sys
import warnings
from itertools import combinations
from pathlib import Path

from pydantic import SecretStr, ValidationError

from course_checks.modules import method
from course_checks.origins import EVIL, SHOP
from course_checks.samples import KEY
from course_checks.words import in_words
from workbook import expect
from workbook.checks import exercise

STAGES = ("staging", "production")


# each problem's variable, and the values that bring it about
PROBLEMS = {
    "SECRET_KEY": {},
    "CORS_ORIGINS": {"cors_origins": [SHOP, "*"]},
    "DEBUG": {"debug": True},
}


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
            got=in_words(error, 160),
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
