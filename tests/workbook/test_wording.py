"""Values and exceptions in words: articles, plurals, secrets, addresses in memory."""

from __future__ import annotations

import base64
import json

import pytest

from workbook.base import wording


@pytest.mark.parametrize(
    "name",
    [
        "an int",
        "a User",
        "a UserCreate",
        "an Item",
        "an HTTPException",
        "an HttpUrl",
        "a JWTError",
        "an OSError",
        "a str",
        "a UUID",
        "an Unset",
        "a Uniform",
    ],
)
def test_names_have_their_article(name: str) -> None:
    """The article is that of the sound, of small letters and of what is said letter by letter, too."""
    assert wording.with_article(name.split()[1]) == name


def test_numbers_have_their_plural() -> None:
    """One is one, and everything else is many."""
    assert wording.count(1, "byte") == "1 byte"
    assert wording.count(2, "byte") == "2 bytes"
    assert wording.count(0, "byte") == "0 bytes"
    assert wording.count(2.5, "second") == "2.5 seconds"
    assert wording.shown("é") == '"é" (1 character, 2 bytes)'


def test_an_exception_is_told_in_one_line() -> None:
    """The kind and the first line of the message; of validation errors the first of them, without files of this machine."""
    assert wording.summary(KeyError("x")) == "KeyError: 'x'"
    assert wording.summary(ValueError("\nfirst\nsecond")) == "ValueError: first"
    assert wording.summary(ValueError()) == "ValueError"
    error = ValueError('1 validation error:\n  {"msg": "bad"}\n  File "/tmp/app/x.py", line 3, in x\n  GET /x')
    assert wording.summary(error) == 'ValueError: 1 validation error: {"msg": "bad"} GET /x'


def test_a_kind_stands_in_brackets() -> None:
    """The kind of a value is said with its article."""
    assert wording.kind_of(1) == " (an int)"


def token(**claims: object) -> str:
    """Return a token that says this of itself."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "HS256"}, claims)
    ]
    return ".".join([*parts, "c2lnbmF0dXJl"])


@pytest.mark.parametrize(
    ("text", "short"),
    [
        (f"Bearer {token(sub='3', type='access', jti='a' * 32, exp=1)}", "Bearer eyJ… (sub 3, type access)"),
        ("eyJhbGciOiJIUzI1NiJ9.rubbish.x", "eyJ…"),
        ("eyJhbGciOiJIUzI1NiIsInR5", "eyJ…"),
        ("key q7Lr2vXe9TzA4mWc8Kd1YnB6hUs3PfJg!", "key q7Lr…!"),
        ("$2b$12$KIXQabcdefghijklmnopqrstuvKIXQabcdefghijklmnopqrstuv", "$2b$12$…"),
        ('{"jti":"0123456789abcdef0123456789abcdef"}', '{"jti":"0123…"}'),
        ("<coroutine object UserCRUD.get at 0x7f00>", "<coroutine UserCRUD.get>"),
        ("<app.users.service.UserService object at 0x7f00>", "<UserService>"),
        ("<function get at 0x7f00>", "<function get>"),
        ("app.items.Item:94772966170544.check", "app.items.Item.check"),
        ("test_a_name_that_is_long_and_Has_Capitals_2", "test_a_name_that_is_long_and_Has_Capitals_2"),
        ("0000000000000000000000000000000000", "0000000000000000000000000000000000"),
        ("ordinary words stay, and so does eyJ", "ordinary words stay, and so does eyJ"),
    ],
)
def test_what_differs_each_time_is_shortened(text: str, short: str) -> None:
    """Tokens, keys, hashes and addresses are cut to what tells them apart for a person."""
    assert wording.shortened(text) == short


@pytest.mark.parametrize(
    ("got", "expected", "shown"),
    [
        ("a", "b", ('"a"', '"b"')),
        ([1, 2], [1, 3], ("[1, 2]", "[1, 3]")),
        (None, "x" * 100, ("None", '"xxxx…" (100 characters, 100 bytes)')),
        (
            '{"detail": ' + "x" * 80 + "1 and more" + "y" * 80,
            '{"detail": ' + "x" * 80 + "2 and more" + "y" * 80,
            (
                '"…xxxxxxxxxxxxxxxxxxxx1 and moreyyyyyyyyyy…" (from character 72 of 181)',
                '"…xxxxxxxxxxxxxxxxxxxx2 and moreyyyyyyyyyy…" (from character 72 of 181)',
            ),
        ),
        (
            "$2b$04$" + "abcdefghijklmnopqrstuv" * 2 + "1",
            "$2b$04$" + "abcdefghijklmnopqrstuv" * 2 + "2",
            ('"$2b$04$…"', '"$2b$04$…" (another one)'),
        ),
    ],
)
def test_two_values_show_where_they_differ(got: object, expected: object, shown: tuple[str, str]) -> None:
    """Long values are cut around the first difference; of hashes and tokens it is said that they are two."""
    found = tuple(wording.shortened(one) for one in wording.shown_apart(got, expected))
    assert found == shown


def test_long_lists_show_where_they_differ() -> None:
    """A difference behind the cut is shown on both sides."""
    first, second = wording.shown_apart([*range(100), "ada"], [*range(100), "bob"])
    assert "ada" in first
    assert "bob" in second
