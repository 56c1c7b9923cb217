"""Checks of chapter 02, schemas of users: sign-up, password, update, what others may see, one spelling."""

import inspect
import re
from datetime import datetime
from types import SimpleNamespace

from fastapi import FastAPI, HTTPException
from pydantic import SecretStr, TypeAdapter, ValidationError

from course_checks.samples import HASH
from course_checks.schemas import (
    NOON,
    accepts,
    changes,
    expect_fields,
    expect_none,
    never_passes_on,
    no_old_pydantic,
    part,
    refuses_null,
    rule,
    rule_of,
    schema,
    sends_only,
    shows,
    throw_away_app,
    without,
)
from workbook import expect
from workbook.checks import exercise

ADA = {"email": "ada@example.com", "username": "ada", "full_name": "Ada Lovelace", "password": "Correct horse"}
COUNTED = "a Field inside Password can count characters, as one does inside Username"


# the table of exercise 2.4; None stands for the learner's Role
USER_TYPES = {
    "id": int,
    "email": str,
    "username": str,
    "full_name": str,
    "role": None,
    "is_active": bool,
    "created_at": datetime,
    "updated_at": datetime,
}


def user_row(**changes):
    """Return a stand-in for a user's database row."""
    row = {
        "id": 7,
        "email": "ada@example.com",
        "username": "ada",
        "full_name": None,
        "role": "admin",
        "is_active": True,
        "hashed_password": HASH,
        "created_at": NOON,
        "updated_at": NOON,
    }
    return SimpleNamespace(**row | changes)


def is_refused(model, data):
    """Say whether a schema refuses data."""
    try:
        model.model_validate(data)
    except ValidationError:
        return True
    return False


def told(model, data):
    """Return the first message with which a schema refuses data, in small letters; an empty text if it accepts it."""
    try:
        model.model_validate(data)
    except ValidationError as error:
        return error.errors()[0]["msg"].lower()
    return ""


def refuses_password(create, password, says, why, hint):
    """Expect that a sign-up with this password is refused with a ValidationError that says why."""
    data = ADA | {"password": password}
    try:
        create.model_validate(data)
    except ValidationError as error:
        messages = [one["msg"] for one in error.errors() if "password" in one["loc"]]
        if messages and not any(says.lower() in one.lower() for one in messages):
            hint = hint_for_message(messages[0], says, password)
    except HTTPException as error:
        raise expect.Wrong(
            did=f"UserCreate with the password {expect.shown(password)}",
            got=f"your code raised HTTPException({error.status_code}) inside the schema",
            expected='a ValidationError for "password"',
            why="it ends the work at the first fault, so a person hears of the faults one by one",
            hint="raise ValueError in a validator, never HTTPException: Pydantic collects every ValueError",
            at=create,
        ) from None
    except Exception:  # noqa: S110 - expect.refused, below, says what came
        pass
    at = rule(create, "Password") if says == "8" else rule_of(create, "password")
    expect.refused(create, data, field="password", says=says, why=why, hint=hint, at=at)


def hint_for_message(message, says, password):
    """Return what repairs the refusal of a password that tells something else than it should."""
    about_case_only = "upper" in message.lower() and not {"72", "8"} & set(message.replace(",", " ").split())
    if about_case_only and any(map(str.isupper, password)):
        return "it is refused for another rule: there is an upper-case letter in it, and your test does not know it"
    if "None" in message or "unsupported" in message:
        return "the rule itself fails: read the message, it names what Python could not do"
    bound = re.search(r"at (?:least|most) (\d+)", message)
    if bound and says.isdigit() and bound[1] != says:
        return f"your bound is {bound[1]}: the text says {says}, and the message follows the bound"
    return f"it is refused, as it should be; let the message say {says}, too"


# ---------------------------------------------------------------------------------------------------------------- 2.1


