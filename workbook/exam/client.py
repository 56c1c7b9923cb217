"""Requests to a backend that nobody trusts: every answer has an end, in time and in size."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from workbook.base.errors import WorkbookError
from workbook.exam.finding import Failure, Unasked, shown

MAX_BODY = 1_000_000  # bytes; the largest right answer has a hundred items
MAX_KEPT = 200  # answers that are kept of each kind
MAX_KEPT_BYTES = 20_000_000  # of all that are kept
WAITS = 2  # for one request that is limited
PATIENCE = 30.0  # seconds for one answer: a busy machine hashes several passwords at once
KEPT_OPEN = 1.0  # seconds that a connection waits for its next request: servers close theirs after two and more
SECRETS = ("password", "current_password", "new_password", "refresh_token", "token")
PREFIX = "/api/v1"


@dataclass(frozen=True)
class Answer:
    """What came back.

    Args:
        did: the request, for people, without its secrets.
        path: of the request.
        status: the code.
        headers: of the answer.
        body: whole, and not compressed any more.
    """

    did: str
    path: str
    status: int
    headers: httpx.Headers
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON, None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def data(self) -> dict[str, Any]:
        """Return the body's object; empty where it is none."""
        found = self.json()
        return found if isinstance(found, dict) else {}

    def rows(self) -> list[Any]:
        """Return the body's array, or fail."""
        found = self.json()
        if not isinstance(found, list):
            raise Failure(self.did, self.told(), "a JSON array")
        return found

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode("utf-8", "replace")

    def told(self) -> str:
        """Return status and body in one line."""
        return f"{self.status} {shown(self.text)}".strip()


