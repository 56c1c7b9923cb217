"""Errors: one body for all, no internals, a request id that leads to the log."""

import logging
from typing import Any

import httpx
import pytest

from tests.backend.support import connect, new_user

JSON = {"Content-Type": "application/json"}


def check_error(response: httpx.Response, code: str) -> dict[str, Any]:
    """Check the one error body and return it."""
    body: dict[str, Any] = response.json()
    assert {"detail", "code", "request_id"} <= set(body)
    assert body["code"] == code
    assert body["request_id"] == response.headers["x-request-id"]
    assert response.headers["content-type"] == "application/json"
    return body


async def test_every_error_has_the_same_body(manager: httpx.AsyncClient) -> None:
    """404, 405, 409 and 422 have detail, code and request_id."""
    await manager.post("users", json=new_user())
    check_error(await manager.get("nowhere"), "not_found")
    check_error(await manager.put("users"), "method_not_allowed")
    check_error(await manager.post("users", json=new_user()), "user_exists")
    check_error(await manager.get("users/2147483647"), "user_not_found")
    body = check_error(await manager.post("users", json={}), "validation_error")
    assert {error["loc"][-1] for error in body["errors"]} == {"email", "username", "password"}
    assert set(body["errors"][0]) == {"loc", "msg", "type"}


async def test_what_was_sent_is_not_repeated(manager: httpx.AsyncClient) -> None:
    """A 422 never shows the password that it refuses."""
    response = await manager.post("users", json=new_user(password="hunter2hunter2"))
    assert response.status_code == 422
    assert "hunter2" not in response.text


@pytest.mark.parametrize(
    "content",
    [b"{", b"", b"null", b"[]", b'"text"', b'"\xff"', b"[" * 100_000, b'{"a":' * 50_000, b"NaN"],
    ids=["open", "empty", "null", "list", "text", "not UTF-8", "deep list", "deep object", "NaN"],
)
async def test_an_unreadable_body_is_422(manager: httpx.AsyncClient, content: bytes) -> None:
    """Whatever bytes come, the answer is a validation error."""
    response = await manager.post("users", content=content, headers=JSON)
    assert response.status_code == 422
    check_error(response, "validation_error")


@pytest.mark.parametrize("name", ["email", "username", "full_name", "password"])
@pytest.mark.parametrize("bad", ["\\ud800", "\\u0000"], ids=["surrogate", "NUL"])
async def test_unstorable_text_is_422(manager: httpx.AsyncClient, name: str, bad: str) -> None:
    """Half a character or a NUL is refused, and quoting it does not break the answer."""
    values = {"email": "x@example.com", "username": "xyz", "password": "Correct horse"}
    values[name] = f"{bad}{values.get(name, '')}"
    text = ",".join(f'"{key}":"{value}"' for key, value in values.items())
    response = await manager.post("users", content=f"{{{text}}}".encode(), headers=JSON)
    check_error(response, "validation_error")


async def test_a_body_without_its_type_is_422(manager: httpx.AsyncClient) -> None:
    """JSON must be called JSON."""
    headers = {"Content-Type": "text/plain"}
    response = await manager.post("users", content=b"{}", headers=headers)
    check_error(response, "validation_error")


@pytest.fixture
async def broken(open_app: Any) -> Any:
    """An app with a route that fails as no route should."""
    async with open_app(cors_origins="https://a.com") as app:

        async def fail() -> None:
            raise RuntimeError("the password of the database is hunter2")

        app.add_api_route("/api/v1/broken", fail)
        yield app


async def test_an_unexpected_error_shows_nothing(broken: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The body of a 500 has no internals; its request id is in the log, beside the cause."""
    async with connect(broken, Origin="https://a.com") as client:
        with caplog.at_level(logging.ERROR):
            response = await client.get("broken")
    body = check_error(response, "internal_error")
    assert response.status_code == 500
    assert "hunter2" not in response.text
    assert body["request_id"] in caplog.text
    assert "hunter2" in caplog.text
    assert response.headers["access-control-allow-origin"] == "https://a.com"


async def test_an_error_after_the_answer_began_is_not_hidden(open_app: Any) -> None:
    """When half of the answer is sent, only breaking off is honest."""
    from fastapi.responses import StreamingResponse

    async with open_app() as app:

        async def stream() -> Any:
            yield b"begin"
            raise RuntimeError("too late")

        async def respond() -> StreamingResponse:
            return StreamingResponse(stream())

        app.add_api_route("/api/v1/stream", respond)

        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            with pytest.raises((RuntimeError, ExceptionGroup)):
                await client.get("/api/v1/stream")


async def test_other_http_errors_keep_their_status(open_app: Any) -> None:
    """An HTTPException of a library gets our body and keeps its status and headers."""
    from fastapi import HTTPException

    async with open_app() as app:

        async def teapot() -> None:
            raise HTTPException(418, "short and stout", {"X-Tea": "green"})

        app.add_api_route("/api/v1/teapot", teapot)

        async with connect(app) as client:
            response = await client.get("teapot")
    assert check_error(response, "http_error")["detail"] == "short and stout"
    assert (response.status_code, response.headers["x-tea"]) == (418, "green")


def test_a_domain_error_reads_as_its_text() -> None:
    """In a log line the error says what it means."""
    from app.users.exceptions import UserNotFound

    assert str(UserNotFound()) == "There is no such user."
