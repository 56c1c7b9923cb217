"""The black-box exam against servers that are wrong, slow, hostile or not there: it always ends, and says why."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workbook.base.errors import WorkbookError
from workbook.cli import main as cli
from workbook.exam import run, told
from workbook.exam.cast import Exam
from workbook.exam.client import MAX_BODY, Client
from workbook.exam.door import address
from workbook.exam.finding import shown

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
FINE = b'{"status": "ok"}'


def answer(body: bytes, status: str = "200 OK", *more: str) -> bytes:
    """Return a whole HTTP answer."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *more]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def server(talk: Talk) -> AsyncIterator[str]:
    """Serve whatever `talk` says to each request; health is always fine."""
    open_ones: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = asyncio.current_task()
        assert mine is not None
        open_ones[mine] = writer
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                await reader.readexactly(int(length[0].split(b":")[1]) if length else 0)
                if b" /health " in head:
                    writer.write(answer(FINE))
                else:
                    await talk(reader, writer)
                await writer.drain()
        writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        for task, writer in open_ones.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*open_ones, return_exceptions=True)
        await asyncio.sleep(0)


async def examine(talk: Talk, seconds: float = 3.0, patience: float = 0.3) -> run.Report:
    """Examine a server; the report must come soon after the exam's time."""
    started = time.monotonic()
    async with server(talk) as url:
        report = await run.run(Exam(Client(url, patience), "admin", "Correct horse"), run.CRITERIA, seconds)
    assert time.monotonic() - started < seconds + 30, "a busy machine needs some time; a hanging exam needs for ever"
    assert len(report.results) == len(run.CRITERIA)
    assert not report.passed
    json.loads(told.as_json(report))
    ET.fromstring(told.as_junit(report))
    assert told.text(report).isprintable() or "\x1b" not in told.text(report)
    return report


async def test_a_server_that_never_answers_is_given_up() -> None:
    """Each request has its time, and the exam has its own."""

    async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3600)

    report = await examine(silent, seconds=2.0)
    assert any(one.got == "no whole answer in time" for one in report.of(run.FAILED))
    assert any(one.got.startswith("the time of the exam was over") for one in report.of(run.UNASKED))


async def test_a_server_that_drips_is_given_up() -> None:
    """Bytes that come one by one do not make the time longer."""

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    report = await examine(drip, seconds=1.0)
    assert not report.of(run.PASSED) or {one.criterion.name for one in report.of(run.PASSED)} <= QUIET


QUIET = {"health", "no_secrets_in_answers", "no_crash", "no_internals"}  # what silence passes


async def test_a_body_without_an_end_is_cut() -> None:
    """A body that is too long ends the criterion, and not the exam's memory."""

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()

    report = await examine(flood, seconds=3.0, patience=3.0)
    assert any(f"more than {MAX_BODY} bytes" in one.got for one in report.of(run.FAILED))


async def test_a_small_body_that_unpacks_to_a_large_one_is_cut() -> None:
    """Gzip is unpacked up to the limit of a body."""
    bomb = gzip.compress(b" " * 50_000_000)

    async def send(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(bomb, "200 OK", "Content-Encoding: gzip"))

    client = Client("")
    async with server(send) as url:
        client.url = url
        assert len((await client.ask("GET", "/items")).body) == MAX_BODY
    await client.close()


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe",
        b"[" * 100_000,
        b"null",
        b'{"user": 5, "access_token": [], "refresh_token": {}}',
        b'{"user": {"id": {"a": 1}}, "access_token": "a\\u0000b\\n\\u001b[31m", "refresh_token": "\\ud800", "id": []}',
        b'{"user": {"id": "../../x?#", "role": 1}, "access_token": "e30.e30.x", "refresh_token": "y", "id": [1]}',
        b'[[1], {"id": []}, null, {"id": {}, "owner_id": {}}]',
        b'{"errors": [{"loc": 5, "msg": 1, "type": 2}], "detail": "\\u001b]0;x\\u0007", "code": "c", "request_id": "r"}',
    ],
)
@pytest.mark.parametrize("status", ["200 OK", "201 Created", "404 Not Found"])
async def test_no_shape_of_an_answer_ends_the_exam(body: bytes, status: str) -> None:
    """Whatever comes back, each criterion has a result, and all forms of the report can be written and read."""

    async def send(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body, status))

    await examine(send, seconds=20.0, patience=5.0)


