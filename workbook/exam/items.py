"""Criteria about items: what one may store, and lists."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from workbook.exam import expected
from workbook.exam.cast import Exam, Person
from workbook.exam.client import Answer
from workbook.exam.criteria import Topic

topic = Topic()
PRICES = ("3.00", "1.00", "2.00", "1.00", "10.00")
UNKNOWN = 2147483647  # no row has it


async def make(exam: Exam, owner: Person, **fields: Any) -> Answer:
    """Create an item."""
    data = {"title": "Pen", "price": "1.50"} | fields
    return await exam.client.ask("POST", "/items", token=owner.access, data=data)


async def listed(exam: Exam, owner: Person, query: str = "") -> Answer:
    """List items."""
    return await exam.client.ask("GET", f"/items{query}", token=owner.access)


async def _titles(exam: Exam, owner: Person, query: str) -> tuple[Answer, list[Any]]:
    answer = expected.status(await listed(exam, owner, query), 200)
    return answer, [one.get("title") if isinstance(one, dict) else one for one in answer.rows()]


@topic("10.2")
async def create_and_read(exam: Exam) -> None:
    """Creating an item gives 201 and the item, which can be read; its owner is who is signed in."""
    ada, bob = await exam.ada(), await exam.bob()
    sent = {"description": "blue", "url": "https://example.com/pen", "owner_id": bob.id}
    answer = await make(exam, ada, **sent)
    found = expected.item(expected.status(answer, 201), answer.json())
    expected.value(answer, "owner_id", ada.id, "otherwise one could put things under another name")
    got = (found["title"], found["description"], found["url"], found["price"])
    wanted = ("Pen", "blue", "https://example.com/pen", "1.50")
    expected.that(got == wanted, answer, f"{got}", f"{wanted}")
    again = expected.status(await exam.client.ask("GET", f"/items/{found['id']}", token=ada.access), 200)
    expected.that(again.json() == found, again, again.told(), "the item as it was answered before")


@topic("2.6")
async def bounds_of_items(exam: Exam) -> None:
    """An item with an empty title, an odd price or an address that is none is refused with 422."""
    ada = await exam.ada()
    wrong: list[dict[str, Any]] = [{"title": title} for title in ("", "   ", "a" * 201, "a\x00b", None)]
    wrong += [{"price": price} for price in ("-0.01", "1.001", "123456789.00", "NaN", "Infinity", "1e400", None)]
    wrong += [{"url": url} for url in ("javascript:alert(1)", "pen", "file:///etc/passwd")]
    wrong += [{"description": "a" * 2001}]
    for fields in wrong:
        expected.error(await make(exam, ada, **fields), 422)
    for price, kept in (("0", "0.00"), ("99999999.99", "99999999.99"), (0.1, "0.10")):
        answer = expected.status(await make(exam, ada, price=price), 201)
        expected.value(answer, "price", kept, "a price is exact, with two decimal places")


@topic("2.7")
async def change_an_item(exam: Exam) -> None:
    """PATCH changes what was sent; null empties the description, but not the title; nobody changes the owner."""
    ada, bob = await exam.ada(), await exam.bob()
    before = await exam.item(ada, description="blue")
    path = f"/items/{before['id']}"
    for fields in ({"price": "2.00"}, {"description": None}, {"owner_id": bob.id}):
        answer = expected.status(await exam.client.ask("PATCH", path, token=ada.access, data=fields), 200)
        before |= {name: value for name, value in fields.items() if name != "owner_id"}
        got = expected.item(answer, answer.json())
        wrong = [name for name in expected.ITEM - {"updated_at"} if got[name] != before.get(name)]
        expected.that(not wrong, answer, f"{wrong}: {[got[name] for name in wrong]}", "only what was sent is changed")
    expected.error(await exam.client.ask("PATCH", path, token=ada.access, data={"title": None}), 422)


@topic("10.2")
async def delete_an_item(exam: Exam) -> None:
    """Deleting an item is 204 without a body; then it is 404."""
    ada = await exam.ada()
    path = f"/items/{(await exam.item(ada))['id']}"
    await exam.item(ada)  # some databases give the newest row's id anew, to another criterion's item meanwhile
    answer = expected.status(await exam.client.ask("DELETE", path, token=ada.access), 204)
    expected.that(answer.body == b"", answer, answer.told(), "no body")
    for method in ("GET", "DELETE"):
        expected.error(await exam.client.ask(method, path, token=ada.access), 404)


@topic("10.2")
async def impossible_items(exam: Exam) -> None:
    """An item's id that cannot be one is a refusal, not a crash."""
    ada = await exam.ada()
    for id in ("0", "-1", "2147483648", "9" * 20, "1.5", "pen", "x%00"):
        for method, data in (("GET", None), ("PATCH", {"title": "Pen"}), ("DELETE", None)):
            expected.error(await exam.client.ask(method, f"/items/{id}", token=ada.access, data=data), 404, 422)


