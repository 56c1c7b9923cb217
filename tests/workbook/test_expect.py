"""Expectations: strict about types, clear about what they saw."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, Field, field_validator

from workbook import expect
from workbook.feedback import definition


class Everything:
    """Claims to be equal to everything and true."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


class Model(BaseModel):
    """A model for the expectations about models."""

    name: str = Field(min_length=3)

    @field_validator("name")
    @classmethod
    def no_fun(cls, value: str) -> str:
        """Raise something else for one value."""
        if value == "crash":
            raise RuntimeError("crashed")
        return value


@pytest.mark.parametrize(
    ("got", "expected"),
    [(1, 1), ("a", "a"), ({"a": [1, None]}, {"a": [1, None]}), ((1, 2), (1, 2)), (None, None), (1.5, 1.5)],
)
def test_equal_values_are_the_same(got: object, expected: object) -> None:
    """Equal values of equal types are the same."""
    expect.equal(got, expected)


@pytest.mark.parametrize(
    ("got", "expected"),
    [(True, 1), (1, True), (1.0, 1), ("1", 1), (Everything(), 1), ([Everything()], [1]), ({"a": 1, "b": 2}, {"a": 1})],
)
def test_values_of_other_types_are_not(got: object, expected: object) -> None:
    """A value that only claims to be equal is wrong."""
    with pytest.raises(expect.Wrong):
        expect.equal(got, expected)


@pytest.mark.parametrize(
    "name", ["an IntegrityError", "an UnboundLocalError", "a UserCreate", "a UnicodeError", "a ValueError", "an Item"]
)
def test_names_have_their_article(name: str) -> None:
    """A class's name in a sentence has the article of its sound."""
    assert expect.with_article(name.split()[1]) == name


@pytest.mark.parametrize(
    ("got", "expected", "said"),
    [(1, "1", ("1 (an int)", '"1" (a str)')), (None, "INFO", ("None", '"INFO"')), (1, 2, ("1", "2"))],
)
def test_kinds_are_told_where_they_differ(got: object, expected: object, said: tuple[str, str]) -> None:
    """A value of another kind says which; None says it by itself."""
    with pytest.raises(expect.Wrong) as caught:
        expect.equal(got, expected)
    assert (caught.value.got, caught.value.expected) == said


def test_a_variable_of_a_module_has_a_place() -> None:
    """A function, a class, and by a pair a module's variable have a line; a value or an unknown name has none."""
    this = sys.modules[__name__]
    lines = Path(__file__).read_text(encoding="utf-8").split("\n")
    found = definition.place((this, "VARIABLE"))
    assert found is not None
    assert lines[found[1] - 1].startswith("VARIABLE = ")
    assert definition.place((this, "nothing")) is None
    assert definition.place((3, "nothing")) is None
    for value in (None, 3, property(), "x"):
        assert definition.place(value) is None


VARIABLE = 3


@pytest.mark.parametrize("condition", [1, "yes", Everything(), None, False])
def test_that_takes_only_true(condition: object) -> None:
    """Only True itself is true."""
    with pytest.raises(expect.Wrong):
        expect.that(condition)


def response(status: int = 200, **content: Any) -> httpx.Response:
    """Return a response to a GET of /x."""
    return httpx.Response(status, request=httpx.Request("GET", "http://testserver/x"), **content)


def test_status_json_and_header() -> None:
    """A response is held against status, body and header, and a failure says both sides."""
    expect.status(response(), 200)
    expect.json(response(json={"a": 1}), {"a": 1})
    expect.header(response(headers={"x-total-count": "3"}), "X-Total-Count", "3")
    expect.header(response(), "location", None)
    with pytest.raises(expect.Wrong) as caught:
        expect.status(response(404), 200, why="because", hint="act")
    assert (caught.value.expected, caught.value.why, caught.value.hint) == ("200 OK", "because", "act")
    with pytest.raises(expect.Wrong, match="a JSON body"):
        expect.json(response(text="<p>"), {})
    with pytest.raises(expect.Wrong, match="no header location"):
        expect.header(response(), "location", "/x")


def test_refused_wants_a_validation_error_of_the_field() -> None:
    """`refused` accepts a refusal for the right field and message, and nothing else."""
    expect.refused(Model, {"name": "ab"}, field="name", says="3")
    for data, words in (
        ({"name": "abc"}, "it was accepted"),
        ({"name": "crash"}, "it raised RuntimeError"),
        ({}, "Field required"),
    ):
        with pytest.raises(expect.Wrong) as caught:
            expect.refused(Model, data, field="name", says="3 characters")
        assert words in caught.value.got


def test_accepted_gives_the_instance() -> None:
    """`accepted` returns the model or says why it was refused."""
    assert expect.accepted(Model, {"name": "abc"}).name == "abc"
    with pytest.raises(expect.Wrong, match="refused"):
        expect.accepted(Model, {"name": "a"})


def test_raising_catches_only_its_kind() -> None:
    """`raising` passes on the kind and message it wants, and names what came instead."""
    with expect.raising(ValueError, says="literal") as caught:
        int("x")
    assert isinstance(caught.value, ValueError)
    with pytest.raises(expect.Wrong, match="nothing was raised"), expect.raising(ValueError):
        pass
    with pytest.raises(expect.Wrong, match="KeyError"), expect.raising(ValueError):
        raise KeyError("x")
    with pytest.raises(expect.Wrong, match="other"), expect.raising(ValueError, says="this"):
        raise ValueError("other")


def test_long_values_are_cut_with_their_size() -> None:
    """A long or non-ASCII string is shown with its length in characters and bytes."""
    assert expect.shown("é" * 61) == '"éééé…" (61 characters, 122 bytes)'
    assert expect.shown("é" * 37) == f'"{"é" * 37}" (37 characters, 74 bytes)'
    assert expect.shown("abc") == '"abc"'


def test_a_wrong_answer_inside_an_expected_error_stays_itself() -> None:
    """What the block of `raising` expects by itself is told as such, and not as another exception."""
    with pytest.raises(expect.Wrong, match="inner"), expect.raising(ValueError, did="outer"):
        raise expect.Wrong(did="inner")


def test_a_known_mistake_is_named_and_any_other_error_goes_on() -> None:
    """The part of a message that tells a mistake brings its hint; addresses are left out of what is said."""
    mistakes = [("no list", "put brackets around it")]
    with pytest.raises(expect.Wrong) as caught:
        expect.known(TypeError(f"no list: {object()}"), mistakes, why="as asked")
    assert (caught.value.got, caught.value.hint) == ("it raised TypeError: no list: <object>", "put brackets around it")
    assert caught.value.why == "as asked"
    with pytest.raises(KeyError):
        expect.known(KeyError("x"), mistakes)