@dataclass
class Client:
    """Asks one backend; remembers what must never be in an answer.

    Args:
        url: where it runs, without the prefix.
        seconds: how long one answer may take.
        prefix: what the versioned routes begin with.
        waits: how many seconds a 429 may ask us to wait; then the request is sent again. At 0 none is.
        until: a waiting ends before this moment of the monotonic clock.
        transport: what answers in place of the network, such as an app of this process.
    """

    url: str
    seconds: float = PATIENCE
    prefix: str = PREFIX
    waits: float = 0.0
    until: float = float("inf")
    transport: httpx.AsyncBaseTransport | None = None
    asked: int = 0
    broken: list[Answer] = field(default_factory=list)  # a 5xx
    errors: list[Answer] = field(default_factory=list)  # a 4xx or a 5xx
    good: list[Answer] = field(default_factory=list)
    _kept_bytes: int = 0
    _http: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        limits = httpx.Limits(max_connections=40, max_keepalive_connections=20, keepalive_expiry=KEPT_OPEN)
        # neither a proxy nor a .netrc of this machine has a part in what is asked
        self._http = httpx.AsyncClient(
            timeout=self.seconds,
            limits=limits,
            trust_env=False,
            follow_redirects=False,
            transport=self.transport,
            verify=trusted() if self.transport is None else False,  # reading certificates takes its time
        )

    async def close(self) -> None:
        """Close the connections; one that does not close is left alone."""
        try:
            async with asyncio.timeout(2):
                await self._http.aclose()
        except (TimeoutError, httpx.HTTPError, OSError):
            return

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        data: Any = None,
        form: Mapping[str, str] | None = None,
        content: bytes | Sequence[bytes] | None = None,
        headers: Mapping[str, str | bytes] | None = None,
        limited: bool = False,
        outside: bool = False,
    ) -> Answer:
        """Send a request and return the answer.

        Args:
            method: such as GET.
            path: behind the prefix.
            token: an access token.
            data: a JSON body.
            form: a form's fields.
            content: a body as it is; in pieces, it is sent without a word of its length.
            headers: more of them.
            limited: whether a 429 is an answer; otherwise it ends the criterion.
            outside: whether the path stands without the prefix.

        Raises:
            Failure: no answer came, or one without an end.
            Unasked: the backend limits tries.
        """
        sent: dict[str, str | bytes] = {"Accept-Encoding": "identity", **(headers or {})}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        path = path if outside else f"{self.prefix}{path}"
        did = _told(method, path, data if data is not None else form)
        for _ in range(1 + WAITS):
            body = content if isinstance(content, bytes | None) else _pieces(content)
            request = self._request(method, path, did, sent, json=data, data=form, content=body)
            self.asked += 1
            answer = await self._send(request, did, path)
            self._http.cookies.clear()  # who asks is said by the token alone
            self._keep(answer)
            if answer.status != 429 or limited:
                return answer
            if not await self._waited(answer):
                break
        wait = shown(answer.headers.get("Retry-After", "?"), 20)
        raise Unasked(f"the backend limits tries: {did} gave 429, Retry-After: {wait}")

    async def _waited(self, answer: Answer) -> bool:
        """Wait as long as a 429 asks for, if that is not too long; say whether we did."""
        said = answer.headers.get("Retry-After", "")
        seconds = float(said) if said.isdecimal() and len(said) < 6 else float("inf")
        if seconds > self.waits or time.monotonic() + seconds > self.until:
            return False
        await asyncio.sleep(seconds)
        return True

    def _request(
        self, method: str, path: str, did: str, headers: Mapping[str, str | bytes], **body: Any
    ) -> httpx.Request:
        raw = {name.encode(): value if isinstance(value, bytes) else value.encode() for name, value in headers.items()}
        try:
            return self._http.build_request(method, f"{self.url}{path}", headers=raw, **body)
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            said = f"what came before cannot be sent back: {shown(str(error))}"
            raise Failure(did, said, "ids and tokens of plain text") from None

    async def _send(self, request: httpx.Request, did: str, path: str) -> Answer:
        expected = f"an answer within {self.seconds:g} s"
        try:
            async with asyncio.timeout(self.seconds):
                response = await self._http.send(request, stream=True)
                try:
                    body = await _body(response, did)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TimeoutException):
            raise Failure(did, "no whole answer in time", expected) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise Failure(did, f"no answer: {shown(str(error)) or type(error).__name__}", expected) from None
        return Answer(did, path, response.status_code, response.headers, body)

    def _keep(self, answer: Answer) -> None:
        kept = [self.errors if answer.status >= 400 else self.good]
        kept += [self.broken] if answer.status >= 500 else []
        if self._kept_bytes > MAX_KEPT_BYTES:
            return
        self._kept_bytes += len(answer.body)
        for one in kept:
            if len(one) < MAX_KEPT:
                one.append(answer)


def trusted() -> ssl.SSLContext:
    """Return whose certificates are trusted: the usual authorities', and those of SSL_CERT_FILE.

    Raises:
        WorkbookError: the file cannot be read.
    """
    context, named = httpx.create_ssl_context(trust_env=False), os.environ.get("SSL_CERT_FILE", "")
    try:
        if named:
            context.load_verify_locations(named)
    except OSError as error:  # ssl.SSLError is one
        raise WorkbookError(f"SSL_CERT_FILE: {named} cannot be read: {error}", "name a file in PEM form") from None
    return context


async def _pieces(content: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece


async def _body(response: httpx.Response, did: str) -> bytes:
    """Read a body up to its end or the limit, whichever comes first; unpack gzip within the same limit."""
    raw = bytearray()
    async for chunk in response.aiter_raw():
        raw += chunk
        if len(raw) > MAX_BODY:
            raise Failure(did, f"a body of more than {MAX_BODY} bytes", "a body that ends")
    if response.headers.get("Content-Encoding", "").strip().lower() != "gzip":
        return bytes(raw)
    try:
        return zlib.decompressobj(31).decompress(bytes(raw), MAX_BODY)
    except zlib.error:
        raise Failure(did, "Content-Encoding: gzip, but the body is none", "a body that can be read") from None


def _told(method: str, path: str, sent: Any) -> str:
    """Return a request for people; secrets become three dots."""
    said = f"{method} {shown(path)}"
    if isinstance(sent, Mapping):
        said += f" {shown(json.dumps({k: '…' if k in SECRETS else v for k, v in sent.items()}, ensure_ascii=False))}"
    return said
