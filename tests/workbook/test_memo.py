"""What FastAPI reads of a route is remembered, and no app sees what another one did with it."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, httpx
from typing import Annotated
from fastapi import APIRouter, Depends, FastAPI, Query, routing
from pydantic import BaseModel
from workbook.checking import memo

class Item(BaseModel):
    name: str

def who(name: str = "nobody") -> str:
    return name

def guard() -> None: ...

router = APIRouter(prefix="/items", tags=["items"])

@router.get("", responses={409: {"model": Item}})
async def find(person: Annotated[str, Depends(who)], limit: Annotated[int, Query(le=3)] = 2) -> list[Item]:
    return [Item(name=person)] * limit

@router.post("", status_code=201)
async def add(item: Item) -> Item:
    return item

def make(prefix="/v1", **options):
    app = FastAPI()
    app.include_router(router, prefix=prefix, **options)
    return app

async def ask(app, url="/v1/items"):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        made = await client.post(url, json={"name": "pen"})
        found = [await client.get(url + query) for query in ("", "?name=ada&limit=3", "?limit=4")]
        return [(one.status_code, one.text) for one in (made, *found)], app.openapi()
"""


def run(code: str) -> str:
    """Return what a program prints, in a process of its own: the memory stays for a process's life."""
    return subprocess.check_output([sys.executable, "-c", PROGRAM + code], text=True)


def test_it_fits_this_fastapi() -> None:
    """The memory works in the version that is installed: where FastAPI changes, this says so, and checks go on."""
    assert run("print(memo.remember(), memo.remember())") == "True True\n"


def test_answers_and_schema_are_the_same() -> None:
    """The first app, a second one and one without memory answer alike; each other way of including counts as itself."""
    assert (
        run("""
async def all():
    plain = await ask(make())
    assert memo.remember()
    first, second = await ask(make()), await ask(make())
    assert plain == first == second
    assert (await ask(make("/v2"), "/v2/items"))[0] == plain[0]
    guarded = make(dependencies=[Depends(guard)])
    assert (await ask(guarded))[0] == plain[0]
    assert (await ask(make(tags=["more"])))[1] != plain[1]
print(asyncio.run(all()))
""")
        == "None\n"
    )


def test_an_app_overrides_its_own_dependencies_only() -> None:
    """What one app overrides is not overridden in the next one, which reads the same routes."""
    assert (
        run("""
memo.remember()
async def all():
    first, second = make(), make()
    first.dependency_overrides[who] = lambda: "eve"
    for app, name in ((first, "eve"), (second, "nobody"), (first, "eve")):
        found, _ = await ask(app)
        assert name in found[1][1], found
print(asyncio.run(all()))
""")
        == "None\n"
    )


def test_each_route_is_read_once() -> None:
    """Of ten apps only the first one has its routes read."""
    assert (
        run("""
calls, read = [], routing._populate_api_route_state
import functools
@functools.wraps(read)
def counted(route, *rest, **options):
    calls.append(route)
    return read(route, *rest, **options)
routing._populate_api_route_state = counted
memo.remember()
for _ in range(10):
    asyncio.run(ask(make()))
print(len(calls))
""")
        == "2\n"
    )


@pytest.mark.parametrize(
    "change", ["del routing._populate_api_route_state", "routing._populate_api_route_state = print"]
)
def test_another_fastapi_is_left_alone(change: str) -> None:
    """Where FastAPI is built in another way, nothing is changed."""
    assert run(f"{change}\nprint(memo.remember())") == "False\n"