@exercise("2.1")
class TestSignUp:
    def test_a_complete_request(self, load):
        """A complete sign-up is accepted, and its values arrive unchanged"""
        create = schema(load, "users.UserCreate")
        for data in (ADA, ADA | {"password": "  Correct horse, battery, staple "}):
            made = accepts(
                create,
                data,
                why="a person with good data could not sign up",
                hint="the table says which fields UserCreate has, and which of them it inherits",
            )
            expect_fields(
                made,
                data,
                did="UserCreate(...)",
                why="what a person sent would be lost, or become something else",
                hint="a field keeps what was sent: which setting, or which function of yours, changes it?",
            )

    def test_required(self, load):
        """E-mail address, user name and password must be sent, and may not be null"""
        for field in ("email", "username", "password"):
            create = schema(load, "users.UserCreate")
            reason = {
                "why": f"a user without {field} would be stored, or fail later as a 500",
            }
            missing = f"a default is what lets a field be left out: {field} must have none"
            expect.refused(create, without(ADA, field), field=field, hint=missing, **reason)
            null = f"the type of {field} lets null pass: compare it with the table"
            expect.refused(create, ADA | {field: None}, field=field, hint=null, **reason)

    def test_full_name_may_be_left_out(self, load):
        """A sign-up without full_name is accepted: the field is optional"""
        made = accepts(
            schema(load, "users.UserCreate"),
            without(ADA, "full_name"),
            why="a person who gives no full name could not sign up",
            hint="`| None` only allows null; the default `= None` lets a client leave the field out",
        )
        expect_fields(
            made,
            {"full_name": None},
            did="UserCreate(...).full_name, when it was not sent",
            why="everybody would get a name that they never chose",
            hint="give full_name the default None",
        )

    def test_full_name_may_be_null(self, load):
        """A sign-up with full_name null is accepted"""
        accepts(
            schema(load, "users.UserCreate"),
            ADA | {"full_name": None},
            why="many clients send an empty form field as null",
            hint="a default is not enough: the type must allow None too, `FullName | None`",
        )

    def test_no_address(self, load):
        """Text that is no e-mail address is refused"""
        for email in ("ada", "ada@", "@example.com", "ada@example", "ada example.com", "a@b@example.com", "", " "):
            expect.refused(
                schema(load, "users.UserCreate"),
                ADA | {"email": email},
                field="email",
                why="nobody could ever write to this user",
                hint="any text is a str: which name above stands for an address?",
            )

    def test_lengths(self, load):
        """A user name has 3 to 50 characters, a full name at most 100"""
        for field, low, high in (("username", 3, 50), ("full_name", 0, 100)):
            create = schema(load, "users.UserCreate")
            reason = {
                "why": "too short says nothing, too long breaks the page and the column that hold it",
                "hint": f"the bounds of {field} belong to a type that has a name above: use the name",
            }
            for size in (low or 1, (low or 1) + 1, high - 1, high):
                accepts(create, ADA | {field: "a" * size}, **reason)
            for size in (low - 2, low - 1, high + 1, high * 3):
                if size > 0:
                    expect.refused(create, ADA | {field: "a" * size}, field=field, **reason)

    def test_only_text(self, load):
        """A number, a list or an object is no e-mail address, no name and no password"""
        for field in ADA:
            for value in (42, True, ["ada@example.com"], {"a": "b"}):
                expect.refused(
                    schema(load, "users.UserCreate"),
                    ADA | {field: value},
                    field=field,
                    why="code that expects text would fail later, far from the cause, as a 500",
                    hint=f"the table names the type of {field}: it lets only text pass",
                )

    def test_base(self, load):
        """UserBase has the three fields that a person chooses, with their rules, and no password"""
        base = schema(load, "users.UserBase")
        expect.that(
            "password" not in base.model_fields,
            did="UserBase.model_fields",
            got="UserBase has a password",
            expected="only UserCreate has one",
            why="every schema that inherits from UserBase would carry the password along",
            hint="move password down into UserCreate",
            at=base,
        )
        data = without(ADA, "password")
        why = "what inherits from UserBase would lack a field, or its rule"
        made = accepts(base, data, why=why, hint="the table says which fields stand in UserBase")
        expect_fields(made, data, did="UserBase(...)", why=why, hint="the table says which fields stand in UserBase")
        for field, value in (("email", "ada"), ("username", "ab"), ("full_name", "a" * 101)):
            hint = f"the type of {field} stands in the table, and belongs to UserBase"
            expect.refused(base, data | {field: value}, field=field, why=why, hint=hint)

    def test_no_role(self, load):
        """A role that a client sends never gets through, nor anything else that is not listed"""
        for name in ("role", "is_active", "is_superuser", "id", "hashed_password"):
            never_passes_on(schema(load, "users.UserCreate"), ADA, name)