@topic("13.12")
async def long_lists_are_compressed(exam: Exam) -> None:
    """A long list is compressed for who takes gzip, and the same list then; caches are told (Vary)."""
    grace = await exam.newcomer()
    for number in range(2):
        await exam.item(grace, title=f"Pen {number}", description="blue " * 300)
    plain = expected.status(await listed(exam, grace), 200)
    takes = {"Accept-Encoding": "gzip"}
    packed = expected.status(await exam.client.ask("GET", "/items", token=grace.access, headers=takes), 200)
    expected.header(packed, "Content-Encoding", "gzip", "a long list would travel five times as long")
    expected.that(packed.json() == plain.json(), packed, packed.told(), "the list as it is without compression")
    expected.header(packed, "Vary", "Accept-Encoding", "a cache would give what is packed to who cannot unpack it")


@topic("5.4")
async def bounds_of_pages(exam: Exam) -> None:
    """A skip below 0, a limit outside of 1 to 100, and what is no number are 422; the bounds themselves are not."""
    ada = await exam.ada()
    for query in ("skip=-1", "limit=0", "limit=101", "limit=-1", "limit=ten", f"skip={10**20}", f"limit={10**20}"):
        expected.error(await listed(exam, ada, f"?{query}"), 422, why="one request could ask for the whole table")
    for query in ("skip=0", "limit=1", "limit=100"):
        expected.status(await listed(exam, ada, f"?{query}"), 200)


@topic("5.6")
async def pages_and_total(exam: Exam) -> None:
    """A list has 20 rows by default; X-Total-Count counts all; pages have no row twice and leave none out."""
    grace = await exam.newcomer()
    ids = [(await exam.item(grace))["id"] for _ in range(23)]
    answer = expected.status(await listed(exam, grace), 200)
    expected.that(len(answer.rows()) == 20, answer, f"{len(answer.rows())} rows", "20 rows")
    expected.that(answer.headers.get("X-Total-Count") == "23", answer, str(answer.headers.get("X-Total-Count")), "23")
    seen: list[Any] = []
    for skip in range(0, 23, 5):
        page = expected.status(await listed(exam, grace, f"?limit=5&skip={skip}"), 200)
        seen += [one.get("id") for one in page.rows() if isinstance(one, dict)]
    expected.that(seen == ids, answer, f"the ids {seen}", f"{ids}: each once, in the order of the ids")


@topic("4.1")
async def sorted_lists(exam: Exam) -> None:
    """The parameter sort orders by a field, a minus turns it round, and equal rows go by id."""
    grace = await exam.newcomer()
    for number, price in enumerate(PRICES):
        await exam.item(grace, title=f"Pen {number}", price=price)
    for sort, wanted in (("price", "13204"), ("-price", "40213"), ("-id", "43210"), ("-title", "43210")):
        answer, titles = await _titles(exam, grace, f"?sort={sort}")
        got = "".join(str(title)[-1:] for title in titles)
        expected.that(got == wanted, answer, f"the pens {got}", f"{wanted}", "pages of an unsteady order overlap")
    for sort in ("owner", "price,id", "--price", "price desc", "PRICE"):
        expected.error(await listed(exam, grace, f"?sort={quote(sort)}"), 422)


@topic("4.8")
async def search(exam: Exam) -> None:
    """The text q is found in title and description, in any case; percent signs and underscores are plain text."""
    grace = await exam.newcomer()
    for title, description in (("Pen 100%", "red"), ("Pen_2", "BLUE ink"), ("Pen\\3", None)):
        await exam.item(grace, title=title, description=description)
    for q, wanted in (
        ("pen", ["Pen 100%", "Pen_2", "Pen\\3"]),
        ("blue", ["Pen_2"]),
        ("%", ["Pen 100%"]),
        ("_", ["Pen_2"]),
        ("\\", ["Pen\\3"]),
        ("pencil", []),
    ):
        answer, titles = await _titles(exam, grace, f"?q={quote(q)}")
        expected.that(titles == wanted, answer, f"{titles}", f"{wanted}", "a search that is a pattern finds too much")
        total = answer.headers.get("X-Total-Count")
        expected.that(total == str(len(wanted)), answer, f"X-Total-Count: {total}", f"{len(wanted)}, those that match")
    for q in ("a" * 101, "a%00b"):
        expected.error(await listed(exam, grace, f"?q={q}"), 422)
