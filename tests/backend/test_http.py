"""The app as a whole: documents, CORS, unknown paths, health."""

from typing import Any

import httpx
import pytest
from app.main import create_app

from tests.backend.support import connect


async def test_health_needs_no_prefix_and_no_sign_in(client: httpx.AsyncClient) -> None:
    """GET /health answers as soon as the process is alive."""
    response = await client.get("http://test/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/api/v1/openapi.json"])
async def test_documents_are_served(client: httpx.AsyncClient, path: str) -> None:
    """The documents are where API.md says."""
    assert (await client.get(f"http://test{path}")).status_code == 200


async def test_the_document_names_title_and_version(client: httpx.AsyncClient) -> None:
    """The OpenAPI document has the app's title, a description and a version; all routes have tags."""
    document = (await client.get("openapi.json")).json()
    assert document["info"] == {
        "title": "Workbook",
        "description": document["info"]["description"],
        "version": document["info"]["version"],
    }
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all(operation["tags"] and operation["description"] for operation in operations)


@pytest.mark.parametrize("path", ["users/", "nowhere", "http://test/health/", "http://test/users"])
async def test_unknown_paths_are_404_without_redirect(client: httpx.AsyncClient, path: str) -> None:
    """A trailing slash is another path; nothing is redirected."""
    response = await client.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def test_a_wrong_method_names_the_right_ones(client: httpx.AsyncClient) -> None:
    """A 405 lists every method that the path knows."""
    response = await client.put("users")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == "GET, POST"


async def test_two_apps_share_nothing(open_app: Any) -> None:
    """The factory builds independent apps."""
    async with open_app(project_name="One") as one:
        other = create_app(one.state.settings.model_copy(update={"project_name": "Two"}))
        assert (one.title, other.title) == ("One", "Two")
        assert one.state.ready
        assert not other.state.ready
    assert not one.state.ready


async def ask_as_web_page(app: Any, origin: str, method: str = "OPTIONS") -> httpx.Response:
    """Ask as a browser does for a page of this origin."""
    headers = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}
    async with connect(app, **headers) as client:
        return await client.request(method, "http://test/health")


async def test_a_listed_origin_may_call(open_app: Any) -> None:
    """The browser of a listed web page gets permission and may read our headers."""
    async with open_app(cors_origins="https://a.com") as app:
        response = await ask_as_web_page(app, "https://a.com")
        assert response.headers["access-control-allow-origin"] == "https://a.com"
        response = await ask_as_web_page(app, "https://a.com", "GET")
        assert "X-Total-Count" in response.headers["access-control-expose-headers"]


async def test_another_origin_may_not_call(open_app: Any) -> None:
    """No header, no permission."""
    async with open_app(cors_origins="https://a.com") as app:
        for method in ("OPTIONS", "GET"):
            response = await ask_as_web_page(app, "https://evil.com", method)
            assert "access-control-allow-origin" not in response.headers


async def test_a_star_never_comes_with_credentials(open_app: Any) -> None:
    """With `*` the origin is not reflected and cookies are not allowed."""
    async with open_app(cors_origins="*") as app:
        response = await ask_as_web_page(app, "https://evil.com", "GET")
        assert response.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in response.headers