async def test_a_server_that_breaks_off_is_told() -> None:
    """A connection that is closed in the middle, and bytes that are no HTTP, are failures with a reason."""
    for said in (b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"SSH-2.0-OpenSSH\r\n\r\n"):

        async def broken(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes = said) -> None:
            writer.write(said)
            writer.close()

        report = await examine(broken)
        assert any(one.got.startswith("no answer") for one in report.of(run.FAILED))


async def test_limits_are_a_reason_and_no_pass() -> None:
    """A backend that always says 429 is asked nothing, and that is said; it does not pass."""

    async def limit(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"{}", "429 Too Many Requests", "Retry-After: 37"))

    report = await examine(limit)
    told_of = [one for one in report.of(run.UNASKED) if "gave 429, Retry-After: 37" in one.got]
    assert len(told_of) > 20
    assert not any(one.chosen for one in told_of)


@pytest.fixture
def plain() -> Iterator[str]:
    """A server in a thread that knows /health and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = FINE if self.path == "/health" else b"{}"
            self.send_response(200 if self.path == "/health" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    for method in ("GET", "POST", "PATCH", "DELETE", "PUT", "OPTIONS"):
        setattr(Handler, f"do_{method}", Handler.answer)
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving.daemon_threads = True
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()
    thread.join()


def test_the_command_tells_in_text_json_and_junit(plain: str, tmp_path: Path) -> None:
    """Each form names each criterion by its exercise; the status says whether all passed."""
    only = CliRunner().invoke(cli.app, ["exam", plain, "--only", "0.1"])
    assert only.exit_code == 0, only.output
    assert "passed     0.1   GET /health gives 200 and JSON" in only.output
    target = tmp_path / "new/exam.xml"
    whole = CliRunner().invoke(cli.app, ["exam", plain, "--only", "0.1, 1,09,10.5", "--json", "--junit", str(target)])
    assert whole.exit_code == 1
    found = json.loads(whole.stdout)
    assert found["exam"] == "not passed"
    assert {one["exercise"].partition(".")[0] for one in found["criteria"]} == {"0", "1", "9", "10"}
    outcomes = {one["name"]: one for one in found["criteria"]}
    assert outcomes["health"]["outcome"] == "passed"
    assert outcomes["register"]["outcome"] == "failed"
    assert outcomes["the_last_admin"]["outcome"] == "not asked"
    assert outcomes["the_last_admin"]["chosen"] is True
    suites = ET.parse(target).getroot()
    assert suites[0].get("name") == "exercise 0.1"
    assert sum(int(suite.get("tests", 0)) for suite in suites) == len(found["criteria"])
    assert sum(int(suite.get("failures", 0)) for suite in suites) == found["failed"]


def test_nothing_answers() -> None:
    """An address where nothing listens, and what is no address, are errors in words."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(WorkbookError, match="nothing answers at"):
        asyncio.run(run.run(Exam(Client(f"http://127.0.0.1:{port}", 2.0)), run.CRITERIA))
    for wrong in ("", "localhost:8000", "ftp://x", "http://", "http://x:99999", "http://x/?a", "file:///etc/passwd"):
        with pytest.raises(WorkbookError, match="is no address of a backend"):
            address(wrong)
    assert address("http://127.0.0.1:8000/") == "http://127.0.0.1:8000"


def test_criteria_are_chosen_by_exercise_and_chapter() -> None:
    """A name that the exam does not know is an error with those that it knows."""
    assert {one.exercise for one in run.select("9.6")} == {"9.6"}
    assert {one.chapter for one in run.select("09,10")} == {"9", "10"}
    assert run.select("") == list(run.CRITERIA)
    with pytest.raises(WorkbookError, match="asks nothing about '99'"):
        run.select("99")


def test_names_of_criteria_are_unique_and_their_exercises_exist() -> None:
    """Programs find a criterion by its name, people by an exercise of the course."""
    assert len({one.name for one in run.CRITERIA}) == len(run.CRITERIA)
    assert all(one.text and not one.text.endswith(".") for one in run.CRITERIA)
    sources = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parents[2].glob("solutions/*.md"))
    assert [one.exercise for one in run.CRITERIA if f'exercise="{one.exercise}"' not in sources] == []


def test_a_strangers_text_steers_no_terminal() -> None:
    """Control characters are shown, long texts are cut."""
    assert shown("a\x1b[31m\nb\ud800") == "a\\u001b[31m\\u000ab\\ud800"
    assert len(shown("x" * 1000)) == 160
