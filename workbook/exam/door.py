"""Where a backend is said to be, and whether one with this interface is there."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import httpx

from workbook.base.errors import WorkbookError
from workbook.exam.client import PREFIX, Answer, Client
from workbook.exam.finding import Failure, shown

START = "start it, and give the address that it prints: uvicorn --app-dir solutions app.main:app"
SECURE = "does it speak HTTPS? then the address begins with https"
PLAIN = "does it speak HTTPS? an address of plain HTTP begins with http"
UNTRUSTED = "the variable SSL_CERT_FILE names a file with the certificate of the authority to trust"
PATIENCE = 10.0  # seconds
NOWHERE = (404, 405, 421)  # no such page, or no such host


def address(url: str) -> str:
    """Return where a backend runs: without a slash at the end, and without the prefix of the routes.

    Raises:
        WorkbookError: it is no address.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
        wrong = wrong or " " in url or not url.isprintable()
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        wrong = True
    if wrong or parts.query or parts.fragment:
        hint = "workbook exam http://127.0.0.1:8000"
        raise WorkbookError(f"{shown(url)!r} is no address of a backend", hint)
    if parts.username is not None:
        raise WorkbookError("the address has a user name in it", "leave it out; --admin is for the admin's")
    return url.rstrip("/").removesuffix(PREFIX).rstrip("/")


async def knock(client: Client) -> None:
    """See whether a backend with this interface answers.

    Raises:
        WorkbookError: it cannot be examined, for this reason.
    """
    asked = (_ask(client, "/health", outside=True), _ask(client, "/users/me"))
    found = await asyncio.gather(*asked)
    answers = [one for one in found if isinstance(one, Answer)]
    silence = [one for one in found if isinstance(one, Failure)]
    if not answers:
        raise _nothing(client.url, silence[0])
    if any(one.status == 403 and one.data().get("code") == "https_required" for one in answers):
        said = f"{client.url} cannot be examined: the backend answers over HTTPS only"
        raise WorkbookError(said, "give its address that begins with https, or start it with HTTPS_ONLY=false")
    if not any(_is_ours(one) for one in answers):
        raise _somebody_else(client.url, answers)


async def _ask(client: Client, path: str, *, outside: bool = False) -> Answer | Failure:
    """Ask for what costs a backend no work."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await client.ask("GET", path, outside=outside, limited=True)
    except Failure as failure:
        return failure
    except TimeoutError:
        return Failure(f"GET {path}", "no whole answer in time", f"an answer within {PATIENCE:g} s")


def _is_ours(answer: Answer) -> bool:
    """Say whether an answer is one of this interface, right or wrong: any JSON object, at an address that is there."""
    return answer.status not in NOWHERE and isinstance(answer.json(), dict)


def _nothing(url: str, failure: Failure) -> WorkbookError:
    hints = {"CERTIFICATE_VERIFY": UNTRUSTED, "SSL": PLAIN, "attempts": START, "Errno": START, "no answer": SECURE}
    hint = next((hint for part, hint in hints.items() if part in failure.got), "")
    if failure.got.startswith("no "):
        return WorkbookError(f"nothing answers at {url}: {failure.got}", hint or "is it stuck? look at its log")
    return WorkbookError(f"{url} cannot be examined: {failure.did} gave {failure.got}", hint or START)


def _somebody_else(url: str, answers: list[Answer]) -> WorkbookError:
    moved = next((one for one in answers if one.status in range(300, 400)), None)
    if moved is not None:
        goal = shown(moved.headers.get("Location", "nowhere"))
        said = f"{url} cannot be examined: {moved.did} is redirected to {goal}"
        return WorkbookError(said, "give the address of the backend itself")
    down = next((one for one in answers if one.status >= 500), None)
    if down is not None:
        said = f"{url} cannot be examined: {down.did} gave {shown(down.told(), 100)}"
        return WorkbookError(said, "look at its log, and at that of a proxy before it")
    told = ", ".join(f"{one.did} gave {shown(one.told(), 100)}" for one in answers)
    said = f"what answers at {url} has not this interface: {told}"
    return WorkbookError(said, "is it the right port, and does the address end before /api/v1?")
