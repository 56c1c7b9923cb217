"""What operators see, and what strangers must not: logs, metrics, health, headers, limits, settings."""

import asyncio
import io
import json
import logging
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.backend.conftest import APP_DIR, MakeUser, OpenApp
from tests.backend.support import PASSWORD, SECRET_KEY, connect, new_user
from workbook.servers.redis import free_port, serve

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

TOKEN = secrets.token_urlsafe(32)
ID = "checkout-7f3a9c21"


def outside(app: Any, **headers: str) -> httpx.AsyncClient:
    """Make a client whose addresses are not below /api/v1."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)


# ------------------------------------------------------------------------------------------------------------- the log


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Everything that any logger writes, as production writes it."""
    from app.core.logging import JsonFormatter

    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(lambda record: not record.name.startswith(("httpx", "httpcore")))  # the visitor's own
    root, ours = logging.getLogger(), logging.getLogger("app")
    levels = root.level, ours.level
    root.addHandler(handler)
    root.setLevel("INFO")
    ours.setLevel("DEBUG")
    yield written
    root.removeHandler(handler)
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def every_route(app: Any) -> list[tuple[str, str]]:
    """Return method and path of each operation in the app's document."""
    return [
        (method.upper(), path)
        for path, operations in app.openapi()["paths"].items()
        for method in operations
        if method in ("get", "post", "patch", "put", "delete")
    ]


async def signed_in(client: httpx.AsyncClient) -> dict[str, Any]:
    """Sign up; return what came back, with both tokens."""
    pair: dict[str, Any] = (await client.post("/api/v1/auth/register", json=new_user())).json()
    return pair


