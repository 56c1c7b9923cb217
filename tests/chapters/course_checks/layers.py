"""Layers around an app, what they hand on, and the request id that a client sends (chapter 14)."""

import asyncio

from workbook import expect

SENT = "checkout-7f3a9c21"


async def handed_on(layer_around, *, at, own_receive=False, own_send=True):
    """Expect a layer to hand on what it does not handle itself: scope, receive and send, for each kind of scope."""
    seen = []

    async def app(*arguments):
        seen.append(arguments)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message):
        return None

    layer = layer_around(app)
    for kind in ("lifespan", "websocket", "http"):
        http = {
            "method": "GET",
            "path": "/x",
            "headers": [],
            "scheme": "http",
            "client": ("127.0.0.1", 1),
            "query_string": b"",
        }
        scope = {"type": kind, **(http if kind == "http" else {})}
        given = {"scope": scope, "receive": receive, "send": send}
        if kind == "http":
            given = {
                name: None if mine else given[name]
                for name, mine in (("scope", False), ("receive", own_receive), ("send", own_send))
            }
        seen.clear()
        await layer(scope, receive, send)
        got = [
            name if one is given[name] or (given[name] is None and callable(one)) else expect.shown(one)
            for name, one in zip(given, seen[0] if seen else (), strict=False)
        ]
        expect.equal(
            got,
            ["scope", "receive", "send"],
            did=(
                f"what the app below is called with, for a scope of the type {kind} (a receive or send of "
                "your own counts as one)"
            ),
            why="what is below could neither read the request nor answer it",
            hint="await self.app(scope, receive, send), with what you were given, or what you put around it",
            at=at,
        )


async def until(come, *tasks):
    """Let others run until something has come, or one of the tasks has ended, whatever it came to."""
    while not come() and not any(task.done() for task in tasks):
        await asyncio.sleep(0)