# ---------------------------------------------------------------------------------------------------------------- 2.2


@exercise("2.2")
class TestPasswordRule:
    def test_seven_characters(self, load):
        """A password of 7 characters or fewer is refused, and the message says 8"""
        create = schema(load, "users.UserCreate")
        expect.refused(create, ADA | {"password": ""}, field="password", why="anybody could sign in", hint=COUNTED)
        for password in ("Short1A", "A", "ÉÉÉÉÉÉÉ", "Ab 12 c"):
            refuses_password(
                create,
                password,
                says="8",
                why="short passwords are guessed in minutes",
                hint=COUNTED,
            )

    def test_no_upper_case(self, load):
        """A password without an upper-case letter is refused, and the message says so"""
        for password in ("alllowercase", "12345678", "........", "жёлтый дом", "école-ferme"):
            refuses_password(
                schema(load, "users.UserCreate"),
                password,
                says="upper",
                why="a person cannot repair a password without knowing the rule",
                hint="in check_password: look at each character, and raise a ValueError when none is upper-case",
            )

    def test_too_many_bytes(self, load):
        """A password of 37 two-byte letters is refused: 74 bytes, though only 37 characters"""
        for password in ("A" * 73, "A" + "é" * 36, "A" + "🙂" * 18, "A" * 500, "É" * 37):
            refuses_password(
                schema(load, "users.UserCreate"),
                password,
                says="72",
                why="bcrypt cannot hash more than 72 bytes; the sign-up would fail later, as a 500",
                hint="a Field counts characters; what do you get when you count what str.encode returns?",
            )

    def test_good(self, load):
        """A good password is accepted and arrives unchanged, from 8 characters to exactly 72 bytes"""
        blanks = ("  Correct horse ", "\tCorrect horse\n", "     Abc")
        for password in (
            "Correct horse",
            "Abcdefgh",
            "A" * 72,
            "É" * 36,
            "A1" + "é" * 35,
            "E\u0301cole-Ferme",
            *blanks,
        ):
            create = schema(load, "users.UserCreate")
            made = accepts(
                create,
                ADA | {"password": password},
                why="a person with a good password could not sign up",
                hint="there is an upper-case letter in it: Python knows of each character whether it is upper-case"
                if "upper" in told(create, ADA | {"password": password})
                else "compare the bounds: at least 8 characters, at most 72 bytes, both included, blanks count",
                at=rule_of(create, "password"),
            )
            found = getattr(made, "password", None)
            hint = "what a validator returns is what the field gets: does it return on every way through?"
            if isinstance(found, SecretStr):
                hint = "the value stays a str, no SecretStr: the field has a setting that hides it where it is printed"
            elif isinstance(found, str):
                hint = "return the value as it came: a password keeps its spaces, its capitals, every character"
            expect.that(
                expect.same(found, password),
                did=f"UserCreate(password={expect.shown(password)}).password",
                got=expect.shown(found),
                expected=expect.shown(password),
                why="later code hashes this text: with another one, or none, the user could never log in",
                hint=hint,
                at=rule_of(create, "password"),
            )

    def test_any_alphabet(self, load):
        """An upper-case letter of any alphabet counts, É and Д as well as A"""
        for password in ("École-ferme", "жёлтый Дом", "ferme-bleuÉ", "ωμέγα-Ω-ωμέγα", "alllowercasE"):
            create = schema(load, "users.UserCreate")
            accepts(
                create,
                ADA | {"password": password},
                why="people write their passwords in their own alphabet",
                hint="a list from A to Z knows one alphabet: Python knows of each character whether it is upper-case",
                at=rule_of(create, "password"),
            )

    def test_the_name(self, load):
        """The rules belong to the name Password, so that every schema that uses it has them"""
        rules = load("users.schemas")
        try:
            TypeAdapter(rules.Password).validate_python("Correct horse")
        except ValidationError as error:
            raise expect.Wrong(
                did='TypeAdapter(Password).validate_python("Correct horse")',
                got=f"it was refused: {error.errors()[0]['msg']}",
                expected="it is accepted",
                why="no schema that uses the name could take a good password",
                hint="Password is the text with its rules: Annotated[str, …]",
            ) from None
        create = schema(load, "users.UserCreate")
        bad = ("Short1A", "alllowercase", "A" + "é" * 36)
        for password in filter(lambda one: is_refused(create, ADA | {"password": one}), bad):
            with expect.raising(
                ValidationError,
                did=f"TypeAdapter(Password).validate_python({expect.shown(password)})",
                why="the next schema with a password, an admin's for example, would take this one",
                hint="the rules are right in UserCreate; move them to the name Password, which others will use, too",
                at=rule_of(create, "password"),
            ):
                TypeAdapter(rules.Password).validate_python(password)

    def test_nul(self, load):
        """A password with a NUL character is refused, and the message says NUL"""
        for password in ("Correct\x00horse", "\x00Correct horse", "Correct horse\x00"):
            refuses_password(
                schema(load, "users.UserCreate"),
                password,
                says="NUL",
                why="bcrypt raises an error for NUL; the sign-up would fail later, as a 500",
                hint="a function of core/text.py refuses it already: who calls it for a password?",
            )

    async def test_all_faults_at_once(self, load, connect):
        """A bad e-mail address and a bad password are told together, in one 422"""
        create = schema(load, "users.UserCreate")
        app = FastAPI()

        @app.post("/users")
        async def sign_up(data: create):
            return {}

        async with connect(app) as client:
            answer = await client.post("/users", json=ADA | {"email": "ada", "password": "É" * 37})
        reason = {
            "why": "a person would repair one fault, send again, and only then hear of the next",
            "hint": "raise ValueError in a validator, never HTTPException: Pydantic collects ValueErrors",
        }
        with throw_away_app():
            expect.status(answer, 422, at=create, **reason)
        body = expect.body(answer)
        detail = body.get("detail") if isinstance(body, dict) else None
        faults = detail if isinstance(detail, list) else []
        blamed = sorted({fault["loc"][-1] for fault in faults})
        expect.equal(blamed, ["email", "password"], did="the fields in detail", at=create, **reason)

    def test_still_required(self, load):
        """A sign-up without a password is still refused"""
        expect.refused(
            schema(load, "users.UserCreate"),
            without(ADA, "password"),
            field="password",
            why="a user without a password would be stored, or fail later as a 500",
            hint="a Field may hold a setting and no default: what stands first in its brackets?",
        )

    def test_not_printed(self, load):
        """The printed UserCreate does not show the password"""
        create = schema(load, "users.UserCreate")
        made = accepts(create, ADA)
        expect.that(
            ADA["password"] not in f"{made!r} {made}",
            did="repr(UserCreate(...))",
            got=f"it shows the password: {made!r}",
            expected="no password in it",
            why="objects are printed into logs, and logs are read by many people",
            hint="a setting of the field leaves it out of the printed form: the text above names it",
            at=create,
        )


