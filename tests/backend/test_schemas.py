"""What crosses the wire: accepted, normalised, or refused with the right field."""

from decimal import Decimal
from typing import Any

import pytest
from app.core.text import refuse_unstorable
from app.items.schemas import ItemCreate, ItemUpdate
from app.users.schemas import AdminUserUpdate, UserCreate, UserPublic, UserUpdate
from pydantic import BaseModel, ValidationError

from tests.backend.support import new_user


def refused_fields(model: type[BaseModel], data: dict[str, Any]) -> set[Any]:
    """Return the fields that the model blames."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(data)
    return {error["loc"][0] for error in caught.value.errors()}


def test_names_are_normalised() -> None:
    """E-mail and user name are stored in lower case, without spaces around them."""
    user = UserCreate(**new_user(email="Ada@Example.COM", username="  Ada "))
    assert (user.email, user.username) == ("ada@example.com", "ada")


@pytest.mark.parametrize(
    "password",
    ["Short1", "alllowercase", "É" * 37, "A" * 73, "Abcdefgh\x00", "Abcdefgh\ud800", 12345678],
    ids=["short", "no upper case", "74 bytes", "73 bytes", "NUL", "surrogate", "number"],
)
def test_bad_passwords_are_refused(password: Any) -> None:
    """A password needs 8 characters, an upper-case letter, and at most 72 bytes."""
    assert refused_fields(UserCreate, new_user(password=password)) == {"password"}


@pytest.mark.parametrize("password", ["Abcdefgh", "É" * 36, "A" * 72, "Ünïcödé €"])
def test_good_passwords_are_accepted(password: str) -> None:
    """The limits themselves are allowed."""
    assert UserCreate(**new_user(password=password)).password == password


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("email", "nobody"),
        ("email", "a@b"),
        ("email", "a\x00@b.com"),
        ("username", "ab"),
        ("username", "a" * 51),
        ("username", "a@b.com"),
        ("username", "two words"),
        ("username", "аda-cyrillic"),
        ("full_name", "x" * 101),
        ("full_name", "a\x00b"),
    ],
)
def test_bad_names_are_refused(name: str, value: str) -> None:
    """A user name has no @, so it can never be taken for somebody's e-mail."""
    assert refused_fields(UserCreate, new_user(**{name: value})) == {name}


def test_a_field_that_is_not_sent_is_not_null() -> None:
    """An update knows which fields were sent."""
    update = UserUpdate(full_name=None)
    assert update.model_dump(exclude_unset=True) == {"full_name": None}


@pytest.mark.parametrize("name", ["email", "username", "password", "role", "is_active"])
def test_null_is_refused_where_a_value_is_needed(name: str) -> None:
    """Null would empty a column that must not be empty."""
    assert refused_fields(AdminUserUpdate, {name: None}) == {name}


@pytest.mark.parametrize("value", ["yes", 1, "true"])
def test_is_active_is_true_or_false_only(value: Any) -> None:
    """Other values are not guessed at."""
    assert refused_fields(AdminUserUpdate, {"is_active": value}) == {"is_active"}


def test_self_service_cannot_name_a_role() -> None:
    """UserUpdate has no field for role, is_active or password."""
    assert not {"role", "is_active", "password"} & set(UserUpdate.model_fields)


def test_public_user_has_no_password() -> None:
    """Neither the password nor its hash is a field of an answer."""
    assert not [name for name in UserPublic.model_fields if "password" in name]


def test_a_password_is_not_printed() -> None:
    """The text form of a request does not show the password."""
    assert "Correct horse" not in repr(UserCreate(**new_user()))
    assert "Correct horse" not in repr(AdminUserUpdate(password="Correct horse"))


@pytest.mark.parametrize(("given", "stored"), [("1.5", "1.50"), (0, "0.00"), ("-0", "0.00"), (1.1, "1.10")])
def test_prices_have_two_decimal_places(given: Any, stored: str) -> None:
    """A price is written the same way whatever was sent."""
    assert str(ItemCreate(title="Pen", price=given).price) == stored


@pytest.mark.parametrize("price", [-1, "1.999", "NaN", "Infinity", "1e400", 10**9, True, None, ""])
def test_bad_prices_are_refused(price: Any) -> None:
    """A price is zero or more, with at most two decimal places and eight digits before them."""
    assert refused_fields(ItemCreate, {"title": "Pen", "price": price}) == {"price"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("title", "  "),
        ("title", "x" * 201),
        ("title", "a\x00"),
        ("description", "x" * 2001),
        ("description", "\x00"),
        ("url", "javascript:alert(1)"),
        ("url", "ftp://a.com"),
        ("url", "https://a.com/" + "x" * 2000),
    ],
)
def test_bad_items_are_refused(name: str, value: str) -> None:
    """Texts are bounded, and a link is a web address."""
    assert refused_fields(ItemCreate, {"title": "Pen", "price": 1, name: value}) == {name}


def test_an_item_is_ready_for_the_database() -> None:
    """The link is text and the price a Decimal, also inside Python."""
    dump = ItemCreate(title=" Pen ", price="2", url="https://a.com").model_dump()
    expected = {"title": "Pen", "description": None, "url": "https://a.com/", "price": Decimal(2)}
    assert dump == expected


@pytest.mark.parametrize("name", ["title", "price"])
def test_item_update_refuses_null(name: str) -> None:
    """An item always has a title and a price; description and url may go."""
    assert refused_fields(ItemUpdate, {name: None}) == {name}
    assert ItemUpdate(description=None, url=None).model_fields_set == {"description", "url"}


def test_half_a_character_is_refused() -> None:
    """A lone surrogate cannot be written as UTF-8."""
    with pytest.raises(ValueError, match="surrogate"):
        refuse_unstorable("a\udfff")
