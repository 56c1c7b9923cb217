"""Checks of chapter 02, schemas of items: a price, an update, what others may see."""

import warnings
from decimal import Decimal
from types import SimpleNamespace

from fastapi import FastAPI

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
    schema,
    sends_only,
    shows,
    throw_away_app,
    without,
)
from workbook import expect
from workbook.checks import exercise

LAMP = {"title": "Lamp", "description": "Bright", "url": "https://example.com/lamp", "price": "9.90"}


def item_row(**changes):
    """Return a stand-in for an item's database row."""
    row = {
        "id": 3,
        "title": "Lamp",
        "description": None,
        "url": None,
        "price": Decimal("9.90"),
        "owner_id": 7,
        "secret_note": "not for clients",
        "created_at": NOON,
        "updated_at": NOON,
    }
    return SimpleNamespace(**row | changes)


# ---------------------------------------------------------------------------------------------------------------- 2.6


def hint_for_cents(price):
    """Return what repairs a price that has not two places."""
    if not isinstance(price, Decimal):
        return "which type counts as people do on paper?"
    return "a function above writes two places: which part of Annotated calls it?"


def rounds(create, price):
    """Say whether a price with three places was accepted, as another price."""
    try:
        return create.model_validate(LAMP | {"price": price}).price != Decimal(str(price)) and Decimal(str(price)) > 0
    except Exception:
        return False


