"""A recorded request as code for a notebook cell, which sends it again."""

from __future__ import annotations

import contextlib
import json
from urllib.parse import parse_qsl, urlencode

from workbook.base.wording import shortened
from workbook.feedback.verdict import Exchange

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
WITHOUT_BODY = ("get", "delete", "head", "options")


def replay(exchange: Exchange) -> str:
    """Return httpx code that sends the request again, to paste into a notebook cell; empty where it could not.

    Some apps live only inside a check, and so do the users that its tokens stand for.
    """
    if not exchange.replay or "authorization" in exchange.headers or shortened(exchange.body) != exchange.body:
        return ""
    arguments = [repr(exchange.url), *_content(exchange)]
    headers = {k: v for k, v in exchange.headers.items() if k not in ("accept", "content-type")}
    if exchange.body and arguments[-1].startswith("content="):
        headers["content-type"] = exchange.headers.get("content-type", "")
    arguments += [f"headers={headers!r}"] if headers else []
    method = exchange.method.lower()
    if method in METHODS and (not exchange.body or method not in WITHOUT_BODY):
        return f"await client.{method}({', '.join(arguments)})"
    return f"await client.request({exchange.method!r}, {', '.join(arguments)})"


def _content(exchange: Exchange) -> list[str]:
    """Return the argument that carries the body: as data where it comes out the same, else as it was sent."""
    kind = exchange.headers.get("content-type", "").partition(";")[0]
    if not exchange.body:
        return []
    if kind == "application/json":
        with contextlib.suppress(ValueError):
            data = json.loads(exchange.body)
            if json.dumps(data, ensure_ascii=False, separators=(",", ":")) == exchange.body:
                return [f"json={data!r}"]
    if kind == "application/x-www-form-urlencoded":
        form = dict(parse_qsl(exchange.body, keep_blank_values=True))
        if urlencode(form) == exchange.body:
            return [f"data={form!r}"]
    return [f"content={exchange.body!r}"]