# ---------------------------------------------------------------------------------------------------------------- 2.3


@exercise("2.3")
class TestUserUpdate:
    def test_nothing(self, load):
        """An empty request is accepted, and changes nothing"""
        update = schema(load, "users.UserUpdate")
        got = changes(
            update,
            {},
            why="a client that changes one field would have to send all the others",
            hint="give each field the default None: `| None` alone does not let a client leave it out",
        )
        expect.equal(
            got,
            {},
            did="UserUpdate.model_validate({}).model_dump(exclude_unset=True)",
            why="fields that nobody sent would be overwritten",
            hint="let a plain default stand for 'not sent'; Pydantic remembers what was sent",
            at=update,
        )

    def test_not_sent_is_none(self, load):
        """A field that was not sent reads as None"""
        expect_none(schema(load, "users.UserUpdate"), ["email", "username", "full_name"])

    def test_one_field(self, load):
        """One field that is sent is the only one that changes, for each of the three"""
        for field, value in (
            ("email", "grace@example.com"),
            ("username", "grace"),
            ("full_name", "Grace Hopper"),
        ):
            update = schema(load, "users.UserUpdate")
            got = changes(
                update,
                {field: value},
                why=f"a person could not change {field} alone",
                hint=f"give UserUpdate the field {field}, each field with a default; mind `return value`",
            )
            expect.equal(
                got,
                {field: value},
                did=f"UserUpdate.model_validate({{{field!r}: {value!r}}}).model_dump(exclude_unset=True)",
                why="the change would be lost, or other fields overwritten",
                hint=f"check that UserUpdate has {field}, and that its validator ends with `return value`",
                at=update,
            )

    def test_null_full_name(self, load):
        """A full_name that is sent as null arrives as null: the person wants it deleted"""
        update = schema(load, "users.UserUpdate")
        reason = {
            "why": "a person could never delete their full name",
            "hint": "do not drop None: exclude_unset already tells 'not sent' from 'null'",
        }
        expect.equal(
            changes(update, {"full_name": None}, **reason),
            {"full_name": None},
            did='UserUpdate.model_validate({"full_name": None}).model_dump(exclude_unset=True)',
            at=update,
            **reason,
        )

    def test_several_fields(self, load):
        """Several fields at once are all handed on, a null among them too"""
        update = schema(load, "users.UserUpdate")
        for sent in (
            {"email": "grace@example.com", "username": "grace"},
            {"username": "grace", "full_name": None},
            {"email": "grace@example.com", "username": "grace", "full_name": "Grace Hopper"},
        ):
            reason = {
                "why": "a part of what a person sent would be lost",
                "hint": "each field stands for itself: what was sent is handed on, whatever the others are",
            }
            expect.equal(
                changes(update, sent, **reason),
                sent,
                did=f"UserUpdate.model_validate({sent!r}).model_dump(exclude_unset=True)",
                at=update,
                **reason,
            )

    def test_good_values(self, load):
        """What is good for a sign-up is good for a change, up to the bounds"""
        for field, size in (("username", 3), ("username", 50), ("full_name", 1), ("full_name", 100)):
            update, value = schema(load, "users.UserUpdate"), "a" * size
            reason = {
                "why": "a person could not change to a value that was good at the sign-up",
                "hint": f"the rules of {field} belong to a name: use it here too",
            }
            expect.equal(
                changes(update, {field: value}, **reason), {field: value}, did=f"UserUpdate({field}=…)", **reason
            )

    def test_null_refused(self, load):
        """Null for email or username is refused, and the error names the field: every user must have both"""
        for field in ("email", "username"):
            refuses_null(schema(load, "users.UserUpdate"), field)

    def test_same_rules(self, load):
        """The rules of sign-up hold for a change too"""
        for field, value in (
            ("email", "ada"),
            ("username", "ab"),
            ("username", "a" * 51),
            ("full_name", "a" * 101),
            ("full_name", "Ada\x00"),
            ("full_name", 42),
            ("email", 42),
            ("username", ["ada"]),
        ):
            expect.refused(
                schema(load, "users.UserUpdate"),
                {field: value},
                field=field,
                why="a person could sign up with a good value and change it to a forbidden one",
                hint=f"the rules of {field} belong to a name: use it here too, not a plain type",
            )

    def test_nothing_else(self, load):
        """Role, is_active and the password cannot be changed here"""
        for name in ("role", "is_active", "hashed_password", "password", "id", "is_superuser", "created_at"):
            never_passes_on(schema(load, "users.UserUpdate"), {"full_name": "Ada"}, name)