async def test_no_secret_comes_out_by_any_route(
    open_app: OpenApp, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marked secrets go through every route, also where it fails: none is in log, metrics, reports or traces."""
    from app.core import tracing
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    names = ("body", "form", "bearer", "cookie", "query", "path", "email")
    marks = {name: f"{name}-{secrets.token_hex(8)}" for name in names}
    body = dict.fromkeys(
        ("password", "new_password", "old_password", "current_password", "token", "refresh_token"), marks["body"]
    )
    body |= {"email": f"{marks['email']}@example.com", "username": marks["body"], "title": "Pen", "price": "1"}
    form = {"username": marks["form"], "password": marks["form"], "client_secret": marks["form"]}
    query = f"?token={marks['query']}&password={marks['query']}&q={marks['query']}"
    exporter = InMemorySpanExporter()
    reports: list[dict[str, Any]] = []
    provider = tracing.make_provider(exporter)
    monkeypatch.setattr(tracing, "make_provider", lambda: provider)
    sent = 0
    async with open_app(tracing_enabled=True, metrics_token=TOKEN) as app:
        app.state.error_reports.send = reports.append
        async with outside(app, Cookie=f"session={marks['cookie']}") as client:
            pair = await signed_in(client)
            good = f"Bearer {pair['access_token']}"
            for method, path in every_route(app):
                address = path.split("{")[0] + marks["path"] if "{" in path else path
                for bearer in (f"Bearer {marks['bearer']}", f"Basic {marks['bearer']}", good, ""):
                    headers = {"Authorization": bearer} if bearer else {}
                    for how in (
                        {"json": body},
                        {"data": form},
                        {"content": b'{"password": "' + marks["body"].encode()},
                    ):
                        await client.request(method, address + query, headers=headers, **how)
                        sent += 1

            def broken(*_: Any, **__: Any) -> None:
                raise RuntimeError(f"cannot reach postgresql://shop:{marks['body']}@db with token={marks['query']}")

            monkeypatch.setattr("app.users.crud.user_crud.get_by_email", broken)
            monkeypatch.setattr("app.users.crud.user_crud.get", broken)
            await client.post(f"/api/v1/auth/login{query}", data=form)
            await client.post(f"/api/v1/auth/register{query}", json=body)
            answer = await client.get(f"/api/v1/users/me{query}", headers={"Authorization": good})
            assert answer.status_code == 500
            page = (await client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})).text
    provider.shutdown()
    spans = [span.to_json() for span in exporter.get_finished_spans()]
    assert sent > 200
    assert len(spans) >= sent
    assert reports
    text = lines.getvalue()
    assert text.count("\n") >= sent
    assert "[hidden]" in text
    # without a mail server mail is written into the log: with the address, and with the link's token hidden
    told = [line for line in text.splitlines() if json.loads(line)["logger"] != "app.core.mail"]
    written = "\n".join((*told, page, *spans, *map(json.dumps, reports)))
    for secret in (*marks.values(), PASSWORD, SECRET_KEY, TOKEN, pair["access_token"], pair["refresh_token"]):
        assert secret not in written, [line for line in written.splitlines() if secret in line][:3]
        assert secret == marks["email"] or secret not in text


async def test_every_line_of_a_request_has_its_id(app: Any, lines: io.StringIO) -> None:
    """The id that came in stands in the log, in the header and in the body of an error; background work has it too."""
    async with connect(app, **{"X-Request-ID": ID}) as client:
        created = await client.post("auth/register", json=new_user())
        missing = await client.get("nowhere")
    assert created.headers["X-Request-ID"] == missing.headers["X-Request-ID"] == missing.json()["request_id"] == ID
    records = [json.loads(line) for line in lines.getvalue().splitlines()]
    welcome = [record for record in records if "welcome" in record["message"]]
    assert [record["request_id"] for record in welcome] == [ID]
    assert {record["request_id"] for record in records if "route" in record} == {ID}


async def test_requests_at_the_same_time_keep_their_ids(app: Any, lines: io.StringIO) -> None:
    """Forty requests in turns: each line has the id of its own."""
    async with connect(app) as client:
        ids = [f"request-{number:02}" for number in range(40)]
        await asyncio.gather(*(client.get("items", headers={"X-Request-ID": one}) for one in ids))
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert sorted(record["request_id"] for record in found if record.get("route") == "/items") == ids


@pytest.mark.parametrize("sent", ["short", "a" * 65, "a b c d e f", "a\tb\tc\td\te", "naïve-id-1"])
async def test_a_strange_id_is_not_taken(app: Any, sent: str) -> None:
    """What is no id does not come into the answer."""
    async with connect(app) as client:
        answer = await client.get("nowhere", headers={b"X-Request-ID": sent.encode()})
    assert answer.json()["request_id"] != sent
    assert len(answer.headers["X-Request-ID"]) == 32


# ------------------------------------------------------------------------------------------------------------- metrics


async def test_labels_stay_bounded(open_app: OpenApp) -> None:
    """Two thousand paths, ids and methods of a stranger add a handful of series."""
    async with open_app(metrics_token=TOKEN) as app, outside(app) as client:
        for number in range(500):
            await client.get(f"/wp-{number}.php")
            await client.get(f"/api/v1/items/{number}")
            await client.request(f"HACK{number}", "/api/v1/items")
            await client.get("/health", headers={"Host": f"{number}.example"})
        page = (await client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})).text
    series = [line for line in page.splitlines() if not line.startswith("#")]
    assert len(series) < 150
    assert 'http_requests_total{method="GET",route="/items/{item_id}",status="401"} 500.0' in series
    assert 'http_requests_total{method="GET",route="(none)",status="404"} 500.0' in series
    assert "http_requests_in_flight 1.0" in series  # the one that reads this


async def test_metrics_are_for_operators(open_app: OpenApp) -> None:
    """Without the token, or without one in the settings, there is no such page."""
    good = {"Authorization": f"Bearer {TOKEN}"}
    async with open_app(metrics_token=TOKEN) as app, outside(app) as client:
        assert (await client.get("/metrics", headers=good)).status_code == 200
        for wrong in ("", "Bearer ", TOKEN, "Bearer é"):
            headers = {b"Authorization": wrong.encode()}
            assert (await client.get("/metrics", headers=headers)).status_code == 404
        assert (await client.get("/metrics")).status_code == 404
        assert "/metrics" not in app.openapi()["paths"]
    async with open_app() as app, outside(app) as client:
        for sent in ({}, good, {"Authorization": "Bearer "}):
            assert (await client.get("/metrics", headers=sent)).status_code == 404


# -------------------------------------------------------------------------------------------------------------- health


async def test_ready_follows_the_database_and_alive_does_not(app: Any) -> None:
    """While the database is away: not ready, and alive. When it is back: ready."""
    async with outside(app) as client:
        assert (await client.get("/health/ready")).json() == {"status": "ready"}
        look = app.state.readiness.look

        async def away() -> None:
            raise OSError("away")

        app.state.readiness.look = away
        try:
            answer = await client.get("/health/ready")
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
            assert (await client.get("/health")).status_code == 200
        finally:
            app.state.readiness.look = look
        assert (await client.get("/health/ready")).status_code == 200


async def test_many_who_ask_cost_one_look(app: Any) -> None:
    """Fifty balancers at once, one connection."""
    looks, look = 0, app.state.readiness.look

    async def counted() -> None:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0.05)
        await look()

    app.state.readiness.look = counted
    try:
        async with outside(app) as client:
            answers = await asyncio.gather(*(client.get("/health/ready") for _ in range(50)))
    finally:
        app.state.readiness.look = look
    assert {answer.status_code for answer in answers} == {200}
    assert looks == 1


async def test_redis_is_told_and_decides_nothing(open_app: OpenApp) -> None:
    """With Redis, and while it is away, the app is ready, and says which."""
    with serve() as server:
        if server is not None:
            async with open_app(redis_url=server.url) as app, outside(app) as client:
                for said in ("here", "away"):
                    answer = await client.get("/health/ready")
                    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "redis": said})
                    server.kill()
    async with open_app(redis_url=f"redis://127.0.0.1:{free_port()}/0") as app, outside(app) as client:
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()) == (200, {"status": "ready", "redis": "away"})


# ------------------------------------------------------------------------------------------- error reports, and traces


async def test_an_error_is_told_once_and_without_values(
    app: Any, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty requests fail in one line, with secrets all around: one report, and none of them in it."""
    ada = await make_user("ada")
    mark = secrets.token_hex(8)

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"cannot reach postgresql://shop:{mark}@db")

    told: list[dict[str, Any]] = []
    monkeypatch.setattr(app.state.error_reports, "send", told.append)
    monkeypatch.setattr("app.users.crud.user_crud.get", broken)
    async with outside(app, Cookie=f"session={mark}") as client:
        for _ in range(50):
            answer = await client.get(f"/api/v1/users/me?token={mark}", headers=ada.headers)
            assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    [report] = told
    assert (report["type"], report["method"], report["route"], report["count"]) == (
        "builtins.RuntimeError",
        "GET",
        "/users/me",
        1,
    )
    assert report["frames"][-1].endswith(" broken")
    for secret in (mark, ada.token, "ada"):
        assert secret not in json.dumps(report)