def dumps(made, mode):
    """Dump what was made; a warning of Pydantic's is a wrong answer."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dumped = made.model_dump() if mode == "python" else made.model_dump(mode=mode)
    said = " ".join(str(caught[0].message).split())[:160] if caught else ""
    expect.that(
        not caught,
        did=f'{type(made).__name__}(url="https://example.com/lamp").model_dump(mode="{mode}")',
        got=f"the warning: {said}",
        expected="no warning",
        why="the type promises an HttpUrl, and the value is a str: where warnings are errors, each item is a 500",
        hint="a validator changes the value on the way in; on the way out a serializer changes it",
        at=rule(type(made), "Url"),
    )
    return dumped


def expect_url_dumps(model, data):
    """Expect that an address is dumped as text, null as None, and neither with a warning."""
    why = "a database driver refuses an HttpUrl object: the client would get a 500"
    for url in ("https://example.com/lamp", "http://localhost:8000/a?b=c#d"):
        for mode in ("python", "json"):
            made = accepts(model, data | {"url": url}, why=why, hint="http and https are good, with a port too")
            expect.equal(
                dumps(made, mode).get("url"),
                url,
                did=f'{model.__name__}(url="{url}").model_dump(mode="{mode}")["url"]',
                why=why,
                hint="in Link, above, one part says how the value leaves the schema",
                at=rule(model, "Url"),
            )
    for given in (data | {"url": None}, without(data, "url")):
        for mode in ("python", "json"):
            expect.equal(
                dumps(accepts(model, given), mode).get("url"),
                None,
                did=f'{model.__name__} without an address, .model_dump(mode="{mode}")["url"]',
                why="the text `None` would be stored as an address, and shown as a link",
                hint="your serializer gets None, too, and str makes a text of it: let it see addresses only, so put "
                "`| None` outside of Annotated",
                at=rule(model, "Url"),
            )


@exercise("2.6")
class TestItemCreate:
    def test_smallest(self, load):
        """A title and a price are enough; description and url are None"""
        made = accepts(
            schema(load, "items.ItemCreate"),
            {"title": "Lamp", "price": "9.90"},
            why="a person would have to invent a description and a link",
            hint="give description and url the default None: `| None` alone is not enough",
        )
        expect_fields(
            made,
            {"title": "Lamp", "description": None, "url": None},
            did='ItemCreate(title="Lamp", price="9.90")',
            why="the item would be stored with values that nobody sent",
            hint="give ItemBase the four fields of the table",
        )

    def test_required(self, load):
        """Title and price must be sent, and may not be null"""
        for field in ("title", "price"):
            create = schema(load, "items.ItemCreate")
            reason = {
                "why": f"an item without {field} would be stored, or fail later as a 500",
            }
            missing = f"a default is what lets a field be left out: {field} must have none"
            expect.refused(create, without(LAMP, field), field=field, hint=missing, **reason)
            null = f"the type of {field} lets null pass: compare it with the table"
            expect.refused(create, LAMP | {field: None}, field=field, hint=null, **reason)

    def test_null(self, load):
        """Description and url may be null"""
        for field in ("description", "url"):
            accepts(
                schema(load, "items.ItemCreate"),
                LAMP | {field: None},
                why="many clients send an empty form field as null",
                hint=f"let the type of {field} allow None",
            )

    def test_exact(self, load):
        """A price is exact: a Decimal, not a float"""
        for price in ("0.10", "19.99", "99999999.99"):
            made = accepts(schema(load, "items.ItemCreate"), LAMP | {"price": price})
            expect_fields(
                made,
                {"price": Decimal(price)},
                did=f'ItemCreate(price="{price}").price',
                why="sums of floats are wrong by a cent sooner or later, and somebody pays it",
                hint="which type counts as people do on paper?",
                at=rule(type(made), "Price"),
            )

    def test_good_prices(self, load):
        """A price that is good is accepted, from 0 to 99999999.99"""
        for price in ("0", 0, "0.01", "9.9", 10, 9.95, "1e3", "12345678", "99999999", "99999999.99", "12345678.9"):
            accepts(
                schema(load, "items.ItemCreate"),
                LAMP | {"price": price},
                why="a price that the database can store would be refused",
                at=rule(schema(load, "items.ItemCreate"), "Price"),
                hint="compare the bounds with the table: 0 is a price, and eight digits may stand before the point",
            )

    def test_price_in_json(self, load):
        """In JSON a price is text with two places: "9.9" becomes "9.90", always"""
        for sent, shown in (
            ("9.9", "9.90"),
            (10, "10.00"),
            (0, "0.00"),
            ("-0", "0.00"),
            ("1e3", "1000.00"),
            (9.95, "9.95"),
        ):
            create = schema(load, "items.ItemCreate")
            made = accepts(
                create,
                LAMP | {"price": sent},
                why="a client could not send a good price",
                hint="compare the bounds with the table",
                at=rule(create, "Price"),
            )
            expect.equal(
                str(made.price),
                shown,
                did=f"str(ItemCreate(price={sent!r}).price)",
                why="one price would have many spellings, in the database too",
                hint=hint_for_cents(made.price),
                at=rule(create, "Price"),
            )
            expect.equal(
                made.model_dump(mode="json").get("price"),
                shown,
                did=f'ItemCreate(price={sent!r}).model_dump(mode="json")["price"]',
                why="one price would have many spellings, and a client would read a number as a float",
                hint="Pydantic writes a Decimal as text by itself: what makes a number of it?",
                at=rule(create, "Price"),
            )

    def test_bad_prices(self, load):
        """A price below 0, with three places, with more than 10 digits, or no number at all is refused"""
        create = schema(load, "items.ItemCreate")
        for price in (
            "-0.01",
            "-1",
            "1.005",
            "0.001",
            "123456789.00",
            "100000000",
            "1e8",
            "NaN",
            "Infinity",
            "ten",
            True,
        ):
            hint = "one Field can hold all three bounds of the table"
            if rounds(create, price):
                hint = (
                    "it was rounded before its places were counted: what stands further left in Annotated comes first"
                )
            expect.refused(
                create,
                LAMP | {"price": price},
                field="price",
                why="the shop would pay its customers, or the column would overflow as a 500",
                hint=hint,
                at=rule(create, "Price"),
            )

    def test_bad_urls(self, load):
        """Only http and https addresses are accepted; javascript: is refused"""
        schemes = (
            "javascript:alert(1)",
            "ftp://example.com/x",
            "file:///etc/passwd",
            "ws://example.com",
            "mailto:a@b.example",
        )
        for url in ("example.com", *schemes, "data:text/html,x", "//example.com", "https://", "", 42):
            expect.refused(
                schema(load, "items.ItemCreate"),
                LAMP | {"url": url},
                field="url",
                why="a page that shows the link would run a stranger's program in the reader's browser",
                at=rule(schema(load, "items.ItemCreate"), "Url"),
                hint="which of Pydantic's types for addresses knows http and https only?",
            )

    def test_url_is_text(self, load):
        """An address is dumped as text, which a database can store, and no address as None"""
        expect_url_dumps(schema(load, "items.ItemCreate"), LAMP)

    def test_url_length(self, load):
        """An address has at most 2000 characters"""
        for size, good in ((2000, True), (2001, False)):
            create = schema(load, "items.ItemCreate")
            start = "https://example.com/"
            data = LAMP | {"url": start + "a" * (size - len(start))}
            reason = {
                "why": "the column that holds it has room for 2000",
                "at": rule(create, "Url"),
                "hint": "2000 is good, 2001 is not: a Field can hold the bound of an address as of a text",
            }
            if good:
                accepts(create, data, **reason)
            else:
                expect.refused(create, data, field="url", **reason)

    def test_texts(self, load):
        """Title and description keep their rules: trimmed, bounded, without NUL"""
        create = schema(load, "items.ItemCreate")
        reason = {
            "why": "an item could have an empty title, or text that no database can store",
            "hint": "two types are given above the class, with all their rules: use their names",
        }
        made = accepts(create, LAMP | {"title": "  Lamp "}, **reason)
        expect_fields(made, {"title": "Lamp"}, did='ItemCreate(title="  Lamp ").title', **reason)
        for field, text in (
            ("title", ""),
            ("title", "   "),
            ("title", 42),
            ("description", 42),
            ("title", "a" * 201),
            ("title", "a\x00b"),
            ("description", "a" * 2001),
            ("description", "a\x00b"),
        ):
            expect.refused(create, LAMP | {field: text}, field=field, **reason)

    def test_no_owner(self, load):
        """An owner_id that a client sends never gets through, nor anything else that is not listed"""
        for name in ("owner_id", "owner", "id", "created_at"):
            never_passes_on(schema(load, "items.ItemCreate"), LAMP, name)


# ---------------------------------------------------------------------------------------------------------------- 2.7


@exercise("2.7")
class TestItemUpdateAndPublic:
    def test_only_what_was_sent(self, load):
        """An update hands on what was sent, null for description and url included, and nothing else"""
        for sent in (
            {},
            {"title": "Desk lamp"},
            {"description": "Bright"},
            {"url": "https://example.com/lamp"},
            {"description": None, "url": None},
            {"title": "Desk lamp", "url": None, "price": Decimal("12.50")},
        ):
            update = schema(load, "items.ItemUpdate")
            reason = {
                "why": "fields that nobody sent would be overwritten, or a wish would be lost",
                "hint": "all four may be left out, and null is a wish like another: what tells `not sent` from `null`?",
            }
            got = changes(update, sent, **reason)
            if got.keys() == sent.keys() and not isinstance(got.get("url"), str | None):
                reason["why"] = "a database driver refuses an HttpUrl object: the client would get a 500"
                reason["hint"] = "a name of 2.6 says of an address how it leaves the schema: use it here too"
            expect.equal(
                got,
                sent,
                did=f"ItemUpdate.model_validate({sent!r}).model_dump(exclude_unset=True)",
                at=update,
                **reason,
            )

    def test_not_sent_is_none(self, load):
        """A field that was not sent reads as None"""
        expect_none(schema(load, "items.ItemUpdate"), ["title", "description", "url", "price"])

    def test_price(self, load):
        """A new price is exact and has two places"""
        update = schema(load, "items.ItemUpdate")
        reason = {
            "why": "a changed price would follow other rules than a new one",
            "hint": "a name of 2.6 holds all rules of a price; and what a validator returns is what the field gets",
        }
        got = changes(update, {"price": "9.9"}, **reason)
        expect.equal(got, {"price": Decimal("9.90")}, did='ItemUpdate(price="9.9")', at=update, **reason)
        expect.equal(str(got["price"]), "9.90", did='str(ItemUpdate(price="9.9").price)', at=update, **reason)

    def test_null_refused(self, load):
        """Null for title or price is refused: every item must have both"""
        for field in ("title", "price"):
            refuses_null(schema(load, "items.ItemUpdate"), field)

    def test_same_rules(self, load):
        """The rules for a new item hold for a change too"""
        for field, value in (
            ("title", "  "),
            ("title", "a" * 201),
            ("title", "a\x00b"),
            ("price", "-1"),
            ("price", "1.005"),
            ("price", "123456789"),
            ("url", "javascript:alert(1)"),
            ("url", "ftp://example.com"),
            ("url", "https://example.com/" + "a" * 1981),
            ("description", "a" * 2001),
            ("description", "a\x00b"),
        ):
            expect.refused(
                schema(load, "items.ItemUpdate"),
                {field: value},
                field=field,
                why="a person could make a good item and change it into a forbidden one",
                hint=f"all rules of {field} belong to a name of 2.6: use it again",
            )

    def test_owner_cannot_be_changed(self, load):
        """An owner_id that a client sends never gets through, nor anything else that is not listed"""
        for name in ("owner_id", "owner", "id", "created_at"):
            never_passes_on(schema(load, "items.ItemUpdate"), {"title": "Lamp"}, name)

    def test_url_is_text(self, load):
        """A new address is dumped as text, and none as None"""
        expect_url_dumps(schema(load, "items.ItemUpdate"), {"title": "Lamp"})

    def test_nothing_else(self, load):
        """ItemPublic sends the listed fields only, of an object, of one without __dict__, or of a dict"""
        extra = {"cost": Decimal("1.00"), "supplier": "not for clients"}
        row = item_row(url="https://example.com/lamp", description="Bright", **extra)
        sends_only(schema(load, "items.ItemPublic"), row, [*extra, "secret_note"])

    async def test_over_http(self, load, connect):
        """As a response model ItemPublic sends the eight fields, the price as text, and nothing else"""
        public = schema(load, "items.ItemPublic")
        app = FastAPI()
        row = item_row(description="Bright", url="https://example.com/lamp")
        shows(public, row)
        app.get("/items/3", response_model=public)(lambda: row)
        async with connect(app, raise_app_exceptions=False) as client:
            answer = await client.get("/items/3")
        reason = {
            "why": "a client that shows an item needs these fields, and reads a number as a float",
            "hint": "compare your fields with the list in the text; in JSON a Decimal is text by itself",
        }
        with throw_away_app():
            expect.status(answer, 200, at=public, **reason)
        wanted = {
            "id": 3,
            "title": "Lamp",
            "description": "Bright",
            "url": "https://example.com/lamp",
            "price": "9.90",
            "owner_id": 7,
            "created_at": "2026-05-01T12:00:00Z",
            "updated_at": "2026-05-01T12:00:00Z",
        }
        found = part(answer, wanted, public)
        expect.equal(found, wanted, did="GET /items/3 with response_model=ItemPublic", at=public, **reason)
        expect.that(
            "secret_note" not in answer.text,
            did="GET /items/3 with response_model=ItemPublic",
            got="the answer holds an attribute that nobody listed",
            expected="only listed fields",
            why="what the database gains later would leak",
            hint="what is not listed stays: which setting, or which method of yours, lets more through?",
            at=public,
        )

    def test_rows_as_they_are(self, load):
        """ItemPublic reads an object with attributes and shows stored rows as they are"""
        for field, value, shown in (
            ("title", "a" * 201, "a" * 201),
            ("title", "", ""),
            ("title", "  Lamp ", "  Lamp "),
            ("description", " bright\n", " bright\n"),
            ("url", "ftp://example.com/lamp", "ftp://example.com/lamp"),
            ("price", Decimal("-1.00"), "-1.00"),
            ("price", Decimal("99999999.99"), "99999999.99"),
            ("description", "a" * 2001, "a" * 2001),
            ("description", None, None),
            ("url", None, None),
        ):
            reason = {
                "why": "a stricter rule for new input would turn every older row into a 500",
                "hint": "a stored value leaves as it is: which rule or change comes with its type or model_config?",
            }
            public = schema(load, "items.ItemPublic")
            got = shows(public, item_row(**{field: value}), reason["hint"])
            did = f"ItemPublic.model_validate(row).{field}"
            expect.equal(got.get(field, "missing"), shown, did=did, at=public, **reason)

    def test_no_old_pydantic(self, load):
        """The module imports without a warning about Pydantic 1"""
        no_old_pydantic(load, "items.schemas")