# ---------------------------------------------------------------------------------------------------------------- 2.4


@exercise("2.4")
class TestUserPublic:
    def test_reads_a_row(self, load):
        """UserPublic.model_validate reads an object with attributes, not only a dict"""
        shows(schema(load, "users.UserPublic"), user_row())

    def test_types(self, load):
        """Each value has the type of the table"""
        public, kinds = schema(load, "users.UserPublic"), load("users.schemas")
        for values in ({"role": "admin", "is_active": True}, {"role": "user", "is_active": False, "id": 12}):
            row = user_row(full_name="Ada Lovelace", **values)
            shows(public, row)
            made = public.model_validate(row)
            wanted = {name: getattr(row, name) for name in USER_TYPES} | {"role": kinds.Role(row.role)}
            for name, plain in USER_TYPES.items():
                kind = plain or kinds.Role
                expect.that(
                    hasattr(made, name),
                    did="the fields of UserPublic",
                    got=f"it has no field {name}",
                    expected=f"the fields {', '.join(USER_TYPES)}",
                    why="a client reads these fields, and finds nothing",
                    hint=f"add the field {name} to UserPublic",
                    at=public,
                )
                found = getattr(made, name)
                expect.that(
                    type(found) is kind and found == wanted[name],
                    did=f"UserPublic.model_validate(row).{name}, the row's being {wanted[name]!r}",
                    got=f"{found!r}, of type {type(found).__name__}",
                    expected=f"the same value, of type {kind.__name__}",
                    why="the documentation tells clients the type, and your own code relies on it",
                    hint=f"the table names the type of {name}",
                    at=public,
                )

    def test_no_password(self, load):
        """No field of UserPublic has to do with a password"""
        public = schema(load, "users.UserPublic")
        leaks = [name for name in public.model_fields if "password" in name]
        expect.that(
            not leaks,
            did="UserPublic.model_fields",
            got=f"it lists {', '.join(leaks)}",
            expected="no password and no hash",
            why="whoever sees the hash can try passwords against it at home, without any limit",
            hint=f"{leaks[0]} is inherited: inherit from BaseModel, and list only what a client may see"
            if leaks and leaks[0] not in inspect.get_annotations(public)
            else "list only what a client may see",
            at=public,
        )

    def test_nothing_else(self, load):
        """What is not in the table is not sent, be it of an object, of one without __dict__, or of a dict"""
        extra = {"secret_note": "not for clients", "login_count": 3, "reset_token": "9f3c"}
        row = user_row(full_name="Ada Lovelace", **extra)
        sends_only(schema(load, "users.UserPublic"), row, [*extra, "hashed_password"])

    async def test_over_http(self, load, connect):
        """As a response model it sends the eight fields, and no hash"""
        public = schema(load, "users.UserPublic")
        app = FastAPI()
        row = user_row(full_name="Ada Lovelace")
        shows(public, row)
        app.get("/users/7", response_model=public)(lambda: row)
        async with connect(app, raise_app_exceptions=False) as client:
            answer = await client.get("/users/7")
        reason = {
            "why": "a client that shows a profile needs these fields, and no more",
            "hint": "list the eight fields of the table, with their types and without defaults",
        }
        with throw_away_app():
            expect.status(answer, 200, at=public, **reason)
        expect.that(
            HASH not in answer.text,
            did="GET /users/7 with response_model=UserPublic",
            got="the answer holds the hash",
            expected="no hash in the answer",
            why="whoever sees the hash can try passwords against it at home, without any limit",
            hint="list only what may leave; what is not listed stays",
            at=public,
        )
        wanted = {
            "id": 7,
            "email": "ada@example.com",
            "username": "ada",
            "full_name": "Ada Lovelace",
            "role": "admin",
            "is_active": True,
        }
        found = part(answer, [*wanted, "created_at", "updated_at"], public)
        got = {name: found[name] for name in wanted}
        expect.equal(got, wanted, did="GET /users/7 with response_model=UserPublic", at=public, **reason)
        for name in ("created_at", "updated_at"):
            expect.equal(
                found[name],
                "2026-05-01T12:00:00Z",
                did=f"GET /users/7 with response_model=UserPublic: {name}",
                why="without its offset a time means another hour in each country",
                hint=f"give {name} the type datetime",
                at=public,
            )

    def test_null_is_shown(self, load):
        """A user without a full name is shown, with full_name null"""
        reason = {
            "why": "the page of every user without a full name would be a 500",
            "hint": "give full_name the type `str | None`",
        }
        got = shows(schema(load, "users.UserPublic"), user_row(full_name=None), reason["hint"])
        expect.that(
            "full_name" in got and got["full_name"] is None,
            did="UserPublic.model_validate(row), full_name is None",
            got=f"full_name is {got.get('full_name', 'missing')!r}",
            expected="None",
            **reason,
        )

    def test_old_rows(self, load):
        """A row that was stored before today's rules is shown as it is"""
        for field, value in (
            ("username", "al"),
            ("username", "Ada Byron"),
            ("email", "root@localhost"),
            ("email", "Ada@Example.com"),
            ("full_name", "a" * 101),
            ("full_name", "  Ada\tByron "),
        ):
            reason = {
                "why": "a stricter rule for new input would turn every older row into a 500",
                "hint": "a stored value leaves as it is: which rule or change comes with its type or model_config?",
            }
            public = schema(load, "users.UserPublic")
            got = shows(public, user_row(**{field: value}), reason["hint"])
            expect.equal(got.get(field), value, did=f"UserPublic.model_validate(row).{field}", at=public, **reason)

    def test_no_old_pydantic(self, load):
        """The module imports without a warning about Pydantic 1"""
        no_old_pydantic(load, "users.schemas")