async def test_traces_are_an_option(open_app: OpenApp, make_settings: Callable[..., Any]) -> None:
    """Off: no span. On: the request and its steps, by template, and no value in any of them."""
    from app.core.tracing import make_provider, tracing
    from fastapi import FastAPI
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    for on in (False, True):
        exporter = InMemorySpanExporter()
        config = tracing(make_settings(tracing_enabled=on))
        assert (config["tracer_provider"] is not None) is on
        provider = make_provider(exporter)
        app = FastAPI(telemetry=config | {"tracer_provider": provider})

        @app.get("/items/{item_id}")
        async def read(item_id: str) -> str:
            raise ValueError(item_id)

        async with outside(app, Cookie="marked=1") as client:
            await client.get("/items/marked?token=marked")
        provider.shutdown()
        spans = exporter.get_finished_spans()
        assert bool(spans) is on
        assert "marked" not in "".join(span.to_json() for span in spans)
        routes = [(span.attributes or {})["http.route"] for span in spans if span.kind.name == "SERVER"]
        assert routes == ["/items/{item_id}"] * on


# ------------------------------------------------------------------------------------------------- headers, HTTPS, size

HEADERS = ("x-content-type-options", "x-frame-options", "referrer-policy", "content-security-policy")


async def test_every_answer_has_the_headers(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Success, errors, a 500, the documents and a preflight: all have them, and none is strict over plain HTTP."""

    async def broken(*_: Any) -> None:
        raise RuntimeError("too bad")

    monkeypatch.setattr(app.state.readiness, "check", broken)
    async with outside(app) as client:
        for method, path in (
            ("GET", "/health"),
            ("GET", "/x"),
            ("GET", "/docs"),
            ("GET", "/health/ready"),
            ("POST", "/api/v1/auth/login"),
        ):
            answer = await client.request(method, path)
            assert all(name in answer.headers for name in HEADERS), path
            assert "strict-transport-security" not in answer.headers
        assert "cdn.jsdelivr.net" in (await client.get("/docs")).headers["content-security-policy"]
        preflight = await client.options(
            "/api/v1/items", headers={"Origin": "https://x.example", "Access-Control-Request-Method": "GET"}
        )
        assert all(name in preflight.headers for name in HEADERS)


async def test_https_only_behind_a_named_proxy(open_app: OpenApp) -> None:
    """Plain HTTP is refused with the one body; who comes by the named proxy passes, and is told to stay."""
    async with open_app(https_only=True, trusted_proxies="127.0.0.1") as app, outside(app) as client:
        refused = await client.get("/api/v1/items")
        assert (refused.status_code, refused.json()["code"]) == (403, "https_required")
        for told in ("http", "https, http", ""):
            assert (await client.get("/api/v1/items", headers={"X-Forwarded-Proto": told})).status_code == 403
        passed = await client.get("/api/v1/items", headers={"X-Forwarded-Proto": "https"})
        assert (passed.status_code, "strict-transport-security" in passed.headers) == (401, True)
        assert (await client.get("/health/ready")).status_code == 200
    async with open_app(https_only=True) as app, outside(app) as client:
        assert (await client.get("/api/v1/items", headers={"X-Forwarded-Proto": "https"})).status_code == 403


async def test_a_body_over_the_limit(open_app: OpenApp) -> None:
    """413 with the one error body: announced, in chunks, as JSON and as a form; the limit itself passes."""

    async def chunks(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // 500):
            yield b"x" * 500

    async with open_app(max_body_bytes=5_000) as app, connect(app, **{"X-Request-ID": ID}) as client:
        for path, kind in (("auth/login", "application/x-www-form-urlencoded"), ("auth/register", "application/json")):
            for content in (b"x" * 5_001, chunks(6_000)):
                answer = await client.post(path, content=content, headers={"Content-Type": kind})
                assert answer.status_code == 413
                assert answer.json() == {
                    "detail": "The body has more than 5000 bytes.",
                    "code": "body_too_large",
                    "request_id": ID,
                }
            for content in (b"x" * 5_000, chunks(5_000)):
                answer = await client.post(path, content=content, headers={"Content-Type": kind})
                assert answer.status_code == 422


async def test_documents_are_a_setting(open_app: OpenApp) -> None:
    """Where they are off there is neither the document nor its pages."""
    for enabled in (True, False):
        async with open_app(docs_enabled=enabled) as app, outside(app) as client:
            for path in ("/docs", "/redoc", "/api/v1/openapi.json"):
                assert (await client.get(path)).status_code == (200 if enabled else 404)


# ---------------------------------------------------------------------------------------------------------- production

PRODUCTION = {
    "STAGE": "production",
    "SECRET_KEY": SECRET_KEY,
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/shop",
    "MAIL_HOST": "smtp.example.com",
    "MAIL_RESET_URL": "https://shop.example/reset",
    "RATE_LIMIT_ENABLED": "true",
}


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    """Import the app as a server would, with this environment and no other setting."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(APP_DIR), **environment}
    return subprocess.run(
        [sys.executable, "-c", "import app.main"], env=env, capture_output=True, text=True, check=False
    )


def test_safe_production_settings_start(tmp_path: Any) -> None:
    """With safe settings the app is made; documents are off and HTTPS is asked for."""
    assert start(**PRODUCTION).returncode == 0


def test_unsafe_production_settings_do_not_start() -> None:
    """All reasons at once, and no value."""
    unsafe = PRODUCTION | {
        "DATABASE_URL": "sqlite:///marked.db",
        "HTTPS_ONLY": "false",
        "RATE_LIMIT_ENABLED": "false",
        "TRUSTED_PROXIES": "0.0.0.0/0",
        "MAIL_HOST": "",
        "MAIL_RESET_URL": "http://marked.example",
        "METRICS_TOKEN": "marked",
        "FIRST_ADMIN_PASSWORD": "marked",
    }
    result = start(**unsafe)
    assert result.returncode != 0
    said = result.stderr.rpartition("UnsafeSettings")[2]
    for name in set(unsafe) - {"STAGE", "SECRET_KEY"}:
        assert f"  {name}: " in said
    assert "marked" not in said


def test_what_is_unsafe_is_named_in_production_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Safe settings have no reason against them; others have, but for development's, which may be unsafe."""
    from app.core.config import Settings
    from app.core.safety import UnsafeSettings, refuse_unsafe, unsafe_settings

    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    assert unsafe_settings(Settings(_env_file=None)) == []
    refuse_unsafe(Settings(_env_file=None))
    monkeypatch.setenv("METRICS_TOKEN", "marked" * 2)
    monkeypatch.setenv("FIRST_ADMIN_EMAIL", "root@example.com")
    monkeypatch.setenv("FIRST_ADMIN_PASSWORD", "Marked pass")
    reasons = unsafe_settings(Settings(_env_file=None))
    assert [reason.partition(":")[0] for reason in reasons] == ["METRICS_TOKEN", "FIRST_ADMIN_PASSWORD"]
    with pytest.raises(UnsafeSettings, match="METRICS_TOKEN"):
        refuse_unsafe(Settings(_env_file=None))
    monkeypatch.setenv("STAGE", "development")
    assert unsafe_settings(Settings(_env_file=None)) == []
    refuse_unsafe(Settings(_env_file=None))