# ---------------------------------------------------------------------------------------------------------------- 2.5


def hint_for_email(load, name):
    """Return what repairs an address that kept its capitals: look first whether the name Email makes it small."""
    try:
        found = TypeAdapter(load("users.schemas").Email).validate_python("Ada@example.com")
    except ValidationError:
        found = ""
    if found is None:
        return "what a validator returns is what the field gets: does yours return what it has made?"
    if found == "ada@example.com":
        return f"the name Email does it already: does the field of {name} use that name? That was exercise 2.1, or 2.3"
    return "a validator at the name Email may change the value: what it returns is what the field gets"


@exercise("2.5")
class TestNormalised:
    def test_email(self, load):
        """A new user's e-mail address is lower case as soon as it is read"""
        create = schema(load, "users.UserCreate")
        for sent in ("Ada@EXAMPLE.com", "ADA@example.com", "Ada.Lovelace+News@Example.Com"):
            made = accepts(create, ADA | {"email": sent})
            expect_fields(
                made,
                {"email": sent.lower()},
                did=f'UserCreate(email="{sent}").email',
                why="the question 'is this address taken?' would be asked with the wrong spelling",
                hint=hint_for_email(load, "UserCreate"),
                at=rule(create, "Email"),
            )

    def test_username(self, load):
        """A new user's name is trimmed and lower case as soon as it is read"""
        capitals = {
            "why": "people write their names with a capital letter, and the app can lower it by itself",
            "hint": "to_lower comes after the pattern, so the pattern sees the capitals: which letters has its list?",
        }
        blanks = {
            "why": "spaces around a name come from copying; they are no fault of the person",
            "hint": "the pattern sees the blanks: what takes them away before it is asked?",
        }
        sendings = (("ada", capitals), ("Ada", capitals), ("ADA", capitals), ("  Ada ", blanks), ("\tAda\n", blanks))
        for sent, reason in sendings:
            create = schema(load, "users.UserCreate")
            made = accepts(create, ADA | {"username": sent}, at=rule(create, "Username"), **reason)
            expect_fields(
                made,
                {"username": "ada"},
                did=f"UserCreate(username={sent!r}).username",
                why="two users could have names that look the same",
                at=rule(type(made), "Username"),
                hint="Username can trim and lower by itself, as Tidy above does; and does UserCreate use the name?",
            )

    def test_update(self, load):
        """A change of e-mail address or user name is normalised in the same way"""
        for field, sent, kept in (
            ("email", "Ada@EXAMPLE.com", "ada@example.com"),
            ("username", "  Ada ", "ada"),
        ):
            update = schema(load, "users.UserUpdate")
            got = changes(
                update,
                {field: sent},
                why="a value that is good for a new user would be refused here",
                hint="a rule that stands at a name holds in every schema that uses the name",
            )
            expect.equal(
                got,
                {field: kept},
                did=f"UserUpdate({field}={sent!r})",
                why="a person could change to a spelling of somebody else's address or name",
                hint=f"put the rule at the name {field.title()}, which UserUpdate uses too",
                at=rule(update, field.title()),
            )

    def test_trim_before_count(self, load):
        """Spaces do not count: a name of three spaces, or of two letters and spaces, is refused"""
        for sent in ("   ", " a ", "  ab  ", "\t\n ", "          ab", "ab          "):
            expect.refused(
                schema(load, "users.UserCreate"),
                ADA | {"username": sent},
                field="username",
                why="a user could have an empty name, because the rule was asked before the trimming",
                at=rule(schema(load, "users.UserCreate"), "Username"),
                hint="trim first and count afterwards: StringConstraints does it in this order",
            )

    def test_lengths(self, load):
        """The bounds of 3 and 50 characters hold for the trimmed name"""
        create = schema(load, "users.UserCreate")
        reason = {
            "why": "the rule of exercise 2.1 would be lost",
            "at": rule(create, "Username"),
            "hint": "keep min_length=3 and max_length=50, both counted after trimming",
        }
        for name in ("abc", "ABC", "abcd", "a" * 49, "a" * 50, "A" * 50, f"  {'a' * 50}  "):
            accepts(create, ADA | {"username": name}, **reason)
        for name in ("a" * 51, "A" * 51, "a" * 60, "ab", "a", ""):
            expect.refused(create, ADA | {"username": name}, field="username", **reason)

    def test_letters(self, load):
        """A user name holds no @, no space, no sign, and no letter that looks like another"""
        signs = (
            "ada@example.com",
            "ada lovelace",
            "ada!",
            "!ada",
            "[ada]",
            "ada/..",
            "ada+1",
            "ada,bob",
            "ada\nbob",
            "ada\x00",
        )
        whole = "your list of letters must hold for the whole name: what do ^ and $ do in a pattern?"
        listed = "the pattern covers the whole name, but its list is longer than the one in the text"
        letters = "`\\w`, and str.isalpha, know the letters of every alphabet: name the letters a to z yourself"
        for sent in (*signs, "\u0430da", "ädä", "ada²", "ａda", "ada\u200b", "ɑda"):
            anchored = is_refused(schema(load, "users.UserCreate"), ADA | {"username": "!ada!"})
            expect.refused(
                schema(load, "users.UserCreate"),
                ADA | {"username": sent},
                field="username",
                why="a user name could pretend to be another person's address or name",
                at=rule(schema(load, "users.UserCreate"), "Username"),
                hint=letters if sent not in signs else listed if anchored else whole,
            )

    def test_good_names(self, load):
        """Letters a to z, digits, dot, underscore and hyphen are accepted"""
        for sent in ("ada.lovelace", "ada_1815", "grace-hopper", "zoe", "x90", "0123456789", "A.b_C-9", "qwxyz", "-_-"):
            accepts(
                schema(load, "users.UserCreate"),
                ADA | {"username": sent},
                why="a person with a good name could not sign up",
                at=rule(schema(load, "users.UserCreate"), "Username"),
                hint="compare your list with the text, sign by sign; a hyphen between two signs means `from … to`",
            )

    def test_password_untouched(self, load):
        """The password keeps its spaces and its upper case"""
        sent = "  Correct Horse "
        reason = {
            "why": "the stored password would not be the one that the person typed",
            "hint": "put the rules at Email and Username; a model_config changes every str of the schema",
        }
        create = schema(load, "users.UserCreate")
        made = accepts(create, ADA | {"password": sent}, **reason)
        expect_fields(made, {"password": sent}, did="UserCreate(...).password", **reason)

    def test_full_name_untouched(self, load):
        """A full name keeps its upper case"""
        for name in ("users.UserCreate", "users.UserUpdate"):
            model = schema(load, name)
            reason = {
                "why": "people would be shown with a name that they do not write so",
                "hint": "put the rules at Email and Username; a model_config changes every str of the schema",
            }
            others = ADA if name == "users.UserCreate" else {}
            made = accepts(model, others | {"full_name": "Ada LOVELACE"}, **reason)
            expect_fields(made, {"full_name": "Ada LOVELACE"}, did=f"{model.__name__}(...).full_name", **reason)

    def test_no_text(self, load):
        """A number, a list or null is refused for both fields, not a crash"""
        for field in ("email", "username"):
            for value in (42, None, ["ada"]):
                reason = {
                    "why": "a validator that expects text raises AttributeError here: the client gets a 500",
                    "hint": 'let Pydantic check the type first: AfterValidator, not mode="before"',
                }
                schemas = load("users.schemas")
                for model in (schemas.UserCreate, schemas.UserUpdate):
                    expect.refused(model, ADA | {field: value}, field=field, **reason)
